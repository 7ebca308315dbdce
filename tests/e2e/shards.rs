//! An export is divided among processes that know nothing of one another: together they bring the whole, and
//! none brings what another does.

use std::collections::BTreeSet;

use genesys_simulator::Settings;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{
    Harness, export, filed, files, identities, media, receipts, rows, same_media,
};

const CONVERSATIONS: u64 = 210;

/// A week of calls.
async fn harness() -> Harness {
    let settings = Settings {
        conversations: CONVERSATIONS,
        ..Settings::default()
    };
    Harness::start(settings).await
}

/// The configuration of a shard: a `data_dir` of its own, the sink of all.
fn config(harness: &Harness, data: &str) -> Value {
    let mut config = harness.config();
    config["data_dir"] = json!(harness.folder.path().join(data));
    config
}

fn write(harness: &Harness, name: &str, config: &Value) -> String {
    let path = harness.folder.path().join(name);
    std::fs::write(&path, config.to_string()).unwrap();
    path.display().to_string()
}

/// The conversations that the receipts tell of, each as often as they do.
fn told(harness: &Harness) -> Vec<String> {
    let lines = receipts(&files(&harness.output()));
    let ids = lines
        .iter()
        .filter_map(|line| line["conversation_id"].as_str());
    ids.map(str::to_owned).collect()
}

async fn coverage(harness: &Harness) -> Value {
    let output = harness.output().display().to_string();
    let ran = harness
        .run_program(&["verify", "--full", "--json", &output])
        .await;
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    serde_json::from_slice::<Value>(&ran.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_shards_at_once_bring_the_whole_and_no_conversation_twice() {
    let harness = harness().await;
    let mut runs = tokio::task::JoinSet::new();
    for index in 0..3 {
        let path = write(
            &harness,
            &format!("{index}.yaml"),
            &config(&harness, &format!("data-{index}")),
        );
        // As Kubernetes starts the pods of an Indexed Job.
        let mut program = Command::from(harness.program());
        program
            .args(["run", "--json", "--shard", "index/3", "--config", &path])
            .env("JOB_COMPLETION_INDEX", index.to_string());
        runs.spawn(async move { program.output().await.unwrap() });
    }
    let mut conversations = Vec::new();
    while let Some(ran) = runs.join_next().await {
        let ran = ran.unwrap();
        assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
        let summary: Value = serde_json::from_slice(&ran.stdout).unwrap();
        conversations.push(
            summary["sources"]["calls"]["conversations"]
                .as_u64()
                .unwrap(),
        );
    }
    assert!(
        conversations.iter().all(|count| *count > 0),
        "{conversations:?}"
    );
    assert_eq!(conversations.iter().sum::<u64>(), CONVERSATIONS);
    let told = told(&harness);
    let distinct: BTreeSet<&String> = told.iter().collect();
    assert_eq!(
        (told.len() as u64, distinct.len() as u64),
        (CONVERSATIONS, CONVERSATIONS)
    );

    // The same as one run brings.
    let other = harness.folder.path().join("other");
    let mut alone = config(&harness, "data-alone");
    alone["sinks"]["lake"]["path"] = json!(other);
    export(alone).await;
    let (ours, theirs) = (files(&harness.output()), files(&other));
    same_media(&media(&ours), &media(&theirs));
    assert_eq!(identities(&rows(&ours)), identities(&rows(&theirs)));

    // Together they claim the interval, without a gap.
    let report = coverage(&harness).await;
    let text = report.to_string();
    assert_eq!(report_claims(&report).len(), 3, "{text}");
    // A run of the whole finds nothing left to fetch.
    let whole = write(&harness, "whole.yaml", &config(&harness, "data-whole"));
    let before = harness.simulator.stats().requests["POST /api/v2/recording/batchrequests"];
    let ran = harness.run_program(&["run", "--config", &whole]).await;
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
    let after = harness.simulator.stats().requests["POST /api/v2/recording/batchrequests"];
    // What was filed with a loss is taken up again, and no more than that.
    assert!(after - before <= 2, "{} batches", after - before);
}

/// The claimed ranges of an archive, in order.
fn report_claims(report: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = vec![report];
    while let Some(value) = rest.pop() {
        if let Some(coverage) = value["coverage"].as_array() {
            for one in coverage {
                let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
                found.push((text("from"), text("until")));
            }
        } else if let Some(table) = value.as_object() {
            rest.extend(table.values());
        } else if let Some(list) = value.as_array() {
            rest.extend(list);
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_without_a_shard_claims_nothing_of_its_days_and_reconcile_names_them() {
    let harness = harness().await;
    let path = write(&harness, "shards.yaml", &config(&harness, "data"));
    // Two of them on one machine, with one `data_dir`.
    for shard in ["1/3", "3/3"] {
        let ran = harness
            .run_program(&["run", "--shard", shard, "--config", &path])
            .await;
        assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
    }
    let (from, until) = harness.organization().interval();
    let claims = report_claims(&coverage(&harness).await);
    let [first, last] = &claims[..] else {
        panic!("{claims:?}");
    };
    assert_eq!((&first.0, &last.1), (&from.to_string(), &until.to_string()));
    assert!(
        first.1 < last.0,
        "the days of the second shard are not claimed: {claims:?}"
    );

    let whole = write(&harness, "whole.yaml", &config(&harness, "data-whole"));
    let ran = harness
        .run_program(&["reconcile", "--json", "--config", &whole])
        .await;
    assert_eq!(ran.status.code(), Some(3), "{ran:?}");
    let status = harness
        .run_program(&["status", "--json", "--shard", "1/3", "--config", &path])
        .await;
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert!(
        status["sources"]["calls"]["conversations"]
            .as_u64()
            .unwrap()
            > 0,
        "{status}"
    );
    // The missing one closes it.
    let ran = harness
        .run_program(&["run", "--shard", "2/3", "--config", &path])
        .await;
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
    let reconciled = harness
        .run_program(&["reconcile", "--json", "--config", &whole])
        .await;
    let report: Value = serde_json::from_slice(&reconciled.stdout).unwrap();
    assert_eq!(filed(&harness.output()) as u64, CONVERSATIONS, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_number_of_shards_is_refused_where_it_would_bring_twice_and_resumes_elsewhere() {
    let harness = harness().await;
    let path = write(&harness, "one.yaml", &config(&harness, "data"));
    let run = async |path: &str, shard: &str| {
        let arguments = ["run", "--shard", shard, "--config", path];
        let ran = harness.run_program(&arguments).await;
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        (ran.status.code(), said)
    };
    let (code, said) = run(&path, "1/3").await;
    assert!(matches!(code, Some(0 | 3)), "{said}");
    let before = told(&harness).len();
    let (code, said) = run(&path, "1/2").await;
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("divided otherwise") && said.contains("empty `data_dir`"),
        "{said}"
    );
    assert_eq!(told(&harness).len(), before);

    // With another one, what is proven is not brought again.
    let other = write(&harness, "other.yaml", &config(&harness, "other"));
    for shard in ["1/2", "2/2"] {
        let (code, said) = run(&other, shard).await;
        assert!(matches!(code, Some(0 | 3)), "{said}");
    }
    let stored: Vec<String> = rows(&files(&harness.output()))
        .iter()
        .filter(|row| row["outcome"] == "stored")
        .map(|row| row["object_key"].to_string())
        .collect();
    let distinct: BTreeSet<&String> = stored.iter().collect();
    assert_eq!(stored.len(), distinct.len(), "a recording has two rows");
    assert_eq!(filed(&harness.output()) as u64, CONVERSATIONS);
    coverage(&harness).await;

    // A queue of the whole export refuses a part of it.
    let whole = write(&harness, "whole.yaml", &config(&harness, "whole"));
    let ran = harness.run_program(&["run", "--config", &whole]).await;
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
    assert_eq!(run(&whole, "1/2").await.0, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_there_cannot_be_is_refused_in_words() {
    let harness = harness().await;
    let mut config = config(&harness, "data");
    let path = write(&harness, "one.yaml", &config);
    let refused = async |arguments: &[&str]| {
        let ran = harness
            .run_program(&[arguments, &["--config", &path]].concat())
            .await;
        assert_eq!(ran.status.code(), Some(2), "{ran:?}");
        String::from_utf8(ran.stderr).unwrap()
    };
    assert!(
        refused(&["run", "--shard", "4/3"])
            .await
            .contains("1/3, 2/3 and 3/3")
    );
    assert!(
        refused(&["run", "--shard", "1/40"])
            .await
            .contains("7 days (UTC), which 40 shards")
    );
    let said = refused(&["run", "--shard", "index/3"]).await;
    assert!(said.contains("JOB_COMPLETION_INDEX is not set"), "{said}");
    refused(&["run", "--follow", "--shard", "1/3"]).await;
    refused(&["run", "--repair", "--shard", "1/3"]).await;
    config["sources"]["calls"]["options"]["interval"] = json!("2026-01-05/..");
    write(&harness, "one.yaml", &config);
    let said = refused(&["run", "--shard", "1/3"]).await;
    assert!(
        said.contains("sources.calls.options.interval: it has no end"),
        "{said}"
    );
}
