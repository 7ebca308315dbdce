//! What receipts prove, and segments that are filed again.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{
    super::{Failure, NOW},
    LedgerFixture,
    export::{DAY, Export, SINKS, SIZE, conversation, texts},
    sinks::backfilled,
    view::View,
};
use crate::{ReceiptSummary, SupersededSegment, VoidSegment, hashed};
use recording_host_model::Outcome;

/// What receipts prove of a conversation.
pub(super) fn proven(id: &str, outcome: Option<Outcome>) -> ReceiptSummary {
    ReceiptSummary {
        conversation: id.to_owned(),
        day: DAY.to_owned(),
        attempt: 3,
        objects: 1,
        bytes: SIZE,
        outcome,
        ..ReceiptSummary::default()
    }
}

pub(super) async fn takes_over_what_receipts_prove(
    fixture: &dyn LedgerFixture,
) -> Result<(), Failure> {
    let export = Export::of(fixture, "what receipts prove is not fetched again");
    let (ledger, reader) = (&export.ledger, &export.reader);
    let all = vec![
        proven("a", Some(Outcome::Stored)),
        ReceiptSummary {
            lacking: vec![("nas".to_owned(), false)],
            ..proven("b", Some(Outcome::Stored))
        },
        proven("c", None),
        ReceiptSummary {
            alike: true,
            ..proven("d", Some(Outcome::Stored))
        },
    ];
    let segments = BTreeSet::from([(5, DAY.to_owned()), (7, DAY.to_owned())]);
    let replaced = vec![(5, "lake".to_owned(), 7)];
    let done = ledger.recover(all, segments, replaced, NOW).await;
    export.same("conversations done with", done, 3)?;
    export.ok(ledger.set_ready().await)?;
    export.counts([0, 0, 0, 2]).await?;
    let progress = export.status().await?.progress;
    let counted = (progress.conversations, progress.objects, progress.bytes);
    export.is(
        "conversations, objects and bytes",
        counted,
        (2, 2, 2 * SIZE),
    )?;
    export.same(
        "filed last",
        reader.last_filed("a".to_owned()).await,
        Some((3, 1)),
    )?;
    let lacking = BTreeMap::from([("nas".to_owned(), 1)]);
    export.same("what sinks lack", reader.lacking().await, lacking)?;
    export.same("the last segment", reader.last_segment().await, 7)?;
    let still_there = SupersededSegment {
        segment: 5,
        day: DAY.to_owned(),
        sink: "lake".to_owned(),
    };
    export.same(
        "segments replaced",
        reader.replaced().await,
        vec![still_there],
    )?;
    // A search finds them. One is done with, one is brought to the sink that lacks it, one is taken up
    // again, one is proven by another export, and one is new.
    export.find_wanted(&["a", "b", "c", "d", "e"]).await?;
    export.counts([3, 0, 0, 2]).await?;
    let start = reader.known_one("a".to_owned()).await;
    let start = start.map(|known| known.map(|known| known.start));
    export.same("when it began", start, Some(conversation("a").start))?;
    export.store("fetch-1", &["c", "e"]).await?;
    let number = export.seal().await?;
    export.is("the next segment", number, 8)?;
    let conversations = export.sealed_in(number).await?;
    let attempts: Vec<_> = conversations.iter().map(|of| of.attempt).collect();
    export.is("attempts", attempts, vec![4, 1])
}

pub(super) async fn files_a_segment_again(fixture: &dyn LedgerFixture) -> Result<(), Failure> {
    let export = Export::of(
        fixture,
        "the wrong files of a segment give way once its conversations are filed anew",
    );
    let (ledger, reader) = (&export.ledger, &export.reader);
    let number = export.file_new("fetch-1", &["a", "b"], true).await?;
    export.has(
        "filed in it",
        reader.filed_in(number).await,
        texts(&["a", "b"]),
    )?;
    let lake = || "lake".to_owned();
    let unproven = reader.unproven(lake(), HashSet::from([hashed("a")])).await;
    export.same(
        "filed and unproven",
        unproven.map(|of| of.filed),
        texts(&["b"]),
    )?;
    let void = |conversations: &[&str]| VoidSegment {
        sink: lake(),
        day: DAY.to_owned(),
        number,
        conversations: texts(conversations),
        sound: vec![backfilled("a", true, &["lake"])],
    };
    let completed = ledger.file_again(void(&["a", "b"]), NOW).await;
    export.same("conversations completed", completed, Some(1))?;
    export.counts([0, 0, 1, 1]).await?;
    let found = export.ok(reader.lackers(texts(&["a", "b"])).await)?;
    let found: Vec<String> = found.into_keys().collect();
    export.is("what a sink lacks", found, texts(&["b"]))?;
    // Some of it is on its way now: nothing is noted.
    let before = View::of(&export).await?;
    let again = ledger.file_again(void(&["b", "a"]), NOW).await;
    export.same("conversations completed", again, None)?;
    before.is_that_of(&View::of(&export).await?, "after a refusal")?;
    give_way(&export, number).await
}

/// As long as the sink lacks some of the day of a segment, its wrong files stay.
async fn give_way(export: &Export, number: i64) -> Result<(), Failure> {
    let (ledger, reader) = (&export.ledger, &export.reader);
    let sealed = export.seal().await?;
    let replaces = |number| async move {
        let segment = reader.segment(number).await;
        segment.map(|segment| (segment.replaces_in("lake").to_vec(), segment.apart))
    };
    export.same(
        "what it replaces",
        replaces(sealed).await,
        (Vec::new(), true),
    )?;
    export.file(sealed, "lake", false).await?;
    let filled = vec![backfilled("b", true, &[])];
    export.same(
        "to be fetched",
        ledger.filled(filled, Vec::new(), NOW).await,
        1,
    )?;
    let split = export.fetch("fetch-2", &["b"]).await?;
    export.hand_over(&split, &["b"]).await?;
    export.deliver(&["b"], &SINKS[..1]).await?;
    export.complete().await?;
    let sealed = export.seal().await?;
    export.same(
        "what it replaces",
        replaces(sealed).await,
        (vec![number], true),
    )?;
    export.same("segments replaced", reader.replaced().await, Vec::new())?;
    let filed = export.file(sealed, "lake", false).await?;
    export.is("every sink has it", filed.everywhere, true)?;
    export.counts([0, 0, 0, 2]).await?;
    let wrong = SupersededSegment {
        segment: number,
        day: DAY.to_owned(),
        sink: "lake".to_owned(),
    };
    export.same(
        "segments replaced",
        reader.replaced().await,
        vec![wrong.clone()],
    )?;
    export.ok(ledger.removed(wrong).await)?;
    export.same("segments replaced", reader.replaced().await, Vec::new())?;
    // They gave way once: what is filed of the day after that replaces nothing.
    let lacked = ledger.lacks("lake".to_owned(), texts(&["a"])).await;
    export.same("conversations noted", lacked, 1)?;
    let found = vec![backfilled("a", true, &["lake"])];
    export.ok(ledger.filled(found, Vec::new(), NOW).await)?;
    let sealed = export.seal().await?;
    let none = (Vec::new(), true);
    export.same("what it replaces", replaces(sealed).await, none)
}

pub(super) async fn gives_way_in_the_sink_whose_files_are_wrong(
    fixture: &dyn LedgerFixture,
) -> Result<(), Failure> {
    let export = Export::of(
        fixture,
        "what is filed in the place of a sink's wrong files replaces nothing in another sink",
    );
    let (ledger, reader) = (&export.ledger, &export.reader);
    let number = export.file_new("fetch-1", &["a", "b"], false).await?;
    let void = VoidSegment {
        sink: "lake".to_owned(),
        day: DAY.to_owned(),
        number,
        conversations: texts(&["a", "b"]),
        sound: Vec::new(),
    };
    export.same(
        "conversations completed",
        ledger.file_again(void, NOW).await,
        Some(0),
    )?;
    // The other sink lacks the one that is filed last.
    let lacked = ledger.lacks("nas".to_owned(), texts(&["a"])).await;
    export.same("conversations noted", lacked, 1)?;
    let lacking = ["b", "a"].map(|id| backfilled(id, true, &[]));
    let fetched = ledger.filled(lacking.to_vec(), Vec::new(), NOW).await;
    export.same("to be fetched", fetched, 2)?;
    export.store("fetch-2", &["b"]).await?;
    let first = export.seal().await?;
    export.file(first, "lake", false).await?;
    export.store("fetch-3", &["a"]).await?;
    let last = export.seal().await?;
    let replaces = async || {
        let segment = export.ok(reader.segment(last).await)?;
        let of_each = SINKS.map(|sink| segment.replaces_in(sink).to_vec());
        export.is("what it replaces", of_each, [vec![number], Vec::new()])
    };
    replaces().await?;
    // To expect it once more in a sink changes nothing.
    export.ok(ledger.expect_filing(last, "nas".to_owned()).await)?;
    replaces().await?;
    for sink in SINKS {
        export.file(last, sink, false).await?;
    }
    let wrong = SupersededSegment {
        segment: number,
        day: DAY.to_owned(),
        sink: "lake".to_owned(),
    };
    export.same("segments replaced", reader.replaced().await, vec![wrong])
}

pub(super) async fn is_refused_without_a_change(
    fixture: &dyn LedgerFixture,
) -> Result<(), Failure> {
    let export = Export::of(fixture, "a repair that has to wait changes nothing");
    let (ledger, reader) = (&export.ledger, &export.reader);
    let number = export.file_new("fetch-1", &["a"], false).await?;
    let lacked = ledger.lacks("nas".to_owned(), texts(&["a"])).await;
    export.same("conversations noted", lacked, 1)?;
    let found = vec![backfilled("a", true, &[])];
    export.same(
        "to be fetched",
        ledger.filled(found, Vec::new(), NOW).await,
        1,
    )?;
    // One more is filed, and could be joined with others, while the first one is on its way.
    export.file_new("fetch-2", &["b"], true).await?;
    let can = async || reader.can_compact("2030-01-01".to_owned()).await;
    export.same("something to compact", can().await, true)?;
    let void = VoidSegment {
        sink: "lake".to_owned(),
        day: DAY.to_owned(),
        number,
        conversations: texts(&["b", "a"]),
        sound: Vec::new(),
    };
    let before = View::of(&export).await?;
    let again = ledger.file_again(void, NOW).await;
    export.same("conversations completed", again, None)?;
    before.is_that_of(&View::of(&export).await?, "after a refusal")
}
