//! From wanted to reported: fetches, and the results of the artifacts that they hand over.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{Failure, NOW, done, step},
    LedgerFixture,
    export::{
        Export, SINKS, START, artifact, delivered, first_split, handed_over, object, outcomes,
        recording, texts,
    },
};
use crate::{FetchFailure, ObjectCopy, SinkLag};
use recording_host_model::{
    ArtifactContents, ArtifactKey, ArtifactResult, ConversationRef, Object, RecordingKey, Step,
};

/// Conversations that are wanted, as a batch says it.
fn wanted(ids: &[&str]) -> Vec<ConversationRef> {
    let wanted = ids.iter().map(|id| ConversationRef {
        id: (*id).to_owned(),
        start: START + 1000,
        recorded: true,
    });
    wanted.collect()
}

/// The name and the conversations, by id, of the next batch of at most 9.
async fn next(export: &Export) -> Result<(String, Vec<ConversationRef>), Failure> {
    let batch = export.reader.next_batch("export", 9, true, NOW).await;
    let (name, mut batch) = export.ok(batch)?.unwrap_or_default();
    batch.sort_by(|one, other| one.id.cmp(&other.id));
    Ok((name, batch))
}

pub(super) async fn begins_with_its_splits(fixture: &dyn LedgerFixture) -> Result<(), Failure> {
    let export = Export::of(fixture, "a fetch begins with its splits");
    export.find_wanted(&["a", "b"]).await?;
    // A batch that is chosen is not begun.
    let mut names = Vec::new();
    for _ in 0..2 {
        let (name, batch) = next(&export).await?;
        export.is("the next batch", batch, wanted(&["a", "b"]))?;
        names.push(name);
        export.counts([2, 0, 0, 0]).await?;
    }
    let name = names[0].clone();
    export.is("its name", &names[1], &name)?;
    let named = name.starts_with("export");
    export.is("a name that begins with the export's", named, true)?;
    let split = export.fetch(&name, &["a"]).await?;
    export.worker.opens(&[(&split, NOW)]).await?;
    export.counts([1, 1, 0, 0]).await?;
    let splits = vec![first_split(&name, "files")];
    let again = export
        .ledger
        .fetch(name.clone(), texts(&["a"]), splits, NOW)
        .await;
    export.same("new splits of a fetch begun twice", again, Vec::new())?;
    export.counts([1, 1, 0, 0]).await?;
    export.worker.opens(&[(&split, NOW)]).await?;
    let (other, batch) = next(&export).await?;
    export.is("the next batch", batch, wanted(&["b"]))?;
    export.is("a name used twice", other == name, false)
}

pub(super) async fn takes_what_is_wanted(fixture: &dyn LedgerFixture) -> Result<(), Failure> {
    let export = Export::of(
        fixture,
        "a batch has what is wanted and due, and no more than asked for",
    );
    let batch = async |most, any, now| {
        let batch = export.reader.next_batch("export", most, any, now).await;
        batch.map(|batch| batch.map(|(_, batch)| batch.len()))
    };
    let due = async || export.reader.next_wanted(true).await;
    export.same("a batch of none", batch(9, true, NOW).await, None)?;
    export.same("the next to be due", due().await, None)?;
    export.find_wanted(&["a", "b", "c"]).await?;
    export.same("a full batch", batch(2, false, NOW).await, Some(2))?;
    export.same("a batch that is not full", batch(9, false, NOW).await, None)?;
    export.same("a batch of any size", batch(9, true, NOW).await, Some(3))?;
    let all = next(&export).await?.1;
    export.is("its conversations", all, wanted(&["a", "b", "c"]))?;
    export.same("a batch that is early", batch(9, true, NOW - 1).await, None)?;
    export.same("the next to be due", due().await, Some(NOW))?;
    export.fetch("fetch-1", &["a", "b", "c"]).await?;
    export.same("a batch of none", batch(9, true, NOW).await, None)
}

pub(super) async fn is_abandoned(fixture: &dyn LedgerFixture) -> Result<(), Failure> {
    let export = Export::of(
        fixture,
        "a fetch that is abandoned is divided, or has failed",
    );
    let failure = |divisible| FetchFailure {
        code: "gone".to_owned(),
        message: "no luck".to_owned(),
        retryable: false,
        divisible,
    };
    let abandon = async |split: &str, divisible| {
        let abandoned = export
            .ledger
            .abandon(split.to_owned(), failure(divisible), NOW);
        abandoned.await
    };
    export.find_wanted(&["a", "b"]).await?;
    let split = export.fetch("fetch-1", &["a", "b"]).await?;
    export.worker.claim(&split, NOW).await?;
    export.same(
        "conversations fetched again",
        abandon(&split, true).await,
        2,
    )?;
    export.counts([2, 0, 0, 0]).await?;
    export.worker.opens(&[]).await?;
    // Whoever held the split holds it no longer.
    let late = Step {
        outcomes: outcomes(&[("a", handed_over())]),
        ..step(&["child"], done("late"))
    };
    export.worker.refused(&split, late, NOW).await?;
    export.counts([2, 0, 0, 0]).await?;
    let half = next(&export).await?.1;
    export.is("half of them", half.len(), 1)?;
    let half: Vec<String> = half.into_iter().map(|one| one.id).collect();
    // Another split of the same fetch may still say what has become of it.
    let splits = vec![
        first_split("fetch-2", "files"),
        first_split("fetch-2/1", "files"),
    ];
    let begun = export
        .ledger
        .fetch("fetch-2".to_owned(), half, splits, NOW)
        .await;
    export.same("new splits", begun, texts(&["fetch-2/0", "fetch-2/1/0"]))?;
    export.same(
        "conversations fetched again",
        abandon("fetch-2/0", false).await,
        0,
    )?;
    export.counts([1, 1, 0, 0]).await?;
    export.same(
        "conversations fetched again",
        abandon("fetch-2/1/0", true).await,
        0,
    )?;
    export.counts([1, 0, 1, 0]).await?;
    let completed = export.complete().await?;
    let lost = BTreeMap::from([("gone".to_owned(), 1)]);
    export.is("losses of what was abandoned", completed.losses, lost)
}

pub(super) async fn results_are_noted_together(fixture: &dyn LedgerFixture) -> Result<(), Failure> {
    let export = Export::of(fixture, "the results of a batch are noted together");
    let reader = &export.reader;
    export.find_wanted(&["a", "b", "c"]).await?;
    let split = export.fetch("fetch-1", &["a", "b", "c"]).await?;
    export.hand_over(&split, &["a", "b", "c"]).await?;
    let sorted = async || {
        let pending = reader.pending(split.clone()).await;
        pending.map(|mut pending| {
            pending.sort_unstable();
            pending
        })
    };
    let keys = ["a", "b", "c"].map(|id| recording(id).to_text()).to_vec();
    export.same("artifacts not delivered", sorted().await, keys.clone())?;
    let undelivered = export.ok(reader.undelivered().await)?;
    let splits: Vec<(&String, usize)> = undelivered
        .iter()
        .map(|(id, keys)| (id, keys.len()))
        .collect();
    export.is("artifacts not delivered", splits, vec![(&split, 3)])?;
    export.is("artifacts under way", export.status().await?.pending, 3)?;
    let lost = ArtifactResult::failed(keys[2].clone(), "broken", "no luck");
    let batch = vec![
        delivered("a", &SINKS, &[]),
        delivered("b", &["lake"], &[]),
        lost,
    ];
    export.ok(export.ledger.delivered(batch).await)?;
    export.same("artifacts not delivered", sorted().await, Vec::new())?;
    export.same(
        "artifacts not delivered",
        reader.undelivered().await,
        BTreeMap::new(),
    )?;
    let status = export.status().await?;
    export.is("artifacts under way", status.pending, 0)?;
    export.is("artifacts delivered", status.progress.artifacts, 2)?;
    for (sink, ids) in [("lake", &["a", "b"][..]), ("nas", &["a"])] {
        for id in ["a", "b", "c"] {
            let has = reader.has_object(sink.to_owned(), object(id).key).await;
            let what = format!("the object of {id} in {sink}");
            export.same(&what, has, ids.contains(&id))?;
        }
    }
    let completed = export.complete().await?;
    export.is("conversations completed", completed.completed, 3)?;
    let lost = BTreeMap::from([("broken".to_owned(), 1)]);
    export.is("losses", completed.losses, lost)
}

/// The artifacts that a sink is owed.
async fn owed(export: &Export, sink: &str) -> Result<BTreeSet<String>, Failure> {
    let backlog = export.ok(export.reader.backlog(texts(&[sink])).await)?;
    Ok(backlog.into_values().flatten().collect())
}

/// The keys of the recordings of conversations.
fn keys(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| recording(id).to_text()).collect()
}

pub(super) async fn artifacts_are_owed_to_sinks(
    fixture: &dyn LedgerFixture,
) -> Result<(), Failure> {
    let export = Export::of(
        fixture,
        "an artifact is owed to a sink until it has it, or it is lost",
    );
    let (ledger, reader) = (&export.ledger, &export.reader);
    let ids = ["a", "b", "c"];
    export.find_wanted(&ids).await?;
    let split = export.fetch("fetch-1", &ids).await?;
    export.hand_over(&split, &ids).await?;
    let batch = vec![
        delivered("a", &["lake"], &["nas"]),
        delivered("b", &["lake"], &["nas"]),
        delivered("c", &[], &["nas"]),
    ];
    export.ok(ledger.delivered(batch).await)?;
    export.is("artifacts owed", owed(&export, "nas").await?, keys(&ids))?;
    export.is("artifacts owed", owed(&export, "lake").await?, keys(&[]))?;
    export.same(
        "artifacts not delivered",
        reader.pending(split).await,
        Vec::new(),
    )?;
    let lag = |artifacts, conversations| SinkLag {
        artifacts,
        conversations,
    };
    let behind = reader
        .stock()
        .await
        .map(|stock| stock.behind.get("nas").copied());
    export.same("how far a sink is behind", behind, Some(lag(3, 0)))?;
    // The others have two of them, and that one alone wants the third.
    export.same(
        "artifacts wait for sinks",
        reader.any_waits_for_sinks().await,
        true,
    )?;
    export.is("completed", export.complete().await?.completed, 2)?;
    let number = export.seal().await?;
    let to_file = BTreeMap::from([(number, texts(&["lake"]))]);
    export.same("segments to be filed", reader.unfiled().await, to_file)?;
    export.same("sinks to file in", reader.filings_left(number).await, 2)?;
    export.deliver(&["a", "c"], &["nas"]).await?;
    export.is("artifacts owed", owed(&export, "nas").await?, keys(&["b"]))?;
    export.same(
        "artifacts wait for sinks",
        reader.any_waits_for_sinks().await,
        false,
    )?;
    export.is("completed", export.complete().await?.completed, 1)?;
    let stored = reader.progress().await.map(|progress| progress.artifacts);
    export.same("artifacts delivered", stored, 3)?;
    is_lost_for_one_sink(&export, number).await
}

/// What a sink that was away is owed is no longer available: it does without, and the others have it.
async fn is_lost_for_one_sink(export: &Export, number: i64) -> Result<(), Failure> {
    let (ledger, reader) = (&export.ledger, &export.reader);
    let key = recording("b").to_text();
    let lost = ArtifactResult::failed(key, "gone", "no luck");
    export.ok(ledger.delivered(vec![lost]).await)?;
    export.is("artifacts owed", owed(export, "nas").await?, keys(&[]))?;
    let conversations = export.sealed_in(number).await?;
    let lost: Vec<_> = conversations.into_iter().map(|of| of.lost_in).collect();
    let gone = vec![("gone".to_owned(), "no luck".to_owned())];
    let expected = vec![BTreeMap::new(), BTreeMap::from([("nas".to_owned(), gone)])];
    export.is("losses by sink", lost, expected)?;
    let left = export
        .ok(reader.unfiled().await)?
        .remove(&number)
        .unwrap_or_default();
    export.is("sinks to file in", left.len(), 2)
}

pub(super) async fn copies_are_found(fixture: &dyn LedgerFixture) -> Result<(), Failure> {
    let export = Export::of(
        fixture,
        "a file of a recording with the bytes of another is a copy",
    );
    export.find_wanted(&["a"]).await?;
    let split = export.fetch("fetch-1", &["a"]).await?;
    let key = ArtifactKey::Recording(RecordingKey {
        conversation: "a".to_owned(),
        recording: "r".to_owned(),
        part: 1,
    });
    let reported = Step {
        artifacts: vec![artifact(recording("a")), artifact(key.clone())],
        ..step(&[], done("end"))
    };
    export.step(&split, reported).await?;
    export.deliver(&["a"], &["lake"]).await?;
    let second = |sha256: String| ArtifactResult {
        artifact: key.to_text(),
        result: Ok(ArtifactContents {
            objects: vec![(
                "lake".to_owned(),
                Object {
                    key: "media/a.1.wav".to_owned(),
                    file: "1/".to_owned(),
                    sha256,
                    ..object("a")
                },
            )],
            ..ArtifactContents::default()
        }),
        took: texts(&["lake"]),
        backlog: Vec::new(),
    };
    let other = second("another".to_owned());
    export.same("copies", export.reader.copies(&[other]).await, Vec::new())?;
    let copy = ObjectCopy {
        at: 0,
        sink: "lake".to_owned(),
        key: "media/a.1.wav".to_owned(),
    };
    let same = second(object("a").sha256);
    export.same("copies", export.reader.copies(&[same]).await, vec![copy])
}
