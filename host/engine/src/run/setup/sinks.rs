//! Waits for the sinks that a run begins with: one that is down when a run starts is waited for as
//! one that goes down later.

use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use tokio::{sync::watch, time::timeout};

use super::Pipeline;
use crate::{
    run::{PATIENCE, RunError, ms, pause},
    transfer::SinkBinding,
};
use recording_host_sink::{Health, SinkError};
use recording_host_state::Ledger;

/// How long a sink may take to say that it is there, before the run begins without it.
const FIRST: Duration = Duration::from_secs(10);
/// The same whenever it is tried again: longer than a client of S3 tries, whose error says more than that
/// there was no answer, and enough for one that is slow.
const LATER: Duration = Duration::from_secs(20);

/// Checks a sink again.
pub(in crate::run) async fn checked(binding: &SinkBinding) -> Result<Health, SinkError> {
    checked_in(binding, LATER).await
}

async fn checked_in(binding: &SinkBinding, limit: Duration) -> Result<Health, SinkError> {
    let checked = timeout(limit, binding.sink.check()).await;
    checked.unwrap_or_else(|_| {
        let reason = format!("no answer in {} s", limit.as_secs());
        let location = binding.location.as_deref().unwrap_or("its check");
        Err(SinkError::new(&binding.name, location, reason).with_retryable(true))
    })
}

impl Pipeline {
    /// Checks the sinks until one of them is there, and names those that are not.
    pub(super) async fn absent(
        &self,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Vec<String>, RunError> {
        let began = self.clock.elapsed();
        let mut tried = 0;
        loop {
            let mut absent = Vec::new();
            let mut last = None;
            let limit = if tried == 0 { FIRST } else { LATER };
            let bindings = self.bindings.iter();
            let checks =
                bindings.map(|binding| async move { (binding, checked_in(binding, limit).await) });
            let checked = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return Err(RunError::Stopped),
                checked = join_all(checks) => checked,
            };
            for (binding, checked) in checked {
                match checked {
                    Ok(_) => {}
                    Err(error) if error.retryable => {
                        absent.push((binding.name.clone(), error.to_string()));
                        last = Some(error);
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            if absent.len() < self.bindings.len() || self.bindings.is_empty() {
                for (name, error) in &absent {
                    self.warn(&format!(
                        "{error}; the run continues with the other sinks, and {name} is filled when it is back"
                    ));
                }
                return Ok(absent.into_iter().map(|(name, _)| name).collect());
            }
            tried += 1;
            let waited = self.clock.elapsed().saturating_sub(began);
            if let Some(error) = last
                && waited >= ms(PATIENCE)
                && !self.following
            {
                return Err(error.into());
            }
            if tried == 1 {
                for (_, error) in &absent {
                    self.warn(&format!("{error}; trying again"));
                }
            }
            let wait = std::time::Duration::from_millis(pause(tried));
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return Err(RunError::Stopped),
                () = self.clock.sleep(wait) => {}
            }
        }
    }

    /// Reads the sinks by `read`; a passing failure is waited for.
    pub(super) async fn patiently<'a, T, E>(
        &self,
        stop: &mut watch::Receiver<bool>,
        // An `AsyncFn` is not provably `Send` for all lifetimes, and then neither is the run.
        read: impl Fn() -> BoxFuture<'a, Result<T, E>> + Send,
    ) -> Result<T, RunError>
    where
        E: Into<RunError>,
    {
        let began = self.clock.elapsed();
        for tried in 1.. {
            let read = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                read = read() => read,
            };
            let error: RunError = match read {
                Ok(value) => return Ok(value),
                Err(error) => error.into(),
            };
            let retryable = matches!(
                &error,
                RunError::Sink(SinkError {
                    retryable: true,
                    ..
                })
            );
            let waited = self.clock.elapsed().saturating_sub(began);
            if !retryable || (waited >= ms(PATIENCE) && !self.following) {
                return Err(error);
            }
            if tried == 1 {
                self.warn(&format!("{error}; trying again"));
            }
            let wait = std::time::Duration::from_millis(pause(tried));
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                () = self.clock.sleep(wait) => {}
            }
        }
        Err(RunError::Stopped)
    }

    /// Has the ledger know the sinks as they are now, without asking what they lack: it has just been
    /// made from what is in them, or nothing is filed yet.
    pub(super) async fn introduce(
        &self,
        ledger: &dyn Ledger,
        absent: &[String],
    ) -> Result<(), RunError> {
        for binding in &self.bindings {
            if absent.contains(&binding.name) {
                continue;
            }
            // One without a marker gets it when it first gets something.
            let marker = crate::run::sink_identity::marker_of(binding, false).await?;
            if marker.is_some() {
                ledger
                    .set_sink(crate::run::sink_identity::known(binding, marker))
                    .await?;
            }
        }
        Ok(())
    }
}
