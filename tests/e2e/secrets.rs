//! Secrets and signed links are in memory alone.

use genesys_simulator::Settings;

use serde_json::json;

use crate::{
    running::Running,
    support::{self, Harness, files},
};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_written_or_printed_holds_a_secret_or_a_signed_link() {
    let harness = Harness::start(Settings {
        conversations: 120,
        ..Settings::default()
    })
    .await;
    let mut config = harness.config();
    config["secret"]["here"] = serde_json::json!({
        "type": "file",
        "path": harness.folder.path().join("secrets/calls.json"),
    });
    let secret = harness.simulator.client_secret();
    let secrets = serde_json::json!({ "client_secret": secret });
    std::fs::create_dir(harness.folder.path().join("secrets")).unwrap();
    let secret_file = harness.folder.path().join("secrets/calls.json");
    std::fs::write(&secret_file, secrets.to_string()).unwrap();
    config["sources"]["calls"]["auth"]["client_secret"] = "SECRET[here.client_secret]".into();
    let path = harness.write(&config).display().to_string();
    let trace = harness
        .folder
        .path()
        .join("steps.jsonl")
        .display()
        .to_string();
    let arguments = ["run", "--config", &path, "--record", &trace];
    let ran = harness.run_program(&arguments).await;
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
    std::fs::remove_file(secret_file).unwrap();

    let mut written = files(harness.folder.path());
    assert!(written.keys().any(|name| name.starts_with("data/")));
    assert!(written.keys().any(|name| name.starts_with("output/")));
    written.insert("stdout".to_owned(), ran.stdout);
    written.insert("stderr".to_owned(), ran.stderr);
    for (name, data) in written {
        for word in [secret.as_str(), "Signature=", "Bearer ", "access_token"] {
            let there = data
                .windows(word.len())
                .any(|window| window == word.as_bytes());
            assert!(!there, "{name} holds {word}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_ask_nobody_need_no_secret_that_they_do_not_use() {
    let harness = Harness::start(Settings {
        conversations: 20,
        ..Settings::default()
    })
    .await;
    let path = harness.write(&harness.config()).display().to_string();
    let ran = harness.run_program(&["run", "--config", &path]).await;
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");

    // As a service manager hands them to the service alone.
    let mut config = harness.config();
    config["secret"] = json!({ "service": { "type": "env" } });
    config["sources"]["calls"]["auth"]["client_secret"] = "SECRET[service.OF_THE_SERVICE]".into();
    config["sources"]["calls"]["tls"] =
        json!({ "cert": "SECRET[service.CERT]", "key": "SECRET[service.KEY]" });
    let path = harness.write(&config).display().to_string();
    let said = async |arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend(["--config", &path]);
        let ran = harness.run_program(&all).await;
        let said = String::from_utf8([ran.stdout, ran.stderr].concat()).unwrap();
        (ran.status.code(), said)
    };
    let (code, verified) = said(&["verify", "--full"]).await;
    assert_eq!(code, Some(0), "{verified}");
    assert!(verified.contains("all as it should be"), "{verified}");
    let (code, cleaned) = said(&["cleanup"]).await;
    assert_eq!(code, Some(0), "{cleaned}");
    // Those of sinks are not needed for what the queue knows.
    config["sinks"]["bucket"] = json!({ "type": "s3", "bucket": "b", "region": "eu-west-1",
        "credentials": { "access_key_id": "SECRET[service.ID]", "secret_access_key": "SECRET[service.KEY]" } });
    harness.write(&config);
    let (code, status) = said(&["status"]).await;
    assert_eq!(code, Some(0), "{status}");
    assert!(status.contains("20"), "{status}");
    let (code, control) = said(&["control", "status"]).await;
    assert_eq!(code, Some(1), "{control}");
    assert!(control.contains("no run serves it"), "{control}");
    // What is needed is asked for.
    for (command, key) in [
        ("verify", "sinks.bucket.credentials.access_key_id"),
        ("check", "sources.calls.auth.client_secret"),
        ("run", "sources.calls.auth.client_secret"),
    ] {
        let (code, said) = said(&[command]).await;
        assert_eq!(code, Some(2), "{command}: {said}");
        assert!(said.contains(key), "{command}: {said}");
    }
    // The key of pseudonyms is part of what the export is: without it, its queue is not known.
    config["sources"]["calls"]["privacy"] =
        json!({ "pseudonymise": ["ani"], "key": "SECRET[service.PSEUDONYMS]" });
    harness.write(&config);
    let (code, status) = said(&["status"]).await;
    assert_eq!(code, Some(2), "{status}");
    assert!(status.contains("sources.calls.privacy.key"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_does_not_come_is_named_within_seconds_and_the_sinks_are_checked() {
    let harness = Harness::start(Settings {
        conversations: 1,
        ..Settings::default()
    })
    .await;
    let mut config = harness.config();
    config["secret"] = json!({
        "slow": { "type": "exec", "command": ["sh", "-c", "sleep 100", "{key}"] } });
    config["sources"]["calls"]["auth"]["client_secret"] = "SECRET[slow.calls]".into();
    let path = harness.write(&config).display().to_string();
    // A run waits as long as the configuration says, and says that it does.
    let mut run = Running::start(&harness, &["run", "--config", &path]);
    run.until("waiting for `sh`, which is to print a secret, for 30 s at most")
        .await;
    drop(run);
    let began = std::time::Instant::now();
    let checked = harness.run_program(&["check", "--config", &path]).await;
    let planned = harness.run_program(&["plan", "--config", &path]).await;
    // The run above would have waited for the half minute that such a command has.
    assert!(began.elapsed().as_secs() < 25, "{:?}", began.elapsed());
    for ran in [&checked, &planned] {
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(2), "{said}");
        assert!(said.contains("took longer than 5 s"), "{said}");
        assert!(said.contains("sources.calls.auth.client_secret"), "{said}");
    }
    let found = String::from_utf8(checked.stdout).unwrap();
    assert!(found.contains("sink lake"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_may_name_the_token_endpoint_and_the_source_never_overrules_that() {
    let harness = Harness::start(Settings {
        conversations: 20,
        ..Settings::default()
    })
    .await;
    let mut config = harness.config();
    let source = &mut config["sources"]["calls"];
    // The source proposes an endpoint that nobody answers at.
    source["options"]["login_url"] = json!("http://127.0.0.1:1");
    let endpoint = format!("{}/oauth/token", harness.simulator.login_url());
    source["auth"]["token_url"] = json!(endpoint);
    support::export(config).await;
    assert_eq!(
        harness.simulator.stats().requests["POST login /oauth/token"],
        1
    );
    assert!(!files(&harness.output()).is_empty());
}
