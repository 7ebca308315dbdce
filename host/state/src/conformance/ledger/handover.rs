//! Fetches that other machines do: orders, and reports that are applied.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{Failure, NOW, done, step},
    LedgerFixture,
    export::{Export, SINKS, artifact, delivered, handed_over, object, outcomes, recording, texts},
    sinks::backfilled,
};
use crate::{FetchChange, fleet::FetchReport};
use recording_host_model::{ArtifactContents, ArtifactKey, ArtifactResult, Reported, Step};

/// Applies a report; says whether the fetch is finished.
async fn apply(
    export: &Export,
    fetch: &str,
    sequence: u64,
    change: FetchChange,
) -> Result<bool, Failure> {
    let report = FetchReport {
        sequence,
        fetch: fetch.to_owned(),
        change,
    };
    export.ok(export.ledger.apply(report, texts(&SINKS)).await)
}

/// The artifacts that a sink is owed.
async fn owed(export: &Export, sink: &str) -> Result<BTreeSet<String>, Failure> {
    let backlog = export.ok(export.reader.backlog(texts(&[sink])).await)?;
    Ok(backlog.into_values().flatten().collect())
}

/// The conversations of each fetch that is not done.
async fn orders(export: &Export) -> Result<Vec<String>, Failure> {
    let orders = export.ok(export.reader.orders("fetch").await)?;
    let texts = orders.iter().map(|order| {
        let ids: Vec<&str> = order.conversations().collect();
        format!("{}: {}", order.fetch, ids.join(" "))
    });
    Ok(texts.collect())
}

pub(super) async fn reports_are_applied_once(fixture: &dyn LedgerFixture) -> Result<(), Failure> {
    let export = Export::of(
        fixture,
        "what a node reports is noted once, and owed to whom it has not brought it",
    );
    let reader = &export.reader;
    export.is("orders", orders(&export).await?, Vec::new())?;
    export.find_wanted(&["a", "b"]).await?;
    let split = export.fetch("fetch-1", &["a", "b"]).await?;
    let expected = texts(&["fetch-1: a b"]);
    export.is("orders", orders(&export).await?, expected.clone())?;
    export.same("the last report", reader.applied().await, 0)?;
    let handing_over = Step {
        artifacts: ["a", "b"].map(|id| artifact(recording(id))).into(),
        outcomes: outcomes(&[("a", handed_over()), ("b", handed_over())]),
        ..step(&[], done("end"))
    };
    let change = FetchChange::step(&split, &handing_over, NOW, 0);
    let finished = apply(&export, "fetch-1", 3, change).await?;
    export.is("finished", finished, false)?;
    let keys = ["a", "b"].map(|id| recording(id).to_text());
    let of = keys.clone().map(|key| (key, "fetch-1".to_owned()));
    let fetches = reader.fetches_of(keys.to_vec()).await;
    export.same("fetches", fetches, BTreeMap::from(of))?;
    // One that was applied is not applied again.
    let lost = ArtifactResult::failed(keys[0].clone(), "broken", "no luck");
    let finished = apply(&export, "fetch-1", 3, FetchChange::delivered(&[lost])).await?;
    export.is("finished", finished, false)?;
    export.same("the last report", reader.applied().await, 3)?;
    export.is("orders", orders(&export).await?, expected)?;
    // The node knows nothing of one of the sinks.
    let both = [delivered("a", &SINKS, &[]), delivered("b", &["lake"], &[])];
    let finished = apply(&export, "fetch-1", 4, FetchChange::delivered(&both)).await?;
    export.is("finished", finished, true)?;
    export.is("orders", orders(&export).await?, Vec::new())?;
    let left = BTreeSet::from([keys[1].clone()]);
    export.is("artifacts owed", owed(&export, "nas").await?, left)?;
    // Whoever brings it there later says nothing of those that have it.
    let late = FetchChange::delivered(&[delivered("b", &["nas"], &[])]);
    apply(&export, "fetch-1", 5, late).await?;
    for sink in SINKS {
        export.is(
            "artifacts owed",
            owed(&export, sink).await?,
            BTreeSet::new(),
        )?;
    }
    let answer = export.complete().await?;
    let completed = (answer.completed, answer.losses.len());
    export.is("completed and lost", completed, (2, 0))
}

pub(super) async fn bundles_are_for_those_that_lack_them(
    fixture: &dyn LedgerFixture,
) -> Result<(), Failure> {
    let export = Export::of(
        fixture,
        "a bundle is for the sinks that lack what is in it, also once its outcomes are known",
    );
    let ledger = &export.ledger;
    export.file_new("fetch-1", &["a"], false).await?;
    let noted = ledger.lacks("nas".to_owned(), texts(&["a"])).await;
    export.same("conversations noted", noted, 1)?;
    let wanted = vec![backfilled("a", true, &[])];
    export.same(
        "to be fetched",
        ledger.filled(wanted, Vec::new(), NOW).await,
        1,
    )?;
    let split = export.fetch("fetch-2", &["a"]).await?;
    let bundle = ArtifactKey::Bundle("bundle".to_owned());
    let inside = [("a", Reported::InBundle("bundle".to_owned()))];
    let handing_over = Step {
        artifacts: vec![artifact(bundle.clone())],
        outcomes: outcomes(&inside),
        ..step(&[], done("end"))
    };
    // The second time for a new link.
    for _ in 0..2 {
        export.worker.claim(&split, NOW).await?;
        let queue = &export.worker.queue;
        let committed = queue.commit(split.clone(), handing_over.clone(), NOW, 0);
        let artifacts = export.ok(committed.await)?.artifacts;
        let sinks = artifacts.get(&bundle.to_text()).cloned().flatten();
        export.is("sinks of the bundle", sinks, Some(texts(&["nas"])))?;
    }
    let brought = ArtifactResult {
        artifact: bundle.to_text(),
        result: Ok(ArtifactContents {
            objects: vec![("nas".to_owned(), object("a"))],
            ..ArtifactContents::default()
        }),
        took: texts(&["nas"]),
        backlog: Vec::new(),
    };
    apply(&export, "fetch-2", 1, FetchChange::delivered(&[brought])).await?;
    export.is(
        "artifacts owed",
        owed(&export, "lake").await?,
        BTreeSet::new(),
    )?;
    export.is("completed", export.complete().await?.completed, 1)
}
