//! One worker at most holds a split, for as long as its lease lasts.

use std::collections::BTreeSet;

use super::{Failure, Fixture, LEASE, NOW, Worker, done, ok, send, step};

pub(super) async fn are_exclusive(fixture: &dyn Fixture) -> Result<(), Failure> {
    let guarantee = "one worker at most holds a split";
    let (worker, other) = (
        Worker::of(fixture, guarantee),
        Worker::of(fixture, guarantee),
    );
    worker.add(&["a", "b"], NOW).await?;
    worker.same("a claim", worker.claim("a", NOW).await?, true)?;
    other.same(
        "a claim of what another holds",
        other.claim("a", NOW).await?,
        false,
    )?;
    worker.same("a claim repeated", worker.claim("a", NOW + 1).await?, true)?;
    other.same("the next", other.next(NOW).await?, Some("b".into()))?;
    other.same("the next of none", other.next(NOW).await?, None)?;
    worker.same("the next of none", worker.next(NOW).await?, None)?;
    worker.same(
        "a claim of what another holds",
        worker.claim("b", NOW).await?,
        false,
    )?;
    worker.same(
        "a claim of what is not known",
        worker.claim("x", NOW).await?,
        false,
    )?;
    // While it waits for the response to a request, it is held.
    worker.commit("a", step(&[], send("asked")), NOW).await?;
    other.same(
        "a claim of what another holds",
        other.claim("a", NOW).await?,
        false,
    )?;
    worker.commit("a", step(&[], done("end")), NOW).await?;
    worker.opens(&[("b", NOW)]).await
}

pub(super) async fn are_given_back(fixture: &dyn Fixture) -> Result<(), Failure> {
    let guarantee = "who holds a split gives it back, and nobody else";
    let (worker, other) = (
        Worker::of(fixture, guarantee),
        Worker::of(fixture, guarantee),
    );
    worker.add(&["a"], NOW).await?;
    worker.claim("a", NOW).await?;
    other.same(
        "a release by another",
        other.release("a", NOW + 9).await?,
        false,
    )?;
    other.same(
        "a claim of what another holds",
        other.claim("a", NOW).await?,
        false,
    )?;
    worker.opens(&[("a", NOW)]).await?;
    worker.same("a release", worker.release("a", NOW + 50).await?, true)?;
    worker.same("a release repeated", worker.release("a", NOW).await?, false)?;
    worker.opens(&[("a", NOW + 50)]).await?;
    other.same(
        "the next before it is due",
        other.next(NOW + 49).await?,
        None,
    )?;
    other.same("the next", other.next(NOW + 50).await?, Some("a".into()))?;
    worker.refused("a", step(&[], done("late")), NOW + 50).await
}

pub(super) async fn are_renewed(fixture: &dyn Fixture) -> Result<(), Failure> {
    let guarantee = "a lease that is renewed lasts longer";
    let (worker, other) = (
        Worker::of(fixture, guarantee),
        Worker::of(fixture, guarantee),
    );
    worker.add(&["a"], NOW).await?;
    worker.claim("a", NOW).await?;
    other.same(
        "another's lease renewed",
        other.renew("a", NOW).await?,
        false,
    )?;
    fixture.elapse(LEASE / 2).await;
    let (half, later) = (NOW + LEASE / 2, NOW + LEASE + 1);
    worker.same("a lease renewed", worker.renew("a", half).await?, true)?;
    fixture.elapse(LEASE / 2 + 1).await;
    other.same(
        "a claim of what another holds",
        other.claim("a", later).await?,
        false,
    )?;
    other.same("the next of none", other.next(later).await?, None)?;
    worker.commit("a", step(&[], done("end")), later).await?;
    worker.same(
        "a lease renewed of what is done",
        worker.renew("a", later).await?,
        false,
    )
}

pub(super) async fn end_with_their_lease(fixture: &dyn Fixture) -> Result<(), Failure> {
    let guarantee = "what a worker that has stopped holds is another's in time";
    let (worker, other) = (
        Worker::of(fixture, guarantee),
        Worker::of(fixture, guarantee),
    );
    worker.add(&["a", "b", "c"], NOW).await?;
    for id in ["a", "b", "c"] {
        worker.claim(id, NOW).await?;
    }
    other.same(
        "a claim before the end",
        other.claim("a", NOW + LEASE - 1).await?,
        false,
    )?;
    fixture.elapse(LEASE).await;
    let over = NOW + LEASE;
    other.same("a claim after the end", other.claim("a", over).await?, true)?;
    other.same("the next", other.next(over).await?, Some("b".into()))?;
    worker.same(
        "a lease that is lost",
        worker.renew("a", over).await?,
        false,
    )?;
    // The step of the one that came to life again counts for nothing.
    worker
        .refused("a", step(&["child"], done("late")), over)
        .await?;
    other.reads("a", Some("a")).await?;
    other.reads("child", None).await?;
    other.commit("a", step(&[], done("end")), over).await?;
    worker.refused("a", step(&[], done("late")), over).await?;
    worker.reads("a", Some("end")).await?;
    // Nobody has taken this one: its worker was only slow.
    worker.commit("c", step(&[], done("end")), over).await?;
    other.opens(&[("b", NOW)]).await
}

pub(super) async fn of_many_workers_never_meet(fixture: &dyn Fixture) -> Result<(), Failure> {
    let guarantee = "of workers that claim at the same time one has each split";
    let ids: Vec<String> = (0..40).map(|number| format!("{number:02}")).collect();
    let first = Worker::of(fixture, guarantee);
    first
        .add(&ids.iter().map(String::as_str).collect::<Vec<_>>(), NOW)
        .await?;
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let worker = Worker {
            queue: fixture.worker(),
            guarantee,
        };
        workers.spawn(async move {
            let mut stepped = Vec::new();
            while let Some(id) = worker.next(NOW).await? {
                tokio::task::yield_now().await;
                worker.commit(&id, step(&[], done("end")), NOW).await?;
                stepped.push(id);
            }
            Ok::<_, Failure>(stepped)
        });
    }
    let mut stepped = Vec::new();
    while let Some(of_one) = workers.join_next().await {
        stepped.extend(of_one.map_err(|error| Failure {
            guarantee,
            reason: error.to_string(),
        })??);
    }
    first.same("how many were stepped", stepped.len(), ids.len())?;
    let stepped: BTreeSet<String> = stepped.into_iter().collect();
    first.same("what was stepped", stepped, ids.into_iter().collect())?;
    let left = ok(guarantee, first.queue.open_splits().await)?;
    first.same("what is left", left, Vec::new())
}
