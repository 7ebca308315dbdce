//! Secrets and signed links are in memory alone.

use genesys_simulator::Settings;

use serde_json::json;

use crate::support::{self, Harness, files};

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
