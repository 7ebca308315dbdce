//! Writes down what became of artifacts, many at once, while downloads go on.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio::task::JoinSet;

use super::{Engine, RunError, fleet::FleetRole, in_flight::InFlight, tasks::Tasks};
use crate::{privacy::Intake, transfer::SinkBinding};
use recording_host_model::{ArtifactResult, Event, Events, StoredArtifact};
use recording_host_state::{FetchChange, Ledger, QueueError, fleet::FetchConsumer};

/// Results that are written down at once, at least as long as downloads are under way, and at most.
const LEAST: usize = 32;
const MOST: usize = 1024;

/// The results of artifacts of which the ledger does not know yet.
#[derive(Default)]
pub(super) struct Results {
    came: Vec<ArtifactResult>,
}

/// Results that were written down.
pub(super) type WrittenResults = Result<WrittenBatch, RunError>;

/// Results that were written down, or that count for nothing.
#[derive(Default)]
pub(super) struct WrittenBatch {
    /// The keys of their artifacts.
    keys: Vec<String>,
    /// The fetches whose results they are, if this engine is a node.
    fetches: BTreeSet<String>,
    /// Those of them that are no longer this node's.
    lost: Vec<String>,
}

impl Results {
    /// Takes on what became of artifacts.
    pub(super) fn extend(&mut self, results: impl IntoIterator<Item = ArtifactResult>) {
        self.came.extend(results);
    }

    /// Returns true if none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.came.is_empty()
    }

    /// Returns true if so many wait that nothing more should be begun.
    pub(super) fn is_full(&self) -> bool {
        self.came.len() >= MOST
    }
}

impl Engine {
    /// Begins to write results down, if there are enough of them and no others are being written down.
    pub(super) fn write_some_results(&self, results: &mut Results, tasks: &mut Tasks) {
        let waiting = results.came.len();
        let enough = waiting >= LEAST || tasks.transfers.is_empty();
        if waiting > 0 && enough && tasks.writing.is_empty() {
            let batch = results.came.drain(..waiting.min(MOST)).collect();
            let writer = self.result_writer();
            tasks
                .writing
                .spawn(async move { writer.write_delivered(batch).await });
        }
    }

    /// Heeds that results are written down; until then, links to the same artifacts are ignored.
    pub(super) async fn on_results_written(
        &self,
        written: WrittenResults,
        in_flight: &mut InFlight,
    ) -> Result<(), RunError> {
        let written = written?;
        in_flight.links.written(&written.keys);
        for fetch in &written.fetches {
            in_flight.held.changed(fetch);
        }
        for fetch in &written.lost {
            self.lose_fetch(fetch, in_flight).await?;
        }
        Ok(())
    }

    /// Writes all results down, and waits until that is done.
    pub(super) async fn write_all_results(
        &self,
        results: &mut Results,
        writing: &mut JoinSet<WrittenResults>,
        in_flight: &mut InFlight,
    ) -> Result<(), RunError> {
        while let Some(written) = writing.join_next().await {
            self.on_results_written(super::tasks::joined(written)?, in_flight)
                .await?;
        }
        let all = std::mem::take(&mut results.came);
        let written = self.result_writer().write_delivered(all).await;
        self.on_results_written(written, in_flight).await
    }

    /// Writes down what became of artifacts that were not downloaded.
    pub(super) async fn write_lost(
        &self,
        lost: Vec<ArtifactResult>,
        in_flight: &mut InFlight,
    ) -> Result<(), RunError> {
        if lost.is_empty() {
            return Ok(());
        }
        let mut written = self.result_writer().write(lost).await?;
        // Nothing was on its way.
        written.keys.clear();
        self.on_results_written(Ok(written), in_flight).await
    }

    fn result_writer(&self) -> ResultWriter {
        ResultWriter {
            ledger: Arc::clone(&self.ledger),
            bindings: self.bindings.clone(),
            fleet: self.fleet.clone(),
            intake: Arc::clone(&self.intake),
            events: self.events.clone(),
        }
    }
}

/// All that is needed to write results down.
struct ResultWriter {
    ledger: Arc<dyn Ledger>,
    bindings: Vec<Arc<SinkBinding>>,
    fleet: FleetRole,
    intake: Arc<Intake>,
    events: Events,
}

impl ResultWriter {
    /// Writes down what became of artifacts that were downloaded.
    async fn write_delivered(&self, mut batch: Vec<ArtifactResult>) -> WrittenResults {
        self.remove_copies(&mut batch).await?;
        Ok(self.write(batch).await?)
    }

    /// Writes results down without personal values.
    async fn write(&self, mut results: Vec<ArtifactResult>) -> Result<WrittenBatch, QueueError> {
        let mut written = WrittenBatch {
            keys: results.iter().map(|one| one.artifact.clone()).collect(),
            ..WrittenBatch::default()
        };
        self.intake.results(&mut results);
        if let Some(consumer) = self.fleet.consumer() {
            results = self.report(&**consumer, results, &mut written).await?;
        }
        let happened: Vec<Event> = match self.events.has_subscribers() {
            true => results.iter().filter_map(event_of).collect(),
            false => Vec::new(),
        };
        self.ledger.delivered(results).await?;
        for event in happened {
            self.events.emit(|| event);
        }
        Ok(written)
    }

    /// Reports results to the leader, those of each fetch together; returns those that count.
    async fn report(
        &self,
        consumer: &dyn FetchConsumer,
        results: Vec<ArtifactResult>,
        written: &mut WrittenBatch,
    ) -> Result<Vec<ArtifactResult>, QueueError> {
        let keys = results.iter().map(|one| one.artifact.clone()).collect();
        let fetches = self.ledger.fetches_of(keys).await?;
        let mut by_fetch = BTreeMap::<String, Vec<ArtifactResult>>::new();
        for result in results {
            // One of a fetch that this node has let go of is nobody's.
            if let Some(fetch) = fetches.get(&result.artifact) {
                by_fetch.entry(fetch.clone()).or_default().push(result);
            }
        }
        let mut counting = Vec::new();
        for (fetch, results) in by_fetch {
            let change = FetchChange::delivered(&results);
            match consumer.report(&fetch, change).await {
                Ok(()) => {
                    counting.extend(results);
                    written.fetches.insert(fetch);
                }
                Err(QueueError::NotHeld(_)) => written.lost.push(fetch),
                Err(error) => return Err(error),
            }
        }
        Ok(counting)
    }

    /// Removes what was put although it is a copy of another file of its recording, where that can be
    /// done; where it cannot, both files have a row.
    ///
    /// It is removed before that is written down: whoever is killed in between gets the artifact again
    /// that showed the copy, and comes to the same end.
    async fn remove_copies(&self, batch: &mut [ArtifactResult]) -> Result<(), RunError> {
        for copy in self.ledger.copies(batch).await? {
            let mut bindings = self.bindings.iter();
            let binding = bindings.find(|binding| binding.name == copy.sink);
            let Some(store) = binding.and_then(|binding| binding.sink.store()) else {
                continue;
            };
            if store.delete(&copy.key).await.is_err() {
                continue;
            }
            let is_copy = |sink: &str, key: &str| sink == copy.sink && key == copy.key;
            for contents in batch.iter_mut().flat_map(|one| &mut one.result) {
                let objects = &mut contents.objects;
                objects.retain(|(sink, object)| !is_copy(sink, &object.key));
            }
            if let Some(Ok(contents)) = batch.get_mut(copy.at).map(|one| &mut one.result) {
                contents.dropped.push((copy.sink, copy.key));
            }
        }
        Ok(())
    }
}

/// The event for an artifact's result; none for one that waits for sinks that are away.
fn event_of(result: &ArtifactResult) -> Option<Event> {
    let lost = |code: &str| {
        let code = code.to_owned();
        Some(Event::ArtifactLost { code })
    };
    match &result.result {
        Err((code, _)) => lost(code),
        Ok(contents) => match &contents.lost {
            Some(missing) if contents.lost_in.is_empty() => lost(&missing.code),
            _ if result.took.is_empty() => None,
            _ => {
                let mut stored: BTreeMap<String, StoredArtifact> = BTreeMap::new();
                for sink in &result.took {
                    stored.entry(sink.clone()).or_default();
                }
                for (sink, object) in &contents.objects {
                    let stored = stored.entry(sink.clone()).or_default();
                    stored.objects += 1;
                    stored.bytes += object.size;
                }
                Some(Event::ArtifactStored { stored })
            }
        },
    }
}
