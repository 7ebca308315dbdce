//! Memory does not grow with the size of a recording.

use std::path::Path;

use age::x25519::Identity;
use genesys_simulator::Settings;
use serde_json::json;

use crate::support::Harness;

async fn harness(giant: u64) -> Harness {
    Harness::start(Settings {
        conversations: 20,
        giant: Some(giant),
        ..Settings::default()
    })
    .await
}

/// Exports by the program and returns the most memory that it took, in kB.
async fn peak_kb(harness: &Harness, config: &Path) -> u64 {
    let mut child = harness
        .program()
        .args(["run", "--config"])
        .arg(config)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kb = 0;
    let ended = loop {
        if let Ok(text) = std::fs::read_to_string(&status) {
            let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let peak = peak.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok());
            peak_kb = peak.unwrap_or(peak_kb);
        }
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert!(matches!(ended.code(), Some(0 | 3)), "{ended}");
    println!("peak {} MB", peak_kb / 1000);
    peak_kb
}

/// The length of the longest file below a folder.
fn longest(folder: &Path) -> u64 {
    let mut longest = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                longest = longest.max(entry.metadata().unwrap().len());
            }
        }
    }
    longest
}

fn giant(harness: &Harness) -> u64 {
    harness.organization().conversation(0).recordings[0].duration_ms * 32 + 44
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes 2 GB; tests/run includes it"]
async fn a_recording_of_2_gb_passes_in_150_mb() {
    let harness = harness(2_000_000_000).await;
    let peak_kb = peak_kb(&harness, &harness.write(&harness.config())).await;
    assert_eq!(longest(&harness.output()), giant(&harness));
    assert!((1..150_000).contains(&peak_kb), "{peak_kb} kB");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes 500 MB; tests/run includes it"]
async fn a_recording_that_is_encrypted_passes_in_150_mb_too() {
    let harness = harness(500_000_000).await;
    let recipient = Identity::generate().to_public().to_string();
    let mut config = harness.config();
    config["sinks"]["lake"]["encrypt"] = json!({ "recipients": [recipient] });
    let peak_kb = peak_kb(&harness, &harness.write(&config)).await;
    let (stored, plain) = (longest(&harness.output()), giant(&harness));
    // A tag for each chunk of 64 kB, and the beginning.
    let tags = 16 * plain.div_ceil(64 << 10);
    assert!(
        (plain + tags..plain + tags + 1000).contains(&stored),
        "{stored} of {plain}"
    );
    assert!((1..150_000).contains(&peak_kb), "{peak_kb} kB");
}
