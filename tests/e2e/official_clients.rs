//! The vendor's own SDKs drive the simulator, and find its answers to be the vendor's; and the program
//! takes what they would not know.

use std::{path::Path, process::Command};

use genesys_simulator::{Faults, Settings};
use serde_json::Value;

use crate::support::{Harness, export};

const CONVERSATIONS: u64 = 300;

fn settings() -> Settings {
    Settings {
        conversations: CONVERSATIONS,
        archived: 0.05,
        orphans: 40,
        // What no SDK knows would rightly be a violation.
        newer_than_sdks: false,
        // The data of jobs reach the end of the organization, which lies in the past.
        rate_limit: 100_000,
        ..Settings::default()
    }
}

/// The output of a script among `tests/clients` that has driven a simulator.
async fn driven(mut runtime: Command, script: &str, harness: &Harness) -> Value {
    let (from, until) = harness.organization().interval();
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/clients");
    runtime
        .arg(Path::new(scripts).join(script))
        .arg(harness.simulator.api_url())
        .arg(harness.simulator.client_id())
        .arg(harness.simulator.client_secret())
        .args([format!("{from:.3}"), format!("{until:.3}")])
        .arg(harness.organization().integration_id());
    let ran = tokio::task::spawn_blocking(move || runtime.output().unwrap());
    let ran = ran.await.unwrap();
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(
        ran.status.success(),
        "{script}: {said}; tests/run installs the SDKs; {:?}",
        harness.simulator.stats().reasons
    );
    serde_json::from_slice(&ran.stdout).unwrap()
}

fn python() -> Command {
    let mut python = Command::new("python3");
    if let Some(packages) = std::env::var_os("GENESYS_PYTHON_SDK") {
        python.env("PYTHONPATH", packages);
    }
    python
}

fn node() -> Command {
    let mut node = Command::new("node");
    if let Some(packages) = std::env::var_os("GENESYS_JAVASCRIPT_SDK") {
        node.env("NODE_PATH", Path::new(&packages).join("node_modules"));
    }
    node
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_sdk_drives_every_call_and_knows_each_field_type_and_value_of_the_answers() {
    let harness = Harness::fast(settings(), 100.0).await;
    let found = driven(python(), "genesys.py", &harness).await;
    assert_eq!(found["violations"], serde_json::json!([]), "{found:#}");
    assert_eq!(found["found"], CONVERSATIONS);
    assert_eq!(found["searched"], CONVERSATIONS);
    assert_eq!(found["media"], 4);
    assert_eq!(found["restored"], 1);
    assert_eq!(
        (&found["orphans"], &found["known_orphans"]),
        (&40.into(), &13.into())
    );
    for by in [
        "looked_up",
        "queue_by_name",
        "divisions_by_id",
        "division_by_name",
    ] {
        assert_eq!(found[by], true, "{by}");
    }
    assert_eq!(
        (&found["queues_looked_up"], &found["codes_looked_up"]),
        (&2.into(), &1.into())
    );
    assert!(found["pushed"].as_u64() >= found["results"].as_u64().map(|files| files * 8 / 10));
    assert_eq!(harness.simulator.stats().rejected, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_javascript_sdk_drives_the_calls_of_an_export() {
    // All of it at one address, as a gateway has it.
    let one_port = Settings {
        one_port: true,
        ..settings()
    };
    let harness = Harness::fast(one_port, 100.0).await;
    assert_eq!(harness.simulator.login_url(), harness.simulator.api_url());
    assert_eq!(harness.simulator.media_url(), harness.simulator.api_url());
    let found = driven(node(), "genesys.cjs", &harness).await;
    assert_eq!(found["found"], CONVERSATIONS);
    assert_eq!(found["searched"], CONVERSATIONS);
    assert_eq!(
        (&found["listed"], &found["looked_up"]),
        (&50.into(), &3.into())
    );
    assert_eq!(found["media"], serde_json::json!(["S"]));
    for held in [
        "restored",
        "queue_by_name",
        "divisions_by_id",
        "division_by_name",
    ] {
        assert_eq!(found[held], true, "{held}");
    }
    assert_eq!(
        (&found["orphans"], &found["queues"], &found["codes"]),
        (&13.into(), &6.into(), &8.into())
    );
    assert_eq!(harness.simulator.stats().rejected, 0);
    // The program takes it as well.
    let summary = export(harness.config()).await;
    assert_eq!(summary.conversations, CONVERSATIONS);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_takes_fields_and_values_that_the_vendor_has_added() {
    let plain = Harness::start(settings()).await;
    let expected = export(plain.config()).await;
    let newer = Settings {
        newer_than_sdks: true,
        faults: Faults::parse("unknown_fields=1,unknown_values=0.2,unknown_status=0.2").unwrap(),
        ..settings()
    };
    let harness = Harness::start(newer).await;
    let mut config = harness.config();
    let options = &mut config["sources"]["calls"]["options"];
    options["recording_metadata"] = true.into();
    let summary = export(config).await;
    assert_eq!(summary.outcomes, expected.outcomes);
    assert_eq!(summary.recordings, expected.recordings);
    let struck = harness.simulator.stats().struck;
    assert!(
        struck["unknown_fields"] > 10 && struck["unknown_values"] > 10,
        "{struck:?}"
    );
}
