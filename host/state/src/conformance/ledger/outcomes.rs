//! From reported to completed, and from filed back to wanted: outcomes are final, wait, or are losses.

use std::collections::BTreeMap;

use super::{
    super::{Failure, NOW, done, step},
    LedgerFixture,
    export::{
        DAY_MS, Export, START, artifact, conversation, handed_over, outcomes, recording,
        unavailable,
    },
};
use crate::{Completion, FetchFailure};
use recording_host_model::{HandedOver, Reported, Step};

/// When a loss may be tried again without an order (ms).
const LATER: u64 = NOW + 2 * 3_600_000;

fn completed(completed: u64) -> Completion {
    Completion {
        completed,
        ..Completion::default()
    }
}

pub(super) async fn are_final_when_nothing_is_left(
    fixture: &dyn LedgerFixture,
) -> Result<(), Failure> {
    let export = Export::of(
        fixture,
        "an outcome is final when nothing is left to do, and once",
    );
    let completes = async |number| {
        let answer = export.ledger.complete(NOW, 0, 0).await;
        export.same("conversations completed", answer, completed(number))
    };
    export.find_wanted(&["a", "b"]).await?;
    completes(0).await?;
    let split = export.fetch("fetch-1", &["a", "b"]).await?;
    completes(0).await?;
    export.hand_over(&split, &["a", "b"]).await?;
    completes(0).await?;
    export.counts([0, 0, 2, 0]).await?;
    export.deliver(&["b"], &["lake"]).await?;
    completes(1).await?;
    completes(0).await?;
    let progress = export.status().await?.progress;
    let stages = (progress.fetched, progress.stored);
    export.is("conversations fetched and stored", stages, (2, 1))?;
    export.deliver(&["a"], &["lake"]).await?;
    completes(1).await?;
    completes(0).await?;
    // A source may say of it what it will: a search that finds it again changes nothing.
    let late = [("a", unavailable(true))];
    export.find(vec![conversation("a")], &late).await?;
    completes(0).await?;
    let number = export.seal().await?;
    let conversations = export.sealed_in(number).await?;
    let words: Vec<_> = conversations
        .iter()
        .map(|of| (of.id.as_str(), of.outcome.word(), of.attempt))
        .collect();
    let expected = vec![("a", "stored", 1), ("b", "stored", 1)];
    export.is("outcomes", words, expected)
}

pub(super) async fn that_may_improve_are_postponed(
    fixture: &dyn LedgerFixture,
) -> Result<(), Failure> {
    let export = Export::of(
        fixture,
        "what may still come of a conversation is waited for",
    );
    let postponed = Completion {
        postponed: 1,
        ..Completion::default()
    };
    let horizon = 2 * DAY_MS;
    export.find_wanted(&["a"]).await?;
    let split = export.fetch("fetch-1", &["a"]).await?;
    export.report(&split, &[("a", unavailable(true))]).await?;
    let answer = export.ledger.complete(NOW, horizon, 0).await;
    export.same("the outcome of what may come", answer, postponed.clone())?;
    export.counts([1, 0, 0, 0]).await?;
    let due = export
        .ok(export.reader.next_wanted(true).await)?
        .unwrap_or_default();
    let within = NOW < due && due <= START + 2000 + horizon;
    export.is("when it is due, within the horizon", within, true)?;
    let next = export.reader.next_batch("export", 9, true, due - 1).await;
    export.same(
        "a batch before that",
        next.map(|next| next.is_some()),
        false,
    )?;
    // Where all is there, it is asked once more after a while: a recording may come late.
    let split = export.fetch("fetch-2", &["a"]).await?;
    export.hand_over(&split, &["a"]).await?;
    export.deliver(&["a"], &["lake"]).await?;
    let answer = export.ledger.complete(NOW, 0, horizon).await;
    export.same(
        "the outcome of what is to be confirmed",
        answer,
        postponed.clone(),
    )?;
    let due = export.reader.next_wanted(true).await;
    export.same("when it is due", due, Some(START + 2000 + horizon))?;
    // An answer that is read long after it was asked for says nothing of the time between.
    let split = export.fetch("fetch-3", &["a"]).await?;
    export.report(&split, &[("a", unavailable(true))]).await?;
    let later = NOW + 9 * DAY_MS;
    let answer = export.ledger.complete(later, horizon, 0).await;
    export.same("the outcome of what was asked for early", answer, postponed)?;
    let split = export.fetch("fetch-4", &["a"]).await?;
    export.report(&split, &[("a", handed_over())]).await?;
    let answer = export.ledger.complete(NOW, 0, 0).await;
    export.same("the outcome of what was confirmed", answer, completed(1))
}

pub(super) async fn of_losses_alone_are_tried_again(
    fixture: &dyn LedgerFixture,
) -> Result<(), Failure> {
    let export = Export::of(fixture, "a loss is tried again, and nothing else");
    let ledger = &export.ledger;
    export.find_wanted(&["a", "b", "c"]).await?;
    let split = export.fetch("fetch-1", &["a", "b", "c"]).await?;
    export.hand_over(&split, &["a"]).await?;
    export.deliver(&["a"], &["lake", "nas"]).await?;
    let lost = [("b", unavailable(true)), ("c", unavailable(false))];
    export.report(&split, &lost).await?;
    let answer = export.complete().await?;
    let losses = BTreeMap::from([("unavailable".to_owned(), 2)]);
    export.is("losses", answer.losses, losses)?;
    let number = export.seal().await?;
    // What is not filed is not taken up.
    export.same("losses taken up", ledger.retry_lost(NOW).await, 0)?;
    for sink in ["lake", "nas"] {
        export.file(number, sink, false).await?;
    }
    export.counts([0, 0, 0, 3]).await?;
    export.is("conversations lost", export.status().await?.lost, 2)?;
    export.same(
        "losses that were just tried",
        ledger.retry_passing(NOW).await,
        0,
    )?;
    export.same("losses that may pass", ledger.retry_passing(LATER).await, 1)?;
    export.same("losses that may pass", ledger.retry_passing(LATER).await, 0)?;
    export.counts([1, 0, 0, 2]).await?;
    export.same("losses taken up", ledger.retry_lost(NOW).await, 1)?;
    export.same("losses taken up", ledger.retry_lost(NOW).await, 0)?;
    export.counts([2, 0, 0, 1]).await?;
    let next = export.reader.next_batch("export", 9, true, LATER).await;
    let next = next.map(|next| next.map(|(_, next)| next.len()));
    export.same("the next batch", next, Some(2))?;
    export.store("fetch-2", &["b", "c"]).await?;
    let number = export.seal().await?;
    let conversations = export.sealed_in(number).await?;
    let attempts: Vec<_> = conversations.iter().map(|of| of.attempt).collect();
    export.is("attempts", attempts, vec![2, 2])?;
    for sink in ["lake", "nas"] {
        export.file(number, sink, false).await?;
    }
    export.same("losses taken up", ledger.retry_lost(LATER).await, 0)?;
    let progress = export.status().await?.progress;
    let filed = BTreeMap::from([("stored".to_owned(), 3)]);
    export.is("outcomes", progress.filed, filed)?;
    export.stores(3).await
}

pub(super) async fn that_are_owed_are_failures(fixture: &dyn LedgerFixture) -> Result<(), Failure> {
    let export = Export::of(
        fixture,
        "what the source owes an outcome for has failed in the end",
    );
    let ledger = &export.ledger;
    export.find_wanted(&["a", "b", "c"]).await?;
    let split = export.fetch("fetch-1", &["a", "b"]).await?;
    export.hand_over(&split, &["b"]).await?;
    export.is("completed", export.complete().await?.completed, 0)?;
    export.same("what was owed", ledger.settle_forgotten().await, 2)?;
    export.same("what was owed", ledger.settle_forgotten().await, 0)?;
    let answer = export.complete().await?;
    export.is("completed", answer.completed, 2)?;
    let losses = answer.losses.values().sum::<u64>();
    export.is("losses", losses, 2)?;
    // The one that is not fetched yet waits.
    export.counts([1, 0, 2, 0]).await?;
    let split = export.fetch("fetch-2", &["c"]).await?;
    export.step(&split, step(&[], done("end"))).await?;
    export.same("what was owed", ledger.settle_forgotten().await, 1)?;
    // A bundle that is never handed over is owed, too.
    export.find_wanted(&["d"]).await?;
    let split = export.fetch("fetch-3", &["d"]).await?;
    let inside = Reported::InBundle("never".to_owned());
    export.report(&split, &[("d", inside)]).await?;
    export.is("completed", export.complete().await?.completed, 1)?;
    export.same("what was owed", ledger.settle_forgotten().await, 1)?;
    export.same("what was owed", ledger.settle_forgotten().await, 0)?;
    let answer = export.complete().await?;
    let losses = answer.losses.values().sum::<u64>();
    export.is("completed and lost", (answer.completed, losses), (1, 1))
}

pub(super) async fn of_an_attempt_are_of_that_alone(
    fixture: &dyn LedgerFixture,
) -> Result<(), Failure> {
    let export = Export::of(
        fixture,
        "a loss is that of the last attempt, whatever was announced before",
    );
    let ledger = &export.ledger;
    let losses = async |code: &str| {
        let answer = export.complete().await?;
        let expected = BTreeMap::from([(code.to_owned(), 1)]);
        export.is("losses", answer.losses, expected)
    };
    export.find_wanted(&["a"]).await?;
    let split = export.fetch("fetch-1", &["a"]).await?;
    let two = Reported::HandedOver(HandedOver {
        artifacts: 2,
        missing: Vec::new(),
    });
    let reported = Step {
        artifacts: vec![artifact(recording("a"))],
        outcomes: outcomes(&[("a", two)]),
        ..step(&[], done("end"))
    };
    export.step(&split, reported).await?;
    export.deliver(&["a"], &["lake", "nas"]).await?;
    losses("fewer-than-announced").await?;
    let number = export.seal().await?;
    for sink in ["lake", "nas"] {
        export.file(number, sink, false).await?;
    }
    export.same("losses taken up", ledger.retry_lost(NOW).await, 1)?;
    let split = export.fetch("fetch-2", &["a"]).await?;
    let failure = FetchFailure {
        code: "gone".to_owned(),
        message: "no luck".to_owned(),
        retryable: false,
        divisible: false,
    };
    export.same(
        "fetched again",
        ledger.abandon(split, failure, NOW).await,
        0,
    )?;
    losses("gone").await
}
