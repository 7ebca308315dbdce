//! Kills at random moments, again and again, leave an archive none the worse.
//! `tests/crash-matrix` runs all of it; the ordinary tests a part.

#[path = "crashes/changes.rs"]
mod changes;

use std::{
    collections::BTreeMap,
    process::Stdio,
    time::{Duration, Instant},
};

use genesys_simulator::{Dialect, Faults, Settings};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use recording_host_config::Config;
use recording_host_engine::verify::{VerifyReport, verify};
use recording_host_model::clock::Clock;
use serde_json::{Value, json};

use crate::{
    sinks::{SeaweedFs, client, objects, sink as s3_sink},
    support::{self, Harness, SPEED, media, same_media},
};

const BUCKET: &str = "corp-recordings";

/// The objects in a sink, by key.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

fn settings(dialect: Dialect, faults: Faults) -> Settings {
    Settings {
        conversations: 500,
        seed: 17,
        dialect,
        faults,
        // Large enough for a multipart upload that takes a while.
        giant: Some(60 << 20),
        ..Settings::default()
    }
}

pub(crate) fn patient(mut config: Value) -> Value {
    let options = &mut config["sources"]["calls"]["options"];
    options["job_timeout_seconds"] = json!(120);
    options["job_attempts"] = json!(10);
    config["concurrency"] = json!({ "splits": 16, "transfers": 4 });
    config
}

/// Where the archive goes.
pub(crate) enum TestSink {
    Folder,
    S3(SeaweedFs),
}

impl TestSink {
    fn sink(&self, harness: &Harness) -> Value {
        match self {
            TestSink::Folder => json!({ "type": "filesystem", "path": harness.output() }),
            TestSink::S3(server) => s3_sink(&server.endpoint),
        }
    }

    async fn files(&self, harness: &Harness) -> Files {
        match self {
            TestSink::Folder => support::files(&harness.output()),
            TestSink::S3(server) => objects(&client(&server.endpoint)).await,
        }
    }

    /// Uploads that were begun and neither completed nor aborted.
    async fn uploads(&self) -> usize {
        match self {
            TestSink::Folder => 0,
            TestSink::S3(server) => {
                let list = client(&server.endpoint).list_multipart_uploads();
                let found = list.bucket(BUCKET).send().await.unwrap();
                found.uploads().len()
            }
        }
    }
}

/// The stages under way when the program was killed.
async fn under_way(config: &Value, lake: &TestSink, harness: &Harness) -> Vec<&'static str> {
    let config = Config::new(config.clone()).unwrap();
    let pipelines = config.pipelines(Clock::new(SPEED)).await.unwrap();
    let mut stages = Vec::new();
    let Ok(Some(status)) = pipelines[0].status().await else {
        return vec!["start"];
    };
    if !status.splits.is_empty() {
        stages.push("steps");
    }
    if status.pending > 0 {
        stages.push("transfers");
    }
    if status.unfiled > 0 {
        stages.push("receipts");
    }
    let part = |key: &String| {
        key != ".recording-host.json" && key.rsplit('/').next().unwrap().starts_with('.')
    };
    if matches!(lake, TestSink::Folder) && lake.files(harness).await.keys().any(part) {
        stages.push("writes");
    }
    if lake.uploads().await > 0 {
        stages.push("uploads");
    }
    stages
}

/// When a run is killed: by what it has done, since machines are not equally fast.
enum Moment {
    /// At this time, mostly while it starts.
    Time(Instant),
    /// So much later than the vendor has been asked so many times.
    Requests(u64, Duration),
    /// So much later than it asked anything last: while it files.
    Silence(u64, Option<Instant>, Duration),
    Never,
}

fn asked(harness: &Harness) -> u64 {
    harness.simulator.stats().requests.values().sum()
}

impl Moment {
    fn random(harness: &Harness, rng: &mut SmallRng) -> Self {
        let later = Duration::from_millis(rng.random_range(0..250));
        match rng.random_range(0..10) {
            0 => Moment::Time(Instant::now() + 2 * later),
            1 | 2 => Moment::Silence(asked(harness), None, later),
            _ => Moment::Requests(asked(harness) + rng.random_range(1..50), later),
        }
    }

    fn has_come(&mut self, harness: &Harness) -> bool {
        match self {
            Moment::Time(time) => Instant::now() >= *time,
            Moment::Requests(count, later) if asked(harness) >= *count => {
                *self = Moment::Time(Instant::now() + *later);
                false
            }
            Moment::Silence(count, since, later) => {
                let now = asked(harness);
                if now != *count {
                    (*count, *since) = (now, Some(Instant::now()));
                }
                // Polls are further apart than this only once all is downloaded.
                let silent = since.map_or(Duration::ZERO, |since| since.elapsed());
                silent > Duration::from_millis(600) + *later
            }
            Moment::Requests(..) | Moment::Never => false,
        }
    }
}

/// Exports to the end, killed at random moments on the way. Returns the stages that were hit, for
/// each kill.
async fn through_kills(
    harness: &Harness,
    lake: &TestSink,
    config: &Value,
    rng: &mut SmallRng,
) -> Vec<Vec<&'static str>> {
    runs_through_kills(harness, lake, config, &[], rng).await
}

/// The same of `run` with more arguments.
async fn runs_through_kills(
    harness: &Harness,
    lake: &TestSink,
    config: &Value,
    more: &[&str],
    rng: &mut SmallRng,
) -> Vec<Vec<&'static str>> {
    let path = harness.write(config);
    let run = || {
        let mut command = harness.program();
        command.args(["run", "--config"]).arg(&path).args(more);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let mut kills = Vec::new();
    // In the end it is let alone.
    for attempt in 0..40 {
        let mut moment = match attempt {
            0..30 => Moment::random(harness, rng),
            _ => Moment::Never,
        };
        let mut child = run().spawn().unwrap();
        let ended = loop {
            match child.try_wait().unwrap() {
                Some(status) => break status.code(),
                None if moment.has_come(harness) => break None,
                None => tokio::time::sleep(Duration::from_millis(3)).await,
            }
        };
        match ended {
            Some(0 | 3) => return kills,
            // Faults may last longer than a run is patient; the next one resumes.
            Some(1) => {}
            Some(code) => panic!("exit code {code}"),
            None => {
                child.kill().unwrap();
                child.wait().unwrap();
                kills.push(under_way(config, lake, harness).await);
            }
        }
    }
    panic!("the export does not end");
}

/// The archive is the one that an undisturbed export of a faultless harness leaves.
/// Returns how many rows an earlier attempt at their conversation has left.
pub(crate) async fn proven(
    harness: &Harness,
    lake: &TestSink,
    config: &Value,
    wanted: &Files,
) -> usize {
    let found = lake.files(harness).await;
    let checked = Config::new(config.clone()).unwrap();
    for (_, sink) in checked.sinks().await.unwrap() {
        let report: VerifyReport = verify(sink.store().unwrap(), true).await.unwrap();
        let files: Vec<&String> = found
            .keys()
            .filter(|key| !key.starts_with("recordings/"))
            .collect();
        assert_eq!(report.findings, [], "{files:#?}");
        assert_eq!(report.conversations, harness.organization().conversations());
    }
    same_media(&media(&found), &media(wanted));
    // A loss that may pass is taken up again by the next run: then the further attempt counts.
    let counting = changes::told(&found);
    assert_eq!(counting, changes::told(wanted));
    let earlier = support::rows(&found).len() - counting.1.len();
    let known = [
        "recordings/",
        "metadata/",
        "receipts/",
        "README.txt",
        ".recording-host.json",
    ];
    let strange = |key: &&String| {
        if *key == ".recording-host.json" {
            return false;
        }
        let part = key.rsplit('/').next().unwrap().starts_with('.');
        part || !known.iter().any(|prefix| key.starts_with(prefix))
    };
    let left: Vec<&String> = found.keys().filter(strange).collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(lake.uploads().await, 0, "an upload was left behind");
    earlier
}

/// Exports again and again until there were as many kills.
async fn matrix(dialect: Dialect, faults: &Faults, on_s3: bool, least: usize) {
    let calm = Harness::start(settings(dialect, Faults::default())).await;
    support::export(patient(calm.config())).await;
    let wanted = support::files(&calm.output());
    drop(calm);

    let mut rng = SmallRng::seed_from_u64(99);
    let (mut kills, mut exports, mut earlier) = (0, 0, 0);
    let mut stages = BTreeMap::<&str, u32>::new();
    while kills < least {
        let harness = Harness::start(settings(dialect, faults.clone())).await;
        let lake = if on_s3 {
            let server = SeaweedFs::start().await;
            let create = client(&server.endpoint).create_bucket();
            create.bucket(BUCKET).send().await.unwrap();
            TestSink::S3(server)
        } else {
            TestSink::Folder
        };
        let config = patient(harness.config_to(lake.sink(&harness)));
        let hit = through_kills(&harness, &lake, &config, &mut rng).await;
        earlier += proven(&harness, &lake, &config, &wanted).await;
        kills += hit.len();
        exports += 1;
        for stage in hit.into_iter().flatten() {
            *stages.entry(stage).or_default() += 1;
        }
    }
    let place = if on_s3 { "s3" } else { "filesystem" };
    let faulty = if *faults == Faults::default() {
        "without"
    } else {
        "with"
    };
    println!(
        "{dialect:?}, {place}, {faulty} faults: {kills} kills in {exports} exports, during {stages:?}; {earlier} rows of earlier attempts"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_kills_on_a_folder_leave_no_trace() {
    matrix(Dialect::Cloud, &Faults::default(), false, 5).await;
}

/// Eight times 26 kills: both dialects, both kinds of sink, with and without faults. Then what
/// changes between runs, through 60 more.
mod two_hundred_kills {
    use super::{Dialect, Faults, changes};

    macro_rules! matrix {
        ($($name:ident: $dialect:ident, $on_s3:literal, $rate:literal;)*) => {$(
            #[tokio::test(flavor = "multi_thread")]
            #[ignore = "the nine take half an hour; tests/crash-matrix runs them"]
            async fn $name() {
                let faults = match $rate {
                    0.0 => Faults::default(),
                    rate => Faults::all(rate),
                };
                super::matrix(Dialect::$dialect, &faults, $on_s3, 26).await;
            }
        )*};
    }

    matrix! {
        cloud_to_a_folder: Cloud, false, 0.0;
        cloud_to_a_folder_with_faults: Cloud, false, 0.05;
        cloud_to_s3: Cloud, true, 0.0;
        cloud_to_s3_with_faults: Cloud, true, 0.05;
        guide_to_a_folder: Guide, false, 0.0;
        guide_to_a_folder_with_faults: Guide, false, 0.05;
        guide_to_s3: Guide, true, 0.0;
        guide_to_s3_with_faults: Guide, true, 0.05;
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "the nine take half an hour; tests/crash-matrix runs them"]
    async fn while_the_configuration_changes() {
        changes::matrix(60).await;
    }
}
