//! From completed to sealed: a segment takes what is completed, once, and stays as it is.

use std::collections::BTreeMap;

use super::{
    super::{Failure, NOW},
    LedgerFixture,
    export::{DAY, DAY_MS, Export, SINKS, conversation, texts},
};
use crate::SupersededSegment;

/// A day after all of the conversations.
const AFTER: &str = "2030-01-01";

/// The ids of the conversations of a segment.
async fn ids(export: &Export, number: i64) -> Result<String, Failure> {
    let conversations = export.sealed_in(number).await?;
    Ok(conversations.into_iter().map(|of| of.id).collect())
}

/// A segment as a text, without what it replaces: that is over in one sink before it is in another.
async fn text(export: &Export, number: i64) -> Result<String, Failure> {
    let mut segment = export.ok(export.reader.segment(number).await)?;
    segment.replaces.clear();
    let conversations = export.sealed_in(number).await?;
    Ok(format!("{segment:?} {conversations:?}"))
}

pub(super) async fn take_what_is_completed(fixture: &dyn LedgerFixture) -> Result<(), Failure> {
    let export = Export::of(fixture, "a segment takes what is completed, and each once");
    let (ledger, reader) = (&export.ledger, &export.reader);
    let mut other_day = conversation("d");
    other_day.start += DAY_MS;
    other_day.end = Some(other_day.start + 1000);
    let found = ["a", "b", "c", "e"].map(conversation).into_iter();
    export.find(found.chain([other_day]).collect(), &[]).await?;
    let ids_fetched = ["a", "b", "c", "d", "e"];
    let split = export.fetch("fetch-1", &ids_fetched).await?;
    export.hand_over(&split, &ids_fetched).await?;
    // None is completed, and one of them never is.
    export.is("segments of what is not completed", export.seal().await?, 0)?;
    export.deliver(&["a", "b", "c", "d"], &SINKS).await?;
    export.is("segments of what is not completed", export.seal().await?, 0)?;
    export.is("completed", export.complete().await?.completed, 4)?;
    let sealed = async |least, most| {
        let sealed = ledger.seal_segments(least, most, texts(&SINKS)).await;
        export.ok(sealed)?;
        let unfiled = export.ok(reader.unfiled().await)?;
        let mut all = BTreeMap::new();
        for number in unfiled.into_keys() {
            all.insert(number, ids(&export, number).await?);
        }
        Ok::<_, Failure>(all)
    };
    let of = |all: &[(i64, &str)]| {
        let all = all.iter().map(|(number, ids)| (*number, (*ids).to_owned()));
        all.collect::<BTreeMap<_, _>>()
    };
    export.is("segments of too few", sealed(4, 9).await?, of(&[]))?;
    export.is("segments", sealed(2, 9).await?, of(&[(1, "abc")]))?;
    let asked = reader.sealed_conversations(texts(&["c", "a"])).await;
    let given: Vec<_> = export.ok(asked)?.into_iter().map(|of| of.id).collect();
    export.is(
        "conversations in the order of their ids",
        given,
        texts(&["c", "a"]),
    )?;
    let open = reader.sealed_conversations(texts(&["e"])).await;
    export.is("one that is not sealed is refused", open.is_err(), true)?;
    export.same("conversations sealed", reader.sealed().await, 3)?;
    let all = of(&[(1, "abc"), (2, "d")]);
    for _ in 0..2 {
        export.is("segments", sealed(1, 2).await?, all.clone())?;
    }
    export.same("the last segment", reader.last_segment().await, 2)?;
    let day = export.ok(reader.segment(1).await)?.day;
    export.is("the day of a segment", day, DAY.to_owned())?;
    for number in [1, 2] {
        export.same("sinks to file in", reader.filings_left(number).await, 2)?;
    }
    let behind = export.ok(reader.stock().await)?.behind;
    let behind: Vec<u64> = behind.into_values().map(|of| of.conversations).collect();
    export.is("conversations that sinks lack", behind, vec![4, 4])
}

pub(super) async fn are_the_same_whenever_they_are_read(
    fixture: &dyn LedgerFixture,
) -> Result<(), Failure> {
    let export = Export::of(fixture, "a segment is the same whenever it is read");
    export.find_wanted(&["a", "b"]).await?;
    export.store("fetch-1", &["a", "b"]).await?;
    let number = export.seal().await?;
    let first = text(&export, number).await?;
    let again = async |when: &str| {
        let what = format!("a segment read again {when}");
        export.is(&what, text(&export, number).await?, first.clone())
    };
    again("at once").await?;
    // There is more of one by now, and another is known better.
    let mut found = ["a", "b"].map(conversation);
    found[0].revision = Some(9);
    found[1].ani = Some("tel:+15550100".to_owned());
    export.find(found.to_vec(), &[]).await?;
    again("after a search").await?;
    export.find_wanted(&["c"]).await?;
    export.store("fetch-2", &["c"]).await?;
    export.seal().await?;
    export.complete().await?;
    again("after another is sealed").await?;
    let fixed = export
        .ledger
        .fix_receipt(number, "lake".to_owned(), b"receipt".to_vec());
    export.ok(fixed.await)?;
    export.file(number, "lake", false).await?;
    again("after a sink has it").await?;
    export.ok(export.ledger.retry_lost(NOW).await)?;
    export.ok(export.ledger.report_losses().await)?;
    again("after losses are taken up").await
}

pub(super) async fn take_the_place_of_smaller_ones(
    fixture: &dyn LedgerFixture,
) -> Result<(), Failure> {
    let export = Export::of(fixture, "a larger segment takes the place of small ones");
    let (ledger, reader) = (&export.ledger, &export.reader);
    let compact = async || ledger.compact(AFTER.to_owned(), 9, texts(&SINKS)).await;
    let can = async |before: &str| reader.can_compact(before.to_owned()).await;
    export.same("something to compact", can(AFTER).await, false)?;
    export.file_new("fetch-1", &["a"], true).await?;
    export.file_new("fetch-2", &["b"], true).await?;
    export.same("something to compact", can(AFTER).await, true)?;
    export.same("something to compact of days before", can(DAY).await, false)?;
    // Nothing is joined of a day of which something is under way.
    export.find_wanted(&["c"]).await?;
    export.same("segments are joined", compact().await, false)?;
    export.store("fetch-3", &["c"]).await?;
    let number = export.seal().await?;
    export.same("segments are joined", compact().await, false)?;
    for sink in SINKS {
        export.file(number, sink, true).await?;
    }
    export.same("segments are joined", compact().await, true)?;
    export.is("what is joined", ids(&export, 4).await?, "abc".to_owned())?;
    is_filed_in_their_place(&export).await?;
    // They have been counted before.
    export.counts([0, 0, 0, 3]).await?;
    export.stores(3).await?;
    export.has(
        "what is filed in it",
        reader.filed_in(4).await,
        texts(&["a", "b", "c"]),
    )?;
    // One that no other can be joined with is not compacted any more.
    export.file_new("fetch-4", &["d"], true).await?;
    export.same("segments are joined", compact().await, false)?;
    export.same("something to compact", can(AFTER).await, false)
}

/// Segment 4 takes the place of those before it in each sink once that has it.
async fn is_filed_in_their_place(export: &Export) -> Result<(), Failure> {
    let (ledger, reader) = (&export.ledger, &export.reader);
    let segment = export.ok(reader.segment(4).await)?;
    for sink in SINKS {
        export.is("what it replaces", segment.replaces_in(sink), &[1, 2, 3])?;
    }
    let to_file = export.ok(reader.unfiled().await)?;
    export.is(
        "segments to be filed",
        to_file.keys().copied().collect(),
        vec![4],
    )?;
    // As long as a sink lacks it, that sink keeps the small ones.
    export.same("segments replaced", reader.replaced().await, Vec::new())?;
    for (nth, sink) in SINKS.into_iter().enumerate() {
        export.file(4, sink, false).await?;
        let mut replaced = export.ok(reader.replaced().await)?;
        replaced.sort_by_key(|it| it.segment);
        let expected = [1, 2, 3].map(|segment| SupersededSegment {
            segment,
            day: DAY.to_owned(),
            sink: sink.to_owned(),
        });
        export.is("segments replaced", &replaced[..], &expected[..])?;
        for one in replaced {
            export.ok(ledger.removed(one).await)?;
        }
        export.same("segments replaced", reader.replaced().await, Vec::new())?;
        export.same("sinks to file in", reader.filings_left(4).await, 1 - nth)?;
    }
    Ok(())
}

pub(super) async fn are_joined_once_for_a_sink_that_is_added(
    fixture: &dyn LedgerFixture,
) -> Result<(), Failure> {
    let export = Export::of(
        fixture,
        "a segment in the place of smaller ones is the same for a sink that is added, and counted once",
    );
    let (ledger, reader) = (&export.ledger, &export.reader);
    export.file_new("fetch-1", &["a"], true).await?;
    export.file_new("fetch-2", &["b"], true).await?;
    let joined = ledger.compact(AFTER.to_owned(), 9, texts(&["lake"])).await;
    export.same("segments are joined", joined, true)?;
    let first = text(&export, 3).await?;
    export.ok(ledger.lacks_all("nas".to_owned()).await)?;
    let replaced = async || {
        let segment = export.ok(reader.segment(3).await)?;
        export.is("what it replaces", segment.replaces_in("nas"), &[1, 2])
    };
    replaced().await?;
    export.same("sinks to file in", reader.filings_left(3).await, 2)?;
    export.file(3, "lake", false).await?;
    for replaced in export.ok(reader.replaced().await)? {
        export.ok(ledger.removed(replaced).await)?;
    }
    export.is("a segment read again", text(&export, 3).await?, first)?;
    replaced().await?;
    let filed = export.file(3, "nas", false).await?;
    export.is("every sink has it", filed.everywhere, true)?;
    export.counts([0, 0, 0, 2]).await?;
    export.stores(2).await
}
