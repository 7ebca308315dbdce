//! The reference is the program's: the command line is written from its help, and the codes of losses are
//! those of the code.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::support::run_program;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

async fn help(arguments: &[&str]) -> String {
    let ran = run_program(&[arguments, &["--help"]].concat()).await;
    assert!(ran.status.success(), "{ran:?}");
    let text = String::from_utf8(ran.stdout).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// The commands that a help lists, without `help` itself.
fn commands(help: &str) -> Vec<String> {
    let Some((_, listed)) = help.split_once("Commands:\n") else {
        return Vec::new();
    };
    listed
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn the_reference_of_the_command_line_is_the_help_of_the_program() {
    let top = help(&[]).await;
    let mut page = format!(
        "# Command line\n\nThe help of the program as it prints it, exit codes included. A test compares the two; \
         `UPDATE_REFERENCE=1 tests/run reference::` writes it anew.\n\n```text\n{top}\n```\n"
    );
    for command in commands(&top) {
        let text = help(&[&command]).await;
        page += &format!("\n## {command}\n\n```text\n{text}\n```\n");
        for second in commands(&text) {
            let text = help(&[&command, &second]).await;
            page += &format!("\n### {command} {second}\n\n```text\n{text}\n```\n");
        }
    }
    let path = Path::new(ROOT).join("docs/reference/cli.md");
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(
        written == page,
        "docs/reference/cli.md is not the help; UPDATE_REFERENCE=1 writes it anew"
    );
}

/// The code of the crates that name losses, without its tests.
fn sources() -> String {
    let mut open: Vec<PathBuf> = [
        "host",
        "component/genesys-cloud",
        "component/genesys-bucket",
    ]
    .map(|folder| Path::new(ROOT).join(folder))
    .into();
    let mut text = String::new();
    while let Some(path) = open.pop() {
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() && !["tests", "simulation", "examples", "benches"].contains(&&*name) {
            open.extend(
                std::fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if name.ends_with(".rs") && name != "tests.rs" {
            let code = std::fs::read_to_string(&path).unwrap();
            text += code.split("\n#[cfg(test)]\nmod ").next().unwrap();
        }
    }
    text
}

/// The literal that follows each place where a loss gets its code.
fn codes(text: &str) -> BTreeSet<&str> {
    let places = [
        "code: \"",
        "TransferError::item(\"",
        "fail_split(split, \"",
        "fail_split(&split, \"",
        " failure(\"",
        "Missing::new(None, \"",
        "Error::NoRecording(_) => \"",
        "ArchiveError::Broken(_) => \"",
        "EntryError::Link => \"",
    ];
    places
        .iter()
        .flat_map(|place| text.split(place).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .collect()
}

#[test]
fn the_codes_of_losses_are_those_of_the_code() {
    let page = std::fs::read_to_string(Path::new(ROOT).join("docs/reference/failure-codes.md"));
    let page = page.unwrap();
    let listed: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(" |").next())
        .flat_map(|cell| cell.split(['`', ',', ' ']))
        .filter(|code| !code.is_empty())
        .collect();
    let code = sources();
    let stale: Vec<_> = listed
        .iter()
        .filter(|listed| !code.contains(&format!("\"{listed}\"")))
        .collect();
    assert!(stale.is_empty(), "no code of a loss: {stale:?}");
    let named = codes(&code);
    assert!(named.len() > 15, "{named:?}");
    let missing: Vec<_> = named.difference(&listed).collect();
    assert!(missing.is_empty(), "not in the reference: {missing:?}");
}
