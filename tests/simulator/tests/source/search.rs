//! Every way of searching finds the same conversations.

use std::{collections::BTreeMap, time::Duration};

use genesys_simulator::{Faults, Settings, State};
use recording_source_sdk::{Conversation, Method, OutcomeResult, SourceError, TestDriver, Update};
use serde_json::{Value, json};

use crate::drive::{Harness, fast};

const DETAILS: &str = "analytics/conversations/details";

fn months() -> Settings {
    Settings {
        days: 60,
        conversations: 1500,
        ..fast()
    }
}

/// Conversations by id, without the attributes that jobs alone contain.
fn found(drive: &TestDriver) -> BTreeMap<String, Conversation> {
    let known = ["talk_ms", "outbound_campaign_ids"];
    let bare = drive.conversations.iter().cloned().map(|mut one| {
        one.attributes
            .retain(|(name, _)| known.contains(&name.as_str()));
        (one.id.clone(), one)
    });
    bare.collect()
}

/// How many conversations the source says that the vendor counts.
fn counted(drive: &TestDriver) -> u64 {
    let counts = drive.updates.iter().map(|update| match update {
        Update::Count(counted) => counted.conversations,
        _ => 0,
    });
    counts.sum()
}

/// Queries that search, and do not just count.
fn searched_by_query(center: &Harness) -> usize {
    let queries = center.traffic.iter().filter(|one| {
        let body = one.request.body.as_deref().unwrap_or_default();
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        one.path().ends_with("/query") && body["paging"]["pageSize"] != 1
    });
    queries.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_ends_is_found_by_any_way_and_its_recordings_are_had() {
    let settings = Settings {
        never_ended: 0.1,
        ..months()
    };
    let mut all = Vec::new();
    for search in ["query", "job"] {
        let mut center = Harness::start(settings.clone()).await;
        let drive = center
            .export(json!({ "search": search, "batch_size": 100 }))
            .unwrap();
        let organization = center.organization();
        assert_eq!(
            (found(&drive).len(), counted(&drive)),
            (1500, 1500),
            "{search}"
        );
        let mut open = 0;
        for one in found(&drive).values() {
            let truth = organization.find(&one.id).unwrap();
            assert_eq!(one.end.is_none(), truth.never_ends, "{search}");
            open += u32::from(truth.never_ends);
        }
        assert!((100..200).contains(&open), "{open}");
        assert_eq!(drive.outcomes.len(), 1500);
        all.push(found(&drive));
    }
    assert_eq!(all[0], all[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_and_the_query_find_the_same_and_jobs_take_fewer_calls() {
    let mut by_query = Harness::start(months()).await;
    let queried = by_query
        .export(json!({ "names": false, "search": "query", "mode": "metadata_only" }))
        .unwrap();
    let mut by_job = Harness::start(months()).await;
    let searched = by_job
        .export(json!({ "names": false, "mode": "metadata_only" }))
        .unwrap();
    assert_eq!(found(&queried).len(), 1500);
    assert_eq!(found(&queried), found(&searched));
    assert_eq!(searched.conversations.len(), 1500, "nothing comes twice");

    // 60 days are two jobs, each of one page: availability, and two submissions and pages.
    let polls = by_job.asked(Method::Get, &format!("{DETAILS}/jobs/"));
    assert_eq!(by_job.asked(Method::Post, &format!("{DETAILS}/jobs")), 2);
    // Each job is compared with what the query counts, in one request.
    assert_eq!(by_job.asked(Method::Post, &format!("{DETAILS}/query")), 2);
    assert_eq!(searched_by_query(&by_job), 0);
    assert!(polls <= 1 + 2 * 4, "{polls}");
    assert!(by_query.traffic.len() >= 60);
    assert!(by_job.traffic.len() <= 13);
    // Either way yields the same number for the same days.
    assert_eq!((counted(&queried), counted(&searched)), (1500, 1500));

    let of_customer = |one: &Conversation| {
        let names = one.attributes.iter().map(|(name, _)| name.as_str());
        names.filter(|name| name.ends_with(".tier")).count()
    };
    assert!(
        searched
            .conversations
            .iter()
            .all(|one| of_customer(one) == 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_younger_than_the_data_of_jobs_is_queried_and_nothing_is_lost_between() {
    let settings = Settings {
        // Long ones, so that some continue when the data of jobs end.
        mean_call: Duration::from_secs(40_000),
        clock_start: Some("2026-02-20T12:00:00Z".parse().unwrap()),
        speed: 2000.0,
        ..months()
    };
    let mut by_query = Harness::start(settings.clone()).await;
    let mut by_job = Harness::start(settings).await;
    let queried = by_query
        .export(json!({ "search": "query", "mode": "metadata_only" }))
        .unwrap();
    let searched = by_job.export(json!({ "mode": "metadata_only" })).unwrap();
    let (queried, searched) = (found(&queried), found(&searched));
    // The two clocks do not stand at the same instant: what has just ended may be in one alone.
    let edge = "2026-02-20T00:00:00Z".parse::<jiff::Timestamp>().unwrap();
    let settled = |all: &BTreeMap<String, Conversation>| -> Vec<Conversation> {
        let settled = all.values().cloned();
        settled
            .filter(|one| {
                one.end
                    .is_some_and(|end| end < edge.as_millisecond() as u64)
            })
            .collect()
    };
    assert_eq!(settled(&queried), settled(&searched));
    assert!(settled(&queried).len() > 1000);
    assert!(by_job.asked(Method::Get, &format!("{DETAILS}?id=")) > 0);
    assert!(by_job.asked(Method::Post, &format!("{DETAILS}/query")) > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn short_ranges_are_queried_unless_jobs_are_asked_for() {
    let week = Settings {
        days: 7,
        conversations: 100,
        ..fast()
    };
    let mut center = Harness::start(week.clone()).await;
    center.export(json!({ "mode": "metadata_only" })).unwrap();
    assert_eq!(center.asked(Method::Get, &format!("{DETAILS}/jobs")), 0);
    let mut center = Harness::start(week).await;
    let drive = center
        .export(json!({ "search": "job", "mode": "metadata_only" }))
        .unwrap();
    assert_eq!(drive.conversations.len(), 100);
    assert_eq!(searched_by_query(&center), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_come_to_nothing_are_submitted_again_and_in_the_end_the_query_is_asked() {
    for fault in ["failed_search", "expired_search", "lost_search"] {
        let settings = |rate: &str| Settings {
            faults: Faults::parse(&format!("{fault}={rate}")).unwrap(),
            ..months()
        };
        let mut center = Harness::start(settings("0.4")).await;
        let drive = center
            .export(json!({ "mode": "metadata_only", "job_attempts": 50 }))
            .unwrap();
        assert_eq!(found(&drive).len(), 1500, "{fault}");
        assert!(center.asked(Method::Post, &format!("{DETAILS}/jobs")) >= 2);
        assert_eq!(searched_by_query(&center), 0);

        let mut center = Harness::start(settings("1")).await;
        let drive = center.export(json!({ "mode": "metadata_only" })).unwrap();
        assert_eq!(found(&drive).len(), 1500, "{fault}");
        assert_eq!(center.asked(Method::Post, &format!("{DETAILS}/jobs")), 6);
        assert!(
            drive
                .notes
                .iter()
                .any(|note| note.text.contains("the query is used"))
        );

        let mut center = Harness::start(settings("1")).await;
        let error = center.export(json!({ "search": "job" })).unwrap_err();
        assert!(matches!(error, SourceError::Permanent(text) if text.contains("search: auto")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_does_not_end_is_cancelled_before_it_is_submitted_again() {
    let mut center = Harness::start(Settings {
        analytics_job_time: Duration::from_secs(1 << 40),
        jobs_at_once: 2,
        conversations: 100,
        ..months()
    })
    .await;
    let drive = center.export(json!({ "mode": "metadata_only" })).unwrap();
    assert_eq!(drive.conversations.len(), 100);
    let submitted = center.asked(Method::Post, &format!("{DETAILS}/jobs"));
    assert_eq!(
        center.asked(Method::Delete, &format!("{DETAILS}/jobs/")),
        submitted
    );
    assert!(center.traffic.iter().all(|one| one.response.status < 300));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_retention_search_finds_every_conversation_with_a_kept_recording() {
    let mut center = Harness::start(months()).await;
    let drive = center.export(json!({ "search": "retention" })).unwrap();
    let organization = center.organization();
    let all = (0..organization.conversations()).map(|index| organization.conversation(index));
    let kept = all.filter(|one| one.recordings.iter().any(|r| r.state != State::Deleted));
    let kept: Vec<String> = kept.map(|one| one.id).collect();
    let found = found(&drive);
    assert_eq!(found.len(), kept.len());
    assert!(kept.iter().all(|id| found.contains_key(id)));
    let none = drive
        .outcomes
        .iter()
        .filter(|outcome| matches!(outcome.result, OutcomeResult::NoRecording));
    assert_eq!(none.count(), 0);
    // 500 to a page, and their conversations a hundred at a time.
    assert!(center.asked(Method::Get, "recordings/retention/query") <= 4);
    assert!(center.asked(Method::Get, &format!("{DETAILS}?id=")) <= 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn fewer_ids_at_once_are_asked_for_if_the_vendor_takes_fewer() {
    let mut center = Harness::start(Settings {
        max_ids: 30,
        conversations: 200,
        ..fast()
    })
    .await;
    let drive = center.export(json!({ "search": "retention" })).unwrap();
    let organization = center.organization();
    let all = (0..200).map(|index| organization.conversation(index));
    let kept = all.filter(|one| one.recordings.iter().any(|r| r.state != State::Deleted));
    assert_eq!(found(&drive).len(), kept.count());
    let refused = center
        .traffic
        .iter()
        .filter(|one| one.response.status == 400);
    assert_eq!(refused.count(), 2, "100 and 50");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_looked_up_in_bulk_and_once_and_stay_out_of_states() {
    let settings = Settings {
        nameless: true,
        conversations: 800,
        ..fast()
    };
    for options in [
        json!({}),
        json!({ "search": "job" }),
        json!({ "search": "retention" }),
    ] {
        let mut center = Harness::start(settings.clone()).await;
        let mut options = options;
        options["names"] = json!(true);
        options["parallelism"] = json!(1);
        let drive = center.export(options.clone()).unwrap();
        let organization = center.organization();
        let mut names = BTreeMap::new();
        for update in &drive.updates {
            if let Update::Name(named) = update {
                assert_eq!(
                    names.insert(named.id.clone(), named.name.clone()),
                    None,
                    "asked twice"
                );
            }
        }
        for found in &drive.conversations {
            let conversation = organization.find(&found.id).unwrap();
            for (party, agent) in found.agents.iter().zip(&conversation.agents) {
                assert_eq!(names[&party.id], organization.agent_name(*agent));
            }
            assert_eq!(
                names[&found.queues[0].id],
                organization.queue_name(conversation.queue)
            );
            assert_eq!(
                names[&found.wrap_up_codes[0].id],
                organization.wrap_up_name(conversation.wrap_up_code)
            );
        }
        // Every kind a few times, until all ids have been met; the page before is read twice.
        let lookups = center.asked(Method::Get, "users")
            + center.asked(Method::Get, "routing/queues")
            + center.asked(Method::Get, "routing/wrapupcodes");
        assert!((3..=12).contains(&lookups), "{lookups}: {options}");
        for split in &drive.done {
            let state = String::from_utf8(split.state.data.clone()).unwrap();
            assert!(
                !state.contains("Okafor") && !state.contains("tel:+1"),
                "{state}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_are_counted_and_told() {
    let settings = Settings {
        orphans: 250,
        conversations: 10,
        ..fast()
    };
    let mut center = Harness::start(settings).await;
    let drive = center.export(json!({ "orphans": true })).unwrap();
    assert!(
        drive
            .notes
            .iter()
            .any(|note| note.text.starts_with("250 recordings"))
    );
    assert_eq!(center.asked(Method::Get, "orphanrecordings"), 3);
    assert_eq!(drive.conversations.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_are_handed_over_on_request_and_what_cannot_be_had_is_named() {
    for options in [
        json!({ "export_orphans": true }),
        json!({ "export_orphans": true, "format": "wav", "channels": "split" }),
        // An orphan that is archived cannot be restored by the call for conversations.
        json!({ "export_orphans": true, "restore_days": 3 }),
    ] {
        let settings = Settings {
            orphans: 30,
            conversations: 10,
            archived: 0.0,
            ..fast()
        };
        let mut center = Harness::start(settings).await;
        let drive = center.export(options.clone()).unwrap();
        let is_orphan = |id: &str| id.starts_with("orphan-");
        let found = drive.conversations.iter();
        assert_eq!(found.filter(|one| is_orphan(&one.id)).count(), 30);
        assert_eq!(drive.conversations.len(), 40);
        let outcomes = drive.outcomes.iter();
        let of_orphans = outcomes.filter(|one| is_orphan(&one.conversation));
        let archived = of_orphans
            .clone()
            .filter(|one| match &one.result {
                OutcomeResult::Failed(failure) => failure.code == "archived",
                OutcomeResult::HandedOver(handed) => {
                    assert!(handed.missing.is_empty());
                    false
                }
                other => panic!("{other:?}"),
            })
            .count();
        assert_eq!((of_orphans.count(), archived), (30, 3), "{options}");
        assert_eq!(center.asked(Method::Put, "conversations"), 0);
        assert!(drive.notes.is_empty(), "{:?}", drive.notes);
    }
    // Metadata alone: no media are requested.
    let mut center = Harness::start(Settings {
        orphans: 5,
        conversations: 1,
        ..fast()
    })
    .await;
    let drive = center
        .export(json!({ "export_orphans": true, "mode": "metadata_only" }))
        .unwrap();
    assert_eq!(drive.outcomes.len(), 6);
    assert!(drive.artifacts.is_empty());
    assert_eq!(center.asked(Method::Get, "orphanrecordings"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_some_divisions_finds_only_theirs_by_any_way() {
    let settings = Settings {
        divisions: Some(vec![1]),
        ..months()
    };
    let mut counts = Vec::new();
    for search in ["query", "job"] {
        let mut center = Harness::start(settings.clone()).await;
        let drive = center
            .export(json!({ "search": search, "mode": "metadata_only" }))
            .unwrap();
        let organization = center.organization();
        let all = (0..1500).map(|index| organization.conversation(index));
        let theirs = all.filter(|one| one.division == 1).count();
        assert_eq!(found(&drive).len(), theirs);
        counts.push(drive.conversations.len());
    }
    assert_eq!(counts[0], counts[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_lacks_is_named() {
    for (permission, options) in [
        ("routing:queue:view", json!({ "names": true })),
        (
            "analytics:conversationDetail:view",
            json!({ "search": "job" }),
        ),
        ("recording:orphan:view", json!({ "orphans": true })),
        ("recording:orphan:view", json!({ "export_orphans": true })),
    ] {
        let mut center = Harness::start(Settings {
            conversations: 50,
            denied: vec![permission.to_owned()],
            ..fast()
        })
        .await;
        let error = center.export(options).unwrap_err();
        assert!(
            matches!(&error, SourceError::Forbidden(text) if text.contains(permission)),
            "{error:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_jobs_at_once_is_told_with_its_key() {
    let settings = Settings {
        jobs_at_once: 0,
        ..months()
    };
    let mut center = Harness::start(settings).await;
    let error = center.export(json!({ "search": "job" })).unwrap_err();
    assert!(matches!(error, SourceError::Transient(_)), "{error:?}");
    let refused = center.traffic.last().unwrap();
    let body: Value = refused.answered();
    assert_eq!(refused.response.status, 429);
    assert_eq!(refused.response.header("retry-after"), Some("5"));
    assert_eq!(
        body["limit"],
        json!({ "key": "details.jobs.concurrent.access.max", "namespace": "analytics", "value": 0 })
    );
}
