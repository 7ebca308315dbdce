//! The result of a run.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;

use super::RunError;
use crate::repair::RepairReport;
use recording_host_http::Calls;
use recording_host_model::Error;
use recording_host_state::{CountMismatch, Ledger, QueueError, fleet::Leadership};

/// How many losses are named, at most.
const NAMED: usize = 1000;

/// The result of an export, over all the runs that it took; calls and time are of the last one.
#[derive(Clone, Debug, Default, Serialize, PartialEq)]
pub struct RunSummary {
    /// Conversations requested.
    pub conversations: u64,
    /// How many of them have each outcome; adds up to `conversations`.
    pub outcomes: BTreeMap<String, u64>,
    /// Media objects stored, in each sink.
    pub recordings: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Up to when the interval has been searched, in milliseconds since 1970; none if no search has ended.
    pub watermark: Option<u64>,
    /// Requests to the vendor's API, by sort of split and method.
    pub api_calls: BTreeMap<String, u64>,
    /// Requests that were refused with status 429.
    pub refused: u64,
    /// How long the run took.
    pub seconds: f64,
    /// Conversations of which recordings are unavailable and that no run before has named, at most a
    /// thousand.
    pub losses: Vec<Loss>,
    /// How many such losses there are, by code.
    pub losses_by_code: BTreeMap<String, u64>,
    /// How many conversations have losses that runs before have named.
    pub known_losses: u64,
    /// Ranges in which the source counts more conversations than were found.
    pub miscounted: Vec<CountMismatch>,
    /// The result of a repair, if one was requested.
    pub repaired: Option<RepairReport>,
    /// Conversations that sinks lack and that neither another sink nor the source has any more, by sink.
    pub lacking: BTreeMap<String, u64>,
    /// Why the run ended before its work was done; none if nothing was left to do, or if an export without
    /// an end was stopped.
    pub ended_early: Option<String>,
}

/// A conversation that is not complete.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Loss {
    /// Its id.
    pub conversation: String,
    /// A short stable code.
    pub code: String,
    /// The cause, in words.
    pub message: String,
}

/// The summary of a run whose losses have not been named yet. The queue stays this run's until it is
/// dropped; dropped unnamed, the next run names the same losses.
#[derive(Debug)]
pub struct RunReport {
    /// The result of the run.
    pub summary: RunSummary,
    ended_early: Option<Error>,
    ledger: Arc<dyn Ledger>,
    /// The lead of the export in a fleet, for as long as there is something to note.
    leadership: Option<Box<dyn Leadership>>,
}

impl RunReport {
    /// Notes that somebody has been told of the losses: the next run does not name them again.
    ///
    /// # Errors
    /// The [`Error`] that ended the run before its work was done, or one about the queue; the next run names
    /// the losses again.
    pub async fn named(self) -> Result<RunSummary, Error> {
        if let Some(error) = self.ended_early {
            return Err(error);
        }
        match self.ledger.report_losses().await {
            // The node that leads by now names them as well.
            Ok(()) | Err(QueueError::NotLeading) => {}
            Err(error) => return Err(RunError::from(error).into()),
        }
        if let Some(leadership) = self.leadership {
            leadership.resign().await;
        }
        Ok(self.summary)
    }

    /// The same report, made by the node that leads.
    pub(super) fn led_by(mut self, leadership: Box<dyn Leadership>) -> Self {
        self.leadership = Some(leadership);
        self
    }

    pub(super) fn new(summary: RunSummary, ledger: Arc<dyn Ledger>) -> Self {
        RunReport {
            summary,
            ended_early: None,
            ledger,
            leadership: None,
        }
    }

    /// The report of a run that an error ended before its work was done.
    pub(super) fn of_early_end(
        mut summary: RunSummary,
        ledger: Arc<dyn Ledger>,
        error: Error,
    ) -> Self {
        summary.ended_early = Some(error.to_string());
        RunReport {
            summary,
            ended_early: Some(error),
            ledger,
            leadership: None,
        }
    }

    /// The error that ended the run before its work was done.
    #[must_use]
    pub fn ended_early(&self) -> Option<&Error> {
        self.ended_early.as_ref()
    }
}

impl RunSummary {
    /// The summary of an export.
    pub(crate) async fn of(
        ledger: &dyn Ledger,
        calls: Calls,
        seconds: f64,
    ) -> Result<Self, QueueError> {
        let progress = ledger.progress().await?;
        let mut losses = ledger.losses(usize::MAX, true).await?;
        let mut losses_by_code = BTreeMap::<String, u64>::new();
        for (_, code, _) in &losses {
            *losses_by_code.entry(code.clone()).or_default() += 1;
        }
        losses.truncate(NAMED);
        let lost = ledger.status().await?.lost;
        let miscounted = ledger.miscounted().await?;
        let lacking = ledger.lacking().await?;
        let new = ledger.losses_to_name().await?;
        Ok(RunSummary {
            conversations: progress.conversations,
            outcomes: progress.filed,
            recordings: progress.objects,
            bytes: progress.bytes,
            watermark: progress.watermark,
            api_calls: calls.sent,
            refused: calls.refused,
            seconds,
            losses: losses
                .into_iter()
                .map(|(conversation, code, message)| Loss {
                    conversation,
                    code,
                    message,
                })
                .collect(),
            losses_by_code,
            known_losses: lost.saturating_sub(new),
            miscounted,
            repaired: None,
            lacking,
            ended_early: None,
        })
    }

    /// Adds the requests and the time of a run that this one took over from.
    pub fn add_earlier(&mut self, earlier: &RunSummary) {
        for (kind, calls) in &earlier.api_calls {
            *self.api_calls.entry(kind.clone()).or_default() += calls;
        }
        self.refused += earlier.refused;
        self.seconds += earlier.seconds;
    }

    /// Returns true if everything is as it should be that was not named before.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let repaired = self.repaired.as_ref();
        self.ended_early.is_none()
            && self.losses.is_empty()
            && self.miscounted.is_empty()
            && self.lacking.is_empty()
            && repaired.is_none_or(|repaired| repaired.left.is_empty())
    }
}
