//! Hands artifacts to the transfer, and decides what becomes of one that was not delivered.

use std::sync::Arc;

use tokio::{task::JoinSet, time::Instant};
use tracing::Instrument;

use super::{Engine, RunError, in_flight::InFlight, links::PendingArtifact, suspect::in_turn};
use crate::{
    receipt,
    transfer::{DeliveryReport, SinkBinding, TransferError},
};
use recording_host_model::{ArtifactKey, ArtifactResult, MissingRecording, day};
use recording_host_sink::SinkError;

/// The code of a recording whose key another object has, which stays.
const OCCUPIED: &str = "occupied";

/// The result of a download.
pub(super) struct TransferDone {
    link: PendingArtifact,
    began: Instant,
    result: Result<DeliveryReport, TransferError>,
}

impl Engine {
    /// Starts as many downloads as may be under way.
    pub(super) fn start_downloads(
        &self,
        in_flight: &mut InFlight,
        transfers: &mut JoinSet<TransferDone>,
        now: u64,
    ) {
        in_flight.links.resume(now);
        let backpressure = self.backpressure();
        in_flight
            .concurrency
            .on_backpressure(backpressure, Instant::now());
        let pace = in_flight.concurrency.limit();
        let most = in_flight.sinks.allows(pace, now);
        while transfers.len() < most {
            let held = &in_flight.held;
            let Some(mut link) = in_flight.links.take(|split| held.has_turn(split)) else {
                break;
            };
            let suspect = held.suspect(&link.split);
            let turn = suspect.as_ref().and_then(|suspect| suspect.try_turn());
            let away = |sink_index: &usize| in_flight.sinks.is_unavailable(*sink_index);
            link.backlog.extend(link.to.iter().copied().filter(away));
            link.to.retain(|sink_index| !away(sink_index));
            let transfer = Arc::clone(&self.transfer);
            let to = link
                .to
                .iter()
                .map(|sink_index| Arc::clone(&self.bindings[*sink_index]));
            let bindings: Vec<Arc<SinkBinding>> = to.collect();
            let span = link.span.clone();
            let delivering = async move {
                let bindings: Vec<&SinkBinding> = bindings.iter().map(AsRef::as_ref).collect();
                let key = link.artifact.key.to_text();
                let delivery = async {
                    let began = Instant::now();
                    let result = match (bindings.is_empty(), link.is_last) {
                        (true, _) => Ok(DeliveryReport::default()),
                        (false, false) => transfer.deliver(&link.artifact, &bindings).await,
                        (false, true) => transfer.keep_aside(&link.artifact, &bindings).await,
                    };
                    (began, result)
                };
                let (began, result) = in_turn(suspect.as_deref(), turn, &key, delivery).await;
                TransferDone {
                    link,
                    began,
                    result,
                }
            };
            transfers.spawn(delivering.instrument(span));
        }
        if transfers.len() < pace {
            in_flight.concurrency.on_idle();
        }
    }

    /// How often the sinks and the origins of media have asked for less so far.
    pub(super) fn backpressure(&self) -> u64 {
        let sinks = self.bindings.iter();
        let sinks: u64 = sinks.map(|binding| binding.sink.backpressure()).sum();
        sinks + self.transfer.backpressure()
    }

    /// Says what has become of an artifact, if that is final.
    pub(super) async fn on_transfer(
        &self,
        done: TransferDone,
        in_flight: &mut InFlight,
    ) -> Result<Option<ArtifactResult>, RunError> {
        let TransferDone {
            mut link,
            began,
            result,
        } = done;
        let brought = result.as_ref().ok().map(|delivery| {
            let objects = delivery.contents.objects.iter();
            objects.map(|(_, object)| object.size).sum()
        });
        in_flight
            .concurrency
            .on_complete(began, brought, Instant::now());
        let key = link.artifact.key.to_text();
        if self.fleet.consumer().is_some() && in_flight.held.of_split(&link.split).is_none() {
            // It is another node's by now: it is neither tried again here nor asked for anew.
            in_flight.links.written(&[key]);
            return Ok(None);
        }
        let delivery = match result {
            Ok(delivery) => delivery,
            Err(error) => return self.undelivered(link, key, error, in_flight),
        };
        // A link that has served is good: a sink's outage costs no renewals.
        if !link.to.is_empty() {
            in_flight.links.served(&key);
        }
        let DeliveryReport { contents, failed } = delivery;
        link.contents.objects.extend(contents.objects);
        link.contents.missing = contents.missing;
        if contents.lost.is_some() && !link.took.is_empty() {
            link.contents.lost_in = self.names(&link.to);
        }
        link.contents.lost = contents.lost;
        let mut left = self.note_takers(&mut link, &failed, in_flight).await?;
        // One that was away when the download began may be back, and gets it by the same link.
        left.append(&mut link.backlog);
        for sink_index in left {
            match in_flight.sinks.is_unavailable(sink_index) {
                true => link.backlog.push(sink_index),
                false => link.to.push(sink_index),
            }
        }
        if !link.to.is_empty() {
            in_flight.links.put_back(link);
            return Ok(None);
        }
        if let (true, true, Some((_, message))) = (
            link.took.is_empty(),
            link.backlog.is_empty(),
            link.occupied.first(),
        ) {
            return Ok(Some(ArtifactResult::failed(key, OCCUPIED, message)));
        }
        if link.took.is_empty() {
            // Only sinks that are away want it: it waits for them.
            return Ok(Some(ArtifactResult::owed(key, self.names(&link.backlog))));
        }
        Ok(Some(self.ended(key, link)))
    }

    /// Notes which sinks took what a link brought; returns those that are to get it once more.
    async fn note_takers(
        &self,
        link: &mut PendingArtifact,
        failed: &[(String, SinkError)],
        in_flight: &mut InFlight,
    ) -> Result<Vec<usize>, RunError> {
        let mut left = Vec::new();
        for sink_index in std::mem::take(&mut link.to) {
            let name = &self.bindings[sink_index].name;
            match failed.iter().find(|(sink, _)| sink == name) {
                Some((_, error)) if error.different.is_some() => {
                    match self.gives_way(sink_index, link, error, in_flight).await? {
                        Ok(true) => left.push(sink_index),
                        Ok(false) => link.occupied.push((sink_index, error.to_string())),
                        Err(error) => {
                            self.sink_failed(sink_index, error, in_flight)?;
                            left.push(sink_index);
                        }
                    }
                }
                Some((_, error)) => {
                    self.sink_failed(sink_index, error.clone(), in_flight)?;
                    left.push(sink_index);
                }
                None => {
                    // One that was left behind meanwhile is back when it has been tried.
                    if !in_flight.sinks.is_unavailable(sink_index) {
                        in_flight.sinks.succeeded(sink_index);
                    }
                    link.took.push(sink_index);
                }
            }
        }
        Ok(left)
    }

    /// Removes the object that is under a recording's key with other bytes, if it may be of no value to
    /// anybody: nothing in the ledger and no receipt of the sink names it, as one that a killed writer
    /// left, or that was damaged together with its receipt. Says whether it is gone; a failure of the
    /// sink that may pass decides nothing.
    async fn gives_way(
        &self,
        sink_index: usize,
        link: &PendingArtifact,
        error: &SinkError,
        in_flight: &mut InFlight,
    ) -> Result<Result<bool, SinkError>, RunError> {
        let binding = &self.bindings[sink_index];
        let (Some(different), Some(store)) = (&error.different, binding.sink.store()) else {
            return Ok(Ok(false));
        };
        let key = &different.key;
        if !different.replaceable || in_flight.links.gave_way(sink_index, key) {
            return Ok(Ok(false));
        }
        // The name of an archive of many conversations is not theirs alone.
        let ArtifactKey::Recording(recording) = &link.artifact.key else {
            return Ok(Ok(false));
        };
        let ledger = &self.ledger;
        let known = ledger.known(vec![recording.conversation.clone()]).await?;
        let Some(known) = known.get(&recording.conversation) else {
            return Ok(Ok(false));
        };
        if ledger.has_object(binding.name.clone(), key.clone()).await? {
            return Ok(Ok(false));
        }
        let repair = self.repair || in_flight.held.is_repair(&link.split);
        let removed = match receipt::names(store, &day(known.start), key, repair).await {
            Ok(true) => return Ok(Ok(false)),
            Ok(false) => store.delete(key).await,
            Err(error) => Err(error),
        };
        match removed {
            Ok(()) => in_flight.links.give_way(sink_index, key),
            Err(error) if error.retryable => return Ok(Err(error)),
            Err(_) => return Ok(Ok(false)),
        };
        self.warn(&format!(
            "sink {}, {key}: an object with other bytes was there that no receipt names; it is replaced",
            binding.name
        ));
        Ok(Ok(true))
    }

    /// The result to write down for an artifact that some sinks have taken.
    fn ended(&self, artifact: String, mut link: PendingArtifact) -> ArtifactResult {
        if let Some((_, message)) = link.occupied.first() {
            let contents = &mut link.contents;
            let indexes: Vec<usize> = link
                .occupied
                .iter()
                .map(|(sink_index, _)| *sink_index)
                .collect();
            // What is lost for all sinks is lost for these.
            if contents.lost.is_none() || !contents.lost_in.is_empty() {
                contents.lost_in.extend(self.names(&indexes));
            }
            contents.lost.get_or_insert_with(|| MissingRecording {
                conversation: String::new(),
                code: OCCUPIED.to_owned(),
                message: message.clone(),
                retryable: false,
            });
        }
        ArtifactResult {
            artifact,
            took: self.names(&link.took),
            backlog: self.names(&link.backlog),
            result: Ok(link.contents),
        }
    }

    fn names(&self, indexes: &[usize]) -> Vec<String> {
        let names = indexes
            .iter()
            .map(|sink_index| self.bindings[*sink_index].name.clone());
        names.collect()
    }

    /// Says what becomes of an artifact that could not be brought to the sinks that it was yet to be
    /// brought to, if that is final: its link is tried later where the origin failed, and then a fresh one is
    /// requested, each a few times. It costs this artifact alone,
    /// unless it is the host that failed.
    fn undelivered(
        &self,
        mut link: PendingArtifact,
        key: String,
        error: TransferError,
        in_flight: &mut InFlight,
    ) -> Result<Option<ArtifactResult>, RunError> {
        if let TransferError::Origin(_) = error {
            link = match in_flight.links.put_off(link, self.clock.now()) {
                None => return Ok(None),
                Some(link) => link,
            };
        }
        let (code, message) = match error {
            TransferError::Host(reason) => return Err(RunError::Host(reason)),
            TransferError::Item { code, reason } => (code, reason),
            TransferError::Link(_) | TransferError::Origin(_) | TransferError::Unfit(_) => {
                if in_flight.links.refresh(&link.split, &key) {
                    return Ok(None);
                }
                match error {
                    TransferError::Unfit(_) if !link.is_last => {
                        link.is_last = true;
                        in_flight.links.put_back(link);
                        return Ok(None);
                    }
                    TransferError::Unfit(unfit) => (unfit.code, unfit.reason),
                    error => ("download", error.to_string()),
                }
            }
        };
        if link.took.is_empty() {
            return Ok(Some(ArtifactResult::failed(key, code, &message)));
        }
        link.contents.lost_in = self.names(&link.to);
        link.contents.lost = Some(MissingRecording {
            conversation: String::new(),
            code: code.to_owned(),
            message,
            retryable: false,
        });
        Ok(Some(self.ended(key, link)))
    }
}
