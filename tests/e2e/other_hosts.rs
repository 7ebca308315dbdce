//! The built-in component, unchanged, does its work in hosts written in Python and in JavaScript.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use genesys_simulator::Settings;
use serde_json::{Value, json};

use crate::support::{Harness, run_program};

const CONVERSATIONS: u64 = 150;

/// A file of the examples.
fn example(name: &str) -> PathBuf {
    let hosts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../component/examples/hosts");
    hosts.join(name).canonicalize().unwrap()
}

/// The folder that an environment variable of tests/run names.
fn tool(variable: &str) -> PathBuf {
    let folder = std::env::var_os(variable);
    folder
        .unwrap_or_else(|| panic!("{variable} is not set; tests/run installs what it names"))
        .into()
}

/// An example in Python.
fn python(script: &str) -> Command {
    let mut python = Command::new("python3");
    python.arg(example("python").join(script));
    python.env("PYTHONPATH", tool("WASMTIME_PY"));
    python.env("PYTHONDONTWRITEBYTECODE", "1");
    python
}

async fn harness() -> Harness {
    Harness::start(Settings {
        conversations: CONVERSATIONS,
        ..Settings::default()
    })
    .await
}

/// Writes the built-in component to a file.
async fn extracted(harness: &Harness) -> PathBuf {
    let path = harness.folder.path().join("genesys_cloud.wasm");
    let file = path.display().to_string();
    let ran = run_program(&["inspect", "genesys_cloud", "--extract", &file]).await;
    assert!(ran.status.success(), "{ran:?}");
    path
}

async fn output(mut command: Command) -> (bool, String, String) {
    let ran = tokio::task::spawn_blocking(move || command.output().unwrap());
    let ran = ran.await.unwrap();
    let [out, err] = [ran.stdout, ran.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (ran.status.success(), out, err)
}

/// Finds all conversations of an organization with a host, and compares them with those that there are.
async fn finds_all(mut host: Command, harness: &Harness) {
    let (from, until) = harness.organization().interval();
    let options = json!({
        "api_url": harness.simulator.api_url(),
        "login_url": harness.simulator.login_url(),
    });
    host.arg(options.to_string());
    host.args([from, until].map(|time| time.as_millisecond().to_string()));
    host.env("CLIENT_ID", harness.simulator.client_id());
    host.env("CLIENT_SECRET", harness.simulator.client_secret());
    let (good, found, said) = output(host).await;
    assert!(good, "{said}");
    assert!(
        said.starts_with("genesys_cloud 0.7.0, for Genesys Cloud"),
        "{said}"
    );
    let found: Vec<Value> = found
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(found.len() as u64, CONVERSATIONS);
    let seen = |field: &'static str| {
        let values = found.iter().map(|one| one[field].to_string());
        values.collect::<BTreeSet<_>>()
    };
    let there = (0..CONVERSATIONS).map(|index| harness.organization().conversation(index));
    let ids = there.map(|one| json!(one.id).to_string());
    assert_eq!(seen("id"), ids.collect());
    let stats = harness.simulator.stats();
    assert_eq!(stats.rejected, 0, "{:?}", stats.reasons);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs wasmtime for Python, which tests/run installs"]
async fn a_host_in_python_finds_every_conversation_with_the_built_in_component() {
    let harness = harness().await;
    let mut host = python("find.py");
    host.arg(extracted(&harness).await);
    finds_all(host, &harness).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs jco, which tests/run installs"]
async fn a_host_in_node_finds_every_conversation_with_the_built_in_component() {
    let harness = harness().await;
    let component = extracted(&harness).await;
    let source = harness.folder.path().join("source");
    let mut jco = Command::new(tool("JCO").join("node_modules/.bin/jco"));
    jco.arg("transpile").arg(component);
    jco.args(["--instantiation", "async", "--out-dir"])
        .arg(&source);
    let (good, _, said) = output(jco).await;
    assert!(good, "{said}");
    // As in a folder whose package.json has this type.
    std::fs::write(source.join("package.json"), r#"{ "type": "module" }"#).unwrap();
    let mut host = Command::new("node");
    host.arg(example("node/find.js"));
    host.arg(source.join("genesys_cloud.js"));
    finds_all(host, &harness).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs wasmtime for Python, which tests/run installs"]
async fn the_digests_of_a_recorded_run_are_the_same_in_python() {
    let harness = harness().await;
    let component = extracted(&harness).await;
    let config = harness.write(&harness.config()).display().to_string();
    let steps = harness.folder.path().join("steps.jsonl");
    let path = steps.display().to_string();
    let arguments = ["run", "--config", &config, "--record", &path];
    let ran = harness.run_program(&arguments).await;
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
    let recorded = std::fs::read_to_string(&steps).unwrap();

    let replayed = async || -> Value {
        let mut replay = python("replay.py");
        replay.args([&component, &steps]);
        let (good, said, error) = output(replay).await;
        assert!(good, "{error}");
        serde_json::from_str(&said).unwrap()
    };
    let lines = recorded.lines().count();
    assert!(lines > 5, "{recorded}");
    let same = json!({ "steps": lines, "differing": [] });
    assert_eq!(replayed().await, same);

    // A response of which something is missing gives another step in either host.
    // In the last page: one whose names are looked up first is read once more.
    let last = recorded.rfind("conversationEnd").unwrap();
    let (before, after) = recorded.split_at(last);
    let changed = before.to_owned() + &after.replacen("conversationEnd", "conversationFinish", 1);
    std::fs::write(&steps, &changed).unwrap();
    let at = 1 + changed
        .lines()
        .position(|line| line.contains("conversationFinish"))
        .unwrap();
    let one = json!({ "steps": lines, "differing": [at] });
    assert_eq!(replayed().await, one);
    let here = run_program(&["inspect", "--replay", &path]).await;
    let said = String::from_utf8(here.stderr).unwrap();
    assert!(said.contains(&format!("in line {at} of")), "{said}");
}
