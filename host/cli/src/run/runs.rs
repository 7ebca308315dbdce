//! The runs of all sources at once, until they end or another configuration takes their place.

use std::time::{Duration, Instant};

use anyhow::Error as AnyError;
use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use recording_host_config::Config;
use recording_host_engine::{Pipeline, RunReport};
use recording_host_model::{Error, ErrorKind, clock::Clock};
use tokio::sync::watch;

use super::{Run, limits::RunLimits, print};
use crate::{control::Server, observe::Watching, signals::Requests, terminal};

/// A configuration and what it makes.
pub(super) struct Loaded {
    pub(super) config: Config,
    pub(super) pipelines: Vec<Pipeline>,
    /// The sources whose components fail.
    pub(super) failed: Vec<(String, Error)>,
}

pub(super) type Result = (String, std::result::Result<RunReport, Error>);

/// The error that a run has failed with; none if it was stopped.
fn failure(result: &std::result::Result<RunReport, Error>) -> Option<&Error> {
    let error = match result {
        Ok(report) => report.ended_early(),
        Err(error) => Some(error),
    };
    error.filter(|error| error.kind() != ErrorKind::Stopped)
}

/// How the runs have ended.
pub(super) struct Ended {
    pub(super) results: Vec<Result>,
    /// The configuration that takes the place of the one before.
    pub(super) next: Option<Loaded>,
}

/// How long a run before may take to let go of the queue.
const LETS_GO: Duration = Duration::from_secs(10);

/// Runs a pipeline; one that takes the place of another waits until that has let go of the queue.
async fn begun(
    pipeline: Pipeline,
    halted: watch::Receiver<bool>,
    reloaded: bool,
) -> std::result::Result<RunReport, Error> {
    let began = Instant::now();
    loop {
        let ended = pipeline.clone().run_to_report(halted.clone()).await;
        match &ended {
            // The queue is not this run's yet.
            Err(error)
                if reloaded
                    && error.kind() == ErrorKind::State
                    && error.is_retryable()
                    && began.elapsed() < LETS_GO =>
            {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            _ => return ended,
        }
    }
}

/// The runs under way.
pub(super) struct Runs {
    runs: Vec<(
        String,
        BoxFuture<'static, std::result::Result<RunReport, Error>>,
    )>,
    halt: watch::Sender<bool>,
}

impl Runs {
    pub(super) fn start(
        pipelines: Vec<Pipeline>,
        failed: Vec<(String, Error)>,
        reloaded: bool,
    ) -> Self {
        let (halt, halted) = watch::channel(false);
        let runs = pipelines.into_iter().map(|pipeline| {
            let name = pipeline.name().to_owned();
            (name, begun(pipeline, halted.clone(), reloaded).boxed())
        });
        let failed = failed.into_iter();
        let failed = failed.map(|(name, error)| (name, async { Err(error) }.boxed()));
        Runs {
            runs: runs.chain(failed).collect(),
            halt,
        }
    }

    /// Waits for the end of all runs, and has them end if that is requested, or if there is a new
    /// configuration to go on with.
    pub(super) async fn until(
        self,
        run: &Run,
        clock: Clock,
        watching: &Watching,
        limits: &RunLimits,
        control: &Server,
        requests: &mut Requests,
    ) -> Ended {
        let each = self.runs.into_iter().map(|(name, run)| async move {
            let result = run.await;
            watching.ended(&name);
            if let Some(error) = failure(&result) {
                watching.failed(&name, &error.to_string());
            }
            (name, result)
        });
        let mut all = std::pin::pin!(join_all(each));
        let mut loading: Option<BoxFuture<'_, std::result::Result<Loaded, AnyError>>> = None;
        let mut next = None;
        let mut halted = false;
        let results = loop {
            tokio::select! {
                results = &mut all => break results,
                _ = requests.stop.wait_for(|stop| *stop), if !halted => {
                    halted = true;
                    loading = None;
                    let _ = self.halt.send(true);
                }
                () = limits.wait(), if !halted => {
                    halted = true;
                    loading = None;
                    terminal::say("info", "a limit of this run is reached: finishing the downloads under way");
                    let _ = self.halt.send(true);
                }
                Ok(()) = requests.reload.changed(), if !halted => {
                    loading = Some(run.reload(clock).boxed());
                }
                loaded = async { loading.as_mut().expect("guarded").await }, if loading.is_some() => {
                    loading = None;
                    match loaded {
                        Ok(loaded) => {
                            control.reloaded(Ok(()));
                            terminal::say("info", "reloading: finishing the downloads under way, then the new configuration is used");
                            next = Some(loaded);
                            halted = true;
                            let _ = self.halt.send(true);
                        }
                        Err(error) => {
                            let reason = format!("not reloaded; the previous configuration stays in use: {}", print::chain(&error));
                            terminal::say("error", &reason);
                            control.reloaded(Err(reason));
                        }
                    }
                }
            }
        };
        if *requests.stop.borrow()
            || control.is_draining()
            || limits.reached().is_some()
            // A run that failed is reported, whatever would come after it.
            || results.iter().any(|(_, result)| failure(result).is_some())
        {
            next = None;
        }
        Ended { results, next }
    }
}
