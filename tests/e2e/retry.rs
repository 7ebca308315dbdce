//! Unavailable recordings are named, and taken up again; a lost queue is made anew from the receipts.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
};

use genesys_simulator::{Dialect, Settings};
use recording_host_config::Config;
use recording_host_engine::{RunSummary, verify::verify};
use recording_host_model::{Event, clock::Clock};
use recording_host_sink::{Sink, filesystem::Filesystem};
use serde_json::{Value, json};

use crate::support::{Harness, SPEED, export, files, media, receipts, run_program, same_media};

async fn exported(dialect: Dialect) -> (Harness, RunSummary) {
    let harness = Harness::start(Settings {
        conversations: 300,
        seed: 8,
        dialect,
        archived: 0.05,
        ..Settings::default()
    })
    .await;
    let summary = export(harness.config()).await;
    assert!(summary.losses.len() > 10, "{:?}", summary.outcomes);
    (harness, summary)
}

/// The attempts at each conversation, in the order of the receipts' segments.
fn attempts(harness: &Harness) -> BTreeMap<String, Vec<u64>> {
    let mut attempts = BTreeMap::<String, Vec<u64>>::new();
    for line in receipts(&files(&harness.output())) {
        if let Some(id) = line["conversation_id"].as_str() {
            let of = attempts.entry(id.to_owned()).or_default();
            of.push(line["attempt"].as_u64().unwrap());
        }
    }
    for of in attempts.values_mut() {
        of.sort_unstable();
    }
    attempts
}

async fn in_order(harness: &Harness) {
    let sink = Filesystem::new(harness.output());
    let report = verify(sink.store().unwrap(), true).await.unwrap();
    assert_eq!((report.findings, report.conversations), (Vec::new(), 300));
}

#[tokio::test(flavor = "multi_thread")]
async fn losses_are_taken_up_again_on_request_and_only_they() {
    for dialect in [Dialect::Cloud, Dialect::Guide] {
        let (harness, first) = exported(dialect).await;
        let before = harness.simulator.stats();
        let config = Config::new(harness.config()).unwrap();
        let mut pipelines = config.pipelines(Clock::new(SPEED)).await.unwrap();
        let again = pipelines.pop().unwrap().retry_lost().run().await.unwrap();
        // The same is lost again: it is archived still.
        assert_eq!(
            (again.conversations, &again.outcomes, again.recordings),
            (first.conversations, &first.outcomes, first.recordings)
        );
        assert_eq!(again.losses, first.losses);
        let lost: std::collections::BTreeSet<&str> = first
            .losses
            .iter()
            .map(|loss| loss.conversation.as_str())
            .collect();
        for (id, of) in attempts(&harness) {
            let expected = if lost.contains(id.as_str()) {
                vec![1, 2]
            } else {
                vec![1]
            };
            assert_eq!(of, expected, "{id}");
        }
        in_order(&harness).await;
        let after = harness.simulator.stats();
        let submits = |stats: &genesys_simulator::Stats| stats.requests["POST /api/v2/recording/batchrequests"];
        assert_eq!(
            submits(&after) - submits(&before),
            1,
            "one batch for the losses"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_queue_is_made_anew_from_the_receipts() {
    for dialect in [Dialect::Cloud, Dialect::Guide] {
        let (harness, first) = exported(dialect).await;
        let found = media(&files(&harness.output()));
        let downloads = harness.simulator.stats().requests["GET media"];
        std::fs::remove_dir_all(harness.folder.path().join("data")).unwrap();
        let again = export(harness.config()).await;
        assert_eq!(
            (again.conversations, &again.outcomes, again.recordings),
            (first.conversations, &first.outcomes, first.recordings)
        );
        same_media(&media(&files(&harness.output())), &found);
        for of in attempts(&harness).into_values() {
            assert!(of == [1] || of == [1, 2], "{of:?}");
        }
        in_order(&harness).await;
        // Only what is beside a loss is fetched again.
        let more = harness.simulator.stats().requests["GET media"] - downloads;
        assert!(more <= downloads / 5 + 1, "{more} of {downloads}");
    }
}

/// Copies the files of a folder.
fn copied(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// How a copy of `data_dir` came to be older than what the sinks have.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Older {
    /// Days were filed in part: the copy's next segments are of days that have some already.
    Filed,
    /// Nothing was filed when it was made, as after a first run that found nothing.
    Empty,
    /// A sink was added later, of which it does not know.
    WithoutSink,
    /// As the first, and the layout was changed later.
    OtherLayout,
}

/// Removes the queue, as messages advise.
fn move_queue_away(data: &Path) {
    for entry in std::fs::read_dir(data).unwrap() {
        let entry = entry.unwrap().path();
        if entry.to_string_lossy().contains(".sqlite") {
            std::fs::remove_file(entry).unwrap();
        }
    }
}

async fn without_losses() -> Harness {
    Harness::start(Settings {
        conversations: 300,
        archived: 0.0,
        deleted: 0.0,
        uploading: 0.0,
        ..Settings::default()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_of_the_queue_is_refused_before_anything_is_requested() {
    // Long: one scenario in four forms.
    for older in [
        Older::Filed,
        Older::Empty,
        Older::WithoutSink,
        Older::OtherLayout,
    ] {
        let harness = without_losses().await;
        let folder = |name: &str| harness.folder.path().join(name);
        let (data, saved) = (folder("data"), folder("saved"));
        let mut config = harness.config();
        config["sources"]["calls"]["options"]["interval"] = match older {
            Older::Empty => json!("2026-01-04/2026-01-05"),
            _ => json!("2026-01-05/2026-01-06T12:00:00Z"),
        };
        let path = harness.write(&config).display().to_string();
        let ran = async || harness.run_program(&["run", "--config", &path]).await;
        let first = ran().await;
        assert!(matches!(first.status.code(), Some(0 | 3)), "{first:?}");
        copied(&data, &saved);
        let mut config = harness.config();
        if older == Older::WithoutSink {
            let archive = json!({ "type": "filesystem", "path": folder("archive") });
            config["sinks"] = json!({ "archive": archive });
        }
        harness.write(&config);
        let second = ran().await;
        assert!(matches!(second.status.code(), Some(0 | 3)), "{second:?}");
        if older == Older::OtherLayout {
            config["sinks"]["lake"]["layout"] = json!("flat");
            harness.write(&config);
        }
        let archives = || (files(&harness.output()), files(&folder("archive")));
        let (before, requests) = (archives(), harness.simulator.stats().requests);

        std::fs::remove_dir_all(&data).unwrap();
        copied(&saved, &data);
        let refused = ran().await;
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{older:?}: {said}");
        for part in [
            "receipts/",
            "`data_dir` is an older copy",
            "move the queue out",
        ] {
            assert!(said.contains(part), "{older:?} {part}: {said}");
        }
        let dry = harness
            .run_program(&["run", "--dry-run", "--config", &path])
            .await;
        assert_eq!(dry.status.code(), Some(1), "{older:?}: {dry:?}");
        assert!(archives() == before, "{older:?}");
        let mut asked = harness.simulator.stats().requests;
        for (kind, count) in &requests {
            *asked.get_mut(kind).unwrap() -= count;
        }
        asked.retain(|kind, count| *count > 0 && !kind.contains("/oauth/"));
        assert!(asked.is_empty(), "{older:?}: {asked:?}");

        // As the message advises.
        move_queue_away(&data);
        let again = ran().await;
        let said = String::from_utf8(again.stderr).unwrap();
        assert!(
            matches!(again.status.code(), Some(0 | 3)),
            "{older:?}: {said}"
        );
        let verified = harness
            .run_program(&["verify", "--full", "--config", &path])
            .await;
        assert_eq!(verified.status.code(), Some(0), "{older:?}: {verified:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_receipt_is_no_later_one_and_stops_no_run() {
    let harness = without_losses().await;
    export(harness.config()).await;
    let kept = files(&harness.output());
    let key = kept
        .keys()
        .find(|key| key.starts_with("receipts/"))
        .unwrap();
    let (before, _) = key.rsplit_once('-').unwrap();
    for copy in [format!("{before}-000999.jsonl"), format!("{key}.bak")] {
        std::fs::write(harness.output().join(copy), &kept[key]).unwrap();
    }
    let other = before.replace("date=2026-01-0", "date=2025-12-0");
    let other = harness.output().join(format!("{other}-000999.jsonl"));
    std::fs::create_dir_all(other.parent().unwrap()).unwrap();
    std::fs::write(other, "no receipt").unwrap();
    let again = export(harness.config()).await;
    assert_eq!(again.conversations, 300);
    assert!(again.is_complete(), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_that_is_tried_again_and_remains_is_no_news() {
    let harness = Harness::start(Settings {
        conversations: 200,
        archived: 0.0,
        deleted: 0.0,
        uploading: 0.2,
        ..Settings::default()
    })
    .await;
    let now = Clock::of_machine().now();
    // Filed losses, as those who are told of them hear it, and the attempts at conversations in all.
    let ran = async |hours: u64, again: bool| {
        let told = Arc::new(Mutex::new(0));
        let counting = Arc::clone(&told);
        let config = Config::new(harness.config()).unwrap();
        let clock = Clock::starting_at(now + hours * 3_600_000, SPEED);
        let mut pipelines = config.pipelines(clock).await.unwrap();
        let pipeline = pipelines
            .pop()
            .unwrap()
            .subscribe(Arc::new(move |event: &Event| {
                if let Event::LossesFiled { codes } = event {
                    *counting.lock().unwrap() += codes.values().sum::<usize>();
                }
            }));
        let pipeline = if again {
            pipeline.retry_lost()
        } else {
            pipeline
        };
        pipeline.run().await.unwrap();
        let told = *told.lock().unwrap();
        (
            told,
            attempts(&harness).values().map(Vec::len).sum::<usize>(),
        )
    };
    let (first, filed) = ran(0, false).await;
    assert!(first > 10, "{first}");
    let (told, more) = ran(2, false).await;
    assert_eq!(told, 0);
    assert!(more > filed + 10, "{more} {filed}");
    // On request they are.
    let (told, _) = ran(4, true).await;
    assert_eq!(told, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_damaged_or_of_another_version_is_named_with_the_way_out() {
    let (harness, _) = exported(Dialect::Cloud).await;
    let data = harness.folder.path().join("data");
    let queue = std::fs::read_dir(&data)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "sqlite"))
        .unwrap();
    let path = harness.write(&harness.config()).display().to_string();
    let run = ["run", "--config", &path];
    let refused = async |why: &str| {
        let ran = harness.run_program(&run).await;
        let said = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(1), "{said}");
        for part in [why, "move it away", queue.to_str().unwrap()] {
            assert!(said.contains(part), "{said}");
        }
    };
    let other = rusqlite::Connection::open(&queue).unwrap();
    other.pragma_update(None, "user_version", 99).unwrap();
    drop(other);
    refused("which this version of the program does not know").await;
    std::fs::write(&queue, vec![0x55; 64 << 10]).unwrap();
    refused("is damaged").await;
    std::fs::remove_dir_all(&data).unwrap();
    let ran = harness.run_program(&run).await;
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(3), "{said}");
    assert!(
        said.contains("that the receipts prove are not fetched again"),
        "{said}"
    );
    in_order(&harness).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interval_that_is_not_over_is_compared_up_to_now() {
    let harness = Harness::start(Settings {
        conversations: 40,
        clock_start: Some("2026-01-20T12:00:00Z".parse().unwrap()),
        ..Settings::default()
    })
    .await;
    let mut config = harness.config();
    config["sources"]["calls"]["options"]["interval"] =
        "2026-01-05T00:00:00Z/2026-03-01T00:00:00Z".into();
    let path = harness.write(&config).display().to_string();
    for (command, code) in [("plan", 0), ("run", 0), ("reconcile", 0)] {
        let ran = harness
            .run_program(&[command, "--json", "--config", &path])
            .await;
        let said = String::from_utf8(ran.stdout).unwrap();
        let shown = String::from_utf8_lossy(&ran.stderr);
        // Some of the recordings are lost on purpose.
        let right =
            ran.status.code() == Some(code) || command == "run" && ran.status.code() == Some(3);
        assert!(right, "{command}: {:?} {said} {shown}", ran.status);
        let report: Value = serde_json::from_str(&said).unwrap();
        if command == "reconcile" {
            assert_eq!(report["sources"]["calls"]["source"], 40, "{report}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_reconcile_tell_how_far_an_export_is() {
    let harness = Harness::start(Settings {
        conversations: 200,
        ..Settings::default()
    })
    .await;
    let path = harness.write(&harness.config()).display().to_string();
    let ask = async |command: &str| -> (Option<i32>, Value) {
        let ran = run_program(&[command, "--json", "--config", &path]).await;
        let said = String::from_utf8(ran.stdout).unwrap();
        (ran.status.code(), serde_json::from_str(&said).unwrap())
    };
    let (code, status) = ask("status").await;
    assert_eq!((code, &status["sources"]["calls"]), (Some(0), &Value::Null));
    let (code, gaps) = ask("reconcile").await;
    assert_eq!(code, Some(3));
    assert_eq!(gaps["sources"]["calls"]["source"], 200);
    let missing = |gaps: &Value| -> usize {
        let days = gaps["sources"]["calls"]["days"].as_array().unwrap();
        days.iter()
            .map(|day| day["missing"].as_array().unwrap().len())
            .sum()
    };
    assert_eq!(missing(&gaps), 200);

    export(harness.config()).await;
    let (_, status) = ask("status").await;
    let status = &status["sources"]["calls"];
    assert_eq!(status["conversations"], 200);
    let filed = status["filed"].as_object().unwrap();
    assert_eq!(filed.values().filter_map(Value::as_u64).sum::<u64>(), 200);
    for none in ["pending", "wanted", "fetching", "unfiled"] {
        assert_eq!(status[none], 0, "{none}");
    }
    let (code, gaps) = ask("reconcile").await;
    assert_eq!((code, missing(&gaps)), (Some(0), 0));

    let day = harness.output().join("receipts/date=2026-01-06");
    std::fs::remove_dir_all(&day).unwrap();
    let (code, gaps) = ask("reconcile").await;
    assert_eq!(code, Some(3));
    let days = gaps["sources"]["calls"]["days"].as_array().unwrap();
    let with_gap: Vec<&Value> = days
        .iter()
        .filter(|day| !day["missing"].as_array().unwrap().is_empty())
        .collect();
    assert_eq!(with_gap.len(), 1);
    assert_eq!(with_gap[0]["day"], "2026-01-06");
    assert_eq!(with_gap[0]["receipts"], 0);
}
