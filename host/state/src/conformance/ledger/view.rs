//! All that a ledger answers at one time.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt::Debug,
};

use super::{
    super::{Failure, NOW, ok, same},
    export::{Export, SINKS, delivered, object, texts},
};
use crate::{FetchOrder, QueueError};
use recording_host_model::{ArtifactKey, ConversationRecord};

/// The conversations of the checks that compare views.
pub(in crate::conformance) const IDS: [&str; 5] = ["a", "b", "c", "d", "e"];
/// The bundle of the checks that compare views.
pub(in crate::conformance) const BUNDLE: &str = "bundle";
/// The fetches of the checks that compare views.
pub(in crate::conformance) const FETCHES: [&str; 3] = ["fetch-1", "fetch-2", "fetch-3"];

/// How many of the last segments a view is of.
const LATEST: i64 = 40;

/// What a view is of.
pub(in crate::conformance) struct Subjects {
    pub(in crate::conformance) ids: Vec<String>,
    pub(in crate::conformance) bundles: Vec<String>,
    pub(in crate::conformance) sinks: Vec<String>,
    /// The splits of fetches.
    pub(in crate::conformance) splits: Vec<String>,
}

impl Default for Subjects {
    /// Those of the checks that compare views.
    fn default() -> Self {
        Subjects {
            ids: texts(&IDS),
            bundles: texts(&[BUNDLE]),
            sinks: texts(&SINKS),
            splits: FETCHES.map(|fetch| format!("{fetch}/0")).into(),
        }
    }
}

/// An order as a text that does not depend on how the records in it are written.
fn order_text(order: &FetchOrder) -> String {
    let mut order = order.clone();
    for one in &mut order.conversations {
        let record = one.record.as_deref();
        let record = record.map(serde_json::from_str::<ConversationRecord>);
        one.record = record.map(|record| format!("{record:?}"));
    }
    format!("{order:?}")
}

/// Lists whose order means nothing, by what they are of.
fn sorted<K: Ord>(
    lists: Result<BTreeMap<K, Vec<String>>, QueueError>,
) -> Result<BTreeMap<K, Vec<String>>, QueueError> {
    lists.map(|mut lists| {
        lists.values_mut().for_each(|list| list.sort_unstable());
        lists
    })
}

/// The answers of every call that reads, each with the call.
pub(in crate::conformance) struct View {
    guarantee: &'static str,
    answers: Vec<(String, String)>,
}

impl View {
    /// What an export's ledger and its work queue answer now.
    pub(in crate::conformance) async fn of(export: &Export) -> Result<Self, Failure> {
        Self::about(export, &Subjects::default()).await
    }

    /// What an export's ledger and its work queue answer now about some conversations, sinks and fetches.
    pub(in crate::conformance) async fn about(
        export: &Export,
        of: &Subjects,
    ) -> Result<Self, Failure> {
        let mut view = View {
            guarantee: export.worker.guarantee,
            answers: Vec::new(),
        };
        view.add_discovery(export, of).await?;
        view.add_fetching(export, of).await?;
        view.add_handover(export).await?;
        view.add_filing(export, of).await?;
        view.add_sinks(export, of).await?;
        view.add_report(export, of).await?;
        Ok(view)
    }

    /// Compares it with what is answered later.
    pub(in crate::conformance) fn is_that_of(
        &self,
        later: &View,
        when: &str,
    ) -> Result<(), Failure> {
        for ((call, before), (_, now)) in self.answers.iter().zip(&later.answers) {
            let what = format!("{call} {when}");
            same(self.guarantee, &what, now, before)?;
        }
        let calls = |view: &View| view.answers.len();
        let what = format!("answers {when}");
        same(self.guarantee, &what, calls(later), calls(self))
    }

    fn add<T: Debug>(
        &mut self,
        call: impl Into<String>,
        answer: Result<T, QueueError>,
    ) -> Result<(), Failure> {
        let answer = ok(self.guarantee, answer)?;
        self.answers.push((call.into(), format!("{answer:?}")));
        Ok(())
    }

    /// Adds an answer whose order means nothing.
    fn add_set<T: Debug>(
        &mut self,
        call: impl Into<String>,
        answer: Result<Vec<T>, QueueError>,
    ) -> Result<(), Failure> {
        let answer = answer.map(|answer| {
            let texts = answer.iter().map(|one| format!("{one:?}"));
            texts.collect::<BTreeSet<_>>()
        });
        self.add(call, answer)
    }

    async fn add_discovery(&mut self, export: &Export, of: &Subjects) -> Result<(), Failure> {
        let ledger = &export.reader;
        self.add("searched", ledger.searched().await)?;
        self.add_set("searches_of", ledger.searches_of(0, 2 * NOW).await)?;
        self.add_set("source_counts", ledger.source_counts().await)?;
        self.add_set("miscounted", ledger.miscounted().await)?;
        self.add("live", ledger.live().await)?;
        self.add("known", ledger.known(of.ids.clone()).await)?;
        for id in &of.ids {
            let known = ledger.known_one(id.clone()).await;
            self.add(format!("known_one of {id}"), known)?;
        }
        for bundle in &of.bundles {
            let key = ArtifactKey::Bundle(bundle.clone());
            let inside = ledger.in_bundle(&key).await;
            self.add_set(format!("in_bundle of {bundle}"), inside)?;
        }
        Ok(())
    }

    async fn add_fetching(&mut self, export: &Export, of: &Subjects) -> Result<(), Failure> {
        let ledger = &export.reader;
        let batch = ledger.next_batch("fetch", 9, true, 2 * NOW).await;
        self.add("next_batch", batch)?;
        for live in [true, false] {
            let next = ledger.next_wanted(live).await;
            self.add(format!("next_wanted with live {live}"), next)?;
        }
        for split in &of.splits {
            let pending = ledger.pending(split.clone()).await;
            self.add_set(format!("pending of {split}"), pending)?;
        }
        self.add("undelivered", sorted(ledger.undelivered().await))?;
        self.add("backlog", sorted(ledger.backlog(of.sinks.clone()).await))?;
        let waits = ledger.any_waits_for_sinks().await;
        self.add("any_waits_for_sinks", waits)?;
        let open = export.worker.queue.open_splits().await;
        self.add("open_splits", open)
    }

    async fn add_handover(&mut self, export: &Export) -> Result<(), Failure> {
        let ledger = &export.reader;
        let orders = ok(self.guarantee, ledger.orders("fetch").await)?;
        let artifacts = orders.iter().flat_map(|order| &order.artifacts);
        let artifacts = artifacts.map(|known| known.key.clone()).collect();
        self.add("fetches_of", ledger.fetches_of(artifacts).await)?;
        for order in orders {
            let finished = ledger.is_finished(order.fetch.clone()).await;
            self.add(format!("is_finished of {}", order.fetch), finished)?;
            self.add(format!("order of {}", order.fetch), Ok(order_text(&order)))?;
        }
        self.add("applied", ledger.applied().await)
    }

    async fn add_filing(&mut self, export: &Export, of: &Subjects) -> Result<(), Failure> {
        let ledger = &export.reader;
        let unfiled = ok(self.guarantee, sorted(ledger.unfiled().await))?;
        let numbers: Vec<i64> = unfiled.keys().copied().collect();
        self.add("unfiled", Ok(unfiled))?;
        for number in numbers {
            let segment = ok(self.guarantee, ledger.segment(number).await)?;
            let conversations = ledger.sealed_conversations(segment.ids.clone()).await;
            self.add(format!("segment {number}"), Ok(segment))?;
            self.add(format!("conversations of {number}"), conversations)?;
        }
        let last = ok(self.guarantee, ledger.last_segment().await)?;
        self.add("last_segment", Ok(last))?;
        for number in last.saturating_sub(LATEST).max(1)..=last {
            let call = |call: &str| format!("{call} of {number}");
            self.add(call("filings_left"), ledger.filings_left(number).await)?;
            self.add(call("known_losses"), ledger.known_losses(number).await)?;
            self.add_set(call("filed_in"), ledger.filed_in(number).await)?;
            for sink in &of.sinks {
                let fixed = ledger.fixed_receipt(number, sink.clone()).await;
                self.add(format!("fixed_receipt of {number} in {sink}"), fixed)?;
                let rows = ledger.rows(number, sink.clone()).await;
                self.add(format!("rows of {number} in {sink}"), rows)?;
            }
        }
        self.add("sealed", ledger.sealed().await)?;
        let before = "2030-01-01".to_owned();
        self.add("can_compact", ledger.can_compact(before).await)?;
        self.add_set("replaced", ledger.replaced().await)
    }

    async fn add_sinks(&mut self, export: &Export, of: &Subjects) -> Result<(), Failure> {
        let ledger = &export.reader;
        self.add_set("sinks", ledger.sinks().await)?;
        self.add("has_stored", ledger.has_stored().await)?;
        self.add("has_filed", ledger.has_filed().await)?;
        self.add("has_delivered", ledger.has_delivered().await)?;
        self.add("lacking", ledger.lacking().await)?;
        self.add("lackers", ledger.lackers(of.ids.clone()).await)?;
        for sink in &of.sinks {
            let not_filed = ledger.not_filed(sink.clone()).await;
            self.add_set(format!("not_filed of {sink}"), not_filed)?;
            self.add(
                format!("readme of {sink}"),
                ledger.readme(sink.clone()).await,
            )?;
            let unproven = ledger.unproven(sink.clone(), HashSet::new()).await;
            let unproven = unproven.map(|mut unproven| {
                unproven.filed.sort_unstable();
                unproven
            });
            self.add(format!("unproven of {sink}"), unproven)?;
            for id in &of.ids {
                let key = object(id).key;
                let has = ledger.has_object(sink.clone(), key).await;
                self.add(format!("has_object of {sink} and {id}"), has)?;
            }
        }
        Ok(())
    }

    async fn add_report(&mut self, export: &Export, of: &Subjects) -> Result<(), Failure> {
        let ledger = &export.reader;
        for id in &of.ids {
            let filed = ledger.last_filed(id.clone()).await;
            self.add(format!("last_filed of {id}"), filed)?;
        }
        self.add("progress", ledger.progress().await)?;
        self.add("status", ledger.status().await)?;
        // Its length may be any.
        let behind = ledger.stock().await.map(|stock| stock.behind);
        self.add("what is behind in stock", behind)?;
        for new in [true, false] {
            let losses = ledger.losses(9, new).await;
            self.add_set(format!("losses with new {new}"), losses)?;
        }
        self.add("losses_to_name", ledger.losses_to_name().await)?;
        self.add("meta", ledger.meta("conformance").await)?;
        let batch: Vec<_> = of.ids.iter().map(|id| delivered(id, &SINKS, &[])).collect();
        let copies = ledger.copies(&batch).await;
        self.add("copies", copies.map(|copies| copies.len()))?;
        Ok(())
    }
}
