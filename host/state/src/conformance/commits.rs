//! A step is committed whole and for good, by who holds the split, or not at all.

use super::{Failure, Fixture, LEASE, NOW, Worker, done, send, step, wait};

pub(super) async fn are_whole(fixture: &dyn Fixture) -> Result<(), Failure> {
    let guarantee = "of a step that is committed everybody sees all";
    let (worker, other) = (
        Worker::of(fixture, guarantee),
        Worker::of(fixture, guarantee),
    );
    worker.add(&["a", "b"], NOW).await?;
    other.reads("a", Some("a")).await?;
    worker.claim("a", NOW).await?;
    let new = worker
        .commit("a", step(&["d", "b", "c"], send("one")), NOW + 1)
        .await?;
    worker.same("new splits", new, vec!["d".into(), "c".into()])?;
    for reader in [&worker, &other] {
        reader.reads("a", Some("one")).await?;
        reader.reads("b", Some("b")).await?;
        reader.reads("c", Some("c")).await?;
        let open = [("b", NOW), ("a", NOW + 1), ("c", NOW + 1), ("d", NOW + 1)];
        reader.opens(&open).await?;
    }
    // Each state takes the place of the one before.
    for data in ["two", "three"] {
        worker.commit("a", step(&[], send(data)), NOW + 2).await?;
        other.reads("a", Some(data)).await?;
    }
    worker
        .commit("a", step(&["e"], done("end")), NOW + 3)
        .await?;
    other.reads("a", Some("end")).await?;
    other.reads("e", Some("e")).await?;
    other.same(
        "a claim of a new split",
        other.claim("e", NOW + 3).await?,
        true,
    )
}

pub(super) async fn give_back_what_waits(fixture: &dyn Fixture) -> Result<(), Failure> {
    let guarantee = "a split that waits is given back";
    let (worker, other) = (
        Worker::of(fixture, guarantee),
        Worker::of(fixture, guarantee),
    );
    worker.add(&["a"], NOW).await?;
    worker.claim("a", NOW).await?;
    worker
        .commit("a", step(&[], wait("paused", NOW + 10)), NOW)
        .await?;
    worker
        .refused("a", step(&["child"], done("late")), NOW)
        .await?;
    other.same("the next", other.next(NOW + 10).await?, Some("a".into()))?;
    other.reads("a", Some("paused")).await?;
    other.reads("child", None).await?;
    worker.same(
        "a claim of what another holds",
        worker.claim("a", NOW + 10).await?,
        false,
    )
}

pub(super) async fn of_what_is_done_are_refused(fixture: &dyn Fixture) -> Result<(), Failure> {
    let guarantee = "a split that is done is stepped by who claims it, and by nobody else";
    let (worker, other) = (
        Worker::of(fixture, guarantee),
        Worker::of(fixture, guarantee),
    );
    worker.add(&["a"], NOW).await?;
    worker.claim("a", NOW).await?;
    worker.commit("a", step(&[], done("end")), NOW).await?;
    worker
        .refused("a", step(&["child"], done("again")), NOW)
        .await?;
    worker.reads("a", Some("end")).await?;
    worker.reads("child", None).await?;
    worker.opens(&[]).await?;
    other.same("the next of none", other.next(NOW + LEASE).await?, None)?;
    // Artifacts that it handed over may have to be obtained anew.
    other.same(
        "a claim of what is done",
        other.claim("a", NOW).await?,
        true,
    )?;
    other.opens(&[]).await?;
    other
        .commit("a", step(&[], wait("anew", NOW + 5)), NOW)
        .await?;
    other.opens(&[("a", NOW + 5)]).await?;
    worker.same("the next", worker.next(NOW + 5).await?, Some("a".into()))?;
    worker.commit("a", step(&[], done("end")), NOW + 5).await?;
    worker.opens(&[]).await
}

pub(super) async fn without_a_claim_are_refused(fixture: &dyn Fixture) -> Result<(), Failure> {
    let guarantee = "a step of a split that is not held has no effect";
    let (worker, other) = (
        Worker::of(fixture, guarantee),
        Worker::of(fixture, guarantee),
    );
    worker.add(&["a", "b"], NOW).await?;
    worker.claim("b", NOW).await?;
    worker
        .refused("a", step(&["child"], done("end")), NOW)
        .await?;
    worker
        .refused("x", step(&["child"], done("end")), NOW)
        .await?;
    other
        .refused("b", step(&["child"], done("end")), NOW)
        .await?;
    worker.reads("a", Some("a")).await?;
    worker.reads("b", Some("b")).await?;
    worker.reads("x", None).await?;
    worker.reads("child", None).await?;
    worker.opens(&[("a", NOW), ("b", NOW)]).await?;
    worker.commit("b", step(&[], done("end")), NOW).await?;
    worker.opens(&[("a", NOW)]).await
}

pub(super) async fn outlive_the_process(fixture: &mut dyn Fixture) -> Result<(), Failure> {
    let guarantee = "what has returned outlives the process";
    {
        let worker = Worker::of(fixture, guarantee);
        worker.add(&["asks", "waits", "ends", "added"], NOW).await?;
        for id in ["asks", "waits", "ends"] {
            worker.claim(id, NOW).await?;
        }
        worker
            .commit("ends", step(&["child"], done("end")), NOW + 1)
            .await?;
        worker
            .commit("asks", step(&[], send("asked")), NOW + 2)
            .await?;
        worker
            .commit("waits", step(&[], wait("paused", NOW + 9)), NOW + 3)
            .await?;
    }
    if !fixture.reopen().await {
        return Ok(());
    }
    fixture.elapse(LEASE).await;
    let worker = Worker::of(fixture, guarantee);
    worker.reads("ends", Some("end")).await?;
    worker.reads("asks", Some("asked")).await?;
    worker.reads("waits", Some("paused")).await?;
    let open = [
        ("added", NOW),
        ("child", NOW + 1),
        ("asks", NOW + 2),
        ("waits", NOW + 9),
    ];
    worker.opens(&open).await?;
    // Nobody holds anything any more.
    let later = NOW + LEASE;
    for id in ["added", "child", "asks", "waits"] {
        worker.same("the next", worker.next(later).await?, Some(id.into()))?;
    }
    worker.commit("asks", step(&[], done("end")), later).await?;
    worker.reads("asks", Some("end")).await
}
