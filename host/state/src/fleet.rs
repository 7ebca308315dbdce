//! Fetches that the nodes of a fleet do for the one that leads it, as two traits.
//!
//! The leader has the [`Ledger`](crate::Ledger). It publishes each fetch as a [`FetchOrder`] through a
//! [`FetchPublisher`]; a node takes it through a [`FetchConsumer`], does it with a ledger of its own in memory
//! ([`Queue::for_node`](crate::Queue::for_node)), and reports each change that it commits there as a
//! [`FetchChange`]. The leader applies the changes to its ledger in their order
//! ([`Handover`](crate::ledger::Handover)). A node that takes a fetch after another one has stopped begins with
//! the changes that were reported before.
//!
//! A machine of a fleet gets all of this, the [`Journal`] of the ledger, and the lead itself from a [`FleetMember`].
//!
//! The guarantees of every implementation:
//!
//! - **Durable.** An order and a report outlive a crash once the call has returned.
//! - **In order.** The leader gets all reports of all fetches in the order in which they were stored.
//! - **Exclusive.** At any time one node at most can report on a fetch: once another node has taken it, the
//!   reports of the one before are refused with [`QueueError::NotHeld`].
//! - **Persistent.** A fetch whose node has stopped is taken by another one, until a node says that it is done
//!   or the leader forgets it.
//!
//! [`MemoryFleet`](crate::MemoryFleet) keeps all of it in memory, for tests.

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;

use super::{FetchChange, FetchOrder, Journal, QueueError};

/// A change that a node has reported.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct FetchReport {
    /// Its place among all reports; each is greater than the one before.
    pub sequence: u64,
    /// The name of the fetch.
    pub fetch: String,
    /// The change.
    pub change: FetchChange,
}

/// A fetch that a node has taken.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct TakenFetch {
    /// The fetch.
    pub order: FetchOrder,
    /// The changes that other nodes have reported of it, in their order.
    pub changes: Vec<FetchChange>,
    /// How often nodes have taken it, this one included.
    #[serde(default)]
    pub deliveries: u64,
}

/// How many fetches of a source are with a fleet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct FetchCounts {
    /// Those that wait for a node.
    pub waiting: u64,
    /// Those that nodes are doing.
    pub taken: u64,
}

/// The fetches of a fleet as its leader sees them.
#[async_trait]
pub trait FetchPublisher: Debug + Send + Sync {
    /// Has fetches wait for a node; one of the same name that waits or is being done stays as it is.
    ///
    /// # Errors
    /// [`QueueError`]; the call can be repeated.
    async fn publish(&self, orders: Vec<FetchOrder>) -> Result<(), QueueError>;

    /// The names of the fetches that are not [forgotten](Self::forget).
    ///
    /// # Errors
    /// [`QueueError`].
    async fn published(&self) -> Result<Vec<String>, QueueError>;

    /// The names of the fetches that wait for a node or that one has: without those of which reports alone are left.
    ///
    /// # Errors
    /// [`QueueError`].
    async fn ordered(&self) -> Result<Vec<String>, QueueError> {
        self.published().await
    }

    /// How many fetches wait and are being done.
    ///
    /// # Errors
    /// [`QueueError`].
    async fn counts(&self) -> Result<FetchCounts, QueueError>;

    /// Waits for the first report after a sequence; 0 is before all.
    ///
    /// # Errors
    /// [Unreadable](QueueError::unreadable) as long as the fetch of that report is not [forgotten](Self::forget). Any other
    /// [`QueueError`]; the call can be repeated.
    async fn next_report(&self, after: u64) -> Result<FetchReport, QueueError>;

    /// Removes a fetch that the ledger has in full: first the order, then what was reported of it.
    ///
    /// # Errors
    /// [`QueueError`]; the call can be repeated.
    async fn forget(&self, fetch: &str) -> Result<(), QueueError>;
}

/// The fetches of a fleet as one node sees them.
#[async_trait]
pub trait FetchConsumer: Debug + Send + Sync {
    /// Waits for a fetch that no other node has. It is this node's until it is done or given back, or until the
    /// node stops.
    ///
    /// # Errors
    /// [Unreadable](QueueError::unreadable) if there was one that cannot be read: it is put aside, and the leader publishes it
    /// anew. Any other [`QueueError`]; the call can be repeated.
    async fn take(&self) -> Result<TakenFetch, QueueError>;

    /// Reports a change of a fetch that this node has.
    ///
    /// # Errors
    /// [`QueueError::NotHeld`] if another node has taken it: then its reports count, and this one does not. Any
    /// other [`QueueError`]; then nobody knows if it was stored.
    async fn report(&self, fetch: &str, change: FetchChange) -> Result<(), QueueError>;

    /// Says that a fetch is done: no other node is to take it.
    ///
    /// # Errors
    /// [`QueueError`]; then another node takes it, and finds it done.
    async fn done(&self, fetch: &str) -> Result<(), QueueError>;

    /// Gives a fetch back, so that another node can take it at once.
    ///
    /// # Errors
    /// [`QueueError`]; then another node takes it later.
    async fn give_back(&self, fetch: &str) -> Result<(), QueueError>;
}

/// The means by which a machine takes part in a fleet.
#[async_trait]
pub trait FleetMember: Debug + Send + Sync {
    /// Waits until this machine leads the export of a source.
    ///
    /// # Errors
    /// [`QueueError`]; the call can be repeated.
    async fn lead(&self, source: &str) -> Result<Box<dyn Leadership>, QueueError>;

    /// The fetches of a source as a node sees them.
    ///
    /// # Errors
    /// [`QueueError`]; the call can be repeated.
    async fn consumer(&self, source: &str) -> Result<Arc<dyn FetchConsumer>, QueueError>;

    /// The journal of an export's ledger.
    ///
    /// # Errors
    /// [`QueueError`]; the call can be repeated.
    async fn journal(&self, export: &str) -> Result<Arc<dyn Journal>, QueueError>;
}

/// The lead of an export. When this is dropped, the machine gives it up, as soon as that can be.
#[async_trait]
pub trait Leadership: Debug + Send + Sync {
    /// The fetches of the source as its leader sees them.
    fn publisher(&self) -> Arc<dyn FetchPublisher>;

    /// Waits until this machine leads no longer; says why, in words.
    async fn ended(&self) -> String;

    /// Gives the lead up: another machine may lead at once.
    async fn resign(&self);
}
