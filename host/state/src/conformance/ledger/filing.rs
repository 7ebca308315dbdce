//! From sealed to filed: receipts are fixed, and what every sink has is counted.

use std::collections::BTreeMap;

use super::{
    super::{Failure, NOW},
    LedgerFixture,
    export::{Export, SINKS, conversation, object, texts},
};
use crate::Acknowledged;

pub(super) async fn receipts_are_fixed_once(fixture: &dyn LedgerFixture) -> Result<(), Failure> {
    let export = Export::of(
        fixture,
        "the first bytes of a receipt stay until they are released",
    );
    let (ledger, reader) = (&export.ledger, &export.reader);
    export.find_wanted(&["a"]).await?;
    export.store("fetch-1", &["a"]).await?;
    let number = export.seal().await?;
    let fix = async |sink: &str, bytes: &[u8]| {
        let fixed = ledger.fix_receipt(number, sink.to_owned(), bytes.to_vec());
        fixed.await
    };
    let fixed = async |sink: &str| reader.fixed_receipt(number, sink.to_owned()).await;
    let bytes = |of: &[u8]| of.to_vec();
    export.same("bytes that are not fixed", fixed("lake").await, None)?;
    export.same(
        "bytes fixed first",
        fix("lake", b"one").await,
        bytes(b"one"),
    )?;
    export.same(
        "bytes fixed again",
        fix("lake", b"two").await,
        bytes(b"one"),
    )?;
    export.same(
        "bytes that are fixed",
        fixed("lake").await,
        Some(bytes(b"one")),
    )?;
    export.same("bytes of another sink", fixed("nas").await, None)?;
    export.same(
        "bytes of another sink",
        fix("nas", b"nas").await,
        bytes(b"nas"),
    )?;
    export.ok(ledger.expect_filing(number, "lake".to_owned()).await)?;
    export.same(
        "bytes that are fixed",
        fixed("lake").await,
        Some(bytes(b"one")),
    )?;
    let release = ledger.release_receipt(number, "lake".to_owned()).await;
    export.ok(release)?;
    export.same("bytes released", fixed("lake").await, None)?;
    export.same(
        "bytes of another sink",
        fixed("nas").await,
        Some(bytes(b"nas")),
    )?;
    export.same("bytes fixed anew", fix("lake", b"two").await, bytes(b"two"))?;
    export.same(
        "bytes that are fixed",
        fixed("lake").await,
        Some(bytes(b"two")),
    )?;
    // A receipt is as long as its segment has conversations.
    let long: Vec<u8> = (0..200_000_u32).map(|at| (at % 251) as u8).collect();
    let release = ledger.release_receipt(number, "lake".to_owned()).await;
    export.ok(release)?;
    let answer = fix("lake", &long).await.map(|answer| answer == long);
    export.same("long bytes are fixed", answer, true)?;
    let answer = fixed("lake").await.map(|answer| answer == Some(long));
    export.same("long bytes are fixed", answer, true)
}

pub(super) async fn is_counted_when_every_sink_has_it(
    fixture: &dyn LedgerFixture,
) -> Result<(), Failure> {
    let export = Export::of(fixture, "what every sink has is filed, and counted once");
    let reader = &export.reader;
    export.find_wanted(&["a", "b"]).await?;
    export.store("fetch-1", &["a", "b"]).await?;
    let number = export.seal().await?;
    let to_file = async || {
        let unfiled = reader.unfiled().await;
        unfiled.map(|mut unfiled| {
            unfiled.values_mut().for_each(|sinks| sinks.sort_unstable());
            unfiled
        })
    };
    let both = BTreeMap::from([(number, texts(&SINKS))]);
    export.same("segments to be filed", to_file().await, both)?;
    let filed = export.file(number, "lake", false).await?;
    export.is("filed in the first sink", filed, Acknowledged::default())?;
    export.counts([0, 0, 2, 0]).await?;
    export.same("conversations sealed", reader.sealed().await, 2)?;
    export.same("any is filed", reader.has_filed().await, false)?;
    export.same("sinks to file in", reader.filings_left(number).await, 1)?;
    let last = BTreeMap::from([(number, texts(&["nas"]))]);
    export.same("segments to be filed", to_file().await, last)?;
    export.same("filed last", reader.last_filed("a".to_owned()).await, None)?;
    let filed = export.file(number, "nas", false).await?;
    let everywhere = Acknowledged {
        everywhere: true,
        grown: 0,
    };
    export.is("filed in the last sink", filed, everywhere)?;
    export.counts([0, 0, 0, 2]).await?;
    export.same("conversations sealed", reader.sealed().await, 0)?;
    export.same("any is filed", reader.has_filed().await, true)?;
    export.same("segments to be filed", to_file().await, BTreeMap::new())?;
    export.same("sinks to file in", reader.filings_left(number).await, 0)?;
    let progress = export.status().await?.progress;
    let outcomes = BTreeMap::from([("stored".to_owned(), 2)]);
    export.is("outcomes", progress.filed, outcomes)?;
    export.stores(2).await?;
    export.same(
        "filed last",
        reader.last_filed("a".to_owned()).await,
        Some((1, 1)),
    )?;
    export.has(
        "filed in it",
        reader.filed_in(number).await,
        texts(&["a", "b"]),
    )?;
    is_done_with(&export, number).await
}

/// The receipts have the details of what is filed: neither a search nor a fetch takes it up again.
async fn is_done_with(export: &Export, number: i64) -> Result<(), Failure> {
    let reader = &export.reader;
    for sink in SINKS {
        export.same(
            "objects not filed",
            reader.not_filed(sink.to_owned()).await,
            Vec::new(),
        )?;
        let has = reader.has_object(sink.to_owned(), object("a").key).await;
        export.same("an object of what is filed", has, false)?;
    }
    let known = reader.known_one("a".to_owned()).await;
    let record = known.map(|known| known.map(|known| known.record.is_some()));
    export.same("the record of what is filed", record, Some(false))?;
    export.find_wanted(&["a"]).await?;
    export.complete().await?;
    export.is("the last segment", export.seal().await?, number)?;
    export.counts([0, 0, 0, 2]).await
}

pub(super) async fn takes_up_what_has_grown(fixture: &dyn LedgerFixture) -> Result<(), Failure> {
    let export = Export::of(fixture, "what has grown at the source is fetched again");
    let of_revision = |revision| {
        let mut found = conversation("a");
        found.revision = Some(revision);
        vec![found]
    };
    export.find(of_revision(1), &[]).await?;
    export.store("fetch-1", &["a"]).await?;
    let number = export.seal().await?;
    // There is more of it before it is filed, and then once more after that.
    export.find(of_revision(2), &[]).await?;
    export.counts([0, 0, 1, 0]).await?;
    let filed = export.file(number, "lake", false).await?;
    export.is("taken up in the first sink", filed.grown, 0)?;
    let filed = export.file(number, "nas", false).await?;
    export.is("taken up in the last sink", filed.grown, 1)?;
    for (revision, fetch) in [(2, "fetch-2"), (3, "fetch-3")] {
        export.find(of_revision(revision), &[]).await?;
        export.counts([1, 0, 0, 0]).await?;
        export.stores(0).await?;
        export.store(fetch, &["a"]).await?;
        let number = export.seal().await?;
        let conversations = export.sealed_in(number).await?;
        let of: Vec<_> = conversations
            .iter()
            .map(|of| (u64::from(of.attempt), of.revision))
            .collect();
        export.is(
            "its attempt and revision",
            of,
            vec![(revision, Some(revision))],
        )?;
        for sink in SINKS {
            export.file(number, sink, false).await?;
        }
        export.counts([0, 0, 0, 1]).await?;
    }
    export.find(of_revision(3), &[]).await?;
    export.counts([0, 0, 0, 1]).await
}

pub(super) async fn notes_are_kept_by_sink(fixture: &dyn LedgerFixture) -> Result<(), Failure> {
    let export = Export::of(
        fixture,
        "what is noted of the files of a sink is read for that sink",
    );
    let (ledger, reader) = (&export.ledger, &export.reader);
    export.find_wanted(&["a"]).await?;
    export.store("fetch-1", &["a"]).await?;
    let sealed = ledger.seal_segments(1, 9, texts(&["lake"])).await;
    export.ok(sealed)?;
    let [lake, nas] = SINKS.map(str::to_owned);
    export.same("rows", reader.rows(1, lake.clone()).await, None)?;
    for sha256 in ["one", "two"] {
        let set = ledger.set_rows(1, lake.clone(), sha256.to_owned()).await;
        export.ok(set)?;
        let rows = reader.rows(1, lake.clone()).await;
        export.same("rows", rows, Some(sha256.to_owned()))?;
    }
    export.same(
        "rows of another sink",
        reader.rows(1, nas.clone()).await,
        None,
    )?;
    export.same(
        "rows of another segment",
        reader.rows(2, lake.clone()).await,
        None,
    )?;
    export.same("the text's version", reader.readme(lake.clone()).await, 0)?;
    export.ok(ledger.set_readme(lake.clone(), 3).await)?;
    export.same("the text's version", reader.readme(lake.clone()).await, 3)?;
    export.same(
        "the text's version in another sink",
        reader.readme(nas.clone()).await,
        0,
    )?;
    export.same("sinks to file in", reader.filings_left(1).await, 1)?;
    for _ in 0..2 {
        export.ok(ledger.expect_filing(1, nas.clone()).await)?;
        export.same("sinks to file in", reader.filings_left(1).await, 2)?;
    }
    for (sink, everywhere) in [(lake, false), (nas, true)] {
        let filed = ledger.filed(1, sink, false, NOW).await;
        export.same(
            "every sink has it",
            filed.map(|of| of.everywhere),
            everywhere,
        )?;
    }
    Ok(())
}
