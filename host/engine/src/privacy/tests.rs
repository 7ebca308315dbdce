use super::*;
use recording_host_model::{
    Conversation, Direction, Failure, Named, Next, Reported, ReportedOutcome, SplitState, Step,
    Update,
};

const KEY: &str = "3q2+7wABCDEFGHIJKLMNOPQRSTUVWXYZ0123";

fn fields(pseudonymise: &[&str], drop: &[&str]) -> PrivacyFields {
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    PrivacyFields {
        pseudonymise: list(pseudonymise),
        drop: list(drop),
    }
}

fn privacy(pseudonymise: &[&str], drop: &[&str]) -> Privacy {
    Privacy::new(&fields(pseudonymise, drop), Some(KEY.into())).unwrap()
}

fn party(id: &str, name: Option<&str>) -> Party {
    Party {
        id: id.to_owned(),
        name: name.map(str::to_owned),
    }
}

fn conversation() -> Conversation {
    Conversation {
        id: "c".to_owned(),
        start: 1,
        end: None,
        direction: Some(Direction::Inbound),
        ani: Some("tel:+15550100199".into()),
        dnis: Some("+1 555 010 0199".into()),
        agents: vec![party("u1", Some("Ann")), party("u2", Some("Bob"))],
        queues: vec![party("Ann", Some("Ann"))],
        wrap_up_codes: vec![],
        tags: vec!["Ann".into(), "vip".into()],
        divisions: vec!["d".into()],
        media_types: vec!["voice".into()],
        recorded: true,
        attributes: [("customer_id", "7"), ("talk_ms", "10"), ("note", "x")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        revision: None,
    }
}

fn treated(privacy: &Privacy) -> Conversation {
    let mut conversation = conversation();
    privacy.conversation(&mut conversation);
    conversation
}

#[test]
fn nothing_is_changed_that_is_not_named() {
    assert_eq!(treated(&Privacy::default()), conversation());
    let only = treated(&privacy(&["dnis"], &[]));
    let expected = Conversation {
        dnis: only.dnis.clone(),
        ..conversation()
    };
    assert_ne!(only.dnis, conversation().dnis);
    assert_eq!(only, expected);
}

#[test]
fn a_number_is_the_same_in_both_directions_and_a_name_differs_from_field_to_field() {
    let reported = treated(&privacy(&["ani", "dnis", "agents", "queues", "tags"], &[]));
    assert_eq!(reported.ani, reported.dnis);
    let ann = reported.agents[0].name.clone().unwrap();
    assert!(ann.starts_with("p_") && ann.len() == 34, "{ann}");
    let Party { id: queue, name } = reported.queues[0].clone();
    let all = [ann, queue, name.unwrap(), reported.tags[0].clone()];
    let different: BTreeSet<&String> = all.iter().collect();
    assert_eq!(different.len(), 4, "{all:?}");
    assert_eq!(
        reported,
        treated(&privacy(&["ani", "dnis", "agents", "queues", "tags"], &[]))
    );
}

#[test]
fn what_is_named_itself_goes_before_its_group() {
    let chosen = privacy(
        &["attributes.customer_id", "agents.id"],
        &["attributes.*", "agents", "tags", "queues.id"],
    );
    let reported = treated(&chosen);
    assert_eq!(reported.attributes.len(), 1);
    assert!(
        reported.attributes[0].0 == "customer_id" && reported.attributes[0].1.starts_with("p_")
    );
    assert!(
        reported
            .agents
            .iter()
            .all(|party| party.id.starts_with("p_") && party.name.is_none())
    );
    let mut recording = vec![("note".to_owned(), "y".to_owned())];
    chosen.pairs(&mut recording);
    assert!(recording.is_empty());
    assert!(reported.tags.is_empty());
    assert_eq!(reported.queues, [party("", Some("Ann"))]);
    assert!(treated(&privacy(&[], &["agents"])).agents.is_empty());
}

#[test]
fn a_reason_that_is_dropped_leaves_its_code() {
    let reported = |privacy| {
        let failure = Failure {
            code: "deleted".into(),
            message: "Ann deleted it".into(),
            retryable: false,
        };
        let step = Step {
            outcomes: vec![ReportedOutcome {
                conversation: "c".into(),
                result: Reported::Failed(failure),
            }],
            ..empty()
        };
        let step = Intake::new(privacy).step(step);
        match step.outcomes.into_iter().next().unwrap().result {
            Reported::Failed(failure) => (failure.code, failure.message),
            other => panic!("{other:?}"),
        }
    };
    let deleted = "deleted".to_owned();
    assert_eq!(
        reported(privacy(&["ani"], &[])),
        (deleted.clone(), "Ann deleted it".to_owned())
    );
    assert_eq!(
        reported(privacy(&[], &["reason"])),
        (deleted, String::new())
    );
}

/// A step of which nothing comes.
fn empty() -> Step {
    Step::from(Next::Done(SplitState {
        version: 1,
        data: Vec::new(),
    }))
}

#[test]
fn a_name_told_before_is_treated_as_one_that_comes_with_its_party_and_is_kept_nowhere_else() {
    let named = |privacy| {
        let mut found = conversation();
        found.agents = vec![party("u1", None)];
        let step = Step {
            conversations: vec![found],
            updates: vec![Update::Name(Named {
                id: "u1".into(),
                name: "Ann".into(),
            })],
            ..empty()
        };
        Intake::new(privacy).step(step)
    };
    let hidden = privacy(&["agents.name"], &[]);
    let step = named(hidden.clone());
    let expected = hidden.value("agents.name", "Ann".to_owned());
    assert!(step.updates.is_empty());
    assert_eq!(
        step.conversations[0].agents,
        [party("u1", expected.as_deref())]
    );
    // Beside a pseudonym, the name would tell whose it is; whoever wants it there names no id.
    let hidden = privacy(&["agents.id"], &[]);
    let step = named(hidden.clone());
    let expected = hidden.value("agents.id", "u1".to_owned()).unwrap();
    assert!(step.updates.is_empty());
    assert_eq!(step.conversations[0].agents, [party(&expected, None)]);
    // What is known to be a division's is written down, unless that is hidden.
    let of_division = |dropped: &[&str]| {
        let step = Step {
            conversations: vec![conversation()],
            updates: vec![Update::Name(Named {
                id: "d".into(),
                name: "Home".into(),
            })],
            ..empty()
        };
        let step = Intake::new(privacy(&["agents.id"], dropped)).step(step);
        step.updates.len()
    };
    assert_eq!((of_division(&[]), of_division(&["divisions"])), (1, 0));
    // Where all that has names is kept as it is, the queue gives them their names.
    let step = named(privacy(&["ani"], &[]));
    assert_eq!(step.updates.len(), 1);
    assert_eq!(step.conversations[0].agents, [party("u1", None)]);
}

#[test]
fn each_mistake_is_named_by_its_key() {
    let wrong = |fields: PrivacyFields, key: Option<&str>| {
        let key = key.map(|key| SecretString::from(key.to_owned()));
        Privacy::new(&fields, key).unwrap_err().to_string()
    };
    let error = wrong(fields(&["anni"], &[]), Some(KEY));
    assert!(
        error.starts_with("pseudonymise: `anni` is not known; use ani, dnis, agents"),
        "{error}"
    );
    for name in [
        "direction",
        "agents.email",
        "attributes.",
        "conversation_id",
    ] {
        let error = wrong(fields(&[], &[name]), Some(KEY));
        assert!(
            error.starts_with(&format!("drop: `{name}` is not known")),
            "{error}"
        );
    }
    let error = wrong(fields(&["ani"], &["ani"]), Some(KEY));
    assert!(error.contains("`ani` is named twice"), "{error}");
    let error = wrong(fields(&["reason"], &[]), Some(KEY));
    assert!(error.contains("can only be dropped"), "{error}");
    let error = wrong(fields(&["ani"], &[]), None);
    assert!(error.starts_with("key: missing"), "{error}");
    for weak in ["short", &"a".repeat(64), "passwordpasswordpasswordpassword"] {
        let error = wrong(fields(&["ani"], &[]), Some(weak));
        assert!(error.starts_with("key: it could be guessed"), "{error}");
        assert!(!error.contains(weak), "{error}");
    }
}

#[test]
fn other_keys_and_other_fields_have_other_fingerprints_and_no_key_is_shown() {
    let one = privacy(&["ani"], &["tags"]);
    assert_eq!(Privacy::default().fingerprint(), "");
    assert_eq!(
        one.fingerprint(),
        privacy(&["ani"], &["tags"]).fingerprint()
    );
    let other_key = Some(SecretString::from(KEY.to_lowercase()));
    let other_key = Privacy::new(&fields(&["ani"], &["tags"]), other_key).unwrap();
    for other in [
        other_key,
        privacy(&["ani"], &[]),
        privacy(&["ani", "tags"], &[]),
    ] {
        assert_ne!(other.fingerprint(), one.fingerprint());
    }
    assert!(!format!("{one:?}").contains(KEY));
}

#[test]
fn what_an_index_tells_is_treated_as_the_columns_that_it_fills() {
    let reported = || {
        let known = |meaning, name: &str, value: &str| (meaning, name.to_owned(), value.to_owned());
        let others = [("userIds", r#"["u1","u2"]"#), ("note", "x")];
        Arc::new(IndexMetadata {
            known: vec![
                known(IndexColumn::Ani, "from", "sip:+15550100199@host"),
                known(IndexColumn::AgentName, "agent", "Ann"),
                known(IndexColumn::Tag, "tags", "vip"),
                known(IndexColumn::Dnis, "to", "+15550100100"),
            ],
            others: others
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        })
    };
    let mut same = reported();
    Privacy::default().index_metadata(&mut same);
    assert_eq!(same, reported());
    let privacy = privacy(
        &["ani", "agents"],
        &["tags", "attributes.note", "attributes.to"],
    );
    let mut hidden = reported();
    privacy.index_metadata(&mut hidden);
    let record = treated(&privacy);
    let ids = [&record.agents[0].id, &record.agents[1].id].map(String::as_str);
    let known = |meaning, name: &str, value: Option<&String>| {
        (meaning, name.to_owned(), value.unwrap().clone())
    };
    let dnis = "+15550100100".to_owned();
    assert_eq!(
        hidden.known,
        [
            known(IndexColumn::Ani, "from", record.ani.as_ref()),
            known(
                IndexColumn::AgentName,
                "agent",
                record.agents[0].name.as_ref()
            ),
            // In the column, and never as the attribute that is left out.
            known(IndexColumn::Dnis, "", Some(&dnis)),
        ]
    );
    let others = BTreeMap::from([("userIds".to_owned(), ids.join(","))]);
    assert_eq!(hidden.others, others);
}

#[test]
fn a_note_on_an_object_keeps_its_code_where_sentences_are_dropped() {
    let note = "not-transcoded: it says: stop".to_owned();
    let noted = || Object {
        conversation: String::new(),
        recording: String::new(),
        key: String::new(),
        member: None,
        content_type: String::new(),
        size: 0,
        sha256: String::new(),
        etag: None,
        stored: None,
        note: Some(note.clone()),
        aside: false,
        file: String::new(),
        index_metadata: None,
    };
    let (mut kept, mut cut) = (noted(), noted());
    privacy(&["ani"], &[]).object(&mut kept);
    assert_eq!(kept.note, Some(note.clone()));
    privacy(&[], &["reason"]).object(&mut cut);
    assert_eq!(cut.note.as_deref(), Some("not-transcoded"));
}
