//! Names: those of rows, and those that stand in the options.

use std::collections::BTreeSet;

use genesys_simulator::Settings;
use recording_source_sdk::{Level, Method, SourceError, TestDriver, Update};
use serde_json::json;

use crate::drive::{Harness, fast};

fn found(drive: &TestDriver) -> BTreeSet<String> {
    drive
        .conversations
        .iter()
        .map(|one| one.id.clone())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_and_divisions_are_found_by_name_as_by_id_whatever_the_search() {
    let settings = Settings {
        conversations: 300,
        days: 60,
        ..fast()
    };
    for search in ["query", "job"] {
        let mut center = Harness::start(settings.clone()).await;
        let organization = center.organization();
        let some = organization.conversation(0);
        let (queue, division) = (some.queue, some.division);
        let ids = json!({ "search": search, "mode": "metadata_only", "names": false,
            "queues": [organization.queue_id(queue)],
            "divisions": [organization.division_id(division)] });
        let by_id = found(&center.export(ids).unwrap());
        assert!(!by_id.is_empty() && by_id.len() < 100, "{}", by_id.len());
        assert_eq!(center.asked(Method::Get, "authorization/divisions"), 0);
        let names = json!({ "search": search, "mode": "metadata_only", "names": false,
            "queues": [organization.queue_name(queue)],
            "divisions": [organization.division_name(division)] });
        let drive = center.export(names).unwrap();
        assert_eq!(found(&drive), by_id, "{search}");
        assert_eq!(center.asked(Method::Get, "authorization/divisions"), 1);
        assert_eq!(center.asked(Method::Get, "routing/queues?name="), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_in_another_one_is_told_from_it() {
    // The vendor takes the name of a division as a term to search for.
    let settings = Settings {
        conversations: 100,
        ..fast()
    };
    let mut center = Harness::start(settings).await;
    let organization = center.organization();
    let of = |name: &str| json!({ "mode": "metadata_only", "divisions": [name] });
    let north = found(&center.export(of("North")).unwrap());
    let expected: BTreeSet<String> = (0..100)
        .map(|index| organization.conversation(index))
        .filter(|one| organization.division_name(one.division) == "North")
        .map(|one| one.id)
        .collect();
    assert_eq!(north, expected);
    let error = center.export(of("Nort")).unwrap_err();
    let told = matches!(&error, SourceError::Options(error) if error.message.contains("did you mean `North`?"));
    assert!(told, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_may_not_be_looked_up_is_told_with_the_permission() {
    for (permission, options) in [
        ("routing:queue:view", json!({ "queues": ["Sales"] })),
        (
            "authorization:division:view",
            json!({ "divisions": ["Home"] }),
        ),
    ] {
        let settings = Settings {
            conversations: 10,
            denied: vec![permission.to_owned()],
            ..fast()
        };
        let mut center = Harness::start(settings).await;
        let error = center.export(options).unwrap_err();
        let told =
            matches!(&error, SourceError::Options(error) if error.message.contains(permission));
        assert!(told, "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_rows_are_looked_up_by_default_as_far_as_the_client_may() {
    let settings = Settings {
        conversations: 200,
        nameless: true,
        denied: vec!["routing:queue:view".to_owned()],
        ..fast()
    };
    let mut center = Harness::start(settings.clone()).await;
    let drive = center.export(json!({ "parallelism": 1 })).unwrap();
    assert_eq!(drive.conversations.len(), 200);
    let named = |id: &str| {
        let mut updates = drive.updates.iter();
        updates.any(|update| matches!(update, Update::Name(named) if named.id == id))
    };
    for found in &drive.conversations {
        assert!(found.agents.iter().all(|agent| named(&agent.id)));
        assert!(found.wrap_up_codes.iter().all(|code| named(&code.id)));
        assert!(found.queues.iter().all(|queue| !named(&queue.id)));
        assert!(!found.divisions.is_empty());
        assert!(found.divisions.iter().all(|division| named(division)));
    }
    // It is refused once, and then left alone.
    assert_eq!(center.asked(Method::Get, "routing/queues"), 1);
    let warned = drive.notes.iter().filter(|note| note.level == Level::Warn);
    let warned: Vec<&str> = warned.map(|note| note.text.as_str()).collect();
    assert!(
        matches!(warned.as_slice(), [one] if one.contains("routing:queue:view") && one.contains("`names: false`")),
        "{warned:?}"
    );
    // Whoever demands names has an error, and whoever wants none has no request.
    let error = center.export(json!({ "names": true })).unwrap_err();
    assert!(matches!(error, SourceError::Forbidden(_)), "{error:?}");
    let mut center = Harness::start(settings).await;
    center.export(json!({ "names": false })).unwrap();
    for path in [
        "users",
        "routing/queues",
        "routing/wrapupcodes",
        "authorization/divisions",
    ] {
        assert_eq!(center.asked(Method::Get, path), 0, "{path}");
    }
}
