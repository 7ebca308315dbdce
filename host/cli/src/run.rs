//! `run`: exports what a configuration says.

#[cfg(feature = "cluster")]
mod fleet;
#[cfg(not(feature = "cluster"))]
#[path = "run/without_fleet.rs"]
mod fleet;
mod limits;
mod runs;

use std::{cell::Cell, collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::Args;
use recording_host_config::Config;
use recording_host_engine::{Pipeline, RunSummary};
use recording_host_model::{Error, ErrorKind, clock::Clock, open_private_file, quantity};

use super::{
    Done,
    clock::clock,
    control::Server,
    observe::{Watch, Watching},
    print,
    shard::Part,
    signals::requests,
    terminal,
};
use fleet::Machine;
pub(super) use fleet::pipelines;
use limits::RunLimits;
use runs::{Loaded, Runs};

#[derive(Debug, Args)]
pub(super) struct Run {
    /// The configuration, YAML or TOML.
    #[arg(long, value_name = "FILE", env = "RECORDING_HOST_CONFIG")]
    config: PathBuf,
    /// Run until stopped and export new conversations as they end; for intervals with an open end.
    #[arg(long, conflicts_with = "shard")]
    follow: bool,
    /// Fetch again the conversations whose recordings earlier runs could not get in full.
    #[arg(long)]
    retry_failed: bool,
    /// Search the whole interval once more, for what was not there when it was searched.
    #[arg(long)]
    search_again: bool,
    /// Compare the sinks with their receipts, object by object, and repair what is missing or damaged:
    /// from another sink that has it, else from the source.
    #[arg(long, conflicts_with = "shard")]
    repair: bool,
    /// Fill this sink with everything it is missing, although the export was filed in another one, as after it was
    /// moved or emptied; may be repeated.
    #[arg(long, value_name = "SINK")]
    refill: Vec<String>,
    /// Say what would be fetched and where each sink would put it, and do nothing: no job is submitted,
    /// nothing is written.
    #[arg(
        long,
        conflicts_with_all = ["follow", "retry_failed", "search_again", "repair", "refill", "record"]
    )]
    dry_run: bool,
    /// Stop once this much has been stored in a sink, such as 500MB or 2GB: exit code 5 says that work is left.
    #[arg(long, value_name = "BYTES", value_parser = quantity::bytes)]
    max_bytes: Option<u64>,
    /// Stop after this time, such as 90s, 30m or 6h: exit code 5 says that work is left.
    #[arg(long, value_name = "TIME", value_parser = quantity::time)]
    max_time: Option<Duration>,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    part: Part,
    /// Write down every step of the components, for `inspect --replay`. Holds metadata such as
    /// telephone numbers, but no signed link; refused for a source with `privacy`.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    #[command(flatten)]
    watch: Watch,
}

impl Run {
    pub(super) async fn run(mut self) -> anyhow::Result<Done> {
        if self.dry_run {
            return self.dry_run().await;
        }
        let mut watching = std::mem::take(&mut self.watch).begin().await?;
        let began = Cell::new(false);
        let exported = self.export(&mut watching, &began).await;
        if let (Err(error), false) = (&exported, began.get()) {
            watching.failed("run", &print::chain(error));
        }
        watching.finish().await;
        exported
    }

    /// Runs what the configuration says; `began` is set once the pipelines do, and tell themselves how they
    /// end.
    async fn export(&self, watching: &mut Watching, began: &Cell<bool>) -> anyhow::Result<Done> {
        let limits = RunLimits::new(self.max_bytes, self.max_time);
        let config = crate::load(&self.config)?;
        watching.notify(&config).await?;
        let clock = clock().await?;
        let machine = Machine::join(&config, self.part, clock).await?;
        let mut loaded = self.made(config, clock).await?;
        loaded.pipelines = self.first(loaded.pipelines)?;
        let mut requests = requests(self.follow)?;
        let socket = loaded.config.data_dir.join(self.part.socket());
        let control = Server::start(&socket, requests.ask_reload.clone());
        let _attending = machine.attend(&control, &requests).await?;
        let location = std::fs::canonicalize(&self.config).unwrap_or_else(|_| self.config.clone());
        watching
            .show(&loaded.config, &location, control.state())
            .await?;
        began.set(true);
        watching.ready();
        let mut reloaded = false;
        let mut earlier = BTreeMap::<String, RunSummary>::new();
        let results = loop {
            let pipelines = std::mem::take(&mut loaded.pipelines).into_iter();
            let failed = std::mem::take(&mut loaded.failed);
            let config = &loaded.config;
            control.steer(config.throttle());
            let watched = |pipeline: Pipeline| {
                let seen = control.subscriber(pipeline.name());
                let pipeline = pipeline.drain_when(control.drain()).subscribe(seen);
                machine.over(limits.over(watching.over(pipeline, config, clock)))
            };
            let runs = Runs::start(pipelines.map(watched).collect(), failed, reloaded);
            let ended = runs
                .until(self, clock, watching, &limits, &control, &mut requests)
                .await;
            match ended.next {
                Some(next) => {
                    taken_over(ended.results, &mut earlier);
                    (loaded, reloaded) = (next, true);
                    watching.turn_page(&loaded.config, &location).await;
                    if let Err(error) = watching.notify(&loaded.config).await {
                        let text =
                            format!("{}; the former notices stay in use", print::chain(&error));
                        terminal::say("warn", &text);
                    }
                }
                None => break ended.results,
            }
        };
        watching.end_display();
        let drained = control.is_draining().then_some("`control drain`");
        drop(control);
        let stopped = self.follow && (*requests.stop.borrow() || drained.is_some());
        let ended_by = limits.reached().or(drained.filter(|_| !self.follow));
        self.conclude(&loaded.config, results, earlier, ended_by, stopped)
            .await
    }

    /// Reports how the runs have ended; only then do their losses count as named. `earlier` is what the runs
    /// had done that these took over from.
    async fn conclude(
        &self,
        config: &Config,
        results: Vec<runs::Result>,
        earlier: BTreeMap<String, RunSummary>,
        ended_by: Option<&'static str>,
        stopped: bool,
    ) -> anyhow::Result<Done> {
        let mut reports = BTreeMap::new();
        let mut errors = Vec::new();
        for (name, result) in with_earlier(results, &earlier) {
            match result {
                Ok(report) => _ = reports.insert(name, report),
                Err(error) => errors.push((name, error)),
            }
        }
        // One that was stopped before it had begun has done nothing more.
        let mut summaries = earlier;
        summaries.extend(
            reports
                .iter()
                .map(|(name, report)| (name.clone(), report.summary.clone())),
        );
        self.print(config, &summaries);
        let mut is_complete = true;
        for (name, report) in reports {
            match report.named().await {
                Ok(summary) => is_complete &= summary.is_complete(),
                Err(error) => errors.push((name, error)),
            }
        }
        // One that follows is never done.
        let mut is_left = self.follow;
        let mut failure = None;
        for (name, error) in errors {
            // It was told to stop: before it had begun, or by a limit.
            if error.kind() == ErrorKind::Stopped && (self.follow || ended_by.is_some()) {
                is_left = true;
            } else if let Some(earlier) = failure.replace(of_source(&name, error)) {
                terminal::say("error", &print::chain(&earlier));
            }
        }
        match failure {
            Some(failure) => Err(failure),
            None if let Some(limit) = ended_by.filter(|_| is_left) => {
                terminal::say(
                    "warn",
                    &format!("{limit} has ended the run and work is left; run again to resume"),
                );
                Ok(Done::WorkLeft)
            }
            // Losses are named as they come; being stopped is how an export without an end ends.
            None if stopped || is_complete => Ok(Done::All),
            None => Ok(Done::WithLosses),
        }
    }

    /// Says what a run would do.
    async fn dry_run(&self) -> anyhow::Result<Done> {
        let config = crate::load(&self.config)?;
        let mut all = BTreeMap::new();
        for pipeline in config.pipelines(clock().await?).await? {
            let name = pipeline.name().to_owned();
            let display = terminal::Display::begin();
            let watched = self.part.of(pipeline)?;
            let watched = watched.subscribe(display.subscriber(&name));
            let dry = watched.dry_run().await?;
            drop(display);
            if !self.json {
                print::dry_run(&name, &dry);
            }
            all.insert(name, dry);
        }
        if self.json {
            println!("{}", serde_json::json!({ "sources": all }));
        }
        Ok(Done::All)
    }

    /// Reads the configuration anew and makes what it says. Credentials that are refused are an error; a
    /// log-in that is unavailable is not, since the run waits for it.
    async fn reload(&self, clock: Clock) -> anyhow::Result<Loaded> {
        let loaded = self.made(crate::load(&self.config)?, clock).await?;
        let tried = loaded.pipelines.iter().map(|pipeline| async {
            match pipeline.try_log_in().await {
                Err(error) if !error.is_retryable() => Err(of_source(pipeline.name(), error)),
                _ => Ok(()),
            }
        });
        futures_util::future::try_join_all(tried).await?;
        Ok(loaded)
    }

    async fn made(&self, config: Config, clock: Clock) -> anyhow::Result<Loaded> {
        let (pipelines, failed) = config.usable_pipelines(clock).await?;
        let pipelines = pipelines.into_iter().map(|pipeline| match self.follow {
            true => Ok(pipeline.follow()),
            false => self.part.of(pipeline),
        });
        let pipelines = pipelines.collect::<std::result::Result<_, Error>>()?;
        Ok(Loaded {
            config,
            pipelines,
            failed,
        })
    }

    /// The pipelines with what the arguments ask of the first run alone, and not again after a reload.
    fn first(&self, pipelines: Vec<Pipeline>) -> anyhow::Result<Vec<Pipeline>> {
        for sink in &self.refill {
            let mut pipelines = pipelines.iter();
            if !pipelines.any(|pipeline| pipeline.sinks().contains(sink)) {
                crate::usage(&format!(
                    "--refill {sink}: the configuration has no such sink"
                ));
            }
        }
        let pipelines = pipelines.into_iter();
        let pipelines = pipelines.map(|pipeline| self.asked_for(pipeline));
        let Some(path) = &self.record else {
            return Ok(pipelines.collect());
        };
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        open_private_file(path, &mut options).with_context(|| path.display().to_string())?;
        let trace = recording_host_source::Trace::create(path)
            .with_context(|| path.display().to_string())?;
        let recorded = pipelines.map(|pipeline| pipeline.record(trace.clone()));
        Ok(recorded.collect())
    }

    /// A pipeline that does what the arguments say.
    fn asked_for(&self, mut pipeline: Pipeline) -> Pipeline {
        if self.retry_failed {
            pipeline = pipeline.retry_lost();
        }
        if self.search_again {
            pipeline = pipeline.search_again();
        }
        if self.repair {
            pipeline = pipeline.repair();
        }
        for sink in &self.refill {
            pipeline = pipeline.refill(sink);
        }
        pipeline
    }

    fn print(&self, config: &Config, summaries: &BTreeMap<String, RunSummary>) {
        if config.prints() {
            // Standard output belongs to the sink.
            eprintln!("{}", serde_json::json!({ "sources": summaries }));
        } else if self.json {
            println!("{}", serde_json::json!({ "sources": summaries }));
        } else {
            for (name, summary) in summaries {
                print::summary(name, summary, true);
            }
        }
    }
}

/// Adds up the requests and the time of runs that others take over from, and lets go of their queues.
fn taken_over(results: Vec<runs::Result>, earlier: &mut BTreeMap<String, RunSummary>) {
    for (name, result) in with_earlier(results, earlier) {
        if let Ok(report) = result {
            earlier.insert(name, report.summary);
        }
    }
}

/// The results with the requests and the time of the runs that they took over from.
fn with_earlier(
    mut results: Vec<runs::Result>,
    earlier: &BTreeMap<String, RunSummary>,
) -> Vec<runs::Result> {
    for (name, result) in &mut results {
        if let (Ok(report), Some(before)) = (result, earlier.get(name)) {
            report.summary.add_earlier(before);
        }
    }
    results
}

/// A failure of a source, which it names.
fn of_source(name: &str, error: Error) -> anyhow::Error {
    let source = format!("sources.{name}");
    // Errors about a key of the source begin with it.
    let named = error.to_string().starts_with(&source);
    let error = anyhow::Error::from(error);
    match named {
        true => error,
        false => error.context(source),
    }
}
