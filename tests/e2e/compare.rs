//! The comparison with others claims nothing that no command shows.

use std::{collections::BTreeMap, path::Path};

use crate::support::program;

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The help text of a command of the program.
fn help(command: &str) -> Option<String> {
    let ran = program().args([command, "--help"]).output().unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    ran.status.success().then_some(said)
}

/// Fails unless the program has a command with these options.
fn check_command(row: &str, command: &str) {
    let mut words = command.split(' ').skip(1);
    let name = words.next().unwrap();
    let help = help(name).unwrap_or_else(|| panic!("{row}: no command {name}"));
    for option in words.filter(|word| word.starts_with("--")) {
        assert!(help.contains(option), "{row}: {name} has no {option}");
    }
}

#[test]
fn each_yes_has_a_command_that_there_is_and_each_no_a_reason() {
    let text = std::fs::read_to_string(root().join("docs/compare.md")).unwrap();
    let mut counts = BTreeMap::<&str, usize>::new();
    for row in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let Ok(_) = cells[0].parse::<u32>() else {
            continue;
        };
        let [.., state, shown] = cells.as_slice() else {
            panic!("{row}");
        };
        let state = state.trim_matches('*');
        *counts.entry(state).or_default() += 1;
        let code: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
        let mut commands = 0;
        for code in code {
            if let Some(module) = code.strip_prefix("tests/run ") {
                let module = module.strip_suffix("::").unwrap();
                let file = format!("tests/e2e/{module}.rs");
                assert!(root().join(&file).exists(), "{row}: no {file}");
                commands += 1;
            } else if code.starts_with("recording-host ") {
                check_command(row, code);
                commands += 1;
            } else if let Some(example) =
                code.strip_prefix("cargo run -p recording-host --example ")
            {
                assert!(
                    root().join(format!("host/examples/{example}.rs")).exists(),
                    "{row}"
                );
                commands += 1;
            }
        }
        match state {
            "Y" => assert!(commands > 0, "{row}: no command shows it"),
            "P" | "N" => assert!(shown.len() > 20, "{row}: no reason"),
            other => panic!("{row}: {other}"),
        }
    }
    let told = text
        .lines()
        .find_map(|line| line.strip_prefix("**Here:** "))
        .unwrap();
    let count = |state: &str| counts.get(state).copied().unwrap_or_default();
    let counted = format!("{} Y, {} P, {} N.", count("Y"), count("P"), count("N"));
    assert!(
        told.starts_with(&counted),
        "{told}, and there are {counted}"
    );
    assert_eq!(counts.values().sum::<usize>(), 58);
}
