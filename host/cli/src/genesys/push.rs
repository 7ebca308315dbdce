//! `push`: lets Genesys Cloud's own S3 integration push recordings to a bucket.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use recording_host_engine::{Pipeline, run::Interval};

use super::jobs::{Job, Order, Push as Jobs, Select};
use crate::{Done, clock::clock, run::pipelines, stopped, terminal};

/// The type of the sources that can push.
const SOURCE: &str = "genesys_cloud";

#[derive(Debug, Args)]
pub(crate) struct Push {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Creates a job for the source's interval, lets it continue once it is ready, and follows it to its end.
    Start(Start),
    /// Lists the jobs of this client.
    List(List),
    /// Follows a job to its end, and lets it continue once it is ready.
    Follow(OfJob),
    /// Ends a job.
    Cancel(OfJob),
    /// Prints the recordings that a job could not push, one JSON object a line.
    Failed(OfJob),
}

/// Whose jobs.
#[derive(Debug, Args)]
struct Whose {
    /// The configuration, YAML or TOML.
    #[arg(long, value_name = "FILE", env = "RECORDING_HOST_CONFIG")]
    config: PathBuf,
    /// The source of type genesys_cloud, if there is more than one.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
}

#[derive(Debug, Args)]
struct Start {
    #[command(flatten)]
    whose: Whose,
    /// The id of the AWS S3 recording bulk actions integration.
    #[arg(long, value_name = "ID")]
    integration: String,
    /// Leave recordings of screens out.
    #[arg(long)]
    no_screens: bool,
    /// Push recordings with sensitive data, too.
    #[arg(long)]
    sensitive: bool,
    /// Leave out recordings that a policy has made.
    #[arg(long)]
    no_policy_based: bool,
    /// Leave snippets out.
    #[arg(long)]
    no_snippets: bool,
    /// Push at this instant, such as 2026-02-01T22:00:00Z, instead of as soon as possible.
    #[arg(long, value_name = "INSTANT")]
    at: Option<jiff::Timestamp>,
    /// Push recordings of conversations with these media alone, such as voice.
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    media: Vec<String>,
    /// Push recordings of conversations of this direction alone.
    #[arg(long, value_parser = ["inbound", "outbound"])]
    direction: Option<String>,
    /// Push recordings of conversations that passed one of these queues.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    queue: Vec<String>,
    /// Push recordings of conversations in which one of these users took part.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    user: Vec<String>,
    /// Push recordings of conversations of these divisions.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    division: Vec<String>,
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    whose: Whose,
    /// Print the jobs as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct OfJob {
    #[command(flatten)]
    whose: Whose,
    /// The job's id.
    job: String,
}

impl Push {
    pub(crate) async fn run(self) -> anyhow::Result<Done> {
        match self.action {
            Action::Start(start) => start.run().await,
            Action::List(list) => list.run().await,
            Action::Follow(of) => {
                let (jobs, _) = of.whose.connect().await?;
                follow(&jobs, &of.job).await
            }
            Action::Cancel(of) => {
                let (jobs, _) = of.whose.connect().await?;
                jobs.cancel(&of.job).await?;
                println!("{} is cancelled; what it has pushed stays", of.job);
                Ok(Done::All)
            }
            Action::Failed(of) => {
                let (jobs, _) = of.whose.connect().await?;
                jobs.failed(&of.job, |failed| {
                    let line = serde_json::json!({
                        "conversation_id": failed.conversation,
                        "recording_id": failed.recording,
                    });
                    println!("{line}");
                })
                .await?;
                Ok(Done::All)
            }
        }
    }
}

impl Whose {
    /// The way to the jobs, and the interval of their source.
    async fn connect(&self) -> anyhow::Result<(Jobs, Interval)> {
        let config = crate::load(&self.config)?;
        let mut found = pipelines(&config, clock().await?).await?;
        if let Some(name) = &self.source {
            found.retain(|pipeline| pipeline.name() == name);
        }
        found.retain(is_genesys_cloud);
        match found.as_slice() {
            [one] => {
                let api = one.vendor_api().await?;
                let api = api.context("the source names no API to send requests to")?;
                Ok((Jobs::new(api), one.interval().clone()))
            }
            [] => bail!("there is no such source of type genesys_cloud"),
            _ => bail!("there are several sources of type genesys_cloud: name one with --source"),
        }
    }
}

/// Returns true if a pipeline's source is the one that can push.
fn is_genesys_cloud(pipeline: &Pipeline) -> bool {
    pipeline.source_type().is_ok_and(|name| name == SOURCE)
}

impl Start {
    async fn run(self) -> anyhow::Result<Done> {
        let (jobs, interval) = self.whose.connect().await?;
        let until = interval.until.context(
            "the source's `options.interval` has no end: give one, since a job is about a range",
        )?;
        let order = Order {
            integration: self.integration,
            range: interval.from..until,
            screens: !self.no_screens,
            sensitive: self.sensitive,
            policy_based: !self.no_policy_based,
            snippets: !self.no_snippets,
            at: self
                .at
                .and_then(|at| u64::try_from(at.as_millisecond()).ok()),
            select: Select {
                media: self.media,
                direction: self.direction,
                queues: self.queue,
                users: self.user,
                divisions: self.division,
            },
        };
        let job = jobs.start(&order).await?;
        terminal::say("info", &format!("job {}", job.id));
        follow(&jobs, &job.id).await
    }
}

impl List {
    async fn run(self) -> anyhow::Result<Done> {
        let (jobs, _) = self.whose.connect().await?;
        let found = jobs.jobs(true).await?;
        if self.json {
            println!("{}", serde_json::json!({ "jobs": found }));
            return Ok(Done::All);
        }
        for job in found {
            let created = job.date_created.as_deref().unwrap_or_default();
            println!("{}  {created}  {}", job.id, line(&job));
        }
        Ok(Done::All)
    }
}

/// Follows a job to its end, or until it is told to stop, which leaves the job alone.
async fn follow(jobs: &Jobs, id: &str) -> anyhow::Result<Done> {
    let mut stop = stopped()?;
    let reported = std::cell::RefCell::new(String::new());
    let following = jobs.follow(id, |job| {
        let line = line(job);
        if *reported.borrow() != line {
            terminal::say("info", &line);
            reported.replace(line);
        }
    });
    let job = tokio::select! {
        job = following => job?,
        _ = stop.wait_for(|stop| *stop) => bail!(
            "stopped; the job continues at Genesys Cloud: `push follow {id}` looks at it again, `push cancel {id}` ends it"
        ),
    };
    println!("{}", line(&job));
    match job.total_failed_recordings {
        Some(1..) => {
            println!("`push failed {id}` names the recordings that were not pushed");
            Ok(Done::WithLosses)
        }
        _ => Ok(Done::All),
    }
}

/// A job in one line.
fn line(job: &Job) -> String {
    let count = |number: Option<u64>| number.unwrap_or_default();
    format!(
        "{}, {} %: {} of {} recordings pushed, {} skipped, {} failed",
        job.state,
        job.percent_progress.unwrap_or_default(),
        count(job.total_processed_recordings),
        count(job.total_recordings),
        count(job.total_skipped_recordings),
        count(job.total_failed_recordings),
    )
}
