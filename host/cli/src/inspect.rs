//! `inspect`: what a component imports, wants and accepts; replays a recorded run of it.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use recording_host_model::{AuthScheme, DataClass};
use recording_host_source::{BUILTIN, CompilationCache, SourceComponent, replay};
use serde_json::Value;

use super::Done;

#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// The component's file, or the type of a built-in one; that for Genesys Cloud if it is left out.
    component: Option<PathBuf>,
    /// Repeat the steps that `run --record` wrote down and compare the results.
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
}

impl Inspect {
    pub(super) fn run(self) -> anyhow::Result<Done> {
        let cache = CompilationCache::of_user();
        let component = match &self.component {
            Some(path) => match BUILTIN.iter().find(|(name, _)| path.as_os_str() == *name) {
                Some((_, wasm)) => SourceComponent::load(wasm, cache.as_ref())?,
                None => SourceComponent::open(path, None, cache.as_ref())?,
            },
            None => SourceComponent::load(BUILTIN[0].1, cache.as_ref())?,
        };
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
        show(&component)?;
        Ok(Done::All)
    }
}

fn show(component: &SourceComponent) -> anyhow::Result<()> {
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
