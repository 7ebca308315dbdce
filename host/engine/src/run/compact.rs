//! Joins the small files of days that are over, in sinks that let objects be removed.

use super::{Engine, ROWS, RunError, in_flight::InFlight};
use crate::receipt;
use recording_host_model::day;

/// How long after its end a day counts as over (ms).
const OVER: u64 = 24 * 3_600_000;
/// An object that there never is: removing it shows whether removing is allowed.
const NOTHING: &str = "receipts/.recording-host-removes-nothing";

impl Engine {
    /// Returns true if any sink is to have small files joined.
    pub(super) fn may_compact(&self) -> bool {
        let mut bindings = self.bindings.iter();
        bindings.any(|binding| binding.metadata.compact() && binding.sink.store().is_some())
    }

    /// Closes larger segments in the place of small ones, where there are such; says whether there is
    /// something to file.
    pub(super) async fn compact(&self, in_flight: &mut InFlight) -> Result<bool, RunError> {
        let now = self.clock.now();
        let before = day(now.saturating_sub(OVER));
        if in_flight.sinks.any_unavailable() || !self.ledger.can_compact(before.clone()).await? {
            return Ok(false);
        }
        let mut sinks = Vec::new();
        for (sink_index, binding) in self.bindings.iter().enumerate() {
            let (true, Some(store)) = (binding.metadata.compact(), binding.sink.store()) else {
                continue;
            };
            match store.delete(NOTHING).await {
                Ok(()) => sinks.push(binding.name.clone()),
                Err(error) if error.retryable => {
                    self.sink_failed(sink_index, error, in_flight)?;
                    return Ok(false);
                }
                // An archive may well forbid it.
                Err(_) => {}
            }
        }
        Ok(self.ledger.compact(before, ROWS, sinks).await?)
    }

    /// Removes the files in whose place others have been filed; says whether none is left.
    pub(super) async fn remove_replaced(&self, in_flight: &mut InFlight) -> Result<bool, RunError> {
        let mut all = true;
        for replaced in self.ledger.replaced().await? {
            let bindings = self.bindings.iter();
            let named = bindings
                .enumerate()
                .find(|(_, it)| it.name == replaced.sink);
            let store = named.and_then(|(sink_index, it)| Some((sink_index, it.sink.store()?)));
            let Some((sink_index, store)) = store else {
                continue;
            };
            if in_flight.sinks.is_paused(sink_index, self.clock.now()) {
                all = false;
                continue;
            }
            match receipt::remove(store, &self.export, &replaced).await {
                Ok(()) => self.ledger.removed(replaced).await?,
                Err(error) if error.retryable => {
                    self.sink_failed(sink_index, error, in_flight)?;
                    all = false;
                }
                Err(error) => {
                    self.warn(&format!(
                        "{error}; a file that has been replaced stays, and `verify` names it"
                    ));
                    self.ledger.removed(replaced).await?;
                }
            }
        }
        Ok(all)
    }
}
