//! The guarantees of every [`WorkQueue`], as a suite that each can be put through, an embedder's own among
//! them.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use recording_host_state::{MemoryWorkQueue, WorkQueue, conformance::{self, Fixture}};
//! struct InMemory(MemoryWorkQueue);
//!
//! #[async_trait::async_trait]
//! impl Fixture for InMemory {
//!     fn worker(&self) -> Arc<dyn WorkQueue> {
//!         Arc::new(self.0.worker())
//!     }
//! }
//!
//! # async fn example() {
//! conformance::all(|| InMemory(MemoryWorkQueue::new())).await.unwrap();
//! # }
//! ```
//!
//! Each check begins with a fresh, empty queue. Durability beyond the process is checked where the
//! [`Fixture`] can open the queue again.

mod claims;
mod commits;
pub mod ledger;
mod splits;
#[cfg(test)]
mod tests;

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;

use super::{Lease, QueueError, WorkQueue};
use recording_host_model::{Method, Next, Request, Send as Sending, Split, SplitState, Step, Wait};

/// A queue that is put through the suite.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// The queue as a worker sees it that has claimed nothing yet.
    fn worker(&self) -> Arc<dyn WorkQueue>;

    /// Ends the process that has the queue open, as far as the queue can detect, and opens it again; all
    /// workers of before are gone. False if that cannot be done.
    async fn reopen(&mut self) -> bool {
        false
    }

    /// Lets time pass (ms), for a queue whose leases end by a clock of its own.
    async fn elapse(&self, _ms: u64) {}
}

/// A guarantee that a queue does not keep.
#[derive(Debug, thiserror::Error)]
#[error("{guarantee}: {reason}")]
pub struct Failure {
    /// The guarantee.
    pub guarantee: &'static str,
    /// How it is broken.
    pub reason: String,
}

/// Puts a queue through all of it; `fresh` makes an empty one for each check.
///
/// # Errors
/// The first guarantee that is not kept.
pub async fn all<F: Fixture>(fresh: impl Fn() -> F) -> Result<(), Failure> {
    splits::are_added_once(&fresh()).await?;
    splits::are_in_order(&fresh()).await?;
    splits::wait_until_they_are_due(&fresh()).await?;
    claims::are_exclusive(&fresh()).await?;
    claims::are_given_back(&fresh()).await?;
    claims::are_renewed(&fresh()).await?;
    claims::end_with_their_lease(&fresh()).await?;
    claims::of_many_workers_never_meet(&fresh()).await?;
    commits::are_whole(&fresh()).await?;
    commits::give_back_what_waits(&fresh()).await?;
    commits::of_what_is_done_are_refused(&fresh()).await?;
    commits::without_a_claim_are_refused(&fresh()).await?;
    commits::outlive_the_process(&mut fresh()).await
}

/// An instant (ms), long after the epoch.
const NOW: u64 = 1_700_000_000_000;
/// How long a lease lasts (ms).
const LEASE: u64 = 60_000;

/// A lease from an instant on.
fn from(now: u64) -> Lease {
    Lease {
        now,
        until: now + LEASE,
    }
}

fn state(data: &str) -> SplitState {
    SplitState {
        version: 7,
        data: data.as_bytes().to_vec(),
    }
}

/// A split whose state is its id.
fn split(id: &str) -> Split {
    Split {
        id: id.to_owned(),
        kind: "kind".to_owned(),
        state: state(id),
    }
}

/// A step that yields splits.
pub(crate) fn step(children: &[&str], next: Next) -> Step {
    Step {
        splits: children.iter().map(|id| split(id)).collect(),
        ..Step::from(next)
    }
}

fn send(data: &str) -> Next {
    let request = Request {
        method: Method::Get,
        url: "https://api.example/".to_owned(),
        headers: Vec::new(),
        body: None,
        repeatable: true,
    };
    Next::Send(Sending {
        request,
        state: state(data),
    })
}

fn wait(data: &str, until: u64) -> Next {
    Next::Wait(Wait {
        until,
        state: state(data),
        job: None,
    })
}

fn done(data: &str) -> Next {
    Next::Done(state(data))
}

/// The answer of a call that ought to succeed.
fn ok<T>(guarantee: &'static str, answer: Result<T, QueueError>) -> Result<T, Failure> {
    answer.map_err(|error| Failure {
        guarantee,
        reason: error.to_string(),
    })
}

/// Compares what a queue answers with what it ought to.
fn same<T: Debug + PartialEq>(
    guarantee: &'static str,
    what: &str,
    answer: T,
    expected: T,
) -> Result<(), Failure> {
    if answer == expected {
        return Ok(());
    }
    Err(Failure {
        guarantee,
        reason: format!("{what}: {answer:?}, and not {expected:?}"),
    })
}

/// One worker of a queue in a check of one guarantee.
struct Worker {
    queue: Arc<dyn WorkQueue>,
    guarantee: &'static str,
}

impl Worker {
    fn of(fixture: &dyn Fixture, guarantee: &'static str) -> Self {
        Worker {
            queue: fixture.worker(),
            guarantee,
        }
    }

    async fn add(&self, ids: &[&str], now: u64) -> Result<Vec<String>, Failure> {
        let splits = ids.iter().map(|id| split(id)).collect();
        ok(self.guarantee, self.queue.add(splits, now).await)
    }

    /// Claims a split by its id; says whether it could.
    async fn claim(&self, id: &str, now: u64) -> Result<bool, Failure> {
        let claimed = self.queue.claim(id.to_owned(), from(now)).await;
        Ok(ok(self.guarantee, claimed)?.is_some())
    }

    /// The id of the next split, which is claimed.
    async fn next(&self, now: u64) -> Result<Option<String>, Failure> {
        let claimed = ok(self.guarantee, self.queue.claim_next(from(now)).await)?;
        Ok(claimed.map(|split| split.id))
    }

    async fn release(&self, id: &str, due: u64) -> Result<bool, Failure> {
        ok(self.guarantee, self.queue.release(id.to_owned(), due).await)
    }

    async fn renew(&self, id: &str, now: u64) -> Result<bool, Failure> {
        ok(
            self.guarantee,
            self.queue.renew(id.to_owned(), from(now)).await,
        )
    }

    /// Commits a step that is accepted; returns the splits that are new.
    async fn commit(&self, id: &str, step: Step, now: u64) -> Result<Vec<String>, Failure> {
        let committed = self.queue.commit(id.to_owned(), step, now, 0).await;
        Ok(ok(self.guarantee, committed)?.splits)
    }

    /// Commits a step that is refused, because this worker does not hold the split.
    async fn refused(&self, id: &str, step: Step, now: u64) -> Result<(), Failure> {
        match self.queue.commit(id.to_owned(), step, now, 0).await {
            Err(QueueError::NotHeld(_)) => Ok(()),
            answer => Err(Failure {
                guarantee: self.guarantee,
                reason: format!("a step of {id} that is not held: {answer:?}"),
            }),
        }
    }

    /// Checks which splits are open, and when each is due.
    async fn opens(&self, expected: &[(&str, u64)]) -> Result<(), Failure> {
        let open = ok(self.guarantee, self.queue.open_splits().await)?;
        let expected: Vec<(String, u64)> = expected
            .iter()
            .map(|(id, due)| ((*id).to_owned(), *due))
            .collect();
        same(self.guarantee, "open splits", open, expected)
    }

    /// Checks a split's state; none if it is not known.
    async fn reads(&self, id: &str, expected: Option<&str>) -> Result<(), Failure> {
        let answer = ok(self.guarantee, self.queue.split(String::from(id)).await)?;
        let expected = expected.map(|data| Split {
            state: state(data),
            ..split(id)
        });
        same(self.guarantee, "the split", answer, expected)
    }

    fn same<T: Debug + PartialEq>(
        &self,
        what: &str,
        answer: T,
        expected: T,
    ) -> Result<(), Failure> {
        same(self.guarantee, what, answer, expected)
    }
}
