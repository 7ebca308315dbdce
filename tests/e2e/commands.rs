//! Errors are reported once, clearly, and nothing half-done is left behind.

use genesys_simulator::Settings;
use serde_json::{Value, json};

use crate::support::{Harness, program, run_program};

/// Changes one key of a good configuration.
fn with(mut config: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    config.pointer_mut(parent).unwrap()[name] = value;
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_a_configuration_are_named_by_their_keys() {
    let harness = Harness::start(Settings::default()).await;
    let good = harness.config();
    let path = harness.write(&good).display().to_string();
    let ran = run_program(&["validate", "--config", &path]).await;
    assert!(ran.status.success(), "{ran:?}");
    for (pointer, value, message) in [
        ("/dta_dir", json!("x"), "dta_dir"),
        ("/sources/calls/optoins", json!({}), "optoins"),
        (
            "/sources/calls/options/page_size",
            json!("many"),
            "sources.calls.options.page_size",
        ),
        (
            "/sources/calls/options/page_size",
            json!(101),
            "101 is not within 1 and 100",
        ),
        (
            "/sources/calls/options/pge_size",
            json!(10),
            "unknown option `pge_size`, did you mean `page_size`?",
        ),
        (
            "/sources/calls/options/interval",
            json!("yesterday"),
            "sources.calls.options.interval",
        ),
        (
            "/sources/calls/options/format",
            json!("aac"),
            "unknown value `aac`; known are original, wav, mp3, ogg, webm",
        ),
        (
            "/sources/calls/auth/client_secret",
            json!("SECRET[vault.x]"),
            "there is no secret backend",
        ),
        ("/sinks/lake/type", json!("ftp"), "ftp"),
        ("/sinks/lake/inputs", json!(["cals"]), "cals"),
    ] {
        let path = harness
            .write(&with(good.clone(), pointer, value))
            .display()
            .to_string();
        for command in ["validate", "run"] {
            let ran = run_program(&[command, "--config", &path]).await;
            let said = String::from_utf8(ran.stderr).unwrap();
            assert_eq!(ran.status.code(), Some(2), "{command} {pointer}: {said}");
            assert!(said.contains(message), "{command} {pointer}: {said}");
            assert_eq!(said.matches("error:").count(), 1, "{said}");
        }
    }
    assert!(!harness.output().exists());
    assert!(!harness.folder.path().join("data").exists());
    assert!(harness.simulator.stats().requests.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn former_names_are_told_and_nothing_is_given_by_two_names() {
    let harness = Harness::start(Settings::default()).await;
    let validated = async |config: &Value| {
        let path = harness.write(config).display().to_string();
        let ran = run_program(&["validate", "--config", &path]).await;
        (ran.status.code(), String::from_utf8(ran.stderr).unwrap())
    };
    let mut config = harness.config();
    config["sources"]["calls"]["options"]["lanes"] = json!(3);
    config["sinks"]["bucket"] = json!({ "type": "s3", "bucket": "b", "tidy_after_hours": 3 });
    let (code, said) = validated(&config).await;
    assert_eq!(code, Some(0), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines,
        [
            "warning: sinks.bucket.tidy_after_hours: this key is called `cleanup_after_hours` now; the former name still works",
            "warning: sources.calls.options.lanes: this option is called `parallelism` now; the former name still works",
        ]
    );
    config["sources"]["calls"]["options"]["parallelism"] = json!(3);
    let (code, said) = validated(&config).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("`parallelism` is given twice"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_component_is_named() {
    let harness = Harness::start(Settings::default()).await;
    let mut config = with(harness.config(), "/sources/calls/type", json!("component"));
    config["sources"]["calls"]["path"] = json!("/nowhere/source.wasm");
    config["sources"]["calls"]["allow"] = json!([]);
    config["sources"]["calls"]["auth"]["token_url"] = json!("http://127.0.0.1:1/token");
    let path = harness.write(&config).display().to_string();
    let ran = run_program(&["run", "--config", &path]).await;
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(2), "{said}");
    assert!(said.contains("/nowhere/source.wasm"), "{said}");
    let missing = run_program(&["run", "--config", "/nowhere/config.yaml"]).await;
    let said = String::from_utf8(missing.stderr).unwrap();
    assert_eq!(missing.status.code(), Some(2), "{said}");
    assert!(said.contains("/nowhere/config.yaml"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_end_the_run_at_once() {
    let harness = Harness::start(Settings::default()).await;
    let config = with(
        harness.config(),
        "/sources/calls/auth/client_secret",
        json!("not the secret"),
    );
    let path = harness.write(&config).display().to_string();
    let ran = run_program(&["run", "--config", &path]).await;
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(
        said.contains("invalid_client") && said.contains("client_secret"),
        "{said}"
    );
    let stats = harness.simulator.stats();
    assert_eq!(stats.requests.len(), 1, "{stats:?}");
    assert!(crate::support::files(&harness.output()).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_can_be_misread_is_refused_by_every_command_with_its_line() {
    let harness = Harness::start(Settings::default()).await;
    let good = serde_json::to_string_pretty(&harness.config()).unwrap();
    let output = harness.output().display().to_string();
    let path = harness.folder.path().join("config.yaml");
    let twice = good.replacen("\"path\"", "\"path\": \"x\",\n \"path\"", 1);
    let shared = good.replacen(
        "\"lake\"",
        &format!(
            "\"copy\": {{\n \"type\": \"filesystem\",\n \"path\": \"{output}/./\" }},\n \"lake\""
        ),
        1,
    );
    let typo = good.replacen("\"path\"", "\"pth\"", 1);
    for (text, key, said) in [
        (twice, "\"path\": \"/", "sinks.lake.path: duplicate key"),
        (
            shared,
            "\"path\": \"/",
            "is the location of the sink `copy`, too",
        ),
        (typo, "\"pth\"", "sinks.lake.pth: unknown field `pth`"),
    ] {
        std::fs::write(&path, &text).unwrap();
        let config = path.display().to_string();
        // The last one of its kind.
        let line = text[..text.rfind(key).unwrap()].matches('\n').count() + 1;
        for command in ["validate", "run", "status", "verify"] {
            let ran = run_program(&[command, "--config", &config]).await;
            let error = String::from_utf8(ran.stderr).unwrap();
            assert_eq!(ran.status.code(), Some(2), "{command}: {error}");
            let place = format!("error: {config}:{line}:");
            assert!(error.starts_with(&place), "{place} {error}");
            assert!(error.contains(said), "{said}: {error}");
        }
    }
    assert!(!harness.output().exists());
}

#[test]
fn a_reader_that_is_gone_makes_no_command_panic() {
    let commands: [&[&str]; 3] = [&["generate", "--sink", "s3"], &["schema"], &["--help"]];
    for arguments in commands {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ran = program().args(arguments).stdout(writer).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
        assert_eq!(ran.status.code(), Some(0), "{arguments:?}: {said}");
    }
}
