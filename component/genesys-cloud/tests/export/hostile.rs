//! The vendor's JSON with values of any type anywhere: each costs its own field, and no conversation.
//!
//! The same mutations each time; `FUZZ_ROUNDS` sets how many.

use recording_source_sdk::Conversation;

use super::{
    lenient::Rows,
    spoil::{SpoilRng, spoil},
    *,
};

/// Rounds unless the environment says otherwise: a few seconds.
const ROUNDS: u64 = 400;
/// Conversations of a round.
const ROWS: usize = 6;

fn row(number: usize) -> Value {
    let id = format!("00000000-0000-4000-8000-{number:012}");
    let at = |minutes: u64| iso(FROM + (10 * 60 + minutes) * 60_000);
    json!({
        "conversationId": id, "conversationStart": at(0), "conversationEnd": at(4),
        "originatingDirection": "inbound", "divisionIds": ["d-1"], "externalTag": "tag",
        "mediaStatsMinConversationMos": 4.1,
        "participants": [
            { "participantId": "pa", "participantName": "Caller", "purpose": "customer",
              "attributes": { "vip": "yes" },
              "sessions": [{ "sessionId": "sa", "mediaType": "voice", "ani": "tel:+15550100",
                "dnis": "tel:+15550199", "direction": "inbound", "recording": true,
                "metrics": [{ "name": "tTalk", "value": 1000, "emitDate": at(1) }],
                "segments": [{ "segmentType": "interact", "queueId": "q-1",
                  "segmentStart": at(0), "segmentEnd": at(4) }] }] },
            { "participantId": "pb", "userId": "u-1", "purpose": "agent",
              "sessions": [{ "sessionId": "sb", "mediaType": "voice", "recording": true,
                "segments": [{ "segmentType": "wrapup", "queueId": "q-1", "wrapUpCode": "w-1",
                  "wrapUpTags": ["t"], "segmentStart": at(4), "segmentEnd": at(5) }] }] },
        ],
    })
}

fn rounds() -> u64 {
    let given = std::env::var("FUZZ_ROUNDS").ok();
    given.map_or(ROUNDS, |text| text.parse().unwrap())
}

fn found(drive: &TestDriver) -> BTreeMap<String, Conversation> {
    let all = drive.conversations.iter();
    all.map(|found| (found.id.clone(), found.clone())).collect()
}

#[test]
fn a_value_of_any_type_anywhere_in_a_row_costs_that_field_alone() {
    let rows: Vec<Value> = (0..ROWS).map(row).collect();
    let sound = found(&Rows::new(rows.clone()).export(OPTIONS));
    assert_eq!(sound.len(), ROWS);
    for round in 0..rounds() {
        let mut rng = SpoilRng(round);
        let mut spoiled = rows.clone();
        let number = rng.below(ROWS);
        let at = spoil(&mut spoiled[number], &mut rng, &["/conversationId"]);
        let drive = Rows::new(spoiled.clone()).export(OPTIONS);
        let all = found(&drive);
        let about = || format!("round {round}, {at}: {}", spoiled[number]);
        assert_eq!(all.len(), ROWS, "{}", about());
        for (id, conversation) in &all {
            let before = &sound[id];
            if !id.ends_with(&format!("{number:012}")) {
                let (now, before) = (format!("{conversation:?}"), format!("{before:?}"));
                assert_eq!(now, before, "{}", about());
                continue;
            }
            // What does not come from the spoiled field is as it was.
            if at.starts_with("/participants") {
                assert_eq!(conversation.start, before.start, "{}", about());
                assert_eq!(conversation.end, before.end, "{}", about());
                assert_eq!(conversation.divisions, before.divisions, "{}", about());
            } else {
                assert_eq!(conversation.ani, before.ani, "{}", about());
                assert_eq!(conversation.agents, before.agents, "{}", about());
                assert_eq!(conversation.queues, before.queues, "{}", about());
            }
        }
        let outcomes: BTreeSet<&str> = drive
            .outcomes
            .iter()
            .map(|outcome| outcome.conversation.as_str())
            .collect();
        assert_eq!(outcomes.len(), ROWS, "{}", about());
    }
}

#[test]
fn a_value_of_any_type_anywhere_in_a_result_of_a_job_loses_no_recording_of_another() {
    let rows: Vec<Value> = (0..ROWS).map(row).collect();
    for round in 0..rounds() {
        let mut vendor = Rows::new(rows.clone());
        let mut place = String::new();
        let mut drive = start(OPTIONS, days(1));
        let ended = drive.run::<GenesysCloud>(|request, _| {
            let mut answer = vendor.answer(request);
            if let (Ok(response), true) = (&mut answer, request.url.contains("job-")) {
                let mut state: Value = serde_json::from_slice(&response.body).unwrap();
                let results = state["results"].as_array_mut().unwrap();
                let of_first =
                    |result: &&mut Value| result["conversationId"] == rows[0]["conversationId"];
                if let Some(result) = results.iter_mut().find(of_first) {
                    place = spoil(result, &mut SpoilRng(round), &[]);
                }
                response.body = state.to_string().into_bytes();
            }
            answer
        });
        ended.unwrap_or_else(|error| panic!("round {round}, {place}: {error:?}"));
        let mut outcomes: Vec<&str> = drive
            .outcomes
            .iter()
            .map(|outcome| outcome.conversation.as_str())
            .collect();
        outcomes.sort_unstable();
        outcomes.dedup();
        assert_eq!(outcomes.len(), ROWS, "round {round}, {place}");
        let with: BTreeSet<&str> = drive
            .artifacts
            .iter()
            .filter_map(|artifact| match &artifact.key {
                ArtifactKey::Recording(key) => Some(key.conversation.as_str()),
                ArtifactKey::Bundle(_) => None,
            })
            .collect();
        for other in &rows[1..] {
            let other = other["conversationId"].as_str().unwrap();
            assert!(
                with.contains(other),
                "round {round}, {place}: {other} {:?}",
                drive.notes
            );
        }
    }
}
