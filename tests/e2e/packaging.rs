//! The files that an operator installs are right by tools of others: the systemd unit, the image, the manifests, the manual
//! pages and the completions.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::support::program;

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap()
}

fn said(ran: &Output) -> String {
    String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr)
}

/// Python's packages with hadolint and the schemas of Kubernetes.
fn tools() -> PathBuf {
    let folder =
        std::env::var_os("PACKAGING").expect("PACKAGING names no folder; tests/run installs it");
    PathBuf::from(folder)
}

#[test]
#[ignore = "needs systemd-analyze, which tests/run installs"]
fn systemd_accepts_the_unit_and_finds_little_exposed() {
    let unit = std::fs::read_to_string(root().join("packaging/recording-host.service")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recording-host.service");
    let installed = unit.replace(
        "/usr/bin/recording-host",
        env!("CARGO_BIN_EXE_recording-host"),
    );
    assert_ne!(installed, unit);
    std::fs::write(&path, installed).unwrap();
    let analyze = |arguments: &[&str]| {
        let ran = Command::new("systemd-analyze")
            .args(arguments)
            .arg(&path)
            .output();
        ran.unwrap()
    };
    let verified = analyze(&["verify", "--man=no"]);
    assert!(verified.status.success(), "{}", said(&verified));
    assert_eq!(said(&verified), "", "no warning either");
    // Of ten, in tenths: 0 is the least exposed.
    let secure = analyze(&["security", "--offline=true", "--no-pager", "--threshold=15"]);
    assert!(secure.status.success(), "{}", said(&secure));
    // The judge does judge.
    std::fs::write(
        &path,
        "[Service]\nExecStart=/bin/true\nProtectHome=perhaps\n",
    )
    .unwrap();
    assert_ne!(said(&analyze(&["verify", "--man=no"])), "");
    let open = analyze(&["security", "--offline=true", "--no-pager", "--threshold=15"]);
    assert!(!open.status.success());
}

#[test]
fn the_command_of_each_package_is_one_that_the_program_knows() {
    let unit = std::fs::read_to_string(root().join("packaging/recording-host.service")).unwrap();
    let line = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="))
        .unwrap();
    let of_unit: Vec<String> = line.split(' ').skip(1).map(str::to_owned).collect();
    let image = std::fs::read_to_string(root().join("packaging/Dockerfile")).unwrap();
    let line = image
        .lines()
        .find_map(|line| line.strip_prefix("CMD "))
        .unwrap();
    let of_image: Vec<String> = serde_json::from_str(line).unwrap();
    let mut commands = vec![of_unit, of_image];
    for file in ["follow.yaml", "nightly.yaml", "shards.yaml"] {
        let text = std::fs::read_to_string(root().join("packaging/kubernetes").join(file)).unwrap();
        let line = text
            .lines()
            .find_map(|line| line.trim().strip_prefix("args: "))
            .unwrap();
        commands.push(serde_saphyr::from_str(line).unwrap());
    }
    for command in commands {
        // The file is not there, which is said after the options have been read.
        let command: Vec<String> = command
            .into_iter()
            .map(|part| part.replace("/etc/recording-host", "/no/such/folder"))
            .map(|part| part.replace(":9464", ":0"))
            .collect();
        let ran = program()
            .args(&command)
            .env("JOB_COMPLETION_INDEX", "3")
            .output()
            .unwrap();
        let said = said(&ran);
        assert_eq!(ran.status.code(), Some(2), "{command:?}: {said}");
        assert!(
            said.contains("/no/such/folder/config.yaml"),
            "{command:?}: {said}"
        );
    }
}

#[test]
#[ignore = "needs hadolint, which tests/run installs"]
fn hadolint_finds_nothing_in_the_dockerfile() {
    let hadolint = |path: &Path| {
        Command::new(tools().join("bin/hadolint"))
            .arg(path)
            .output()
            .unwrap()
    };
    let ran = hadolint(&root().join("packaging/Dockerfile"));
    assert!(ran.status.success(), "{}", said(&ran));
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("Dockerfile");
    std::fs::write(&bad, "FROM debian:latest\nRUN cd /tmp && sudo true\n").unwrap();
    assert!(!hadolint(&bad).status.success(), "the judge judges");
}

#[test]
#[ignore = "needs kubernetes-validate, which tests/run installs"]
fn the_manifests_are_right_by_the_schemas_of_kubernetes() {
    let validate = |path: &Path| {
        Command::new("python3")
            .env("PYTHONPATH", tools())
            .args(["-m", "kubernetes_validate", "--strict", "-k", "1.37.0"])
            .arg(path)
            .output()
            .unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    for file in ["follow.yaml", "nightly.yaml", "shards.yaml"] {
        let path = root().join("packaging/kubernetes").join(file);
        let ran = validate(&path);
        assert!(ran.status.success(), "{file}: {}", said(&ran));
        let text = std::fs::read_to_string(path).unwrap();
        let wrong = folder.path().join(file);
        std::fs::write(&wrong, text.replace("runAsNonRoot:", "runAsNonRot:")).unwrap();
        assert!(
            !validate(&wrong).status.success(),
            "{file}: the judge judges"
        );
    }
}

#[test]
fn the_configuration_in_the_manifest_is_valid() {
    let text = std::fs::read_to_string(root().join("packaging/kubernetes/follow.yaml")).unwrap();
    let first = text.split("\n---\n").next().unwrap();
    let map: serde_json::Value = serde_saphyr::from_str(first).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for name in ["client_id", "client_secret"] {
        std::fs::write(folder.path().join(name), "a").unwrap();
    }
    let config = map["data"]["config.yaml"].as_str().unwrap();
    let config = config.replace(
        "/run/secrets/recording-host",
        folder.path().to_str().unwrap(),
    );
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, config).unwrap();
    let ran = program()
        .args(["validate", "--config"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", said(&ran));
}

#[test]
fn each_command_has_a_manual_page_that_troff_reads_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let ran = program().arg("man").arg(folder.path()).output().unwrap();
    assert!(ran.status.success(), "{}", said(&ran));
    let help = program().arg("--help").output().unwrap();
    let help = said(&help);
    let commands = help.split("Commands:\n").nth(1).unwrap();
    let commands = commands.split("\n\n").next().unwrap();
    let named: Vec<&str> = commands
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(named.len() > 15, "{named:?}");
    for name in named {
        let path = folder.path().join(format!("recording-host-{name}.1"));
        let page = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("no page of {name}"));
        let title = format!(".TH recording-host-{name} 1");
        assert!(page.contains(&title), "{name}: {page}");
        assert!(page.contains(".SH SYNOPSIS"), "{name}");
    }
    let run = std::fs::read_to_string(folder.path().join("recording-host-run.1")).unwrap();
    assert!(run.contains("metrics\\-listen") && run.contains("RECORDING_HOST_METRICS_LISTEN"));
    assert!(folder.path().join("recording-host.1").exists());
}

#[test]
fn completions_are_scripts_that_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = program().args(["completions", shell]).output().unwrap();
        assert!(ran.status.success(), "{shell}");
        let script = String::from_utf8(ran.stdout).unwrap();
        assert!(
            script.contains("reconcile") && script.contains("metrics-listen"),
            "{shell}"
        );
    }
    // Bash reads it, and completes.
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("completion");
    let ran = program().args(["completions", "bash"]).output().unwrap();
    std::fs::write(&script, ran.stdout).unwrap();
    let words = "source $0; COMP_WORDS=(recording-host rec); COMP_CWORD=1; \
                 $(complete -p recording-host | sed 's/.*-F \\([^ ]*\\).*/\\1/') recording-host rec recording-host; echo ${COMPREPLY[@]}";
    let ran = Command::new("bash")
        .args(["-c", words])
        .arg(&script)
        .output()
        .unwrap();
    assert_eq!(said(&ran).trim(), "reconcile");
}
