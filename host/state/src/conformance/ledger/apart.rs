//! What some sinks alone are to get stays apart from what all are to get, whatever becomes of the sinks.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{Failure, NOW, done, step},
    LedgerFixture,
    export::{DAY, Export, SINKS, artifact, conversation, handed_over, outcomes, recording, texts},
    sinks::backfilled,
};
use recording_host_model::Step;

/// Which sinks lack a conversation.
async fn lack(export: &Export, id: &str) -> Result<Vec<String>, Failure> {
    let lackers = export.ok(export.reader.lackers(texts(&[id])).await)?;
    let sinks = lackers.into_values().flatten().collect::<BTreeSet<_>>();
    Ok(sinks.into_iter().collect())
}

/// A sink that lacks filed conversations is given them, or they are to be fetched for it.
async fn fill(
    export: &Export,
    copied: &[&str],
    to: &[&str],
    fetched: &[&str],
) -> Result<(), Failure> {
    let copied = copied.iter().map(|id| backfilled(id, true, to));
    let fetched = fetched.iter().map(|id| backfilled(id, true, &[]));
    let filled = export
        .ledger
        .filled(copied.chain(fetched.clone()).collect(), Vec::new(), NOW);
    export.same("to be fetched", filled.await, fetched.count())
}

/// Fetches a conversation that sinks lack; returns those that its recording is for.
async fn fetched_for(export: &Export, name: &str, id: &str) -> Result<Vec<String>, Failure> {
    let split = export.fetch(name, &[id]).await?;
    export.worker.claim(&split, NOW).await?;
    let reported = Step {
        artifacts: vec![artifact(recording(id))],
        outcomes: outcomes(&[(id, handed_over())]),
        ..step(&[], done("end"))
    };
    let committed = export.worker.queue.commit(split, reported, NOW, 0).await;
    let mut wanted = export.ok(committed)?.artifacts;
    let sinks = wanted.remove(&recording(id).to_text()).flatten();
    Ok(sinks.unwrap_or_default())
}

pub(super) async fn is_lacked_by_a_sink_that_is_added(
    fixture: &dyn LedgerFixture,
) -> Result<(), Failure> {
    let export = Export::of(
        fixture,
        "a sink that is added lacks what is on its way to others alone",
    );
    let (ledger, reader) = (&export.ledger, &export.reader);
    export.file_new("fetch-1", &["a", "b"], false).await?;
    let noted = ledger.lacks("nas".to_owned(), texts(&["a", "b"])).await;
    export.same("conversations noted", noted, 2)?;
    // The recording of one is in the sinks that had it and the one that lacked it, and in no other.
    fill(&export, &["a"], &["nas"], &["b"]).await?;
    export.ok(ledger.lacks_all("vault".to_owned()).await)?;
    let number = export.seal().await?;
    let to_file = BTreeMap::from([(number, texts(&["nas"]))]);
    export.same("segments to be filed", reader.unfiled().await, to_file)?;
    let filed = export.file(number, "nas", false).await?;
    export.is("every sink has it", filed.everywhere, true)?;
    export.is("who lacks it", lack(&export, "a").await?, texts(&["vault"]))?;
    // The other one is fetched for both.
    let sinks = fetched_for(&export, "fetch-2", "b").await?;
    export.is("sinks of its recording", sinks, texts(&["nas", "vault"]))?;
    export.deliver(&["b"], &["nas", "vault"]).await?;
    export.complete().await?;
    let number = export.seal().await?;
    let to_file = export.ok(reader.unfiled().await)?.remove(&number);
    export.has(
        "sinks to file in",
        Ok(to_file.unwrap_or_default()),
        texts(&["nas", "vault"]),
    )?;
    for sink in ["nas", "vault"] {
        export.file(number, sink, false).await?;
    }
    export.is("who lacks it", lack(&export, "b").await?, Vec::new())?;
    export.counts([0, 0, 0, 2]).await?;
    export.stores(2).await
}

pub(super) async fn outlives_the_sink_it_was_for(
    fixture: &dyn LedgerFixture,
) -> Result<(), Failure> {
    let export = Export::of(
        fixture,
        "what was on its way to a sink that is gone is filed, or is another attempt",
    );
    let ledger = &export.ledger;
    export.file_new("fetch-1", &["a", "b"], false).await?;
    export.ok(ledger.lacks_all("vault".to_owned()).await)?;
    fill(&export, &["a"], &["vault"], &["b"]).await?;
    export.counts([1, 0, 1, 0]).await?;
    export.ok(ledger.lapse(texts(&SINKS)).await)?;
    export.counts([1, 0, 0, 1]).await?;
    // The others have it at the attempt before: with the same one they would have it twice.
    export.store("fetch-2", &["b"]).await?;
    let number = export.seal().await?;
    let segment = export.ok(export.reader.segment(number).await)?;
    let conversations = export.sealed_in(number).await?;
    let attempts: Vec<_> = conversations.iter().map(|of| of.attempt).collect();
    export.is("attempts", attempts, vec![2])?;
    export.is("a segment for some sinks", segment.apart, false)?;
    for sink in SINKS {
        export.file(number, sink, false).await?;
    }
    export.counts([0, 0, 0, 2]).await?;
    export.stores(2).await
}

pub(super) async fn is_left_alone_on_its_way(fixture: &dyn LedgerFixture) -> Result<(), Failure> {
    let export = Export::of(
        fixture,
        "what is on its way to some sinks is not brought to all, whatever receipts prove",
    );
    let (ledger, nas) = (&export.ledger, || "nas".to_owned());
    export.file_new("fetch-1", &["a"], false).await?;
    let noted = ledger.lacks(nas(), texts(&["a"])).await;
    export.same("conversations noted", noted, 1)?;
    fill(&export, &[], &[], &["a"]).await?;
    let proven = vec![("a".to_owned(), 9)];
    export.ok(ledger.has(nas(), proven, false).await)?;
    let refused = vec![("a".to_owned(), nas())];
    export.same(
        "to be fetched",
        ledger.filled(Vec::new(), refused, NOW).await,
        0,
    )?;
    let sinks = fetched_for(&export, "fetch-2", "a").await?;
    export.is("sinks of its recording", sinks, texts(&["nas"]))?;
    export.deliver(&["a"], &["nas"]).await?;
    export.complete().await?;
    let number = export.seal().await?;
    let segment = export.ok(export.reader.segment(number).await)?;
    export.is("a segment for some sinks", segment.apart, true)?;
    let to_file = BTreeMap::from([(number, texts(&["nas"]))]);
    export.same(
        "segments to be filed",
        export.reader.unfiled().await,
        to_file,
    )
}

pub(super) async fn is_known_to_be_in_a_sink(fixture: &dyn LedgerFixture) -> Result<(), Failure> {
    let export = Export::of(
        fixture,
        "a sink that has the receipt of what it lacked lacks it no longer",
    );
    let (ledger, reader) = (&export.ledger, &export.reader);
    export.file_new("fetch-1", &["a"], false).await?;
    for sink in ["nas", "vault"] {
        let noted = ledger.lacks(sink.to_owned(), texts(&["a"])).await;
        export.same("conversations noted", noted, 1)?;
    }
    fill(&export, &["a"], &["nas", "vault"], &[]).await?;
    let number = export.seal().await?;
    let has = vec![(number, DAY.to_owned())];
    export.ok(ledger.has_segments("nas".to_owned(), has).await)?;
    let to_file = BTreeMap::from([(number, texts(&["vault"]))]);
    export.same("segments to be filed", reader.unfiled().await, to_file)?;
    let apart = reader.segment(number).await.map(|segment| segment.apart);
    export.same("a segment for some sinks", apart, true)?;
    // One that is for some sinks alone is not joined with those of all.
    let filed = export.file(number, "vault", true).await?;
    export.is("every sink has it", filed.everywhere, true)?;
    export.is("who lacks it", lack(&export, "a").await?, Vec::new())?;
    let before = "2030-01-01".to_owned();
    export.same(
        "something to compact",
        reader.can_compact(before).await,
        false,
    )?;
    export.counts([0, 0, 0, 1]).await?;
    export.stores(1).await
}

pub(super) async fn is_filed_when_the_last_sink_is_gone(
    fixture: &dyn LedgerFixture,
) -> Result<(), Failure> {
    let export = Export::of(
        fixture,
        "what no sink is left for is filed, and fetched again if it has grown",
    );
    let (ledger, reader) = (&export.ledger, &export.reader);
    let mut found = ["a", "b"].map(conversation);
    found[0].revision = Some(1);
    export.find(found.to_vec(), &[]).await?;
    export.store("fetch-1", &["a", "b"]).await?;
    let number = export.seal().await?;
    export.file(number, "lake", false).await?;
    found[0].revision = Some(2);
    export.find(found[..1].to_vec(), &[]).await?;
    export.ok(ledger.lapse(texts(&["lake"])).await)?;
    export.counts([1, 0, 0, 1]).await?;
    export.stores(1).await?;
    export.same("sinks hold artifacts", reader.has_stored().await, false)?;
    // One that is added is owed nothing of what it lacks.
    export.ok(ledger.lacks_all("vault".to_owned()).await)?;
    let owed = reader.backlog(texts(&["vault"])).await;
    export.same("artifacts owed", owed, BTreeMap::new())?;
    export.is("who lacks it", lack(&export, "b").await?, texts(&["vault"]))?;
    export.store("fetch-2", &["a"]).await?;
    let number = export.seal().await?;
    let conversations = export.sealed_in(number).await?;
    let of: Vec<_> = conversations
        .iter()
        .map(|of| (of.attempt, of.revision))
        .collect();
    export.is("its attempt and revision", of, vec![(2, Some(2))])
}
