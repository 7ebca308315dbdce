//! `run`: exports what a configuration says.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Context;
use clap::Args;
use futures_util::future::join_all;
use recording_host_config::Config;
use recording_host_engine::{Pipeline, Summary};
use recording_host_model::ErrorKind;

use super::{Done, clock::clock, observe::Watch, print, stopped, terminal};

#[derive(Debug, Args)]
pub(super) struct Run {
    /// The configuration, YAML or TOML.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Run until stopped and export new conversations as they end; for intervals with an open end.
    #[arg(long)]
    follow: bool,
    /// Fetch again the conversations whose recordings earlier runs could not get in full.
    #[arg(long)]
    retry_failed: bool,
    /// Search the whole interval once more, for what was not there when it was searched.
    #[arg(long)]
    search_again: bool,
    /// Compare the sinks with their receipts, object by object, and repair what is missing or damaged:
    /// from another sink that has it, else from the source.
    #[arg(long)]
    repair: bool,
    /// Fill this sink with all that it lacks, although it is not the one that the export was filed in, as
    /// after it was moved or emptied; may be given more than once.
    #[arg(long, value_name = "SINK")]
    refill: Vec<String>,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
    /// Write down every step of the components, for `inspect --replay`. Holds metadata such as
    /// telephone numbers, but no signed link; refused for a source with `privacy`.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    #[command(flatten)]
    watch: Watch,
}

impl Run {
    pub(super) async fn run(mut self) -> anyhow::Result<Done> {
        let watching = std::mem::take(&mut self.watch).begin().await?;
        let config = crate::load(&self.config)?;
        let mut pipelines = config.pipelines(clock().await?).await?;
        if let Some(path) = &self.record {
            make_private(path).with_context(|| path.display().to_string())?;
            let trace = recording_host_source::Trace::create(path)
                .with_context(|| path.display().to_string())?;
            pipelines = pipelines
                .into_iter()
                .map(|pipeline| pipeline.record(trace.clone()))
                .collect();
        }
        for sink in &self.refill {
            let known = pipelines
                .iter()
                .any(|pipeline| pipeline.sinks().contains(sink));
            if !known {
                crate::usage(&format!(
                    "--refill {sink}: the configuration has no such sink"
                ));
            }
        }
        let stop = stopped()?;
        let follow = self.follow;
        let runs = pipelines.into_iter().map(|pipeline| {
            let pipeline = self.asked_for(pipeline);
            let name = pipeline.name().to_owned();
            let run = watching.over(pipeline).run_until(stop.clone());
            let watching = &watching;
            async move {
                let result = run.await;
                watching.ended(&name);
                (name, result)
            }
        });
        let results = join_all(runs).await;
        terminal::end_progress();
        let mut summaries = BTreeMap::new();
        let mut failure = None;
        for (name, result) in results {
            match result {
                Ok(summary) => {
                    summaries.insert(name, summary);
                }
                // That is how an export without an end ends.
                Err(error) if follow && error.kind() == ErrorKind::Stopped => {}
                Err(error) => {
                    let source = format!("sources.{name}");
                    // Errors about a key of the source begin with it.
                    let named = error.to_string().starts_with(&source);
                    let error = anyhow::Error::from(error);
                    let error = if named { error } else { error.context(source) };
                    if let Some(earlier) = failure.replace(error) {
                        terminal::say("error", &print::chain(&earlier));
                    }
                }
            }
        }
        self.report(&config, &summaries);
        match failure {
            Some(failure) => Err(failure),
            None if !summaries.values().all(Summary::is_complete) => Ok(Done::WithLosses),
            None => Ok(Done::All),
        }
    }

    /// A pipeline that does what the arguments say.
    fn asked_for(&self, mut pipeline: Pipeline) -> Pipeline {
        if self.follow {
            pipeline = pipeline.follow();
        }
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

    fn report(&self, config: &Config, summaries: &BTreeMap<String, Summary>) {
        if config.prints() {
            // Standard output belongs to the sink.
            eprintln!("{}", serde_json::json!({ "sources": summaries }));
        } else if self.json {
            println!("{}", serde_json::json!({ "sources": summaries }));
        } else {
            for (name, summary) in summaries {
                print::summary(name, summary);
            }
        }
    }
}

/// Makes a file that its owner alone may read, before anything is written to it.
fn make_private(path: &std::path::Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    // One that was there keeps its permissions otherwise.
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    drop(file);
    Ok(())
}
