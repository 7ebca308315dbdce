//! Memory does not grow with the size of a recording.

use genesys_simulator::Settings;

use crate::support::{Center, SPEED, program};

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes 2 GB; tests/run includes it"]
async fn a_recording_of_2_gb_passes_in_150_mb() {
    let center = Center::start(Settings {
        conversations: 20,
        giant: Some(2_000_000_000),
        ..Settings::default()
    })
    .await;
    let config = center.write(&center.config());
    let mut child = program()
        .args(["run", "--speed", &SPEED.to_string(), "--config"])
        .arg(&config)
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
    let largest = center.organisation().conversation(0).recordings[0].duration_ms * 32 + 44;
    let mut sizes = Vec::new();
    let mut folders = vec![center.output()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                sizes.push(entry.metadata().unwrap().len());
            }
        }
    }
    assert_eq!(sizes.iter().max(), Some(&largest));
    println!("peak {} MB", peak_kb / 1000);
    assert!((1..150_000).contains(&peak_kb), "{peak_kb} kB");
}
