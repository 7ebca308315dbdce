//! Whatever Genesys Cloud offers besides query and batch arrives in rows and objects, too.

use std::{collections::BTreeSet, time::Duration};

use genesys_simulator::{Settings, State};
use serde_json::{Value, json};

use crate::support::{Harness, export, files, media, rows};

async fn exported(settings: Settings, options: Value) -> (Harness, Vec<Value>) {
    let harness = Harness::fast(settings, 200.0).await;
    let mut config = harness.config();
    for (name, value) in options.as_object().unwrap() {
        config["sources"]["calls"]["options"][name] = value.clone();
    }
    let summary = export(config).await;
    assert_eq!(
        summary.conversations,
        harness.organization().conversations()
    );
    let stats = harness.simulator.stats();
    assert_eq!(stats.rejected, 0, "{:?}", stats.reasons);
    let rows = rows(&files(&harness.output()));
    (harness, rows)
}

fn settings() -> Settings {
    Settings {
        conversations: 300,
        rate_limit: 3000,
        ..Settings::default()
    }
}

fn keys(rows: &[Value]) -> BTreeSet<String> {
    let keys = rows.iter().filter_map(|row| row["object_key"].as_str());
    keys.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_without_a_conversation_are_exported_on_request_each_with_a_row() {
    let settings = Settings {
        conversations: 20,
        orphans: 12,
        rate_limit: 3000,
        ..Settings::default()
    };
    let harness = Harness::fast(settings, 200.0).await;
    let mut config = harness.config();
    config["sources"]["calls"]["options"]["export_orphans"] = json!(true);
    let summary = export(config).await;
    assert_eq!(summary.conversations, 32);
    let stats = harness.simulator.stats();
    assert_eq!(stats.rejected, 0, "{:?}", stats.reasons);
    let written = files(&harness.output());
    let rows = rows(&written);
    let orphans = rows.iter().filter(|row| {
        let id = row["conversation_id"].as_str().unwrap();
        id.starts_with("orphan-")
    });
    let orphans: Vec<&Value> = orphans.collect();
    assert_eq!(orphans.len(), 12);
    let objects = media(&written);
    let mut archived = 0;
    for row in orphans {
        let id = row["conversation_id"].as_str().unwrap();
        let status = row["attributes"]["orphan.status"].as_str().unwrap();
        let known = ["NO_CONVERSATION", "CONVERSATION_NOT_EVALUATED"];
        assert!(known.contains(&status), "{row}");
        if row["outcome"] == "failed" {
            assert!(
                row["reason"].as_str().unwrap().contains("archived"),
                "{row}"
            );
            archived += 1;
            continue;
        }
        assert_eq!(row["outcome"], "stored", "{row}");
        assert_eq!(row["recording_id"], id["orphan-".len()..]);
        assert!(
            objects.contains_key(row["object_key"].as_str().unwrap()),
            "{row}"
        );
    }
    assert_eq!(archived, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_by_jobs_brings_what_the_query_brings_and_participants_attributes() {
    let settings = Settings {
        days: 40,
        ..settings()
    };
    let (by_query, queried) = exported(settings.clone(), json!({ "search": "query" })).await;
    let (by_job, searched) = exported(settings, json!({})).await;
    assert_eq!(keys(&queried), keys(&searched));
    assert_eq!(
        media(&files(&by_query.output())),
        media(&files(&by_job.output()))
    );
    const QUERY: &str = "POST /api/v2/analytics/conversations/details/query";
    let asked = |harness: &Harness| harness.simulator.stats().requests.get(QUERY).copied();
    assert!(asked(&by_query).unwrap() >= 40);
    // Each of the two jobs is compared with what the query counts.
    assert_eq!(asked(&by_job), Some(2));
    let told = |row: &Value| {
        let tier = |name: &str| row["attributes"][name].is_string();
        tier("customer.tier") || tier("external.tier")
    };
    assert!(searched.iter().all(told));
    assert!(!queried.iter().any(told));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_thousand_conversations_fits_into_the_sandbox() {
    let settings = Settings {
        conversations: 2500,
        nameless: true,
        days: 30,
        ..settings()
    };
    let options = json!({ "mode": "metadata_only", "parallelism": 1, "names": true });
    let (harness, rows) = exported(settings, options).await;
    assert_eq!(rows.len(), 2500);
    assert!(rows.iter().all(|row| row["agents"][0]["name"].is_string()));
    let requests = harness.simulator.stats().requests;
    let pages = requests["GET /api/v2/analytics/conversations/details/jobs/{id}/results"];
    // Three pages, of which those with ids not met before are read twice.
    assert!((3..=6).contains(&pages), "{pages}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_format_of_ones_choice_is_downloaded_for_each_recording() {
    let (harness, rows) = exported(
        Settings {
            conversations: 100,
            transcode_time: Duration::from_secs(10),
            ..settings()
        },
        json!({ "format": "mp3", "channels": "split" }),
    )
    .await;
    let audio = rows
        .iter()
        .filter_map(|row| row["content_type"].as_str())
        .filter(|kind| kind.starts_with("audio/"));
    assert_eq!(audio.collect::<BTreeSet<_>>(), ["audio/mpeg"].into());
    let organization = harness.organization();
    for conversation in (0..100).map(|index| organization.conversation(index)) {
        for recording in &conversation.recordings {
            let stored = rows
                .iter()
                .filter(|row| row["recording_id"] == *recording.id);
            assert_eq!(stored.count() > 0, recording.state == State::Available);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_the_metadata_of_recordings_stand_in_the_rows() {
    let (harness, rows) = exported(
        Settings {
            nameless: true,
            conversations: 150,
            ..settings()
        },
        json!({ "names": true, "recording_metadata": true }),
    )
    .await;
    let organization = harness.organization();
    let mut seen = 0;
    for row in &rows {
        let id = row["conversation_id"].as_str().unwrap();
        let conversation = organization.find(id).unwrap();
        let name = organization.agent_name(conversation.agents[0]);
        assert_eq!(row["agents"][0]["name"], name);
        assert_eq!(
            row["queues"][0]["name"],
            organization.queue_name(conversation.queue)
        );
        let code = organization.wrap_up_name(conversation.wrap_up_code);
        assert_eq!(row["wrap_up_codes"][0]["name"], code);
        let division = organization.division_name(conversation.division);
        assert_eq!(row["division_names"], json!([division]));
        assert_ne!(row["divisions"], row["division_names"]);
        let attributes = &row["attributes"];
        match row["recording_id"].as_str() {
            Some(recording) => {
                assert_eq!(
                    attributes["recording.file_state"], "AVAILABLE",
                    "{recording}"
                );
                let agent = organization.agent_id(conversation.agents[0]);
                let agents = attributes["recording.agent_ids"].as_str().unwrap();
                assert!(agents.contains(&agent));
                seen += 1;
            }
            None => {
                // Of several recordings there is a list, in the order of their ids; names have none.
                let text = |name: &str| attributes[name].as_str().unwrap_or_default().to_owned();
                let several = |text: String| -> Vec<String> {
                    serde_json::from_str(&text).unwrap_or_else(|_| vec![text])
                };
                let mut ids: Vec<&str> =
                    conversation.recordings.iter().map(|one| &*one.id).collect();
                ids.sort_unstable();
                if !ids.is_empty() {
                    assert_eq!(several(text("recording.ids")), ids, "{attributes}");
                    let states = several(text("recording.file_state"));
                    assert_eq!(states.len(), ids.len(), "{attributes}");
                }
            }
        }
    }
    assert!(seen > 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_worthless_after_a_rest_is_replaced_in_mid_run() {
    let settings = Settings {
        idle_timeout: Some(Duration::from_secs(8)),
        job_time: Duration::from_secs(60),
        conversations: 60,
        ..settings()
    };
    let harness = Harness::fast(settings, 40.0).await;
    let mut config = harness.config();
    // Polls further apart than the token lives.
    config["sources"]["calls"]["options"]["poll_seconds"] = json!(20);
    let summary = export(config).await;
    assert_eq!(summary.conversations, 60);
    let stats = harness.simulator.stats();
    assert!(stats.requests["POST login /oauth/token"] > 1);
    assert!(stats.reasons.iter().all(|reason| reason.contains("401")));
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_beyond_those_that_the_vendor_lists_are_named_or_warned_of() {
    let settings = Settings {
        conversations: 3,
        orphans: 600,
        rate_limit: 30_000,
        ..Settings::default()
    };
    let harness = Harness::fast(settings, 200.0).await;
    let mut config = harness.config();
    let options = &mut config["sources"]["calls"]["options"];
    options["export_orphans"] = json!(true);
    options["mode"] = json!("metadata_only");
    let path = harness.write(&config).display().to_string();
    let ran = harness
        .run_program(&["run", "--json", "--config", &path])
        .await;
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(said.contains("lists no more than 500"), "{said}");
    let summary: Value = serde_json::from_slice(&ran.stdout).unwrap();
    // 500 are listed, and of the other hundred the third whose conversation is known.
    let conversations = &summary["sources"]["calls"]["conversations"];
    assert_eq!(*conversations, 3 + 500 + 33, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_conversations_that_a_recording_belongs_to_besides_are_in_its_row() {
    let options = json!({ "format": "wav" });
    let settings = Settings {
        conversations: 60,
        transcode_time: Duration::from_secs(5),
        ..settings()
    };
    let (harness, rows) = exported(settings, options).await;
    let mut legs = 0;
    for row in &rows {
        let told = &row["attributes"]["recording.associated_conversation_ids"];
        let id = row["conversation_id"].as_str().unwrap();
        let conversation = harness.organization().find(id).unwrap();
        let recordings = conversation.recordings.iter();
        let leg = recordings
            .filter(|one| one.number > 0 && one.id == row["recording_id"])
            .any(|one| one.kind.content_type().starts_with("audio/"));
        legs += u64::from(leg);
        let own = told
            .as_str()
            .is_some_and(|ids| ids.split(',').any(|one| one == id));
        assert_eq!(own, leg, "{row}");
    }
    assert!(legs > 0);
}
