//! Splits are added once, and are open in order until they are done.

use super::{Failure, Fixture, LEASE, NOW, Worker, done, from, ok, same, split, state, step, wait};
use recording_host_model::Split;

pub(super) async fn are_added_once(fixture: &dyn Fixture) -> Result<(), Failure> {
    let worker = Worker::of(fixture, "a split that is known is not added again");
    worker.same(
        "new splits",
        worker.add(&["b", "a"], NOW).await?,
        vec!["b".into(), "a".into()],
    )?;
    let changed = Split {
        state: state("changed"),
        ..split("a")
    };
    let again = worker.queue.add(vec![changed, split("c")], NOW + 1).await;
    worker.same(
        "new splits",
        ok(worker.guarantee, again)?,
        vec!["c".to_owned()],
    )?;
    worker.reads("a", Some("a")).await?;
    worker
        .opens(&[("a", NOW), ("b", NOW), ("c", NOW + 1)])
        .await?;
    // One that is done is known as well.
    worker.claim("a", NOW).await?;
    worker.commit("a", step(&[], done("end")), NOW).await?;
    worker.same("new splits", worker.add(&["a"], NOW).await?, Vec::new())?;
    worker.reads("a", Some("end")).await?;
    worker.opens(&[("b", NOW), ("c", NOW + 1)]).await
}

pub(super) async fn are_in_order(fixture: &dyn Fixture) -> Result<(), Failure> {
    let guarantee = "splits are in the order of their due times and ids";
    let (worker, other) = (
        Worker::of(fixture, guarantee),
        Worker::of(fixture, guarantee),
    );
    for (id, due) in [("c", NOW + 5), ("d", NOW), ("b", NOW + 5), ("a", NOW + 9)] {
        worker.add(&[id], due).await?;
    }
    other
        .opens(&[("d", NOW), ("b", NOW + 5), ("c", NOW + 5), ("a", NOW + 9)])
        .await?;
    let mut claimed = Vec::new();
    while let Some(id) = worker.next(NOW + 9).await? {
        claimed.push(id);
        if claimed.len() > 4 {
            break;
        }
    }
    worker.same(
        "splits as they were claimed",
        claimed.join(" "),
        "d b c a".to_owned(),
    )?;
    // A claimed split is open still.
    other
        .opens(&[("d", NOW), ("b", NOW + 5), ("c", NOW + 5), ("a", NOW + 9)])
        .await
}

pub(super) async fn wait_until_they_are_due(fixture: &dyn Fixture) -> Result<(), Failure> {
    let guarantee = "a split waits until it is due";
    let worker = Worker::of(fixture, guarantee);
    worker.add(&["a"], NOW).await?;
    worker.same(
        "the next before it is due",
        worker.next(NOW - 1).await?,
        None,
    )?;
    worker.same("the next", worker.next(NOW).await?, Some("a".into()))?;
    let due = NOW + 2 * LEASE;
    worker
        .commit("a", step(&[], wait("paused", due)), NOW + 1)
        .await?;
    worker.opens(&[("a", due)]).await?;
    worker.same(
        "the next before it is due",
        worker.next(due - 1).await?,
        None,
    )?;
    // A split is found by its id at any time.
    let early = ok(
        guarantee,
        worker.queue.claim("a".into(), from(NOW + 2)).await,
    )?;
    let paused = Split {
        state: state("paused"),
        ..split("a")
    };
    same(guarantee, "the split", early, Some(paused))?;
    worker.release("a", due).await?;
    worker.same("the next", worker.next(due).await?, Some("a".into()))
}
