//! Sinks that lack something, are added, and are gone.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{
    super::{Failure, NOW, done, step},
    LedgerFixture,
    export::{
        DAY, Export, SINKS, artifact, conversation, delivered, object, outcomes, recording, texts,
    },
};
use crate::{Backfilled, KnownSink, hashed};
use recording_host_model::{
    ArtifactContents, ArtifactKey, ArtifactResult, ConversationRecord, Outcome, Reported, Step,
};

/// A filed conversation as another sink has it, brought to those that lack it.
pub(super) fn backfilled(id: &str, record: bool, filled: &[&str]) -> Backfilled {
    let record = record.then(|| ConversationRecord::from(&conversation(id)));
    let objects = filled.iter().map(|sink| ((*sink).to_owned(), object(id)));
    Backfilled {
        conversation: id.to_owned(),
        record,
        outcome: Outcome::Stored,
        extent: None,
        objects: objects.collect(),
        filled: filled.iter().map(|sink| (*sink).to_owned()).collect(),
    }
}

/// Sinks that lack conversations.
fn lackers(of: &[(&str, &str)]) -> BTreeMap<String, BTreeSet<String>> {
    let of = of
        .iter()
        .map(|(id, sink)| ((*id).to_owned(), BTreeSet::from([(*sink).to_owned()])));
    of.collect()
}

fn known(name: &str) -> KnownSink {
    KnownSink {
        name: name.to_owned(),
        identity: format!("identity of {name}"),
        takes: "all".to_owned(),
        marker: Some(format!("marker of {name}")),
        lapsed: false,
    }
}

pub(super) async fn lack_what_is_noted(fixture: &dyn LedgerFixture) -> Result<(), Failure> {
    let export = Export::of(fixture, "what a sink lacks is known until it has it");
    let (ledger, reader) = (&export.ledger, &export.reader);
    let nas = || "nas".to_owned();
    let lacking = async |number| {
        let expected = match number {
            0 => BTreeMap::new(),
            _ => BTreeMap::from([(nas(), number)]),
        };
        export.same("what sinks lack", reader.lacking().await, expected.clone())?;
        let status = export.status().await?.lacking;
        export.is("what sinks lack by the status", status, expected)
    };
    export.file_new("fetch-1", &["a", "b"], false).await?;
    export.find_wanted(&["c"]).await?;
    lacking(0).await?;
    // One is under way, and one is not known.
    let noted = ledger.lacks(nas(), texts(&["a", "c", "x"])).await;
    export.same("conversations noted", noted, 1)?;
    lacking(1).await?;
    let found = reader.lackers(texts(&["a", "b", "c"])).await;
    export.same("who lacks them", found, lackers(&[("a", "nas")]))?;
    let unproven = reader.unproven(nas(), HashSet::new()).await;
    export.same(
        "filed and unproven",
        unproven.map(|of| of.filed),
        texts(&["b"]),
    )?;
    let unproven = reader.unproven(nas(), HashSet::from([hashed("b")])).await;
    export.same(
        "filed and unproven",
        unproven.map(|of| of.filed),
        Vec::new(),
    )?;
    // An earlier attempt proves nothing, and neither does another form.
    for (attempt, further) in [(0, false), (1, true)] {
        let proven = vec![("a".to_owned(), attempt)];
        export.ok(ledger.has(nas(), proven, further).await)?;
        lacking(1).await?;
    }
    let proven = vec![("a".to_owned(), 1)];
    export.ok(ledger.has(nas(), proven, false).await)?;
    lacking(0).await?;
    let found = reader.lackers(texts(&["a", "b", "c"])).await;
    export.same("who lacks them", found, lackers(&[]))
}

pub(super) async fn are_filled(fixture: &dyn LedgerFixture) -> Result<(), Failure> {
    let export = Export::of(fixture, "what a sink lacks is filed in it, and in no other");
    let (ledger, reader) = (&export.ledger, &export.reader);
    export
        .file_new("fetch-1", &["a", "b", "c", "d"], false)
        .await?;
    let noted = ledger
        .lacks("nas".to_owned(), texts(&["a", "b", "c", "d"]))
        .await;
    export.same("conversations noted", noted, 4)?;
    // One is brought to it, one is to be fetched, one it does not take, and of one nothing is known.
    let found = vec![
        backfilled("a", true, &["nas"]),
        backfilled("b", true, &[]),
        backfilled("d", false, &[]),
    ];
    let refused = vec![("c".to_owned(), "nas".to_owned())];
    let filled = ledger.filled(found, refused, NOW).await;
    export.same("conversations to be fetched", filled, 1)?;
    export.counts([1, 0, 1, 2]).await?;
    let found = reader.lackers(texts(&["a", "b", "c", "d"])).await;
    export.same("who lacks them", found, lackers(&[("d", "nas")]))?;
    let number = export.seal().await?;
    let to_file = BTreeMap::from([(number, texts(&["nas"]))]);
    export.same("segments to be filed", reader.unfiled().await, to_file)?;
    let segment = export.ok(reader.segment(number).await)?;
    let conversations = export.sealed_in(number).await?;
    export.is("a segment for some sinks", segment.apart, true)?;
    let attempts: Vec<_> = conversations.iter().map(|of| of.attempt).collect();
    export.is("attempts at what it has had", attempts, vec![2])?;
    export.file(number, "nas", false).await?;
    export.counts([1, 0, 0, 3]).await?;
    // The recording of what is fetched is for that sink alone.
    let split = export.fetch("fetch-2", &["b"]).await?;
    export.worker.claim(&split, NOW).await?;
    let reported = Step {
        artifacts: vec![artifact(recording("b"))],
        outcomes: outcomes(&[("b", super::export::handed_over())]),
        ..step(&[], done("end"))
    };
    let committed = export.worker.queue.commit(split, reported, NOW, 0).await;
    let wanted = export.ok(committed)?.artifacts;
    let wanted = wanted.get(&recording("b").to_text()).cloned().flatten();
    export.is("sinks of its recording", wanted, Some(texts(&["nas"])))?;
    export.deliver(&["b"], &["nas"]).await?;
    export.complete().await?;
    let number = export.seal().await?;
    let filed = export.file(number, "nas", false).await?;
    export.is("every sink has it", filed.everywhere, true)?;
    export.counts([0, 0, 0, 4]).await
}

pub(super) async fn that_are_added_lack_all(fixture: &dyn LedgerFixture) -> Result<(), Failure> {
    let export = Export::of(fixture, "a sink that is added lacks all that others have");
    let (ledger, reader) = (&export.ledger, &export.reader);
    let nas = || "nas".to_owned();
    // One is filed, one sealed, and one stored.
    for (id, fetch) in [("a", "fetch-1"), ("b", "fetch-2"), ("c", "fetch-3")] {
        export.find_wanted(&[id]).await?;
        let split = export.fetch(fetch, &[id]).await?;
        export.hand_over(&split, &[id]).await?;
        export.deliver(&[id], &["lake"]).await?;
        if id != "c" {
            export.complete().await?;
            let sealed = ledger.seal_segments(1, 9, texts(&["lake"])).await;
            export.ok(sealed)?;
        }
        if id == "a" {
            export.file(1, "lake", false).await?;
        }
    }
    export.ok(ledger.lacks_all(nas()).await)?;
    export.same(
        "what sinks lack",
        reader.lacking().await,
        BTreeMap::from([(nas(), 1)]),
    )?;
    let owed = export.ok(reader.backlog(vec![nas()]).await)?;
    let owed: BTreeSet<String> = owed.into_values().flatten().collect();
    let expected = ["b", "c"].map(|id| recording(id).to_text()).into();
    export.is("artifacts owed", owed, expected)?;
    // It is to be filed where it is sealed once the recordings are there.
    export.same("sinks to file in", reader.filings_left(2).await, 2)?;
    let to_file = BTreeMap::from([(2, texts(&["lake"]))]);
    export.same("segments to be filed", reader.unfiled().await, to_file)?;
    export.deliver(&["b", "c"], &["nas"]).await?;
    let left = export
        .ok(reader.unfiled().await)?
        .remove(&2)
        .unwrap_or_default();
    export.is("sinks to file in", left.len(), 2)?;
    // It turns out to have one, and one under a number that is not given again.
    let has = vec![(2, DAY.to_owned()), (41, DAY.to_owned())];
    export.ok(ledger.has_segments(nas(), has).await)?;
    export.same("sinks to file in", reader.filings_left(2).await, 1)?;
    export.same("the last segment", reader.last_segment().await, 41)?;
    export.complete().await?;
    export.is("the last segment", export.seal().await?, 42)?;
    // The receipt of a segment of another day is that of another segment.
    let other = vec![(42, "2020-02-02".to_owned())];
    export.ok(ledger.has_segments(nas(), other).await)?;
    export.same("sinks to file in", reader.filings_left(42).await, 2)
}

pub(super) async fn that_are_gone_are_not_waited_for(
    fixture: &dyn LedgerFixture,
) -> Result<(), Failure> {
    let export = Export::of(fixture, "nothing waits for a sink that is gone");
    let (ledger, reader) = (&export.ledger, &export.reader);
    let sinks = async || {
        let sinks = reader.sinks().await;
        sinks.map(|mut sinks| {
            sinks.sort_by(|one, other| one.name.cmp(&other.name));
            sinks
        })
    };
    export.same("sinks", sinks().await, Vec::new())?;
    for name in ["nas", "lake", "nas"] {
        export.ok(ledger.set_sink(known(name)).await)?;
    }
    let both = vec![known("lake"), known("nas")];
    export.same("sinks", sinks().await, both)?;
    // One waits for its receipt, one for its recording and one for what it lacks; the last sink has
    // never been noted.
    export.file_new("fetch-1", &["a"], false).await?;
    export.find_wanted(&["b"]).await?;
    export.store("fetch-2", &["b"]).await?;
    export.seal().await?;
    export.file(2, "lake", false).await?;
    export.same(
        "conversations noted",
        ledger.lacks("nas".to_owned(), texts(&["a"])).await,
        1,
    )?;
    export.find_wanted(&["c"]).await?;
    let split = export.fetch("fetch-3", &["c"]).await?;
    export.hand_over(&split, &["c"]).await?;
    let owed = delivered("c", &["lake"], &["nas"]);
    export.ok(ledger.delivered(vec![owed]).await)?;
    export.complete().await?;
    let three = texts(&["lake", "nas", "never-noted"]);
    export.ok(ledger.seal_segments(1, 9, three).await)?;
    export.same("sinks to file in", reader.filings_left(3).await, 3)?;
    export.ok(ledger.lapse(texts(&["lake"])).await)?;
    let lapsed = KnownSink {
        lapsed: true,
        ..known("nas")
    };
    export.same("sinks", sinks().await, vec![known("lake"), lapsed])?;
    export.same("what sinks lack", reader.lacking().await, BTreeMap::new())?;
    let owed = reader.backlog(texts(&["nas"])).await;
    export.same("artifacts owed", owed, BTreeMap::new())?;
    let to_file = BTreeMap::from([(3, texts(&["lake"]))]);
    export.same("segments to be filed", reader.unfiled().await, to_file)?;
    export.same("sinks to file in", reader.filings_left(3).await, 1)?;
    // What it alone lacked is filed.
    export.counts([0, 0, 1, 2]).await?;
    let filed = export.file(3, "lake", false).await?;
    export.is("every sink has it", filed.everywhere, true)?;
    export.counts([0, 0, 0, 3]).await?;
    let behind = reader.stock().await.map(|stock| stock.behind);
    export.same("how far sinks are behind", behind, BTreeMap::new())
}

pub(super) async fn hold_what_was_delivered(fixture: &dyn LedgerFixture) -> Result<(), Failure> {
    let export = Export::of(fixture, "what sinks hold is known until a receipt names it");
    let reader = &export.reader;
    let holds = async |stored, filed, any| {
        let what = "sinks hold artifacts, conversations, anything";
        let answers = (
            export.ok(reader.has_stored().await)?,
            export.ok(reader.has_filed().await)?,
            export.ok(reader.has_delivered().await)?,
        );
        export.is(what, answers, (stored, filed, any))
    };
    let not_filed = async || {
        let mut keys = export.ok(reader.not_filed("lake".to_owned()).await)?;
        keys.sort_unstable();
        Ok::<_, Failure>(keys)
    };
    holds(false, false, false).await?;
    export.find_wanted(&["a", "b"]).await?;
    let split = export.fetch("fetch-1", &["a", "b"]).await?;
    let bundle = ArtifactKey::Bundle("bundle".to_owned());
    let inside = Reported::InBundle("bundle".to_owned());
    let reported = Step {
        artifacts: vec![artifact(bundle.clone())],
        outcomes: outcomes(&[("a", inside.clone()), ("b", inside)]),
        ..step(&[], done("end"))
    };
    export.step(&split, reported).await?;
    export.is("completed", export.complete().await?.completed, 0)?;
    holds(false, false, false).await?;
    let objects = ["a", "b"].map(|id| ("lake".to_owned(), object(id)));
    let whole = ArtifactResult {
        artifact: bundle.to_text(),
        result: Ok(ArtifactContents {
            objects: objects.to_vec(),
            ..ArtifactContents::default()
        }),
        took: texts(&SINKS),
        backlog: Vec::new(),
    };
    export.ok(export.ledger.delivered(vec![whole]).await)?;
    holds(true, false, true).await?;
    let keys = ["a", "b"].map(|id| object(id).key).to_vec();
    export.is("objects not filed", not_filed().await?, keys.clone())?;
    export.is("completed", export.complete().await?.completed, 2)?;
    let number = export.seal().await?;
    holds(true, false, true).await?;
    export.file(number, "lake", false).await?;
    export.is("objects not filed", not_filed().await?, keys)?;
    export.file(number, "nas", false).await?;
    holds(false, true, true).await?;
    export.is("objects not filed", not_filed().await?, Vec::new())
}
