//! The end of a run before its work is done, with what is under way finished: it was asked to drain, or a ceiling
//! of the configuration is reached.

use super::{Engine, RunError, in_flight::InFlight, results::Results, tasks::Tasks};
use recording_host_http::RequestHalt;

/// Why no new work begins.
pub(super) enum Ending {
    /// That was asked for: fetches under way come to their end.
    Drain,
    /// No request is sent any more: downloads under way come to their end.
    Spent(RequestHalt),
}

impl Ending {
    /// Returns true if nothing is under way that the run ends without.
    pub(super) fn is_over(&self, in_flight: &InFlight, tasks: &Tasks) -> bool {
        let moved = in_flight.links.waiting() == 0
            && in_flight.backfill.is_done()
            && tasks.transfers.is_empty()
            && tasks.backfills.is_empty();
        match self {
            Ending::Drain => moved && tasks.is_empty() && !in_flight.splits.has_begun(),
            // Steps wait for requests.
            Ending::Spent(_) => moved,
        }
    }
}

impl Engine {
    /// Why no new work begins, if that is so. A run that follows its source waits for the next month, and
    /// `told` is what it has warned of.
    pub(super) fn ending(&self, reported: &mut Option<RequestHalt>) -> Option<Ending> {
        match self.http.halted() {
            Some(halt @ RequestHalt::Spent { .. }) if self.following => {
                if reported.as_ref() != Some(&halt) {
                    self.warn(&format!("{halt}; this run waits until then"));
                    *reported = Some(halt);
                }
            }
            Some(halt) => return Some(Ending::Spent(halt)),
            None => *reported = None,
        }
        self.drain.borrow().then_some(Ending::Drain)
    }

    /// Ends the run: what is completed is filed. Fails unless all of its work is done.
    pub(super) async fn end(
        &self,
        ending: Ending,
        in_flight: &mut InFlight,
        mut tasks: Tasks,
        results: &mut Results,
    ) -> Result<(), RunError> {
        self.write_all_results(results, &mut tasks.writing, in_flight)
            .await?;
        if let Ending::Drain = ending
            && in_flight.is_idle()
            && self.finished(in_flight).await?
        {
            return self.report(in_flight).await;
        }
        self.file(1, in_flight).await?;
        self.report(in_flight).await?;
        Err(match ending {
            Ending::Drain => RunError::Stopped,
            Ending::Spent(halt) => halt.into(),
        })
    }
}
