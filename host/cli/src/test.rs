//! `test`: tries a configuration on sample conversations.

mod expectation;
mod field;

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::bail;
use clap::Args;
use recording_host_config::{Config, Sample};
use recording_host_engine::preview::SinkPreview;
use recording_host_model::one_line;
use serde::Serialize;
use serde_json::Value;

use super::Done;
use field::{Treatment, treatments};

#[derive(Debug, Args)]
pub(super) struct Test {
    /// The configuration, YAML or TOML; its key `tests` has samples.
    #[arg(long, value_name = "FILE", env = "RECORDING_HOST_CONFIG")]
    config: PathBuf,
    /// Samples from this file instead: a table `tests` in YAML or TOML, or rows of an archive as JSON Lines
    /// (`.jsonl`), which are shown.
    #[arg(long, value_name = "FILE")]
    samples: Option<PathBuf>,
    /// Show of every sample what a run would do with it, and not only of those without `expect`.
    #[arg(long)]
    show: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// The result of a sample.
#[derive(Debug, Serialize)]
struct Tried<'a> {
    name: &'a str,
    source: &'a str,
    /// True if it is as expected; none if nothing was expected.
    met: Option<bool>,
    /// Where it is not as expected.
    failures: Vec<String>,
    /// The sinks that take the source.
    sinks: BTreeMap<String, SinkPreview>,
    /// Fields that `privacy` changes.
    privacy: BTreeMap<String, Treatment>,
}

impl Test {
    pub(super) fn run(self) -> anyhow::Result<Done> {
        let config = crate::load(&self.config)?;
        let samples = match &self.samples {
            Some(path) => config.samples(path)?,
            None => config.tests().to_vec(),
        };
        let tried = samples.iter().map(|sample| tried(&config, sample));
        let tried: Vec<Tried<'_>> = tried.collect::<anyhow::Result<_>>()?;
        let count = |met| tried.iter().filter(|one| one.met == met).count();
        let (met, failed, shown) = (count(Some(true)), count(Some(false)), count(None));
        if self.json {
            println!("{}", serde_json::json!({ "tests": tried }));
        } else {
            for one in &tried {
                one.print(self.show);
            }
            println!("{met} as expected, {failed} not, {shown} without an expectation");
        }
        match (failed, tried.len()) {
            (_, 0) => Ok(Done::Nothing),
            (0, _) => Ok(Done::All),
            (failed, all) => bail!("{failed} of {all} samples are not as expected"),
        }
    }
}

/// Tries a sample.
fn tried<'a>(config: &Config, sample: &'a Sample) -> anyhow::Result<Tried<'a>> {
    let plain = config.preview(sample, false)?;
    let sinks = config.preview(sample, true)?;
    let row = |sinks: &BTreeMap<String, SinkPreview>| {
        let mut rows = sinks.values().filter_map(|sink| sink.row.clone());
        rows.next()
    };
    // No condition looks at what privacy changes: the same sinks have rows in both.
    let (before, after) = (row(&plain), row(&sinks));
    let treated = match (&before, &after) {
        (Some(before), Some(after)) => treatments(before, after),
        _ => BTreeMap::new(),
    };
    let expected = sample.expect.as_ref();
    let failures = expected.map(|expect| expectation::failures(expect, &sinks, &treated));
    Ok(Tried {
        name: &sample.name,
        source: &sample.source,
        met: failures.as_ref().map(Vec::is_empty),
        failures: failures.unwrap_or_default(),
        sinks,
        privacy: treated
            .into_iter()
            .filter(|(_, treatment)| *treatment != Treatment::Kept)
            .collect(),
    })
}

impl Tried<'_> {
    /// Prints it for people: what is not as expected, and, where it is to be shown, all.
    fn print(&self, show: bool) {
        let word = match self.met {
            Some(true) => "ok",
            Some(false) => "FAILED",
            None => "shown",
        };
        line(&format!("{word:<7} {}", self.name));
        for failure in &self.failures {
            line(&format!("        {failure}"));
        }
        if !show && self.met == Some(true) {
            return;
        }
        for (name, sink) in &self.sinks {
            match sink.takes {
                false => line(&format!("        {name}: not taken")),
                true if sink.keys.is_empty() => line(&format!("        {name}: taken, no media")),
                true => line(&format!("        {name}: {}", sink.keys.join(", "))),
            }
        }
        for (field, treatment) in &self.privacy {
            line(&format!("        privacy: {field} {}", treatment.word()));
        }
        let row = self.sinks.values().find_map(|sink| sink.row.as_ref());
        if let Some(row) = row.filter(|_| show || self.met.is_none()) {
            line(&format!("        row: {}", Value::from(row.clone())));
        }
    }
}

/// Prints a line in which nothing steers a terminal.
fn line(text: &str) {
    println!("{}", one_line(text));
}
