//! A million conversations over 90 days: flat memory, the fewest calls, and nothing missing.
//!
//! `RECORDING_HOST_SCALE` is the number of conversations.

use std::time::{Duration, Instant};

use genesys_simulator::Settings;
use recording_host_config::Config;
use recording_host_model::clock::Clock;
use serde_json::{Value, json};

use crate::support::Harness;

/// How fast time runs: the request limit and the jobs' times are not what is measured here. Results of
/// jobs are kept for a day of it, which must be longer than reading them takes.
const FAST: f64 = 20.0;

fn scale() -> u64 {
    let given = std::env::var("RECORDING_HOST_SCALE").ok();
    given.map_or(1_000_000, |text| text.parse().expect("a number"))
}

async fn harness(conversations: u64, days: u32) -> Harness {
    let settings = Settings {
        conversations,
        seed: 90,
        days,
        recorded: 0.01,
        // In so fast a time a busy machine may be too slow for the usual ones.
        link_lifetime: Duration::from_secs(86_400),
        ..Settings::default()
    };
    Harness::fast(settings, FAST).await
}

/// Runs the program and returns its summary and the most memory that it had, in kB.
async fn run(harness: &Harness, config: &Value) -> (Value, u64) {
    let config = harness.write(config);
    let told = harness.folder.path().join("summary.json");
    let mut child = harness
        .program()
        .args(["run", "--json", "--config"])
        .arg(config)
        // Not a pipe: one that is read at the end alone holds up a long summary.
        .stdout(std::fs::File::create(&told).unwrap())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        if let Ok(text) = std::fs::read_to_string(&status) {
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let now = line.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok());
            peak = now.unwrap_or(peak);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let status = child.wait().unwrap();
    assert!(matches!(status.code(), Some(0 | 3)), "{status}");
    let told: Value = serde_json::from_slice(&std::fs::read(told).unwrap()).unwrap();
    (told["sources"]["calls"].clone(), peak)
}

async fn reconcile(config: &Value, conversations: u64) {
    let begun = Instant::now();
    let config = Config::new(config.clone()).unwrap();
    let mut pipelines = config.pipelines(Clock::new(FAST)).await.unwrap();
    let reconciled = pipelines.pop().unwrap().reconcile().await.unwrap();
    assert_eq!(reconciled.source, conversations);
    assert!(reconciled.complete(), "{reconciled:#?}");
    println!("reconciled in {:.0} s", begun.elapsed().as_secs_f64());
}

fn calls(summary: &Value, kind: &str) -> u64 {
    let sent = summary["api_calls"].as_object().unwrap();
    let of_kind = sent.iter().filter(|(name, _)| name.starts_with(kind));
    of_kind.map(|(_, calls)| calls.as_u64().unwrap()).sum()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes many minutes; tests/scale runs it"]
async fn a_million_conversations_take_the_fewest_calls_and_no_more_memory() {
    let all = scale();
    let mut peaks = Vec::new();
    // As many of a day either way: files of rows are of a day, and as full.
    for (conversations, days) in [(all / 10, 9), (all, 90)] {
        let harness = harness(conversations, days).await;
        let mut config = harness.config();
        let options = &mut config["sources"]["calls"]["options"];
        options["mode"] = json!("metadata_only");
        options["search"] = json!("job");
        let (summary, peak) = run(&harness, &config).await;
        assert_eq!(summary["conversations"], conversations);
        peaks.push(peak);
        // A thousand on a page of an analytics job.
        let fewest = conversations.div_ceil(1000);
        let results = harness.simulator.stats().requests["GET /api/v2/analytics/conversations/details/jobs/{id}/results"];
        println!(
            "{conversations} conversations: {results} pages where {fewest} are the fewest, {} calls in all, peak {} MB, {} s",
            calls(&summary, ""),
            peak / 1000,
            summary["seconds"]
        );
        assert!(
            results as f64 <= fewest as f64 * 1.05 + 3.0,
            "{results} pages, {fewest} are the fewest"
        );
        reconcile(&config, conversations).await;
    }
    assert!(
        peaks[1] < peaks[0] * 5 / 4 + 20_000,
        "ten times as many take {peaks:?} kB"
    );
    // And with the media of one in a hundred.
    let harness = harness(all, 90).await;
    let mut config = harness.config();
    let options = &mut config["sources"]["calls"]["options"];
    options["media"] = json!(["voice"]);
    // In so fast a time a busy machine is too slow for the usual one.
    options["job_timeout_seconds"] = json!(86_400);
    let (summary, peak) = run(&harness, &config).await;
    let found = summary["conversations"].as_u64().unwrap();
    assert!(found > all / 2, "{found}");
    let wanted = summary["outcomes"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(word, _)| *word != "no-recording")
        .map(|(_, count)| count.as_u64().unwrap())
        .sum::<u64>();
    let submits = calls(&summary, "batch POST");
    println!(
        "with media: {} files, {submits} batches where {} are the fewest, peak {} MB, {} s",
        summary["recordings"],
        wanted.div_ceil(100),
        peak / 1000,
        summary["seconds"]
    );
    assert!(submits as f64 <= wanted.div_ceil(100) as f64 * 1.05 + 2.0);
    reconcile(&config, found).await;
}
