//! `verify`: compares what the sinks hold with the receipts in them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use recording_host_config::{Config, SecretScope};
use recording_host_engine::{
    Pipeline,
    verify::{self, VerifyOptions, VerifyReport},
};
use recording_host_sink::{Sink, encryption::Identities, filesystem::Filesystem};

use super::{
    Done,
    clock::clock,
    print,
    terminal::{Display, say},
    usage,
};

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// An archive to verify without a configuration: a folder, or s3://bucket/prefix.
    #[arg(value_name = "FOLDER|s3://BUCKET/PREFIX", conflicts_with = "config")]
    archive: Option<String>,
    /// The configuration, YAML or TOML, whose sinks are verified [env: RECORDING_HOST_CONFIG=].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Read every object and compare its sha256, not only its length.
    #[arg(long)]
    full: bool,
    /// Also compare what is encrypted, with the identities in this file, as `age-keygen` writes it; may be
    /// repeated.
    #[arg(long, value_name = "FILE")]
    identity: Vec<PathBuf>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

/// How the server of a bucket is reached; credentials are those of AWS' default chain.
#[derive(Debug, Args)]
pub(super) struct Server {
    /// The URL of a server other than AWS, for an archive in a bucket.
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    endpoint: Option<String>,
    /// The region of the bucket.
    #[arg(long, value_name = "REGION", conflicts_with = "config")]
    region: Option<String>,
    /// URLs have the bucket in the path and not in the host name.
    #[arg(long, conflicts_with = "config")]
    path_style: bool,
}

impl Verify {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let identities = super::identities(&self.identity)?;
        let mut reports = BTreeMap::new();
        if let Some(archive) = &self.archive {
            let Some(sink) = self.server.open(archive).await? else {
                if self.json {
                    println!("{}", serde_json::json!({ "sinks": {} }));
                }
                say(
                    "info",
                    &format!("nothing to prove: there is no folder {archive}"),
                );
                return Ok(Done::Nothing);
            };
            let options = VerifyOptions {
                any_layout: true,
                ..self.options(&identities)
            };
            self.verify(archive, &*sink, options, &mut reports).await?;
        } else {
            // Only without an archive: an environment for all commands is no request for both.
            let path = self.config.clone();
            let path = path.or_else(|| std::env::var_os("RECORDING_HOST_CONFIG").map(Into::into));
            let Some(path) = path else {
                usage("name an archive, or a configuration by --config or RECORDING_HOST_CONFIG");
            };
            let config = crate::load_for(&path, SecretScope::Sinks)?;
            let exports = exports(&path).await;
            for (name, sink) in config.sinks().await? {
                let options = VerifyOptions {
                    layout: config.layout(&name).cloned().unwrap_or_default(),
                    not_filed: not_filed(&exports, &name).await,
                    ..self.options(&identities)
                };
                self.verify(&name, &*sink, options, &mut reports).await?;
            }
        }
        if self.json {
            println!("{}", serde_json::json!({ "sinks": reports }));
        }
        let findings: usize = reports.values().map(|report| report.findings.len()).sum();
        anyhow::ensure!(
            findings == 0,
            "{findings} {} between what is there and what the receipts say",
            if findings == 1 {
                "difference"
            } else {
                "differences"
            }
        );
        let empty = reports.iter().filter(|(_, report)| report.is_empty());
        let empty: Vec<&str> = empty.map(|(name, _)| name.as_str()).collect();
        if reports.is_empty() || !empty.is_empty() {
            let at = match empty.is_empty() {
                true => "any sink that can be read".to_owned(),
                false => empty.join(", "),
            };
            say("info", &format!("nothing to prove: no receipt in {at}"));
            return Ok(Done::Nothing);
        }
        Ok(Done::All)
    }

    fn options(&self, identities: &Identities) -> VerifyOptions {
        VerifyOptions {
            full: self.full,
            decryptor: identities.decryptor(),
            ..VerifyOptions::default()
        }
    }

    async fn verify(
        &self,
        name: &str,
        sink: &dyn Sink,
        options: VerifyOptions,
        reports: &mut BTreeMap<String, VerifyReport>,
    ) -> anyhow::Result<()> {
        let Some(store) = sink.store() else {
            say("warn", &format!("{name}: this sink cannot be read"));
            return Ok(());
        };
        let (display, full) = (Display::begin(), options.full);
        let options = VerifyOptions {
            events: display.events(name),
            ..options
        };
        let report = verify::verify_with(store, options).await?;
        drop(display);
        if !self.json {
            print::report(name, &report, full);
        }
        reports.insert(name.to_owned(), report);
        Ok(())
    }
}

/// Warns that it is not known what is stored and not filed yet: without that there is no less to prove.
fn unknown(error: &anyhow::Error) {
    let text = "objects that are stored but not filed yet are reported as unexpected";
    say(
        "warn",
        &format!("{}. Therefore, {text}", print::chain(error)),
    );
}

/// The exports of a configuration, as far as it can be used.
async fn exports(path: &Path) -> Vec<Pipeline> {
    let made = async {
        let config = Config::load_for(path, SecretScope::Queues)?;
        anyhow::Ok(config.pipelines(clock().await?).await?)
    };
    made.await.unwrap_or_else(|error| {
        unknown(&error);
        Vec::new()
    })
}

/// The keys of what exports have stored in a sink and are still to file.
async fn not_filed(exports: &[Pipeline], sink: &str) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for export in exports {
        match export.not_filed(sink).await {
            Ok(more) => keys.extend(more),
            Err(error) => unknown(&error.into()),
        }
    }
    keys
}

impl Server {
    /// The archive at a place; none if it is a folder that is not there.
    pub(super) async fn open(&self, archive: &str) -> anyhow::Result<Option<Arc<dyn Sink>>> {
        if let Some(bucket) = archive.strip_prefix("s3://") {
            return self.bucket(bucket).await.map(Some);
        }
        if let Some((scheme, _)) = archive.split_once("://") {
            usage(&format!(
                "`{scheme}://` is not known; give a folder or s3://bucket/prefix, or the sink's configuration by --config"
            ));
        }
        if self.endpoint.is_some() || self.region.is_some() || self.path_style {
            usage("--endpoint, --region and --path-style are for s3://bucket/prefix");
        }
        let folder = Path::new(archive);
        let there: Arc<dyn Sink> = Arc::new(Filesystem::new(folder.to_owned()));
        Ok(folder.is_dir().then_some(there))
    }

    #[cfg(feature = "s3")]
    async fn bucket(&self, location: &str) -> anyhow::Result<Arc<dyn Sink>> {
        use recording_host_sink::ObjectOptions;
        use recording_host_sink_s3::{S3, S3SinkConfig};

        let (bucket, prefix) = location.split_once('/').unwrap_or((location, ""));
        if bucket.is_empty() {
            usage("s3://bucket/prefix: the bucket is missing");
        }
        Ok(Arc::new(
            S3::new(S3SinkConfig {
                bucket: bucket.to_owned(),
                objects: ObjectOptions {
                    prefix: prefix.trim_end_matches('/').to_owned(),
                    ..ObjectOptions::default()
                },
                region: self.region.clone(),
                endpoint: self.endpoint.clone(),
                path_style: self.path_style,
                ..S3SinkConfig::default()
            })
            .await,
        ))
    }

    #[cfg(not(feature = "s3"))]
    async fn bucket(&self, _: &str) -> anyhow::Result<Arc<dyn Sink>> {
        anyhow::bail!("this build has no `s3`; build it with the feature `s3`")
    }
}
