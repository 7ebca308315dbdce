//! The leader's record of an export: its conversations, their artifacts, the segments that they are
//! filed in, and the sinks, in the order in which a conversation meets them.
//!
//! [`Queue`] keeps it in SQLite, beside the splits; whoever works on an export has it as a [`Ledger`]. Each
//! call below guarantees the following, which [`conformance::ledger`](crate::conformance::ledger) checks of
//! every implementation:
//!
//! - **Atomic.** A call has all of its effect or none, at a crash too. Where it begins or ends work, the
//!   splits are in the same transaction: [`search`](Discovery::search), [`fetch`](Fetching::fetch),
//!   [`abandon`](Fetching::abandon).
//! - **Durable.** Its changes are on the disk when it returns.
//! - **In order.** A call sees the effect of each call that has returned.
//! - **Along the life cycle.** A conversation moves along [`Transition`](crate::Transition)s alone.
//!
//! A caller that does not know the result of a call may always repeat one that reads. Of the others,
//! each one that *notes*, *fixes*, *expects* or *acknowledges* something may be repeated, and so may each one that
//! works through all that is at a stage ([`complete`](Fetching::complete), [`seal_segments`](Filing::seal_segments),
//! [`retry_lost`](Fetching::retry_lost) and the like): the repeat finds less to do, or nothing. A search or
//! a fetch that is begun twice is numbered twice, and its splits are known the second time.
//!
//! Each part has first what reads and then, as its `changes`, what writes. [`JournaledLedger`] stores a change in a
//! [`Journal`](crate::Journal) before it makes it, so that another machine can make it as well.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{
    Acknowledged, Backfilled, Completion, CountMismatch, FetchFailure, FetchOrder, KnownSink,
    MemoryLedger, ObjectCopy, Queue, QueueError, QueueStock, ReceiptSummary, Searched,
    SearchedRange, Status, SupersededSegment, Unproven, VoidSegment,
    fleet::{FetchReport, TakenFetch},
    journal::{JournaledLedger, Written, results, splits, text},
    memory_ledger::Answer,
};
use recording_host_model::{
    ArtifactKey, ArtifactResult, CompletedConversation, ConversationRef, KeyContext, Progress,
    Segment, Split, TimeRange,
};

/// All of the ledger.
pub trait Ledger:
    Discovery + Fetching + Handover + Filing + Sinks + Repair + Report + fmt::Debug
{
}

impl<T> Ledger for T where
    T: Discovery + Fetching + Handover + Filing + Sinks + Repair + Report + fmt::Debug
{
}

/// A ledger that leaves to another one what it does not do itself.
#[cfg(test)]
pub(crate) trait Delegate: Send + Sync {
    /// The other one.
    fn delegate(&self) -> &dyn Ledger;
}

/// Declares a part of the ledger, each method with what it is for, its arguments and its answer, and has
/// [`Queue`] and the data of a [`MemoryLedger`] answer it by their own methods of the same name. A
/// [`JournaledLedger`] does what it changes twice: as an entry of the journal, and by its queue. For tests there is
/// the same part of a ledger that delegates each method unless it has its own.
macro_rules! part {
    (
        $(#[$about_part:meta])*
        $part:ident, $delegate:ident, $change:ident {
            $($(#[$about:meta])* $method:ident($($name:ident: $type:ty),*) -> $answer:ty;)*
        }
        changes {
            $(
                $(#[$about_change:meta])*
                $changing:ident($($(#[$wire:meta])* $given:ident: $given_type:ty),*) -> $result:ty;
            )*
        }
    ) => {
        $(#[$about_part])*
        #[async_trait]
        pub trait $part: Send + Sync {
            $(
                $(#[$about])*
                ///
                /// # Errors
                /// [`QueueError`].
                async fn $method(&self, $($name: $type),*) -> Result<$answer, QueueError>;
            )*
            $(
                $(#[$about_change])*
                ///
                /// # Errors
                /// [`QueueError`]; then nothing has changed.
                async fn $changing(&self, $($given: $given_type),*) -> Result<$result, QueueError>;
            )*
        }

        #[async_trait]
        impl $part for Queue {
            $(
                async fn $method(&self, $($name: $type),*) -> Result<$answer, QueueError> {
                    Queue::$method(self, $($name),*).await
                }
            )*
            $(
                async fn $changing(&self, $($given: $given_type),*) -> Result<$result, QueueError> {
                    Queue::$changing(self, $($given),*).await
                }
            )*
        }

        /// A change to this part, as an entry of the journal has it.
        #[derive(Serialize, Deserialize)]
        #[allow(non_camel_case_types, reason = "an entry has the name of its method")]
        pub(crate) enum $change {
            $($changing { $($(#[$wire])* $given: $given_type),* },)*
        }

        impl $change {
            /// Makes the change in a ledger that follows the journal.
            pub(crate) async fn make(self, queue: &Queue) -> Result<(), QueueError> {
                match self {
                    $($change::$changing { $($given),* } => {
                        queue.$changing($($given),*).await.map(drop)
                    })*
                }
            }
        }

        #[async_trait]
        impl $part for JournaledLedger {
            $(
                async fn $method(&self, $($name: $type),*) -> Result<$answer, QueueError> {
                    let reading = self.reading().await?;
                    reading.queue().$method($($name),*).await
                }
            )*
            $(
                async fn $changing(&self, $($given: $given_type),*) -> Result<$result, QueueError> {
                    let change = $change::$changing { $($given),* };
                    let writing = self.writing(&Written::$part(&change)).await?;
                    let $change::$changing { $($given),* } = change else {
                        return Err(QueueError::Interrupted);
                    };
                    let made = writing.queue().$changing($($given),*).await;
                    writing.end(made)
                }
            )*
        }

        #[async_trait]
        impl $part for MemoryLedger {
            $(
                async fn $method(&self, $($name: $type),*) -> Result<$answer, QueueError> {
                    Answer::<$answer>::answer(self.kept().$method($($name),*))
                }
            )*
            $(
                async fn $changing(&self, $($given: $given_type),*) -> Result<$result, QueueError> {
                    Answer::<$result>::answer(self.kept().$changing($($given),*))
                }
            )*
        }

        #[cfg(test)]
        #[async_trait]
        pub(crate) trait $delegate: Delegate {
            $(
                async fn $method(&self, $($name: $type),*) -> Result<$answer, QueueError> {
                    self.delegate().$method($($name),*).await
                }
            )*
            $(
                async fn $changing(&self, $($given: $given_type),*) -> Result<$result, QueueError> {
                    self.delegate().$changing($($given),*).await
                }
            )*
        }

        #[cfg(test)]
        #[async_trait]
        impl<T: $delegate> $part for T {
            $(
                async fn $method(&self, $($name: $type),*) -> Result<$answer, QueueError> {
                    $delegate::$method(self, $($name),*).await
                }
            )*
            $(
                async fn $changing(&self, $($given: $given_type),*) -> Result<$result, QueueError> {
                    $delegate::$changing(self, $($given),*).await
                }
            )*
        }
    };
}

part! {
    /// Which ranges of time were searched, and what is known of the conversations in them.
    Discovery, DelegateDiscovery, DiscoveryChange {
        /// The results of the searches.
        searched() -> Searched;
        /// The ranges that were searched and touch a range.
        searches_of(from: u64, until: u64) -> Vec<SearchedRange>;
        /// How many conversations the source counted on each day, and when (ms).
        source_counts() -> Vec<(String, u64, u64)>;
        /// The ranges in which the source counted more conversations than are known.
        miscounted() -> Vec<CountMismatch>;
        /// When the first and the last of the conversations began that continue (ms).
        live() -> Option<(u64, u64)>;
        /// The known facts about conversations; those that are not known are left out.
        known(ids: Vec<String>) -> BTreeMap<String, KeyContext>;
        /// The known facts about a conversation; an answer waits for no call that changes something.
        known_one(id: String) -> Option<KeyContext>;
        /// The conversations whose recordings the source put into a bundle.
        in_bundle(key: &ArtifactKey) -> Vec<String>;
    }
    changes {
        /// Notes that the whole interval is to be searched once more.
        search_again() -> ();
        /// Begins a search of a range; returns the ids of the splits that are new.
        search(#[serde(with = "splits")] splits: Vec<Split>, range: TimeRange, now: u64) -> Vec<String>;
        /// Notes that the searches under way are over.
        searched_all(now: u64) -> ();
        /// Notes that the clock was ahead up to now: nothing from an instant on counts as searched.
        unsearch(from: u64, now: u64) -> ();
        /// Notes what an earlier version of the program has searched of an interval.
        take_over(interval: (u64, Option<u64>)) -> ();
    }
}

part! {
    /// From wanted to completed: fetches, and what became of the artifacts that they hand over.
    Fetching, DelegateFetching, FetchingChange {
        /// Chooses conversations for the next fetch, without beginning it; see [`Queue::next_batch`].
        next_batch(export: &str, most: usize, any: bool, now: u64) -> Option<(String, Vec<ConversationRef>)>;
        /// When the next conversation that was put off is due (ms).
        next_wanted(live: bool) -> Option<u64>;
        /// Artifacts that a split handed over and that are not delivered.
        pending(split: String) -> Vec<String>;
        /// Artifacts of splits that are done, but not delivered, by split.
        undelivered() -> BTreeMap<String, Vec<String>>;
        /// Which objects among those delivered are copies of others.
        copies(batch: &[ArtifactResult]) -> Vec<ObjectCopy>;
        /// The artifacts that sinks are owed, by the split that obtains them anew.
        backlog(sinks: Vec<String>) -> BTreeMap<String, Vec<String>>;
        /// Returns true if an artifact waits for sinks that are away and that alone want it.
        any_waits_for_sinks() -> bool;
    }
    changes {
        /// Begins a fetch of conversations; returns the ids of the splits that are new.
        fetch(
            name: String,
            conversations: Vec<String>,
            #[serde(with = "splits")] splits: Vec<Split>,
            now: u64
        ) -> Vec<String>;
        /// Lets go of a split of a fetch, whoever holds it; returns how many of its conversations are
        /// fetched again.
        abandon(split: String, failure: FetchFailure, now: u64) -> usize;
        /// Notes what became of artifacts.
        delivered(#[serde(with = "results")] batch: Vec<ArtifactResult>) -> ();
        /// Makes outcomes final, or puts conversations off; see [`Queue::complete`].
        complete(now: u64, horizon: u64, confirm: u64) -> Completion;
        /// Has failed what the source owes an outcome or an artifact for, once no fetch is left; returns how
        /// much that is.
        settle_forgotten() -> usize;
        /// Takes up again losses that may pass.
        retry_passing(now: u64) -> usize;
        /// Takes up again all losses.
        retry_lost(now: u64) -> usize;
    }
}

part! {
    /// Fetches that other machines do: see [`fleet`](crate::fleet).
    Handover, DelegateHandover, HandoverChange {
        /// The fetches of an export that are not done, each as a node would do it.
        orders(export: &str) -> Vec<FetchOrder>;
        /// A fetch as a node would do it.
        order(fetch: String) -> FetchOrder;
        /// The sequence of the last report that was applied; 0 if none was.
        applied() -> u64;
        /// The fetches that artifacts belong to; those of fetches that were let go are left out.
        fetches_of(artifacts: Vec<String>) -> BTreeMap<String, String>;
        /// Returns true if a fetch has no split that is open and no artifact that is to be delivered.
        is_finished(fetch: String) -> bool;
    }
    changes {
        /// Applies what a node has reported, unless it was applied before; returns true if the fetch is finished. Of
        /// `sinks`, those that want an artifact and that the node has not brought it to are owed it.
        apply(report: FetchReport, sinks: Vec<String>) -> bool;
        /// Takes a fetch on, with what was reported of it before; the ledger of a node does.
        take_on(taken: TakenFetch, now: u64) -> ();
        /// Changes nothing, and fails if another machine leads.
        confirm() -> ();
        /// Forgets a fetch and its conversations; the ledger of a node does.
        let_go(fetch: String, conversations: Vec<String>) -> ();
    }
}

part! {
    /// From completed to filed: segments, their receipts, and what takes the place of small ones.
    Filing, DelegateFiling, FilingChange {
        /// The segments that are sealed and not filed in every sink, with those they can be filed in.
        unfiled() -> BTreeMap<i64, Vec<String>>;
        /// The number of the last segment; 0 if there is none.
        last_segment() -> i64;
        /// In how many sinks a segment is still to be filed, also where they are owed recordings of it.
        filings_left(number: i64) -> usize;
        /// A sealed segment, the same whenever it is read.
        segment(number: i64) -> Segment;
        /// Conversations that are sealed in a segment, in the order of the ids that are given.
        sealed_conversations(ids: Vec<String>) -> Vec<CompletedConversation>;
        /// The conversations of a sealed segment whose losses a run has named; of one that is in every sink, none.
        known_losses(number: i64) -> BTreeSet<String>;
        /// How many conversations wait to be filed in some sink.
        sealed() -> u64;
        /// The bytes that are fixed for a segment's receipt in a sink.
        fixed_receipt(segment: i64, sink: String) -> Option<Vec<u8>>;
        /// The sha256 of a segment's rows in a sink.
        rows(segment: i64, sink: String) -> Option<String>;
        /// Returns true if there is something to compact of days before one.
        can_compact(before: String) -> bool;
        /// The segments whose files are to be removed from sinks that have what takes their place.
        replaced() -> Vec<SupersededSegment>;
        /// The version of the text about the archive that a sink was given; 0 for none.
        readme(sink: String) -> i64;
    }
    changes {
        /// Seals segments of what is completed, to be filed in sinks, under the numbers after the last one.
        seal_segments(least: usize, most: usize, sinks: Vec<String>) -> ();
        /// Acknowledges that a sink holds a segment; see [`Queue::filed`].
        filed(segment: i64, sink: String, keep: bool, now: u64) -> Acknowledged;
        /// Fixes the bytes of a segment's receipt in a sink, unless some are; returns those that are.
        fix_receipt(segment: i64, sink: String, #[serde(with = "text")] bytes: Vec<u8>) -> Vec<u8>;
        /// Lets go of the bytes of a receipt that was never put.
        release_receipt(segment: i64, sink: String) -> ();
        /// Expects a segment to be filed in a sink.
        expect_filing(segment: i64, sink: String) -> ();
        /// Notes the sha256 of a segment's rows in a sink.
        set_rows(segment: i64, sink: String, sha256: String) -> ();
        /// Closes segments in the place of smaller ones; says whether there is something to file.
        compact(before: String, most: usize, sinks: Vec<String>) -> bool;
        /// Notes that a sink no longer holds a replaced segment.
        removed(replaced: SupersededSegment) -> ();
        /// Notes the version of the text about the archive that a sink was given.
        set_readme(sink: String, version: i64) -> ();
    }
}

part! {
    /// The sinks that the export has known, and what some of them lack that others have.
    Sinks, DelegateSinks, SinksChange {
        /// The sinks that the export has known.
        sinks() -> Vec<KnownSink>;
        /// Returns true if any sink holds an artifact of what is not filed.
        has_stored() -> bool;
        /// Returns true if any conversation is filed.
        has_filed() -> bool;
        /// Returns true if any sink was given anything.
        has_delivered() -> bool;
        /// Returns true if an object of a sink is part of what is not filed yet.
        has_object(sink: String, key: String) -> bool;
        /// How many filed conversations each sink lacks.
        lacking() -> BTreeMap<String, u64>;
        /// Which sinks lack each of these conversations.
        lackers(conversations: Vec<String>) -> BTreeMap<String, BTreeSet<String>>;
    }
    changes {
        /// Notes a sink as it is now.
        set_sink(sink: KnownSink) -> ();
        /// Notes which sinks are still there; nothing waits for the others any more. What was on its way to these
        /// alone is filed, or is another attempt for all.
        lapse(present: Vec<String>) -> ();
        /// Notes that a sink lacks all that others have.
        lacks_all(sink: String) -> ();
        /// Notes that a sink lacks conversations that it has had before; returns how many it does.
        lacks(sink: String, conversations: Vec<String>) -> u64;
        /// Notes that a sink has the receipts of segments, given by number and day.
        has_segments(sink: String, segments: Vec<(i64, String)>) -> ();
        /// Notes what receipts in a sink prove of it, as conversations and attempts; what is on its way to it is
        /// left alone.
        has(sink: String, conversations: Vec<(String, u32)>, further: bool) -> ();
        /// Notes what sinks were given that lacked it; returns how many conversations are to be fetched.
        filled(lacking: Vec<Backfilled>, refused: Vec<(String, String)>, now: u64) -> usize;
    }
}

part! {
    /// The proofs in receipts, and the work that is done where they are missing.
    Repair, DelegateRepair, RepairChange {
        /// The filed conversations of which a sink proves nothing.
        unproven(sink: String, proven: HashSet<u64>) -> Unproven;
        /// At which attempt a conversation was filed last, and with how many objects.
        last_filed(id: String) -> Option<(u32, u64)>;
        /// The conversations that are filed in a segment, as far as is known.
        filed_in(segment: i64) -> Vec<String>;
    }
    changes {
        /// Takes over what receipts prove; returns how many conversations are done with.
        recover(
            proven: Vec<ReceiptSummary>,
            segments: BTreeSet<(i64, String)>,
            replaced: Vec<(i64, String, i64)>,
            now: u64
        ) -> u64;
        /// Notes that all that the receipts prove is known.
        set_ready() -> ();
        /// Notes that a sink's files of a segment are wrong; see [`Queue::file_again`].
        file_again(segment: VoidSegment, now: u64) -> Option<u64>;
    }
}

part! {
    /// How far the export is, and what it says of itself.
    Report, DelegateReport, ReportChange {
        /// How far the export is.
        progress() -> Progress;
        /// The work that waits, and the size of what is kept.
        stock() -> QueueStock;
        /// All that `status` shows.
        status() -> Status;
        /// Conversations with a loss: id, code and message.
        losses(most: usize, new: bool) -> Vec<(String, String, String)>;
        /// The keys of objects that are stored in a sink, and that no receipt names yet.
        not_filed(sink: String) -> Vec<String>;
        /// How many conversations have losses that no run has named.
        losses_to_name() -> u64;
        /// A text that is kept under a name.
        meta(name: &'static str) -> Option<String>;
    }
    changes {
        /// Notes until when requests pause (ms); 0 if they do not.
        set_paused_until(until: u64) -> ();
        /// Notes that all losses have been named.
        report_losses() -> ();
        /// Notes a text under a name.
        set_meta(name: String, value: String) -> ();
    }
}
