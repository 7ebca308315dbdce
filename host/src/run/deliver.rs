//! Hands artifacts to the transfer, and decides what becomes of one that was not delivered.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{PATIENCE, Run, RunError, live::Live, pause};
use crate::{
    queue::{Delivered, artifact_text},
    sandbox::Artifact,
    sink::SinkError,
    transfer::{Delivery, Output, TransferError},
};

/// How often a fresh link is asked for.
const RENEWALS: u32 = 5;

/// What came of a download.
pub(super) struct Fetched {
    artifact: Artifact,
    split: String,
    result: Result<Delivery, TransferError>,
}

impl Run {
    pub(super) fn download(
        &self,
        fetches: &mut JoinSet<Fetched>,
        artifact: Artifact,
        split: String,
    ) {
        let transfer = Arc::clone(&self.transfer);
        let outputs = self.outputs.clone();
        fetches.spawn(async move {
            let outputs: Vec<&Output> = outputs.iter().map(AsRef::as_ref).collect();
            let result = transfer.deliver(&artifact, &outputs).await;
            Fetched {
                artifact,
                split,
                result,
            }
        });
    }

    /// Says what has become of an artifact, if that is final.
    pub(super) fn fetched(
        &self,
        fetched: Fetched,
        live: &mut Live,
    ) -> Result<Option<Delivered>, RunError> {
        let Fetched {
            artifact,
            split,
            result,
        } = fetched;
        let key = artifact_text(&artifact.key);
        match result {
            Ok(Delivery { contents, failed }) => match failed.into_iter().next() {
                None => {
                    live.sink_failures = None;
                    Ok(Some(Delivered {
                        artifact: key,
                        result: Ok(contents),
                    }))
                }
                Some((_, error)) => {
                    self.sink_failed(error, live)?;
                    live.links.push_front((artifact, split));
                    Ok(None)
                }
            },
            Err(TransferError::Link(reason)) => {
                let renewals = live.renewals.entry(key.clone()).or_default();
                *renewals += 1;
                if *renewals > RENEWALS {
                    return Ok(Some(Delivered {
                        artifact: key,
                        result: Err(("download".to_owned(), reason)),
                    }));
                }
                live.fetching.remove(&key);
                live.stale.entry(split).or_default().push(key);
                Ok(None)
            }
            Err(TransferError::Refused(error)) => {
                Err(RunError::Host(format!("a download was refused: {error}")))
            }
            Err(TransferError::Host(reason)) => Err(RunError::Host(reason)),
        }
    }

    /// Gives the sinks a rest, longer each time, unless one has been out of order for too long.
    pub(super) fn sink_failed(&self, error: SinkError, live: &mut Live) -> Result<(), RunError> {
        let now = self.clock.now();
        let (since, failures) = live.sink_failures.get_or_insert((now, 0));
        let patience = u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX);
        let patient = now.saturating_sub(*since) < patience || self.following;
        if !error.retryable || !patient {
            return Err(error.into());
        }
        // Downloads under way at once fail at once: that counts as one failure.
        if live.sinks_rest <= now {
            if *failures == 1 {
                self.warn(&format!("{error}; trying on"));
            }
            *failures += 1;
            live.sinks_rest = now + pause(*failures);
        }
        Ok(())
    }
}
