//! Searches are numbered, their splits known once, and what their steps report is known at once.

use std::collections::BTreeMap;

use super::{
    super::{Failure, NOW, done, step, wait},
    LedgerFixture,
    export::{
        DAY, DAY_MS, Export, START, artifact, conversation, first_split, outcomes, texts,
        unavailable,
    },
    view::View,
};
use crate::{CountMismatch, Searched, SearchedRange, commit::NOT_ENDED};
use recording_host_model::{
    ArtifactKey, ConversationCount, ConversationRecord, Failure as SourceFailure, KeyContext,
    Reported, Step, TimeRange, Update,
};

/// How many parts of a day are counted apart.
const PARTS: u64 = 12;

/// A range of the day, as milliseconds after its start.
fn range(from: u64, until: u64) -> TimeRange {
    TimeRange {
        from: START + from,
        until: START + until,
    }
}

pub(super) async fn searches_are_numbered(fixture: &dyn LedgerFixture) -> Result<(), Failure> {
    let export = Export::of(
        fixture,
        "a search is numbered, and its splits are known once",
    );
    let (ledger, reader) = (&export.ledger, &export.reader);
    export.same("searches", reader.searched().await, Searched::default())?;
    let split = export.search(range(0, 10)).await?;
    export.worker.opens(&[(&split, NOW)]).await?;
    let more = vec![
        first_split("find-000001", "pages"),
        first_split("find-000002", "pages"),
    ];
    let new = ledger.search(more, range(0, 10), NOW + 1).await;
    export.same("new splits", new, texts(&["find-000002/0"]))?;
    let open = [("find-000001/0", NOW), ("find-000002/0", NOW + 1)];
    export.worker.opens(&open).await?;
    let begun = reader.searched().await.map(|searched| searched.begun);
    export.same("searches begun", begun, 2)?;
    // A split that is done is known as well.
    export.step(&split, step(&[], done("end"))).await?;
    let again = vec![first_split("find-000001", "pages")];
    let new = ledger.search(again, range(0, 10), NOW + 2).await;
    export.same("new splits", new, Vec::new())?;
    export.worker.opens(&open[1..]).await?;
    let kinds = export.status().await?.splits;
    let expected = BTreeMap::from([("pages".to_owned(), 1)]);
    export.is("open splits by kind", kinds, expected)?;
    let again = async || reader.searched().await.map(|searched| searched.again);
    export.ok(ledger.search_again().await)?;
    export.same("to be searched again", again().await, true)?;
    export.search(range(0, 10)).await?;
    export.same("to be searched again", again().await, false)
}

pub(super) async fn ranges_are_searched_when_their_search_is_over(
    fixture: &dyn LedgerFixture,
) -> Result<(), Failure> {
    let export = Export::of(fixture, "a range is searched when its search is over");
    let (ledger, reader) = (&export.ledger, &export.reader);
    let ranges = async || reader.searched().await.map(|searched| searched.ranges);
    let watermark = async || reader.progress().await.map(|progress| progress.watermark);
    let past = |from: u64, until: u64| (START + from, START + until);
    export.same("the watermark", watermark().await, None)?;
    export.search(range(0, 10)).await?;
    export.same("ranges", ranges().await, Vec::new())?;
    export.ok(ledger.searched_all(NOW).await)?;
    export.same("ranges", ranges().await, vec![past(0, 10)])?;
    for (from, until) in [(10, 20), (30, 40)] {
        export.search(range(from, until)).await?;
        export.ok(ledger.searched_all(NOW).await)?;
    }
    export.same("ranges", ranges().await, vec![past(0, 20), past(30, 40)])?;
    export.same("the watermark", watermark().await, Some(START + 40))?;
    let ends = reader
        .searched()
        .await
        .map(|searched| searched.at(START + 40));
    export.same("when the last search began", ends, Some(NOW))?;
    let last = SearchedRange {
        from: START + 30,
        until: START + 40,
        at: NOW,
    };
    let touched = reader.searches_of(START + 35, START + 36).await;
    export.same("searches of a range", touched, vec![last])?;
    let touched = reader.searches_of(START + 20, START + 30).await;
    export.same("searches of a range", touched, Vec::new())?;
    // Ranges are known: nothing is taken over from a program that kept none.
    let before = View::of(&export).await?;
    export.ok(ledger.take_over((START, None)).await)?;
    before.is_that_of(&View::of(&export).await?, "after taking over")?;
    let split = export.search(range(40, 50)).await?;
    let paused = step(&[], wait("paused", NOW + 1000));
    export.step(&split, paused).await?;
    export.ok(ledger.unsearch(START + 15, NOW).await)?;
    export.same("ranges", ranges().await, vec![past(0, 15)])?;
    export.same("the watermark", watermark().await, Some(START + 15))?;
    let open: Vec<u64> = export
        .ok(export.worker.queue.open_splits().await)?
        .into_iter()
        .map(|(_, due)| due)
        .collect();
    export.is("what waits after a jump of the clock", open, vec![NOW; 4])?;
    export.ok(ledger.unsearch(0, NOW).await)?;
    export.same("ranges", ranges().await, Vec::new())?;
    export.ok(ledger.take_over((START, None)).await)?;
    export.same("ranges", ranges().await, Vec::new())?;
    // Neither is anything where the ranges of a search that is under way are forgotten.
    export.ok(ledger.searched_all(NOW).await)?;
    export.ok(ledger.unsearch(0, NOW).await)?;
    export.ok(ledger.take_over((START, None)).await)?;
    export.ok(ledger.searched_all(NOW).await)?;
    export.same("ranges", ranges().await, Vec::new())
}

pub(super) async fn conversations_are_known(fixture: &dyn LedgerFixture) -> Result<(), Failure> {
    let export = Export::of(
        fixture,
        "what a step reports of a conversation is known when it is committed",
    );
    let reader = &export.reader;
    let one = async |id: &str| reader.known_one(id.to_owned()).await;
    let mut found = conversation("a");
    export.same("a conversation not found", one("a").await, None)?;
    for ani in [None, Some("tel:+15550100"), Some("tel:+15550101")] {
        found.ani = ani.map(str::to_owned);
        let split = export.search(range(0, 10)).await?;
        let reported = Step {
            conversations: vec![found.clone()],
            ..step(&[], done("end"))
        };
        export.step(&split, reported).await?;
        let known = KeyContext {
            start: found.start,
            record: Some(ConversationRecord::from(&found)),
        };
        export.same("a conversation", one("a").await, Some(known.clone()))?;
        let all = reader.known(texts(&["a", "x"])).await;
        let expected = BTreeMap::from([("a".to_owned(), known)]);
        export.same("conversations", all, expected)?;
    }
    export.same(
        "conversations found",
        reader.progress().await.map(|of| of.conversations),
        1,
    )?;
    is_waited_for(&export).await
}

pub(super) async fn bundles_are_known(fixture: &dyn LedgerFixture) -> Result<(), Failure> {
    let guarantee = "the conversations are known whose recordings are in a bundle";
    let export = Export::of(fixture, guarantee);
    let key = |bundle: &str| ArtifactKey::Bundle(bundle.to_owned());
    let holds = async |bundle: &str, ids: &[&str]| {
        let inside = export.reader.in_bundle(&key(bundle)).await;
        export.has(&format!("the bundle {bundle}"), inside, texts(ids))
    };
    export.find_wanted(&["a", "b", "c"]).await?;
    let split = export.fetch("fetch-1", &["a", "b", "c"]).await?;
    holds("one", &[]).await?;
    let inside = |bundle: &str| Reported::InBundle(bundle.to_owned());
    let bundled = Step {
        artifacts: ["one", "two"].map(|bundle| artifact(key(bundle))).into(),
        outcomes: outcomes(&[
            ("a", inside("one")),
            ("b", inside("two")),
            ("c", inside("one")),
        ]),
        ..step(&[], done("end"))
    };
    export.step(&split, bundled).await?;
    holds("one", &["a", "c"]).await?;
    holds("two", &["b"]).await?;
    holds("three", &[]).await
}

/// A conversation that continues is known as such until it has ended.
async fn is_waited_for(export: &Export) -> Result<(), Failure> {
    let reader = &export.reader;
    let mut continues = conversation("live");
    continues.end = None;
    let not_ended = Reported::Failed(SourceFailure {
        code: NOT_ENDED.to_owned(),
        message: String::new(),
        retryable: true,
    });
    // A step may report it twice.
    let twice = vec![continues.clone(), continues];
    export.find(twice, &[("live", not_ended)]).await?;
    let begun = START + 1000;
    export.same("what continues", reader.live().await, Some((begun, begun)))?;
    export.same(
        "the next with what continues",
        reader.next_wanted(true).await,
        Some(begun),
    )?;
    export.same("the next", reader.next_wanted(false).await, Some(NOW))?;
    export.find(vec![conversation("live")], &[]).await?;
    export.same("what continues", reader.live().await, None)?;
    // A conversation that the source gives up is no longer to be fetched.
    let given_up = [("live", unavailable(false))];
    export.find(vec![conversation("live")], &given_up).await?;
    export.counts([1, 0, 1, 0]).await
}

pub(super) async fn counts_are_compared(fixture: &dyn LedgerFixture) -> Result<(), Failure> {
    let export = Export::of(
        fixture,
        "the source's counts are compared with what is known",
    );
    let reader = &export.reader;
    export.same("counts", reader.source_counts().await, Vec::new())?;
    let split = export.search(range(0, DAY_MS)).await?;
    let counted = ConversationCount {
        range: range(0, DAY_MS),
        conversations: 2,
        recorded: 2,
        requests: 1,
    };
    let reported = Step {
        conversations: vec![conversation("a")],
        updates: vec![Update::Count(counted)],
        ..step(&[], done("end"))
    };
    export.step(&split, reported).await?;
    let count = (DAY.to_owned(), 2, NOW);
    export.same("counts", reader.source_counts().await, vec![count])?;
    let counted = reader.progress().await.map(|progress| progress.counted);
    export.same("conversations counted", counted, Some(2))?;
    let lacking = CountMismatch {
        from: START,
        until: START + DAY_MS,
        source: 2,
        known: 1,
        at: NOW,
    };
    export.same(
        "ranges that lack some",
        reader.miscounted().await,
        vec![lacking],
    )?;
    export.find_wanted(&["b"]).await?;
    // However many parts of the range are counted anew, and end before its conversations begin.
    for at in 1..=PARTS {
        let split = export.search(range(at, at + 1)).await?;
        let counted = ConversationCount {
            range: range(at, at + 1),
            conversations: 0,
            recorded: 0,
            requests: 1,
        };
        let reported = Step {
            updates: vec![Update::Count(counted)],
            ..step(&[], done("end"))
        };
        export.step(&split, reported).await?;
    }
    export.same(
        "ranges that lack some",
        reader.miscounted().await,
        Vec::new(),
    )
}
