//! Progress, status and stock say what was done, and losses are named once.

use std::collections::BTreeSet;

use super::{
    super::{Failure, NOW},
    LedgerFixture,
    export::{Export, SINKS, texts, unavailable},
};

/// Checks that all numbers agree with one another.
async fn agree(export: &Export) -> Result<(), Failure> {
    let reader = &export.reader;
    let status = export.status().await?;
    export.same("progress", reader.progress().await, status.progress.clone())?;
    let behind = reader.stock().await.map(|stock| stock.behind);
    export.same("how far sinks are behind", behind, status.behind)?;
    export.same("what sinks lack", reader.lacking().await, status.lacking)?;
    export.same(
        "the next to be due",
        reader.next_wanted(true).await,
        status.next_wanted,
    )?;
    let open = export.ok(export.worker.queue.open_splits().await)?;
    let first = open.first().map(|(_, due)| *due);
    export.is("the next split", status.next_split, first)?;
    let kinds = status.splits.values().sum();
    export.is("open splits", open.len() as u64, kinds)?;
    let progress = status.progress;
    let filed: u64 = progress.filed.values().sum();
    let all = filed + status.wanted + status.fetching + status.unfiled;
    export.is("conversations by stage", all, progress.conversations)?;
    let fetched = progress.conversations - status.wanted - status.fetching;
    export.is("conversations fetched", progress.fetched, fetched)
}

pub(super) async fn numbers_agree(fixture: &dyn LedgerFixture) -> Result<(), Failure> {
    let export = Export::of(fixture, "progress, status and stock say what was done");
    agree(&export).await?;
    export.find_wanted(&["a", "b", "c"]).await?;
    agree(&export).await?;
    let split = export.fetch("fetch-1", &["a", "b"]).await?;
    agree(&export).await?;
    export.counts([1, 2, 0, 0]).await?;
    export.hand_over(&split, &["a", "b"]).await?;
    agree(&export).await?;
    export.is("artifacts under way", export.status().await?.pending, 2)?;
    export.deliver(&["a"], &["lake"]).await?;
    export.deliver(&["b"], &["lake", "nas"]).await?;
    agree(&export).await?;
    export.complete().await?;
    agree(&export).await?;
    let number = export.seal().await?;
    agree(&export).await?;
    let stored = export.status().await?.progress.stored;
    export.is("conversations stored", stored, 2)?;
    for sink in SINKS {
        export.file(number, sink, true).await?;
        agree(&export).await?;
    }
    export.counts([1, 0, 0, 2]).await?;
    export.store("fetch-2", &["c"]).await?;
    let number = export.seal().await?;
    for sink in SINKS {
        export.file(number, sink, true).await?;
    }
    let before = "2030-01-01".to_owned();
    let joined = export.ledger.compact(before, 9, texts(&SINKS)).await;
    export.same("segments are joined", joined, true)?;
    let status = export.status().await?;
    let stored = (status.progress.stored, status.unfiled);
    export.is(
        "conversations stored, and to be filed in a larger segment",
        stored,
        (3, 3),
    )?;
    for sink in SINKS {
        export.file(3, sink, false).await?;
    }
    agree(&export).await
}

pub(super) async fn losses_are_named_once(fixture: &dyn LedgerFixture) -> Result<(), Failure> {
    let export = Export::of(
        fixture,
        "a loss is named once, unless it is tried again by order",
    );
    let (ledger, reader) = (&export.ledger, &export.reader);
    let loss = |id: &str| {
        let text = |text: &str| text.to_owned();
        (text(id), text("unavailable"), text("no luck"))
    };
    let lose = async |fetch, ids: &[&str]| {
        let split = export.fetch(fetch, ids).await?;
        let all: Vec<_> = ids.iter().map(|id| (*id, unavailable(true))).collect();
        export.report(&split, &all).await?;
        export.complete().await?;
        let number = export.seal().await?;
        let known = export.ok(reader.known_losses(number).await)?;
        for sink in SINKS {
            export.file(number, sink, false).await?;
        }
        Ok::<_, Failure>((number, known))
    };
    let names = async |all, new, number: u64| {
        export.same(
            "losses",
            reader.losses(9, false).await.map(|of| of.len()),
            all,
        )?;
        export.same(
            "new losses",
            reader.losses(9, true).await.map(|of| of.len()),
            new,
        )?;
        export.same("losses to be named", reader.losses_to_name().await, number)
    };
    names(0, 0, 0).await?;
    export.find_wanted(&["a", "b"]).await?;
    let (number, known) = lose("fetch-1", &["a", "b"]).await?;
    export.is("losses named before", known, BTreeSet::new())?;
    names(2, 2, 2).await?;
    let some = reader.losses(1, true).await;
    export.same("some losses", some.map(|some| some.len()), 1)?;
    let both = vec![loss("a"), loss("b")];
    export.has("losses", reader.losses(9, true).await, both)?;
    export.ok(ledger.report_losses().await)?;
    names(2, 0, 0).await?;
    let named: BTreeSet<String> = texts(&["a", "b"]).into_iter().collect();
    let filed = reader.known_losses(number).await;
    export.same("losses named of a filed segment", filed, BTreeSet::new())?;
    // A loss that is tried again by itself and remains is no news; one by order is.
    let later = NOW + 2 * 3_600_000;
    export.same("losses tried again", ledger.retry_passing(later).await, 2)?;
    names(0, 0, 0).await?;
    let (_, known) = lose("fetch-2", &["a", "b"]).await?;
    export.is("losses named before", known, named)?;
    names(2, 0, 0).await?;
    export.same("losses tried again", ledger.retry_lost(NOW).await, 2)?;
    lose("fetch-3", &["a", "b"]).await?;
    names(2, 2, 2).await
}

pub(super) async fn notes_are_read(fixture: &dyn LedgerFixture) -> Result<(), Failure> {
    let export = Export::of(fixture, "what is noted is read");
    let (ledger, reader) = (&export.ledger, &export.reader);
    export.same("a text", reader.meta("conformance").await, None)?;
    for text in ["one", "two"] {
        export.ok(ledger
            .set_meta("conformance".to_owned(), text.to_owned())
            .await)?;
        let kept = reader.meta("conformance").await;
        export.same("a text", kept, Some(text.to_owned()))?;
    }
    export.same("another text", reader.meta("other").await, None)?;
    let paused = async || reader.status().await.map(|status| status.paused_until);
    export.same("the end of a pause", paused().await, None)?;
    for until in [NOW + 1, NOW + 2] {
        export.ok(ledger.set_paused_until(until).await)?;
        export.same("the end of a pause", paused().await, Some(until))?;
    }
    export.ok(ledger.set_paused_until(0).await)?;
    export.same("the end of no pause", paused().await, None)
}
