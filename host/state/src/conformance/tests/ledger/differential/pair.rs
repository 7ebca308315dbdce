//! Two ledgers on which the same calls are made.

use std::{collections::BTreeSet, fmt::Debug, sync::Arc};

use super::{InMemory, Maps, arguments::subjects};
use crate::{
    MemoryLedger, Queue, QueueError, WorkQueue,
    conformance::ledger::{LedgerFixture, export::Export, view::View},
};

/// A ledger and its work queue.
pub(super) struct Side {
    pub(super) export: Export,
    /// Another worker of its splits.
    pub(super) other: Arc<dyn WorkQueue>,
}

impl Side {
    pub(super) fn of(fixture: &dyn LedgerFixture) -> Self {
        Side {
            export: Export::of(fixture, "both answer the same"),
            other: fixture.worker(),
        }
    }
}

/// Two of them that ought to answer the same.
pub(super) struct Pair {
    seed: u64,
    /// The one in SQLite.
    queue: Side,
    /// The one in maps.
    maps: Side,
    ledger: MemoryLedger,
    /// The calls so far.
    calls: Vec<String>,
}

impl Drop for Pair {
    fn drop(&mut self) {
        // One of them may have panicked.
        if std::thread::panicking() {
            let calls = &self.calls[self.calls.len().saturating_sub(100)..];
            eprintln!("seed {}, the last calls:\n{}", self.seed, calls.join("\n"));
        }
    }
}

impl Pair {
    /// An empty queue, and the ledger in maps.
    pub(super) fn new(seed: u64, queue: Queue) -> Self {
        let ledger = MemoryLedger::new();
        Pair {
            seed,
            queue: Side::of(&InMemory(queue)),
            maps: Side::of(&Maps(ledger.clone())),
            ledger,
            calls: Vec::new(),
        }
    }

    /// The ledger that is read to draw arguments.
    pub(super) fn reader(&self) -> &Export {
        &self.queue.export
    }

    /// Makes a call on both and compares the answers; none if it is refused.
    pub(super) async fn call<T: Debug>(
        &mut self,
        call: String,
        make: impl AsyncFn(&Side) -> Result<T, QueueError>,
    ) -> Option<T> {
        self.compare(call, make, |answer| format!("{answer:?}"))
            .await
    }

    /// Makes a call on both whose answer has no order.
    pub(super) async fn call_set<T: Debug>(
        &mut self,
        call: String,
        make: impl AsyncFn(&Side) -> Result<Vec<T>, QueueError>,
    ) -> Option<Vec<T>> {
        let set = |answer: &Vec<T>| {
            let texts = answer.iter().map(|one| format!("{one:?}"));
            format!("{:?}", texts.collect::<BTreeSet<_>>())
        };
        self.compare(call, make, set).await
    }

    async fn compare<T>(
        &mut self,
        call: String,
        make: impl AsyncFn(&Side) -> Result<T, QueueError>,
        text: impl Fn(&T) -> String,
    ) -> Option<T> {
        self.calls.push(call);
        let (queue, maps) = (make(&self.queue).await, make(&self.maps).await);
        self.ledger.kept().check();
        let same = match (&queue, &maps) {
            (Ok(queue), Ok(maps)) => text(queue) == text(maps),
            (Err(_), Err(_)) => true,
            _ => false,
        };
        let shown = |answer: &Result<T, QueueError>| match answer {
            Ok(answer) => text(answer),
            Err(error) => format!("refused: {error}"),
        };
        assert!(
            same,
            "seed {}, call {}: {}\nthe queue: {}\nin maps:   {}",
            self.seed,
            self.calls.len(),
            self.calls.last().unwrap(),
            shown(&queue),
            shown(&maps)
        );
        queue.ok()
    }

    /// Compares all that they report.
    pub(super) async fn view(&mut self) {
        let of = subjects();
        let queue = View::about(&self.queue.export, &of).await.unwrap();
        let maps = View::about(&self.maps.export, &of).await.unwrap();
        let when = format!(
            "in maps, after call {} of seed {}",
            self.calls.len(),
            self.seed
        );
        if let Err(failure) = queue.is_that_of(&maps, &when) {
            panic!("{}", failure.reason);
        }
    }
}
