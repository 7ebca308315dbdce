//! The small files of a day that is over become one, and nothing of what they say is lost or twice.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use genesys_simulator::Settings;
use recording_host_config::Config;
use recording_host_engine::{
    run::Pipeline,
    transfer::ArchiveMode,
    verify::{Difference, VerifyOptions, verify, verify_with},
};
use recording_host_model::clock::Clock;
use recording_host_sink::{PutOptions, SinkExt, filesystem::Filesystem};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::{Guarded, Harness, SinkRequest, files, out_of_order, receipts, rows, set};

/// An hour in three seconds.
const FAST: f64 = 1200.0;
const HOUR: u64 = 3_600_000;
const CONVERSATIONS: u64 = 120;

/// An evening that is followed into several sinks.
struct Evening {
    harness: Harness,
    clock: Clock,
    midnight: u64,
    /// Whom the sink `sealed` encrypts for.
    recipient: String,
}

impl Evening {
    async fn new() -> Self {
        let settings = Settings {
            conversations: CONVERSATIONS,
            // One in which nothing is left out, so that nothing is tried again a day later.
            seed: 45,
            days: 1,
            sensitive: 0.0,
            uploading: 0.0,
            archived: 0.0,
            deleted: 0.0,
            clock_start: Some("2026-01-05T21:00:00Z".parse().unwrap()),
            ..Settings::default()
        };
        let harness = Harness::fast(settings, FAST).await;
        let now = u64::try_from(harness.simulator.now().as_millisecond()).unwrap();
        let (from, _) = harness.organization().interval();
        let midnight = u64::try_from(from.as_millisecond()).unwrap() + 24 * HOUR;
        Evening {
            harness,
            clock: Clock::starting_at(now, FAST),
            midnight,
            recipient: age::x25519::Identity::generate().to_public().to_string(),
        }
    }

    fn folder(&self, sink: &str) -> Filesystem {
        Filesystem::new(self.harness.folder.path().join(sink))
    }

    fn files(&self, sink: &str) -> BTreeMap<String, Vec<u8>> {
        files(&self.harness.folder.path().join(sink))
    }

    async fn pipeline(&self) -> Pipeline {
        let mut config = self.harness.config();
        let source = &mut config["sources"]["calls"];
        source["options"]["interval"] = json!("2026-01-05/..");
        source["options"]["job_timeout_seconds"] = json!(3600);
        source["late_hours"] = json!(1);
        source["follow"] =
            json!({ "settle_seconds": 900, "look_back_seconds": 3600, "every_seconds": 600 });
        let path = |name: &str| self.harness.folder.path().join(name);
        config["sinks"] = json!({
            "lines": { "type": "filesystem", "path": path("lines") },
            "hive": { "type": "filesystem", "path": path("hive"), "layout": hive(),
                "metadata": { "format": "parquet" } },
            "sealed": { "type": "filesystem", "path": path("sealed"), "layout": hive(),
                "encrypt": { "recipients": [self.recipient] } },
            "small": { "type": "filesystem", "path": path("small"), "metadata": { "compact": false } },
        });
        let config = Config::new(config).unwrap();
        let pipeline = config.pipelines(self.clock).await.unwrap().pop().unwrap();
        let path = self.harness.folder.path().join("forbidding");
        let forbidding = Arc::new(Guarded::new(path, |asked| match asked {
            SinkRequest::Delete => Err(out_of_order(false)),
            SinkRequest::Check | SinkRequest::Put => Ok(()),
        }));
        pipeline.sink("forbidding", forbidding, ArchiveMode::Unpack)
    }

    /// Follows until the files of the sink `lines` are as they should be.
    async fn follow_until(&self, done: impl Fn(&BTreeMap<String, Vec<u8>>) -> bool) {
        let (tell, told) = watch::channel(false);
        let run = self.pipeline().await.follow().run_until(told);
        let stop = async {
            while !done(&self.files("lines")) {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            tell.send(true).unwrap();
            // The sender lives as long as the run.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = run => assert!(ended.is_ok(), "{ended:?}"),
            () = stop => unreachable!(),
        }
    }

    /// Sets the clock of the host a day ahead.
    fn sleep_a_day(&mut self) {
        self.clock = Clock::starting_at(self.midnight + 25 * HOUR, FAST);
    }
}

fn hive() -> Value {
    json!({ "type": "hive", "organization": "0f1c1f6a-4b5e-4f43-9d52-3d1f0f1c1f6a" })
}

/// How many files of the evening there are below `receipts/`, `metadata/` and `catalog/`.
fn counts(files: &BTreeMap<String, Vec<u8>>) -> [usize; 3] {
    ["receipts", "metadata", "catalog"].map(|folder| {
        let prefix = format!("{folder}/date=2026-01-05/");
        files.keys().filter(|key| key.starts_with(&prefix)).count()
    })
}

fn lines(files: &BTreeMap<String, Vec<u8>>) -> Vec<Value> {
    let mut lines = receipts(files);
    lines.retain(|line| line["conversation_id"].is_string());
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn the_small_files_of_a_day_that_is_over_become_one() {
    // Long: one scenario, told in its order.
    let mut evening = Evening::new().await;
    let all = |files: &BTreeMap<_, _>| lines(files).len() as u64 == CONVERSATIONS;
    evening.follow_until(all).await;
    let before = evening.files("lines");
    let [small, of_rows, _] = counts(&before);
    assert!(small > 1 && of_rows == small, "{small} files");
    assert_eq!(counts(&evening.files("hive")), [small; 3]);
    evening.sleep_a_day();
    evening
        .follow_until(|files| counts(files) == [1, 1, 0])
        .await;
    let after = evening.files("lines");
    assert_eq!(counts(&after), [1, 1, 0]);
    assert_eq!(counts(&evening.files("hive")), [1, 1, 1]);
    assert_eq!(counts(&evening.files("sealed")), [1, 1, 0]);
    for untouched in ["small", "forbidding"] {
        assert_eq!(counts(&evening.files(untouched)), [small, small, 0]);
    }
    // They say the same, in the order of conversations.
    assert_eq!(set(&rows(&after)), set(&rows(&before)));
    assert_eq!(set(&lines(&after)), set(&lines(&before)));
    let ids: Vec<String> = rows(&after)
        .iter()
        .map(|row| row["conversation_id"].to_string())
        .collect();
    assert!(ids.is_sorted());
    for sink in ["lines", "small", "forbidding"] {
        let report = verify(&evening.folder(sink), true).await.unwrap();
        assert_eq!(
            (report.findings, report.conversations),
            (Vec::new(), CONVERSATIONS),
            "{sink}"
        );
    }
    for sink in ["hive", "sealed"] {
        let options = VerifyOptions {
            layout: serde_json::from_value(hive()).unwrap(),
            full: true,
            ..VerifyOptions::default()
        };
        let report = verify_with(&evening.folder(sink), options).await.unwrap();
        assert_eq!(
            (report.findings, report.conversations),
            (Vec::new(), CONVERSATIONS),
            "{sink}"
        );
    }
    let reconciled = evening.pipeline().await.reconcile().await.unwrap();
    assert!(reconciled.complete(), "{reconciled:#?}");

    // As if the program had been killed before it removed what it had replaced.
    let lines = evening.folder("lines");
    let left: Vec<&String> = before
        .keys()
        .filter(|key| !after.contains_key(*key))
        .collect();
    for key in &left {
        let info = PutOptions::default();
        let bytes = Bytes::from(before[*key].clone());
        lines.put_bytes(key, info, bytes).await.unwrap();
    }
    let report = verify(&lines, true).await.unwrap();
    assert_eq!((report.receipts, report.conversations), (1, CONVERSATIONS));
    let surplus = report
        .findings
        .iter()
        .filter(|it| it.difference == Difference::Unexpected);
    let surplus: Vec<&String> = surplus.map(|it| &it.key).collect();
    assert_eq!(surplus, left);
    assert_eq!(report.findings.len(), left.len());
    // Even with a queue that is lost, the next run removes it.
    std::fs::remove_dir_all(evening.harness.folder.path().join("data")).unwrap();
    let summary = evening.pipeline().await.run().await.unwrap();
    assert_eq!(summary.conversations, CONVERSATIONS);
    let there = evening.files("lines");
    assert!(left.iter().all(|key| !there.contains_key(*key)));
    assert!(after.iter().all(|(key, data)| there.get(key) == Some(data)));
}
