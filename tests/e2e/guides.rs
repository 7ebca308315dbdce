//! The commands of the documentation are commands that work: those of the guides are run as they stand, and
//! every flag that is mentioned anywhere is one that the program has.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

use age::secrecy::ExposeSecret;

use crate::support::{program, run_program};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A fenced block of commands.
struct Block {
    /// Why it is not run, or by which other test it is.
    exempt: Option<String>,
    text: String,
}

/// The blocks of commands in a text, each with the comment above it.
fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    let mut above = "";
    while let Some(line) = lines.next() {
        if line == "```sh" {
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let exempt = above
                .strip_prefix("<!-- not run: ")
                .or_else(|| above.strip_prefix("<!-- run by: "))
                .and_then(|reason| reason.strip_suffix(" -->"));
            found.push(Block {
                exempt: exempt.map(str::to_owned),
                text: body.join("\n") + "\n",
            });
        } else if line.starts_with("```") {
            // A block of another language.
            lines.by_ref().find(|line| *line == "```");
        }
        above = line;
    }
    found
}

/// Every page of the documentation by its path.
fn pages() -> BTreeMap<PathBuf, String> {
    let mut pages = BTreeMap::new();
    let mut open = vec![Path::new(ROOT).join("docs")];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                pages.insert(path.clone(), std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let readme = Path::new(ROOT).join("README.md");
    pages.insert(readme.clone(), std::fs::read_to_string(readme).unwrap());
    pages
}

/// The commands of a guide as one script that ends at the first one that does not do what the guide says:
/// `# exits with N`, or `# exits with N: why`, tells an exit code other than 0. The simulator, which has a terminal of its own in the
/// guides, serves in the background.
fn script(guide: &str) -> String {
    // The port is free again when the simulator takes it.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut script = String::from("set -eu\n");
    for block in blocks(guide) {
        if block.exempt.is_some() {
            continue;
        }
        for line in block.text.replace("\\\n", " ").lines() {
            let line = line.replace("127.0.0.1:8080", &address);
            if let Some(arguments) = line.strip_prefix("recording-host simulate ") {
                let (_, file) = arguments
                    .split_once(" > ")
                    .expect("it writes a configuration");
                script += &format!(
                    "recording-host simulate --listen {address} {arguments} &\n\
                     trap \"kill $!\" EXIT\n\
                     until grep -q '^# serving' {file}; do sleep 0.1; done\n"
                );
            } else if let Some((command, code)) = line.split_once("# exits with ") {
                let code = code.split(':').next().unwrap_or(code);
                script += &format!(
                    "code=0; {command} || code=$?\n[ $code = {code} ] || {{ echo \"it ended with $code: {}\" >&2; exit 9; }}\n",
                    command.trim().replace('"', "'").replace('$', ""),
                );
            } else {
                script += &line;
                script.push('\n');
            }
        }
    }
    script
}

/// Runs the commands of a guide in an empty folder.
async fn works(guide: &str) {
    let path = Path::new(ROOT).join("docs/guides").join(guide);
    let script = script(&std::fs::read_to_string(path).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let programs = folder.path().join("bin");
    std::fs::create_dir(&programs).unwrap();
    std::os::unix::fs::symlink(program().get_program(), programs.join("recording-host")).unwrap();
    age_keygen(&programs.join("age-keygen"));
    let work = folder.path().join("work");
    std::fs::create_dir(&work).unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(work);
    shell.env("PATH", format!("{}:{path}", programs.display()));
    let ran = tokio::task::spawn_blocking(move || shell.output().unwrap());
    let ran = ran.await.unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{guide}: {said}\n{script}");
}

/// Stands in for `age-keygen -o FILE`, which writes such a file.
fn age_keygen(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let identity = age::x25519::Identity::generate();
    let file = format!(
        "# public key: {}\n{}\n",
        identity.to_public(),
        identity.to_string().expose_secret()
    );
    std::fs::write(
        path,
        format!("#!/bin/sh\ncat > \"$2\" <<'END'\n{file}END\n"),
    )
    .unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_on_export_works_as_it_stands() {
    works("export.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_on_following_works_as_it_stands() {
    works("follow.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_on_verification_and_repair_works_as_it_stands() {
    works("verify-and-repair.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_on_encryption_works_as_it_stands() {
    works("encrypt.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_on_testing_a_configuration_works_as_it_stands() {
    works("test-routing.md").await;
}

#[test]
fn each_command_of_the_documentation_is_run_or_says_why_it_is_not() {
    let guides = [
        "export",
        "follow",
        "verify-and-repair",
        "encrypt",
        "test-routing",
    ];
    let run: BTreeSet<PathBuf> = guides
        .map(|guide| Path::new(ROOT).join(format!("docs/guides/{guide}.md")))
        .into();
    let tests = Path::new(ROOT).join("tests");
    let mut silent = Vec::new();
    for (path, text) in pages() {
        if path.ends_with("README.md") {
            // Its commands are those of the guides.
            continue;
        }
        for block in blocks(&text) {
            match &block.exempt {
                None if run.contains(&path) => {}
                None => silent.push(format!("{}:\n{}", path.display(), block.text)),
                // The test that runs it is there.
                Some(reason) if reason.starts_with("e2e/") => {
                    assert!(tests.join(reason).is_file(), "{}: {reason}", path.display());
                }
                Some(reason) => assert!(reason.len() > 10, "{}: {reason}", path.display()),
            }
        }
    }
    assert!(
        silent.is_empty(),
        "neither run by a test nor exempt by `<!-- not run: ... -->`: {}",
        silent.join("\n")
    );
}

/// The long flags in a text.
fn flags(text: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| !(c.is_ascii_lowercase() || c == '-');
    text.split(|c: char| c.is_whitespace() || "`[]()|,".contains(c))
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .map(move |word| word[2..].split(ends).next().unwrap())
        .filter(|flag| !flag.is_empty())
}

/// The commands `recording-host ...` of a text, in blocks and in lines, each up to its end.
fn commands(text: &str) -> Vec<String> {
    let text = text.replace("\\\n", " ");
    let starts = text.match_indices("recording-host ");
    starts
        .map(|(at, name)| {
            let rest = &text[at + name.len()..];
            let end = rest.find(['`', '\n', '|', '#', ';', '&']);
            rest[..end.unwrap_or(rest.len())].to_owned()
        })
        .collect()
}

#[tokio::test]
async fn every_command_and_flag_of_the_documentation_is_one_that_the_program_has() {
    let help = async |arguments: &[&str]| {
        let ran = run_program(&[arguments, &["--help"]].concat()).await;
        String::from_utf8(ran.stdout).unwrap()
    };
    let names = help(&[]).await;
    let names = names.split("Commands:").nth(1).unwrap();
    let names = names.split("Options:").next().unwrap();
    let names: Vec<&str> = names
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    let (mut checked, mut wrong) = (0, Vec::new());
    for (path, text) in pages() {
        for command in commands(&text) {
            let name = command.split_whitespace().next().unwrap_or_default();
            if !names.contains(&name) {
                continue;
            }
            let mut known = help(&[name]).await;
            // `push start` and the like have flags of their own.
            if known.contains("\nCommands:\n") {
                let second = command.split_whitespace().nth(1).unwrap_or_default();
                known = help(&[name, second]).await;
            }
            let known: BTreeSet<&str> = flags(&known).collect();
            for flag in flags(&command) {
                checked += 1;
                if !known.contains(flag) {
                    wrong.push(format!("{}: {name} --{flag}", path.display()));
                }
            }
        }
    }
    assert!(checked > 40, "{checked}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
