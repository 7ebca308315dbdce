//! What four machines with a slow line each bring in the time of one.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use genesys_simulator::{AudioMix, Settings};
use serde_json::json;

use super::{
    given, settings,
    site::{Setup, Site},
};
use crate::{crashes::patient, fleet::nats::Proxy, support::Harness};

/// How many bytes the line of a machine carries in a second.
fn line() -> u64 {
    given("FLEET_LINE", 10) * 1_000_000
}

/// How fast the contact center's time runs: its jobs are not what is measured.
const FAST: f64 = 10.0;

/// Exports with so many machines; returns the bytes of the recordings a second.
async fn rate(conversations: u64, machines: usize) -> f64 {
    let settings = Settings {
        audio: AudioMix::Wav,
        // Of 320 kB on average.
        mean_call: Duration::from_secs(10),
        // A proxy is then between a program and all that it asks of the vendor.
        one_port: true,
        rate_limit: 3000,
        ..settings(conversations)
    };
    let harness = Harness::fast(settings, FAST).await;
    let address = harness.simulator.api_url();
    let port = address.rsplit(':').next().unwrap().parse().unwrap();
    let (mut lines, mut setups) = (Vec::new(), Vec::new());
    for _ in 0..machines {
        let line = Proxy::slow(port, line()).await;
        let url = format!("http://127.0.0.1:{}", line.port);
        let variables = vec![("HTTP_PROXY", url), ("NO_PROXY", String::new())];
        setups.push(Setup::with(variables));
        lines.push(line);
    }
    let mut config = patient(harness.config());
    config["concurrency"] = json!({ "splits": 64, "transfers": 16 });
    let mut site = Site::of(harness, config, setups).await;
    let began = Instant::now();
    // The others find nothing to do.
    site.until(Site::any_ended).await;
    let seconds = began.elapsed().as_secs_f64();
    site.until(Site::all_ended).await;
    let (recordings, bytes) = stored(&site.harness.output().join("recordings"));
    assert!(recordings > conversations / 2, "{recordings} recordings");
    println!(
        "{machines} machines of {} MB/s: {recordings} recordings, {:.0} MB in {seconds:.1} s",
        line() / 1_000_000,
        bytes as f64 / 1e6
    );
    bytes as f64 / seconds
}

/// The files below a folder, and their bytes.
fn stored(folder: &Path) -> (u64, u64) {
    let (mut files, mut bytes) = (0, 0);
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let about = entry.metadata().unwrap();
            if about.is_dir() {
                folders.push(entry.path());
            } else {
                files += 1;
                bytes += about.len();
            }
        }
    }
    (files, bytes)
}

/// Prints what four machines bring in the time of one.
pub(super) async fn compare(conversations: u64) {
    let (one, four) = (rate(conversations, 1).await, rate(conversations, 4).await);
    println!(
        "four machines bring {:.2} times what one brings",
        four / one
    );
}
