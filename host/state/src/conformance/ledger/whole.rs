//! All calls at once: those that may be repeated, those that are dropped, and what outlives the process.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use super::{
    super::{Failure, NOW},
    LedgerFixture,
    export::{Export, SINKS, START, delivered, first_split, recording, texts, unavailable},
    sinks::backfilled,
    view::{FETCHES, View},
};
use crate::{FetchFailure, KnownSink, Ledger, QueueError};
use recording_host_model::ArtifactResult;

/// When a loss may be tried again without an order (ms).
const LATER: u64 = NOW + 2 * 3_600_000;
/// How often a call is polled at most before it is dropped.
const POLLS: u32 = 6;

/// Makes a call twice, and checks that nothing is read otherwise after the second time.
async fn twice<T, F>(export: &Export, what: &str, call: impl Fn() -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<T, QueueError>>,
{
    export.ok(call().await)?;
    let before = View::of(export).await?;
    export.ok(call().await)?;
    let when = format!("after {what} was repeated");
    before.is_that_of(&View::of(export).await?, &when)
}

pub(super) async fn repeated_calls_change_nothing(
    fixture: &dyn LedgerFixture,
) -> Result<(), Failure> {
    let export = Export::of(
        fixture,
        "a call that may be repeated changes nothing the second time",
    );
    let ledger = &export.ledger;
    twice(&export, "search_again", || ledger.search_again()).await?;
    export.find_wanted(&["a", "b", "c", "d"]).await?;
    twice(&export, "searched_all", || ledger.searched_all(NOW)).await?;
    twice(&export, "unsearch", || ledger.unsearch(START + 9, NOW)).await?;
    twice(&export, "take_over", || ledger.take_over((START, None))).await?;
    twice(&export, "set_sink", || ledger.set_sink(sink())).await?;
    let split = export.fetch(FETCHES[0], &["a", "b", "c", "d"]).await?;
    export.hand_over(&split, &["a", "b", "c"]).await?;
    twice(&export, "delivered", || ledger.delivered(results())).await?;
    twice(&export, "settle_forgotten", || ledger.settle_forgotten()).await?;
    twice(&export, "complete", || ledger.complete(NOW, 0, 0)).await?;
    let seal = || ledger.seal_segments(1, 9, texts(&SINKS));
    twice(&export, "seal_segments", seal).await?;
    receipts_twice(&export).await?;
    export.deliver(&["b"], &["nas"]).await?;
    for sink in SINKS {
        let filed = || ledger.filed(1, sink.to_owned(), true, NOW);
        twice(&export, "filed", filed).await?;
    }
    twice(&export, "report_losses", || ledger.report_losses()).await?;
    twice(&export, "retry_passing", || ledger.retry_passing(LATER)).await?;
    twice(&export, "retry_lost", || ledger.retry_lost(NOW)).await?;
    let split = export.fetch(FETCHES[1], &["c", "d"]).await?;
    let lost = [("c", unavailable(true)), ("d", unavailable(false))];
    export.report(&split, &lost).await?;
    export.complete().await?;
    let number = export.seal().await?;
    for sink in SINKS {
        export.file(number, sink, true).await?;
    }
    let compact = || ledger.compact("2030-01-01".to_owned(), 9, texts(&SINKS));
    twice(&export, "compact", compact).await?;
    for sink in SINKS {
        export.file(3, sink, false).await?;
    }
    for replaced in export.ok(ledger.replaced().await)? {
        twice(&export, "removed", || ledger.removed(replaced.clone())).await?;
    }
    sinks_twice(&export).await?;
    twice(&export, "set_ready", || ledger.set_ready()).await?;
    let note = || ledger.set_meta("conformance".to_owned(), "text".to_owned());
    twice(&export, "set_meta", note).await?;
    twice(&export, "set_paused_until", || ledger.set_paused_until(NOW)).await
}

/// The calls about the receipt and the files of a segment.
async fn receipts_twice(export: &Export) -> Result<(), Failure> {
    let (ledger, lake) = (&export.ledger, || "lake".to_owned());
    let first = ledger.fix_receipt(1, lake(), b"receipt".to_vec());
    export.ok(first.await)?;
    // Another program may have made other bytes of the same segment.
    let fix = || ledger.fix_receipt(1, lake(), b"other".to_vec());
    twice(export, "fix_receipt", fix).await?;
    let expect = || ledger.expect_filing(1, lake());
    twice(export, "expect_filing", expect).await?;
    let rows = || ledger.set_rows(1, lake(), "sha256".to_owned());
    twice(export, "set_rows", rows).await?;
    twice(export, "set_readme", || ledger.set_readme(lake(), 3)).await?;
    let release = || ledger.release_receipt(1, lake());
    twice(export, "release_receipt", release).await
}

/// The calls about what sinks lack.
async fn sinks_twice(export: &Export) -> Result<(), Failure> {
    let (ledger, nas) = (&export.ledger, || "nas".to_owned());
    let lacks = || ledger.lacks(nas(), texts(&["a", "b"]));
    twice(export, "lacks", lacks).await?;
    let has = || ledger.has(nas(), vec![("a".to_owned(), 9)], true);
    twice(export, "has", has).await?;
    let has = || ledger.has(nas(), vec![("a".to_owned(), 9)], false);
    twice(export, "has", has).await?;
    let fill = || {
        let found = vec![backfilled("b", true, &["nas"])];
        ledger.filled(found, Vec::new(), NOW)
    };
    twice(export, "filled", fill).await?;
    export.seal().await?;
    twice(export, "lacks_all", || ledger.lacks_all("lake".to_owned())).await?;
    let segments = || ledger.has_segments(nas(), vec![(4, super::export::DAY.to_owned())]);
    twice(export, "has_segments", segments).await?;
    twice(export, "lapse", || ledger.lapse(texts(&["nas"]))).await
}

fn sink() -> KnownSink {
    KnownSink {
        name: "lake".to_owned(),
        identity: "identity".to_owned(),
        ..KnownSink::default()
    }
}

/// A recording that both sinks have, one that a sink is owed, and one that is lost.
fn results() -> Vec<ArtifactResult> {
    vec![
        delivered("a", &SINKS, &[]),
        delivered("b", &["lake"], &["nas"]),
        ArtifactResult::failed(recording("c").to_text(), "broken", "no luck"),
    ]
}

/// Polls a call so often, and drops it.
async fn drop_after<T>(polls: u32, call: impl Future<Output = T>) {
    let mut call = pin!(call);
    let mut polled = 0;
    let dropped = poll_fn(|context| {
        polled += 1;
        match call.as_mut().poll(context) {
            Poll::Pending if polled < polls => Poll::Pending,
            _ => Poll::Ready(()),
        }
    });
    dropped.await;
}

pub(super) async fn calls_that_are_dropped_are_whole(
    fixture: &dyn LedgerFixture,
) -> Result<(), Failure> {
    let export = Export::of(
        fixture,
        "a call that nobody waits for has all of its effect or none",
    );
    let ledger = &export.ledger;
    for polls in 1..=POLLS {
        let (id, name) = (format!("c-{polls}"), format!("fetch-{polls}"));
        export.find_wanted(&[&id]).await?;
        let splits = vec![first_split(&name, "files")];
        let begun = ledger.fetch(name.clone(), vec![id.clone()], splits, NOW);
        drop_after(polls, begun).await;
        has_a_split_for_each(&export, "a fetch").await?;
        // Whatever became of the one that was dropped, this one is under way.
        let splits = vec![first_split(&name, "files")];
        let begun = ledger.fetch(name.clone(), vec![id.clone()], splits, NOW);
        export.ok(begun.await)?;
        has_a_split_for_each(&export, "a fetch").await?;
        let failure = FetchFailure {
            code: "gone".to_owned(),
            message: String::new(),
            retryable: false,
            divisible: false,
        };
        let abandoned = ledger.abandon(format!("{name}/0"), failure, NOW);
        drop_after(polls, abandoned).await;
        has_a_split_for_each(&export, "an abandoned fetch").await?;
    }
    for polls in 1..=POLLS {
        let (one, two) = (format!("d-{polls}"), format!("e-{polls}"));
        let ids = [one.as_str(), two.as_str()];
        export.find_wanted(&ids).await?;
        let split = export.fetch(&format!("batch-{polls}"), &ids).await?;
        export.hand_over(&split, &ids).await?;
        let batch = ids.iter().map(|id| delivered(id, &SINKS, &[])).collect();
        drop_after(polls, ledger.delivered(batch)).await;
        let pending = export.ok(export.reader.pending(split).await)?.len();
        let whole = matches!(pending, 0 | 2);
        let what = format!("a batch of results is noted as a whole: {pending} of 2 are left");
        export.is(&what, whole, true)?;
    }
    Ok(())
}

pub(super) async fn calls_at_the_same_time_are_in_order(
    fixture: &dyn LedgerFixture,
) -> Result<(), Failure> {
    let export = Export::of(
        fixture,
        "of calls at the same time each sees the effect of those before",
    );
    let ids: Vec<String> = (0..AT_ONCE).map(|number| format!("c-{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    export.find_wanted(&ids).await?;
    let split = export.fetch("fetch-1", &ids).await?;
    let lost: Vec<_> = ids.iter().map(|id| (*id, unavailable(false))).collect();
    export.report(&split, &lost).await?;
    let all = u64::from(AT_ONCE);
    let completed = at_once(&export, |ledger, _| async move {
        ledger.complete(NOW, 0, 0).await.map(|of| of.completed)
    });
    export.is(
        "conversations completed",
        completed.await?.iter().sum(),
        all,
    )?;
    let sealed = at_once(&export, |ledger, _| async move {
        ledger.seal_segments(1, 100, texts(&SINKS)).await
    });
    sealed.await?;
    export.same("conversations sealed", export.reader.sealed().await, all)?;
    export.same("the last segment", export.reader.last_segment().await, 1)?;
    let fixed = at_once(&export, |ledger, number| async move {
        let bytes = number.to_be_bytes().to_vec();
        ledger.fix_receipt(1, "lake".to_owned(), bytes).await
    });
    let fixed: BTreeSet<Vec<u8>> = fixed.await?.into_iter().collect();
    export.is("receipts of one segment", fixed.len(), 1)?;
    let kept = export.reader.fixed_receipt(1, "lake".to_owned()).await;
    export.same("the receipt that is fixed", kept, fixed.into_iter().next())?;
    for sink in SINKS {
        export.file(1, sink, false).await?;
    }
    let again = at_once(
        &export,
        |ledger, _| async move { ledger.retry_lost(NOW).await },
    );
    export.is("losses taken up", again.await?.iter().sum(), ids.len())?;
    export.counts([all, 0, 0, 0]).await
}

/// How many make a call at the same time.
const AT_ONCE: u32 = 8;

/// The answers of a call that many make at the same time, each with its number.
async fn at_once<T: Send + 'static, F>(
    export: &Export,
    call: impl Fn(Arc<dyn Ledger>, u32) -> F,
) -> Result<Vec<T>, Failure>
where
    F: Future<Output = Result<T, QueueError>> + Send + 'static,
{
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..AT_ONCE {
        calls.spawn(call(Arc::clone(&export.ledger), number));
    }
    let answers = calls.join_all().await.into_iter();
    answers.map(|answer| export.ok(answer)).collect()
}

/// Checks that there is an open split for each conversation that is being fetched.
async fn has_a_split_for_each(export: &Export, what: &str) -> Result<(), Failure> {
    let status = export.status().await?;
    let splits = status.splits.get("files").copied().unwrap_or_default();
    let what = format!("splits and conversations of {what} that is dropped");
    export.is(&what, splits, status.fetching)
}

pub(super) async fn what_has_returned_outlives_the_process(
    fixture: &mut dyn LedgerFixture,
) -> Result<(), Failure> {
    let guarantee = "what has returned outlives the process";
    let mut export = Export::of(fixture, guarantee);
    export.ok(export.ledger.set_ready().await)?;
    for stage in 0..STAGES {
        advance(&export, stage).await?;
        let before = View::of(&export).await?;
        before.is_that_of(&View::of(&export).await?, "when it is read again")?;
        drop(export);
        if !fixture.reopen().await {
            return Ok(());
        }
        export = Export::of(fixture, guarantee);
        let when = format!("after stage {stage} and a restart");
        before.is_that_of(&View::of(&export).await?, &when)?;
    }
    Ok(())
}

/// How many stages there are.
const STAGES: u32 = 9;

/// Brings an export a stage further, so that each call that changes something is made in one of them.
async fn advance(export: &Export, stage: u32) -> Result<(), Failure> {
    let ledger = &export.ledger;
    let lake = || "lake".to_owned();
    match stage {
        0 => {
            export.ok(ledger.set_sink(sink()).await)?;
            export.find_wanted(&["a", "b", "c", "d"]).await?;
            export.ok(ledger.search_again().await)
        }
        1 => {
            let split = export.fetch(FETCHES[0], &["a", "b", "c"]).await?;
            export.hand_over(&split, &["a", "b", "c"]).await
        }
        2 => export.ok(ledger.delivered(results()).await),
        3 => export.complete().await.map(drop),
        4 => {
            export.seal().await?;
            let fixed = ledger.fix_receipt(1, lake(), b"receipt".to_vec());
            export.ok(fixed.await)?;
            let rows = ledger.set_rows(1, lake(), "sha256".to_owned());
            export.ok(rows.await)?;
            export.ok(ledger.set_readme(lake(), 3).await)?;
            export.file(1, "lake", true).await.map(drop)
        }
        5 => {
            export.deliver(&["b"], &["nas"]).await?;
            export.file(1, "nas", true).await?;
            export.ok(ledger.report_losses().await)?;
            export.ok(ledger.set_paused_until(NOW).await)?;
            let note = ledger.set_meta("conformance".to_owned(), "text".to_owned());
            export.ok(note.await)
        }
        6 => {
            export.file_new(FETCHES[1], &["e"], true).await?;
            let split = export.fetch(FETCHES[2], &["d"]).await?;
            export.report(&split, &[("d", unavailable(false))]).await?;
            export.complete().await?;
            let number = export.seal().await?;
            for sink in SINKS {
                export.file(number, sink, true).await?;
            }
            let sinks = texts(&SINKS);
            let joined = ledger.compact("2030-01-01".to_owned(), 9, sinks).await;
            export.same("segments are joined", joined, true)
        }
        7 => {
            for number in export.ok(ledger.unfiled().await)?.into_keys() {
                for sink in SINKS {
                    export.file(number, sink, false).await?;
                }
            }
            export.same("losses taken up", ledger.retry_lost(NOW).await, 2)
        }
        _ => {
            let noted = ledger.lacks("nas".to_owned(), texts(&["a"])).await;
            export.same("conversations noted", noted, 1)?;
            export.ok(ledger.lacks_all(lake()).await)?;
            let lacking = export.ok(export.reader.lacking().await)?;
            let expected = BTreeMap::from([(lake(), 3), ("nas".to_owned(), 1)]);
            export.is("what sinks lack", lacking, expected)
        }
    }
}
