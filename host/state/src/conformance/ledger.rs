//! The guarantees of every [`Ledger`], as a suite that each can be put through, an embedder's own among
//! them.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use recording_host_state::{Ledger, Queue, WorkQueue, conformance::{Fixture, ledger::{self, LedgerFixture}}};
//! struct InMemory(Queue);
//!
//! #[async_trait::async_trait]
//! impl Fixture for InMemory {
//!     fn worker(&self) -> Arc<dyn WorkQueue> {
//!         Arc::new(self.0.for_another_worker())
//!     }
//! }
//!
//! impl LedgerFixture for InMemory {
//!     fn ledger(&self) -> Arc<dyn Ledger> {
//!         Arc::new(self.0.clone())
//!     }
//! }
//!
//! # async fn example() {
//! ledger::all(|| InMemory(Queue::in_memory().unwrap())).await.unwrap();
//! # }
//! ```
//!
//! Each check begins with a fresh, empty ledger. It works on the ledger and on its work queue, whose
//! [`commit`](crate::WorkQueue::commit) makes conversations known, through the traits alone. Durability beyond the
//! process is checked where the [`Fixture`] can open both again.

mod apart;
mod discovery;
pub(crate) mod export;
mod fetching;
mod filing;
mod handover;
mod outcomes;
mod repair;
mod report;
mod segments;
mod sinks;
pub(super) mod view;
mod whole;

use std::sync::Arc;

use super::{Failure, Fixture};
use crate::Ledger;

/// A ledger that is put through the suite, with the work queue that belongs to it.
pub trait LedgerFixture: Fixture {
    /// The ledger of the export whose splits the [`worker`](Fixture::worker)s have.
    fn ledger(&self) -> Arc<dyn Ledger>;
}

/// Puts a ledger through all of it; `fresh` makes an empty one for each check.
///
/// # Errors
/// The first guarantee that is not kept, in the order in which a conversation meets them.
pub async fn all<F: LedgerFixture>(fresh: impl Fn() -> F) -> Result<(), Failure> {
    discovery::searches_are_numbered(&fresh()).await?;
    discovery::ranges_are_searched_when_their_search_is_over(&fresh()).await?;
    discovery::conversations_are_known(&fresh()).await?;
    discovery::counts_are_compared(&fresh()).await?;
    fetching::begins_with_its_splits(&fresh()).await?;
    discovery::bundles_are_known(&fresh()).await?;
    fetching::takes_what_is_wanted(&fresh()).await?;
    fetching::is_abandoned(&fresh()).await?;
    fetching::results_are_noted_together(&fresh()).await?;
    fetching::artifacts_are_owed_to_sinks(&fresh()).await?;
    fetching::copies_are_found(&fresh()).await?;
    handover::reports_are_applied_once(&fresh()).await?;
    outcomes::are_final_when_nothing_is_left(&fresh()).await?;
    outcomes::that_may_improve_are_postponed(&fresh()).await?;
    outcomes::that_are_owed_are_failures(&fresh()).await?;
    segments::take_what_is_completed(&fresh()).await?;
    filing::is_counted_when_every_sink_has_it(&fresh()).await?;
    segments::are_the_same_whenever_they_are_read(&fresh()).await?;
    filing::receipts_are_fixed_once(&fresh()).await?;
    filing::notes_are_kept_by_sink(&fresh()).await?;
    filing::takes_up_what_has_grown(&fresh()).await?;
    outcomes::of_losses_alone_are_tried_again(&fresh()).await?;
    outcomes::of_an_attempt_are_of_that_alone(&fresh()).await?;
    segments::take_the_place_of_smaller_ones(&fresh()).await?;
    segments::are_joined_once_for_a_sink_that_is_added(&fresh()).await?;
    sinks::lack_what_is_noted(&fresh()).await?;
    sinks::are_filled(&fresh()).await?;
    sinks::that_are_added_lack_all(&fresh()).await?;
    sinks::that_are_gone_are_not_waited_for(&fresh()).await?;
    sinks::hold_what_was_delivered(&fresh()).await?;
    handover::bundles_are_for_those_that_lack_them(&fresh()).await?;
    apart::is_lacked_by_a_sink_that_is_added(&fresh()).await?;
    apart::outlives_the_sink_it_was_for(&fresh()).await?;
    apart::is_left_alone_on_its_way(&fresh()).await?;
    apart::is_known_to_be_in_a_sink(&fresh()).await?;
    apart::is_filed_when_the_last_sink_is_gone(&fresh()).await?;
    repair::takes_over_what_receipts_prove(&fresh()).await?;
    repair::files_a_segment_again(&fresh()).await?;
    repair::is_refused_without_a_change(&fresh()).await?;
    repair::gives_way_in_the_sink_whose_files_are_wrong(&fresh()).await?;
    report::numbers_agree(&fresh()).await?;
    report::losses_are_named_once(&fresh()).await?;
    report::notes_are_read(&fresh()).await?;
    whole::repeated_calls_change_nothing(&fresh()).await?;
    whole::calls_that_are_dropped_are_whole(&fresh()).await?;
    whole::calls_at_the_same_time_are_in_order(&fresh()).await?;
    whole::what_has_returned_outlives_the_process(&mut fresh()).await
}
