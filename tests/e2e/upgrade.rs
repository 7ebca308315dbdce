//! The queue outlives upgrades: what version 0.1.0 left behind during an export is continued.
//!
//! `tests/fixtures/queue-v1` was written by that version: an export of the simulated organization of seed
//! 1 with 12 conversations, killed when it had noted three recordings as stored and two as pending.

use std::{
    fs,
    path::{Path, PathBuf},
};

use genesys_simulator::Settings;
use recording_host_config::Config;
use recording_host_model::clock::Clock;

use crate::support::{Harness, SPEED, files, run_program};

/// The name that the export had, which came of the addresses of that day's simulator.
const NAME: &str = "calls-491e0447fee1";

fn copy(from: &Path, to: &Path) {
    for (key, bytes) in files(from) {
        let path = to.join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// The queue and the sink of version 0.1.0, under the name that it gives to an export from this
/// organization's addresses.
async fn left_behind() -> (Harness, PathBuf, String) {
    let harness = Harness::start(Settings {
        conversations: 12,
        ..Settings::default()
    })
    .await;
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/queue-v1");
    let data = harness.folder.path().join("data");
    copy(&fixture.join("data"), &data);
    copy(&fixture.join("out"), &harness.output());
    let config = Config::new(harness.config()).unwrap();
    let pipelines = config.pipelines(Clock::new(SPEED)).await.unwrap();
    let identity = pipelines[0].identity().unwrap();
    let before = identity.label_before;
    fs::rename(
        data.join(format!("{NAME}.sqlite")),
        data.join(format!("{before}.sqlite")),
    )
    .unwrap();
    (harness, data, before)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_of_version_0_1_in_the_midst_of_an_export_is_continued() {
    let (harness, data, before) = left_behind().await;
    let mut had = files(&harness.output());
    // Unfinished files are written anew.
    had.retain(|key, _| !key.ends_with(".part"));
    let path = harness.write(&harness.config()).display().to_string();

    // Whoever only looks changes nothing, and says what to do.
    let looked = run_program(&["status", "--config", &path]).await;
    let said = String::from_utf8(looked.stderr).unwrap();
    assert_eq!(looked.status.code(), Some(1), "{said}");
    assert!(said.contains("`run` upgrades it"), "{said}");
    assert!(data.join(format!("{before}.sqlite")).exists());

    let ran = harness.run_program(&["run", "--config", &path]).await;
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{said}");
    let after = files(&harness.output());
    for (key, bytes) in &had {
        assert!(after.get(key) == Some(bytes), "{key}");
    }
    // It keeps the name that its receipts have, and a copy of what it was.
    let receipts = after.keys().filter(|key| key.starts_with("receipts/"));
    assert!(
        receipts.clone().all(|key| key.contains(&before)),
        "{after:?}"
    );
    assert!(receipts.count() > 0);
    assert!(data.join(format!("{before}.sqlite.v1")).exists());
    assert!(!data.join(format!("{before}.sqlite")).exists());

    let proven = run_program(&["verify", "--full", "--config", &path]).await;
    let proof = String::from_utf8(proven.stdout).unwrap();
    assert_eq!(proven.status.code(), Some(0), "{proof}");
    assert!(proof.contains("12 conversations"), "{proof}");

    // The second use: nothing is requested but the log-in.
    let asked = harness.simulator.stats().requests;
    let ran = harness.run_program(&["run", "--config", &path]).await;
    assert_eq!(ran.status.code(), Some(0));
    let again = harness.simulator.stats().requests;
    let api = |requests: &std::collections::BTreeMap<String, u64>| -> u64 {
        let api = requests.iter().filter(|(name, _)| name.contains("/api/"));
        api.map(|(_, count)| *count).sum()
    };
    assert_eq!(api(&again), api(&asked));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_of_version_0_1_of_another_configuration_is_named() {
    let (harness, data, before) = left_behind().await;
    fs::rename(
        data.join(format!("{before}.sqlite")),
        data.join("calls-0123456789ab.sqlite"),
    )
    .unwrap();
    let path = harness.write(&harness.config()).display().to_string();
    let ran = harness.run_program(&["run", "--config", &path]).await;
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(
        said.contains("calls-0123456789ab.sqlite was written by an earlier version"),
        "{said}"
    );
    assert!(data.join("calls-0123456789ab.sqlite").exists());
}
