//! `inspect`: what a component imports, wants and accepts; replays a recorded run of it, tries it out
//! against answers in a folder, and writes a built-in one to a file.

mod answers;
mod rehearsal;
mod rules;
mod show;

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use recording_host_config::interval;
use recording_host_model::{AuthScheme, DataClass, TimeRange};
use recording_host_source::{BUILTIN, CompilationCache, SourceComponent, replay};
use serde_json::{Map, Value};

use super::{Done, slow};
use rehearsal::Rehearsal;

/// How long after the end of its range a search is tried out: what it finds has ended.
const LATER_MS: u64 = 86_400_000;

#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// The component's file, or the type of a built-in one; that for Genesys Cloud if it is left out.
    component: Option<PathBuf>,
    /// Repeat the steps that `run --record` wrote down and compare the results.
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Find conversations and fetch their recordings, with the files of a folder as answers to requests:
    /// `GET https://calls.example/list?page=2` is answered by GET_calls.example_list_page_2, a response as
    /// `curl -i` prints it or a body alone. A file that is missing is named.
    #[arg(long = "try", value_name = "FOLDER", requires = "options", conflicts_with_all = ["replay", "extract"])]
    answers: Option<PathBuf>,
    /// The options for --try, a JSON object with `interval`, as in a configuration.
    #[arg(long, value_name = "JSON", requires = "answers")]
    options: Option<String>,
    /// Write the component to a new file.
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    extract: Option<PathBuf>,
}

impl Inspect {
    pub(super) fn run(self) -> anyhow::Result<Done> {
        let cache = CompilationCache::of_user();
        let builtin = match &self.component {
            Some(path) => BUILTIN.iter().find(|(name, _)| path.as_os_str() == *name),
            None => BUILTIN.first(),
        };
        if let Some(path) = &self.extract {
            return extract(path, builtin.map(|(_, wasm)| *wasm));
        }
        let component = match (builtin, &self.component) {
            (None, Some(path)) => {
                let file = path.display().to_string();
                let compiling = format!("compiling {file}, which is done once");
                slow::telling(compiling, || {
                    SourceComponent::open(path, None, cache.as_ref())
                })
                .with_context(|| file)?
            }
            (builtin, _) => {
                let (_, wasm) = builtin.unwrap_or(&BUILTIN[0]);
                SourceComponent::load(wasm, cache.as_ref())?
            }
        };
        if let (Some(folder), Some(options)) = (&self.answers, &self.options) {
            let (options, range) = options_and_range(options)?;
            let now = range.until.saturating_add(LATER_MS);
            Rehearsal::new(&component, options, folder, now).run(range)?;
            return Ok(Done::All);
        }
        if let Some(path) = &self.replay {
            let replay = replay(&component, path).with_context(|| path.display().to_string())?;
            println!(
                "{} steps repeated, {} differ",
                replay.steps,
                replay.differing.len()
            );
            if let Some(first) = replay.differing.first() {
                bail!(
                    "the first one that differs is in line {first} of {}",
                    path.display()
                );
            }
            return Ok(Done::All);
        }
        describe(&component)?;
        Ok(Done::All)
    }
}

/// Writes a built-in component to a file that is not there yet.
fn extract(path: &Path, builtin: Option<&[u8]>) -> anyhow::Result<Done> {
    let Some(wasm) = builtin else {
        bail!("only a built-in component is written to a file: genesys_cloud or genesys_bucket");
    };
    let written = File::create_new(path).and_then(|mut file| file.write_all(wasm));
    written.with_context(|| path.display().to_string())?;
    println!("{} bytes written to {}", wasm.len(), path.display());
    Ok(Done::All)
}

/// Reads options as a configuration has them: the host takes the interval out.
fn options_and_range(text: &str) -> anyhow::Result<(String, TimeRange)> {
    let mut options: Map<String, Value> =
        serde_json::from_str(text).context("--options: not a JSON object")?;
    let range = match options.remove("interval") {
        Some(Value::String(text)) => {
            interval(&text).map_err(|reason| anyhow!("--options: interval: {reason}"))?
        }
        _ => bail!("--options: `interval` is missing; give a range such as 2026-01-01/2026-01-08"),
    };
    let Some(until) = range.until else {
        bail!("--options: interval: give one with an end");
    };
    let from = range.from;
    Ok((
        Value::Object(options).to_string(),
        TimeRange { from, until },
    ))
}

fn describe(component: &SourceComponent) -> anyhow::Result<()> {
    let described = component.describe()?;
    println!(
        "{} {}, for {}",
        described.name, described.version, described.vendor
    );
    println!("  sha256     {}", component.digest());
    println!("  imports    {}", listed(component.imports()));
    let auth = match described.auth {
        AuthScheme::None => "none".to_owned(),
        AuthScheme::Oauth2ClientCredentials => {
            "OAuth 2.0 client credentials, added by the host; the component sees no secret"
                .to_owned()
        }
        AuthScheme::AwsSigv4 => "AWS Signature Version 4, added by the host".to_owned(),
        AuthScheme::Basic => "user name and password, added by the host".to_owned(),
        AuthScheme::Header(header) => {
            format!(
                "a secret in the header `{}`, added by the host",
                header.name
            )
        }
    };
    println!("  log-in     {auth}");
    if let Some(limit) = &described.rate_limit {
        println!(
            "  limit      {} requests a minute",
            limit.requests_per_minute
        );
    }
    let classes: Vec<String> = described
        .data_classes
        .iter()
        .map(|class| {
            match class {
                DataClass::Voice => "voices",
                DataClass::Screen => "screens",
                DataClass::Text => "texts",
                DataClass::Address => "telephone numbers and addresses",
                DataClass::Name => "names",
            }
            .to_owned()
        })
        .collect();
    println!("  handles    {}", listed(&classes));
    println!("  options");
    let schema: Value = serde_json::from_str(&described.options_schema)
        .context("the component's JSON Schema of its options")?;
    for (name, option) in schema["properties"].as_object().into_iter().flatten() {
        let text = option["description"].as_str().unwrap_or_default();
        let default = match &option["default"] {
            Value::Null => String::new(),
            value => format!(" Default: {value}."),
        };
        println!("    {name:<20} {text}{default}");
    }
    Ok(())
}

fn listed(items: &[String]) -> String {
    if items.is_empty() {
        "nothing".to_owned()
    } else {
        items.join(", ")
    }
}
