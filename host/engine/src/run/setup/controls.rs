//! How a pipeline is bounded and steered from outside: how much passes, what part it exports, when it begins
//! nothing more.

use tokio::sync::watch;

use super::Pipeline;
use crate::{run::RunError, shard::Shard};
use recording_host_http::{MonthlyCount, MonthlyRequests, Throttle};
use recording_host_model::{Error, ErrorKind, Purpose};
use recording_host_state::Queue;

impl Pipeline {
    /// Lets requests and the bytes of downloads pass as `throttle` does, which others may share.
    #[must_use]
    pub fn throttle(mut self, throttle: &Throttle) -> Self {
        self.throttle = throttle.clone();
        self
    }

    /// Begins nothing more once `drain` turns true: fetches under way come to their end, what came of them is
    /// filed, and the run ends. One that follows its source ends well so; any other ends well if nothing is
    /// left to do, and else with an error of the kind [`Stopped`](ErrorKind::Stopped).
    #[must_use]
    pub fn drain_when(mut self, drain: watch::Receiver<bool>) -> Self {
        self.drain = drain;
        self
    }

    /// Exports the days of a shard alone, with a queue of its own. All shards together export the whole
    /// interval, and none exports what another does.
    ///
    /// # Errors
    /// [`Error`] if the interval has no end, or fewer days than there are shards.
    pub fn shard(mut self, shard: Shard) -> Result<Self, Error> {
        let (interval, days) = shard.of_interval(&self.source.interval).map_err(|error| {
            let at = format!("sources.{}.options.interval", self.name);
            Error::new(ErrorKind::Config, format!("{at}: {error}")).with_context("config", at)
        })?;
        self.source.interval = interval;
        self.days = Some(days);
        Ok(self)
    }

    /// The requests that were made with the source's credential in this month, by whoever uses this
    /// `data_dir`, and the ceiling; none without a ceiling.
    ///
    /// # Errors
    /// [`Error`] if the source cannot be used, or the count cannot be read.
    pub fn month(&self) -> Result<Option<MonthlyRequests>, Error> {
        let Some(ceiling) = self.source.limits.per_month else {
            return Ok(None);
        };
        let now = self.clock.now();
        let options = self.source.options.to_string();
        let started = self.component.start(&options, &Purpose::Check, now)?;
        let origins = started.map_or_else(|_| Vec::new(), |started| started.origins);
        let count = MonthlyCount::of(&self.data_dir, &self.credential(&origins));
        let requests = count.look(now);
        let requests = requests.map_err(|error| Error::new(ErrorKind::State, error))?;
        Ok(Some(MonthlyRequests { requests, ceiling }))
    }

    /// Refuses a shard where `data_dir` has a queue of the same export with some of its days, but other ones
    /// as well: what lies unfinished there would be brought twice.
    pub(super) fn refuse_overlap(&self, label: &str) -> Result<(), RunError> {
        let Some(days) = &self.days else {
            return Ok(());
        };
        for name in Queue::all(&self.data_dir)? {
            if name != label && days.overlaps(label, &name) {
                let path = self.data_dir.join(format!("{name}.sqlite"));
                return Err(RunError::Config(format!(
                    "--shard: {} is the queue of the same export with some of the same days, divided otherwise: finish it as it was begun, or give this one an empty `data_dir`; what the receipts in the sinks prove is not fetched again",
                    path.display()
                )));
            }
        }
        Ok(())
    }
}
