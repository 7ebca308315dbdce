//! The files that an operator installs are right by tools of others: the systemd unit, the image, the manifests, the chart,
//! the manual pages and the completions.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

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

/// Fails unless the program gets as far as to read the configuration, which is not there.
fn assert_known(command: Vec<String>) {
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

/// What `validate` says of a configuration, with secrets.
fn validate(config: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    for name in ["client_id", "client_secret", "nats.creds", "nats-ca.pem"] {
        std::fs::write(folder.path().join(name), "a").unwrap();
    }
    let config = config.replace(
        "/run/secrets/recording-host",
        folder.path().to_str().unwrap(),
    );
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, config).unwrap();
    let ran = program().args(["validate", "--config"]).arg(&path).output();
    ran.unwrap()
}

/// What the schemas of Kubernetes say of a file of manifests.
fn kubernetes_validate(path: &Path) -> Output {
    Command::new("python3")
        .env("PYTHONPATH", tools())
        .args(["-m", "kubernetes_validate", "--strict", "-k", "1.37.0"])
        .arg(path)
        .output()
        .unwrap()
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
        assert_known(command);
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
    let folder = tempfile::tempdir().unwrap();
    for file in ["follow.yaml", "nightly.yaml", "shards.yaml"] {
        let path = root().join("packaging/kubernetes").join(file);
        let ran = kubernetes_validate(&path);
        assert!(ran.status.success(), "{file}: {}", said(&ran));
        let text = std::fs::read_to_string(path).unwrap();
        let wrong = folder.path().join(file);
        std::fs::write(&wrong, text.replace("runAsNonRoot:", "runAsNonRot:")).unwrap();
        assert!(
            !kubernetes_validate(&wrong).status.success(),
            "{file}: the judge judges"
        );
    }
}

#[test]
fn the_configuration_in_the_manifest_is_valid() {
    let text = std::fs::read_to_string(root().join("packaging/kubernetes/follow.yaml")).unwrap();
    let first = text.split("\n---\n").next().unwrap();
    let map: Value = serde_saphyr::from_str(first).unwrap();
    let ran = validate(map["data"]["config.yaml"].as_str().unwrap());
    assert!(ran.status.success(), "{}", said(&ran));
}

const ONE: [&str; 2] = ["-f", "examples/one.yaml"];
const FLEET: [&str; 4] = ["-f", "examples/one.yaml", "-f", "examples/fleet.yaml"];

/// What Helm says in the chart's folder.
fn helm(arguments: &[&str]) -> Output {
    let helm = std::env::var_os("HELM").expect("HELM names no program; tests/run installs it");
    let chart = root().join("packaging/helm/recording-host");
    let ran = Command::new(helm)
        .args(arguments)
        .current_dir(chart)
        .output();
    ran.unwrap()
}

/// A manifest that the chart makes, and its text.
struct Rendered {
    manifest: Value,
    text: String,
}

fn template(values: &[&str]) -> Output {
    helm(&[&["template", "calls", "."][..], values].concat())
}

/// What the chart makes of values, by kind and name, in the order of these.
fn rendered(values: &[&str]) -> Vec<(String, Rendered)> {
    let ran = template(values);
    assert!(ran.status.success(), "{values:?}: {}", said(&ran));
    let text = String::from_utf8(ran.stdout).unwrap();
    let texts = text
        .split("---\n")
        .filter(|document| !document.trim().is_empty());
    let mut documents: Vec<(String, Rendered)> = texts
        .map(|text| {
            let manifest: Value = serde_saphyr::from_str(text).unwrap();
            let word = |value: &Value| value.as_str().unwrap().to_owned();
            let kind = word(&manifest["kind"]);
            let name = format!("{kind}/{}", word(&manifest["metadata"]["name"]));
            let text = text.to_owned();
            (name, Rendered { manifest, text })
        })
        .collect();
    documents.sort_by(|(one, _), (other, _)| one.cmp(other));
    documents
}

fn manifest<'a>(of: &'a [(String, Rendered)], name: &str) -> &'a Value {
    let found = of.iter().find(|(it, _)| it == name);
    &found.unwrap_or_else(|| panic!("no {name}")).1.manifest
}

#[test]
#[ignore = "needs Helm and kubernetes-validate, which tests/run installs"]
fn the_chart_is_right_by_helm_and_by_the_schemas_of_kubernetes() {
    let one = [
        "ConfigMap/calls",
        "PodDisruptionBudget/calls",
        "Service/calls",
        "StatefulSet/calls",
    ];
    let fleet = [
        "ConfigMap/calls",
        "ConfigMap/calls-init",
        "Job/calls-init",
        "PodDisruptionBudget/calls",
        "ScaledObject/calls",
        "Service/calls",
        "ServiceMonitor/calls",
        "StatefulSet/calls",
    ];
    let folder = tempfile::tempdir().unwrap();
    for (values, names) in [(&ONE[..], &one[..]), (&FLEET[..], &fleet[..])] {
        let lint = helm(&[&["lint", "--strict", "."][..], values].concat());
        assert!(lint.status.success(), "{}", said(&lint));
        let documents = rendered(values);
        let made: Vec<&str> = documents.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(made, names);
        // Custom resources have no schema there.
        let known = documents
            .iter()
            .filter(|(name, _)| !name.starts_with("Scaled") && !name.starts_with("ServiceMonitor"));
        let texts: Vec<&str> = known.map(|(_, of)| of.text.as_str()).collect();
        let path = folder.path().join("chart.yaml");
        let text = texts.join("---\n");
        std::fs::write(&path, &text).unwrap();
        let ran = kubernetes_validate(&path);
        assert!(ran.status.success(), "{values:?}: {}", said(&ran));
        std::fs::write(&path, text.replace("runAsNonRoot:", "runAsNonRot:")).unwrap();
        let ran = kubernetes_validate(&path);
        assert!(!ran.status.success(), "{values:?}: the judge judges");
    }
    let wrong = helm(&[
        "lint",
        "--strict",
        ".",
        "-f",
        "examples/one.yaml",
        "--set",
        "replica=1",
    ]);
    assert!(!wrong.status.success(), "the judge judges");
}

#[test]
#[ignore = "needs Helm, which tests/run installs"]
fn the_chart_gives_the_program_a_command_and_a_configuration_that_it_knows() {
    let one = rendered(&ONE);
    let fleet = rendered(&FLEET);
    for (of, name, begins) in [
        (&one, "StatefulSet/calls", ["run", "--follow"]),
        (&fleet, "StatefulSet/calls", ["run", "--follow"]),
        (&fleet, "Job/calls-init", ["cluster", "init"]),
    ] {
        let container = &manifest(of, name)["spec"]["template"]["spec"]["containers"][0];
        let command: Vec<String> = serde_json::from_value(container["args"].clone()).unwrap();
        assert_eq!(command[..2], begins);
        assert_known(command);
    }
    for (of, name) in [
        (&one, "ConfigMap/calls"),
        (&fleet, "ConfigMap/calls"),
        (&fleet, "ConfigMap/calls-init"),
    ] {
        let config = &manifest(of, name)["data"]["config.yaml"];
        let config = config.as_str().unwrap();
        let ran = validate(config);
        assert!(ran.status.success(), "{name}: {}", said(&ran));
        let ran = validate(&config.replace("type: s3", "type: s4"));
        assert!(!ran.status.success(), "{name}: the judge judges");
    }
}

#[test]
#[ignore = "needs Helm, which tests/run installs"]
fn the_chart_refuses_values_that_make_no_export_or_several() {
    let one = |set: &'static str| [&ONE[..], &["--set", set]].concat();
    let fleet = |set: &'static str| [&FLEET[..], &["--set", set]].concat();
    for (values, reason) in [
        (vec![], "config.sources or config.sinks is missing"),
        (one("replicas=3"), "needs `config.cluster`"),
        (one("keda.enabled=true"), "needs `config.cluster`"),
        (fleet("keda.minReplicas=0"), "keda.minReplicas"),
        (fleet("keda.minReplicas=7"), "above keda.maxReplicas"),
        (fleet("config.cluster.node=a"), "config.cluster.node"),
        (one("config.data_dir=/elsewhere"), "config.data_dir"),
        (one("secret_name=a"), "secret_name is not allowed"),
    ] {
        let ran = template(&values);
        assert!(!ran.status.success(), "{values:?}");
        assert!(said(&ran).contains(reason), "{values:?}: {}", said(&ran));
    }
}

#[test]
#[ignore = "needs Helm and promtool, which tests/run installs"]
fn the_chart_scales_a_fleet_by_what_prometheus_can_be_asked() {
    let fleet = rendered(&FLEET);
    // Whoever sets the number is one alone.
    let machines = &manifest(&fleet, "StatefulSet/calls")["spec"]["replicas"];
    assert!(machines.is_null(), "{machines}");
    let fixed = ["--set", "keda.enabled=false,replicas=3"];
    let fixed = rendered(&[&FLEET[..], &fixed].concat());
    assert_eq!(manifest(&fixed, "StatefulSet/calls")["spec"]["replicas"], 3);
    let scaled = &manifest(&fleet, "ScaledObject/calls")["spec"];
    assert_eq!(scaled["scaleTargetRef"]["name"], "calls");
    let query = scaled["triggers"][0]["metadata"]["query"].as_str().unwrap();
    assert!(
        query.contains(r#"recording_host_buffer_size_events{buffer_id="fetches""#),
        "{query}"
    );
    let promtool = std::env::var_os("PROMTOOL").expect("PROMTOOL names none");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.yaml");
    let accepts = |query: &str| {
        let rule = serde_json::json!({ "record": "waiting", "expr": query });
        let rules = serde_json::json!({ "groups": [{ "name": "chart", "rules": [rule] }] });
        std::fs::write(&path, rules.to_string()).unwrap();
        let ran = Command::new(&promtool)
            .args(["check", "rules"])
            .arg(&path)
            .output();
        ran.unwrap().status.success()
    };
    assert!(accepts(query), "{query}");
    assert!(!accepts(&query.replace("by (", "by [")), "the judge judges");
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
