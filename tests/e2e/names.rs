//! Names instead of ids: in filters, in rows by default, and what that changes of an export begun before.

use std::collections::BTreeSet;

use genesys_simulator::Settings;
use recording_host_config::Config;
use recording_host_engine::run::Pipeline;
use recording_host_model::clock::Clock;
use serde_json::{Value, json};

use crate::support::{Harness, SPEED, export, files, rows};

async fn harness(settings: Settings) -> Harness {
    Harness::start(Settings {
        conversations: 300,
        days: 6,
        seed: 17,
        ..settings
    })
    .await
}

/// A configuration with these options besides.
fn with(harness: &Harness, options: &Value) -> Value {
    let mut config = harness.config();
    for (name, value) in options.as_object().unwrap() {
        config["sources"]["calls"]["options"][name] = value.clone();
    }
    config
}

async fn pipeline(config: Value) -> Pipeline {
    let config = Config::new(config).unwrap();
    let mut pipelines = config.pipelines(Clock::new(SPEED)).await.unwrap();
    pipelines.pop().unwrap()
}

fn conversations(rows: &[Value]) -> BTreeSet<String> {
    let ids = rows.iter().map(|row| row["conversation_id"].as_str());
    ids.map(|id| id.unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_selected_by_its_name_by_every_command() {
    let harness = harness(Settings::default()).await;
    let options = json!({ "queues": ["Sales"] });
    let path = harness.write(&with(&harness, &options));
    let path = path.display().to_string();
    let ran = harness.run_program(&["run", "--config", &path]).await;
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
    let organization = harness.organization();
    let all = (0..300).map(|index| organization.conversation(index));
    let sales = all.filter(|one| organization.queue_name(one.queue) == "Sales");
    let expected: BTreeSet<String> = sales.map(|one| one.id).collect();
    let exported = rows(&files(&harness.output()));
    assert_eq!(conversations(&exported), expected);
    // The plan counts the same, and the look-up; nothing is unknown.
    let plan = pipeline(with(&harness, &options))
        .await
        .plan()
        .await
        .unwrap();
    assert_eq!(plan.total.conversations, expected.len() as u64);
    assert_eq!((plan.unknown_days, plan.days.len()), (0, 6));
    let id = json!({ "queues": [organization.queue_id(3)] });
    assert_eq!(organization.queue_name(3), "Sales");
    let by_id = pipeline(with(&harness, &id)).await.plan().await.unwrap();
    assert_eq!(plan.requests["search"], by_id.requests["search"] + 1);
    // A check tells what a name stands for.
    let ran = harness.run_program(&["check", "--config", &path]).await;
    let said = String::from_utf8(ran.stdout).unwrap();
    assert_eq!(ran.status.code(), Some(0), "{said}");
    let told = format!("Sales is {}", organization.queue_id(3));
    assert!(said.contains(&told), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_nothing_has_ends_every_command_with_the_nearest_one() {
    let harness = harness(Settings::default()).await;
    let path = harness.write(&with(&harness, &json!({ "queues": ["Salse"] })));
    let path = path.display().to_string();
    // What does not search cannot know.
    let ran = harness.run_program(&["validate", "--config", &path]).await;
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    for (command, code) in [("run", 2), ("plan", 2), ("check", 1)] {
        let ran = harness.run_program(&[command, "--config", &path]).await;
        let said = String::from_utf8(ran.stdout).unwrap() + &String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(code), "{command}: {said}");
        let told = "nothing is called `Salse`; did you mean `Sales`?";
        assert!(said.contains(told), "{command}: {said}");
        assert!(said.contains("queues"), "{command}: {said}");
    }
    assert_eq!(files(&harness.output()).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_was_begun_without_names_goes_on_and_nothing_of_it_changes() {
    let harness = harness(Settings {
        nameless: true,
        ..Settings::default()
    })
    .await;
    let (from, _) = harness.organization().interval();
    let half = from
        .checked_add(jiff::SignedDuration::from_hours(72))
        .unwrap();
    let named = |interval: String| with(&harness, &json!({ "interval": interval }));
    let (_, until) = harness.organization().interval();
    let mut before = named(format!("{from}/{half}"));
    before["sources"]["calls"]["options"]["names"] = json!(false);
    export(before).await;
    let had = files(&harness.output());
    let agents = |rows: &[Value]| -> BTreeSet<bool> {
        let all = rows
            .iter()
            .flat_map(|row| row["agents"].as_array().unwrap());
        all.map(|agent| agent["name"].is_string()).collect()
    };
    assert_eq!(agents(&rows(&had)), [false].into());
    let downloads = harness.simulator.stats().requests["GET media"];
    // The same configuration in a version whose default is to look names up.
    export(named(format!("{from}/{half}"))).await;
    assert_eq!(harness.simulator.stats().requests["GET media"], downloads);
    let after = files(&harness.output());
    assert!(after == had, "a run that finds nothing new changes nothing");
    // What comes from then on has names, beside what was filed.
    let summary = export(named(format!("{from}/{until}"))).await;
    let after = files(&harness.output());
    for (key, bytes) in &had {
        assert!(after.get(key) == Some(bytes), "{key}");
    }
    let new: Vec<Value> = rows(&after)
        .into_iter()
        .filter(|row| row["start"].as_str().unwrap() >= half.to_string().as_str())
        .collect();
    assert!(new.len() > 50 && agents(&new) == [true].into());
    assert_eq!(
        conversations(&rows(&after)).len() as u64,
        summary.conversations
    );
    let export_of = |key: &String| {
        let name = key.rsplit('/').next().unwrap();
        name.rsplit_once('-').unwrap().0.to_owned()
    };
    let receipts = after.keys().filter(|key| key.starts_with("receipts/"));
    let exports: BTreeSet<String> = receipts.map(export_of).collect();
    assert_eq!(exports.len(), 1, "{exports:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_counts_what_names_cost() {
    let harness = harness(Settings {
        nameless: true,
        conversations: 2000,
        ..Settings::default()
    })
    .await;
    let searched = async |options: Value| {
        let config = with(&harness, &options);
        let planned = pipeline(config.clone())
            .await
            .plan()
            .await
            .unwrap()
            .requests["search"];
        let before = harness.simulator.stats().requests;
        let mut config = config;
        config["sources"]["calls"]["options"]["mode"] = json!("metadata_only");
        config["data_dir"] = json!(harness.folder.path().join(format!("data{planned}")));
        let sink = harness.folder.path().join(format!("out{planned}"));
        config["sinks"]["lake"]["path"] = json!(sink);
        export(config).await;
        let after = harness.simulator.stats().requests;
        let paths = [
            "POST /api/v2/analytics/conversations/details/query",
            "GET /api/v2/users",
            "GET /api/v2/routing/queues",
            "GET /api/v2/routing/wrapupcodes",
        ];
        let of = |requests: &std::collections::BTreeMap<String, u64>| -> u64 {
            paths.iter().filter_map(|path| requests.get(*path)).sum()
        };
        (planned, of(&after) - of(&before))
    };
    let (planned_without, sent_without) = searched(json!({ "names": false })).await;
    let (planned, sent) = searched(json!({})).await;
    assert!(planned > planned_without && sent > sent_without);
    let (planned, sent) = (planned - planned_without, sent - sent_without);
    assert!(
        planned.abs_diff(sent) * 3 <= sent,
        "{planned} planned for names, {sent} sent"
    );
}
