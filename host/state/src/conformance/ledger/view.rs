//! All that a ledger answers at one time.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt::Debug,
};

use super::{
    super::{Failure, NOW, ok, same},
    export::{Export, SINKS, delivered, object, texts},
};
use crate::QueueError;
use recording_host_model::ArtifactKey;

/// The conversations of the checks that compare views.
pub(super) const IDS: [&str; 5] = ["a", "b", "c", "d", "e"];
/// The bundle of the checks that compare views.
pub(super) const BUNDLE: &str = "bundle";
/// The fetches of the checks that compare views.
pub(super) const FETCHES: [&str; 3] = ["fetch-1", "fetch-2", "fetch-3"];

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
pub(super) struct View {
    guarantee: &'static str,
    answers: Vec<(String, String)>,
}

impl View {
    /// What an export's ledger and its work queue answer now.
    pub(super) async fn of(export: &Export) -> Result<Self, Failure> {
        let mut view = View {
            guarantee: export.worker.guarantee,
            answers: Vec::new(),
        };
        view.add_discovery(export).await?;
        view.add_fetching(export).await?;
        view.add_filing(export).await?;
        view.add_sinks(export).await?;
        view.add_report(export).await?;
        Ok(view)
    }

    /// Compares it with what is answered later.
    pub(super) fn is_that_of(&self, later: &View, when: &str) -> Result<(), Failure> {
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

    async fn add_discovery(&mut self, export: &Export) -> Result<(), Failure> {
        let ledger = &export.reader;
        self.add("searched", ledger.searched().await)?;
        self.add_set("searches_of", ledger.searches_of(0, 2 * NOW).await)?;
        self.add_set("source_counts", ledger.source_counts().await)?;
        self.add_set("miscounted", ledger.miscounted().await)?;
        self.add("live", ledger.live().await)?;
        self.add("known", ledger.known(texts(&IDS)).await)?;
        for id in IDS {
            let known = ledger.known_one(id.to_owned()).await;
            self.add(format!("known_one of {id}"), known)?;
        }
        let bundle = ArtifactKey::Bundle(BUNDLE.to_owned());
        self.add_set("in_bundle", ledger.in_bundle(&bundle).await)
    }

    async fn add_fetching(&mut self, export: &Export) -> Result<(), Failure> {
        let ledger = &export.reader;
        let batch = ledger.next_batch("fetch", 9, true, 2 * NOW).await;
        self.add("next_batch", batch)?;
        for live in [true, false] {
            let next = ledger.next_wanted(live).await;
            self.add(format!("next_wanted with live {live}"), next)?;
        }
        for fetch in FETCHES {
            let pending = ledger.pending(format!("{fetch}/0")).await;
            self.add_set(format!("pending of {fetch}"), pending)?;
        }
        self.add("undelivered", sorted(ledger.undelivered().await))?;
        self.add("backlog", sorted(ledger.backlog(texts(&SINKS)).await))?;
        let waits = ledger.any_waits_for_sinks().await;
        self.add("any_waits_for_sinks", waits)?;
        let open = export.worker.queue.open_splits().await;
        self.add("open_splits", open)
    }

    async fn add_filing(&mut self, export: &Export) -> Result<(), Failure> {
        let ledger = &export.reader;
        let unfiled = ok(self.guarantee, sorted(ledger.unfiled().await))?;
        let numbers: Vec<i64> = unfiled.keys().copied().collect();
        self.add("unfiled", Ok(unfiled))?;
        for number in numbers {
            let segment = ledger.segment(number).await;
            self.add(format!("segment {number}"), segment)?;
        }
        let last = ok(self.guarantee, ledger.last_segment().await)?;
        self.add("last_segment", Ok(last))?;
        for number in 1..=last {
            let of = |call: &str| format!("{call} of {number}");
            self.add(of("filings_left"), ledger.filings_left(number).await)?;
            self.add(of("known_losses"), ledger.known_losses(number).await)?;
            self.add_set(of("filed_in"), ledger.filed_in(number).await)?;
            for sink in SINKS.map(str::to_owned) {
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

    async fn add_sinks(&mut self, export: &Export) -> Result<(), Failure> {
        let ledger = &export.reader;
        self.add_set("sinks", ledger.sinks().await)?;
        self.add("has_stored", ledger.has_stored().await)?;
        self.add("has_filed", ledger.has_filed().await)?;
        self.add("has_delivered", ledger.has_delivered().await)?;
        self.add("lacking", ledger.lacking().await)?;
        self.add("lackers", ledger.lackers(texts(&IDS)).await)?;
        for sink in SINKS.map(str::to_owned) {
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
            for id in IDS {
                let key = object(id).key;
                let has = ledger.has_object(sink.clone(), key).await;
                self.add(format!("has_object of {sink} and {id}"), has)?;
            }
        }
        Ok(())
    }

    async fn add_report(&mut self, export: &Export) -> Result<(), Failure> {
        let ledger = &export.reader;
        for id in IDS {
            let filed = ledger.last_filed(id.to_owned()).await;
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
        let batch: Vec<_> = IDS.iter().map(|id| delivered(id, &SINKS, &[])).collect();
        let copies = ledger.copies(&batch).await;
        self.add("copies", copies.map(|copies| copies.len()))?;
        Ok(())
    }
}
