//! Sinks that are unavailable: told of, probed, and brought what they are owed once they are back.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{Engine, RunError, in_flight::InFlight, setup, sink_health::FailureEffect};
use recording_host_model::Event;
use recording_host_sink::{Health, SinkError};

/// The result of probing a sink that was left behind.
pub(super) struct ProbeDone {
    pub(super) sink_index: usize,
    pub(super) result: Result<Health, SinkError>,
}

impl Engine {
    /// Notes that a sink failed.
    pub(super) fn sink_failed(
        &self,
        sink_index: usize,
        error: SinkError,
        in_flight: &mut InFlight,
    ) -> Result<(), RunError> {
        let text = error.to_string();
        match in_flight
            .sinks
            .failed(sink_index, error, self.clock.now())?
        {
            FailureEffect::Again => {}
            FailureEffect::Twice => self.warn(&format!("{text}; retrying")),
            FailureEffect::Opened => self.on_sink_unavailable(sink_index, &text),
        }
        Ok(())
    }

    pub(super) fn on_sink_unavailable(&self, sink_index: usize, reason: &str) {
        let name = &self.bindings[sink_index].name;
        self.events
            .emit(|| Event::SinkUnavailable { sink: name.clone() });
        self.warn(&format!(
            "{reason}; the run continues with the other sinks, and {name} is filled when it is back"
        ));
    }

    /// Tries sinks that were left behind, when it is time.
    pub(super) fn probe_sinks(
        &self,
        in_flight: &mut InFlight,
        probes: &mut JoinSet<ProbeDone>,
        now: u64,
    ) {
        for sink_index in in_flight.sinks.take_probes(now) {
            let binding = Arc::clone(&self.bindings[sink_index]);
            probes.spawn(async move {
                let result = setup::checked(&binding).await;
                ProbeDone { sink_index, result }
            });
        }
    }

    /// Goes on without a sink, or brings it what it is owed.
    pub(super) async fn on_probe(
        &self,
        done: ProbeDone,
        in_flight: &mut InFlight,
    ) -> Result<(), RunError> {
        let ProbeDone { sink_index, result } = done;
        in_flight.sinks.probed(sink_index);
        if let Err(error) = result {
            return self.sink_failed(sink_index, error, in_flight);
        }
        if !self.know_again(sink_index, in_flight).await? {
            return Ok(());
        }
        in_flight.sinks.succeeded(sink_index);
        in_flight.backfill.look();
        let backlog = self.request_owed_links(vec![sink_index], in_flight).await?;
        let name = &self.bindings[sink_index].name;
        self.events.emit(|| Event::SinkAvailable {
            sink: name.clone(),
            backlog,
        });
        self.warn(&format!(
            "sink {name} is available again; its {backlog} missing artifacts are fetched again"
        ));
        Ok(())
    }

    /// Has links requested to what some sinks are owed; returns to how many artifacts.
    pub(super) async fn request_owed_links(
        &self,
        indexes: Vec<usize>,
        in_flight: &mut InFlight,
    ) -> Result<usize, RunError> {
        let names = indexes
            .iter()
            .map(|sink_index| self.bindings[*sink_index].name.clone());
        let mut count = 0;
        for (split, keys) in self.ledger.backlog(names.collect()).await? {
            if in_flight.handed.has(&split) {
                continue;
            }
            count += in_flight.links.want(&split, keys);
        }
        Ok(count)
    }
}
