//! An archive that is read with an index: where it is, and where the index of it lies.

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use anyhow::Context;
use clap::Args;
use recording_host_config::{Config, SecretScope};
#[cfg(unix)]
use recording_host_model::create_private_folder;
use recording_host_page::{AccessLog, Archive, Index, PageError, Refreshed};
use recording_host_sink::Sink;
use sha2::{Digest, Sha256};

use super::{terminal, usage, verify::Server};

/// Which archive, and what is needed to read it.
#[derive(Debug, Args)]
pub(super) struct ArchiveArgs {
    /// The archive: a folder, or s3://bucket/prefix.
    #[arg(
        value_name = "FOLDER|s3://BUCKET/PREFIX",
        required_unless_present = "config",
        conflicts_with = "config"
    )]
    archive: Option<String>,
    /// The configuration, YAML or TOML, of whose sinks one is read.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which sink of the configuration, if several can be read.
    #[arg(long, value_name = "NAME", requires = "config")]
    sink: Option<String>,
    /// Decrypt with the identities in this file, as `age-keygen` writes it; may be repeated.
    #[arg(long, value_name = "FILE")]
    identity: Vec<PathBuf>,
    /// Folder for the index and the access log, beside the archive and never in it; default: the user's cache.
    #[arg(long, value_name = "FOLDER")]
    cache: Option<PathBuf>,
    #[command(flatten)]
    server: Server,
}

/// An archive with its index up to date.
pub(super) struct OpenedArchive {
    pub(super) archive: Archive,
    pub(super) index: Arc<Index>,
    pub(super) refreshed: Refreshed,
    /// How long it took to bring the index up to date, in seconds.
    pub(super) seconds: f64,
    /// The size of the index, in words.
    pub(super) size: String,
    /// The folder of the index.
    cache: PathBuf,
}

impl OpenedArchive {
    /// The log of accesses, and where it is.
    pub(super) fn access(&self) -> anyhow::Result<(AccessLog, PathBuf)> {
        access(&self.cache)
    }
}

impl ArchiveArgs {
    /// Opens the archive and brings its index up to date; none if there is no such folder.
    pub(super) async fn open(&self) -> anyhow::Result<Option<OpenedArchive>> {
        let identities = super::identities(&self.identity)?;
        let Some((name, sink)) = self.sink().await? else {
            return Ok(None);
        };
        let archive = Archive::new(&name, sink, identities.decryptor())?;
        let cache = self.cache.clone().map_or_else(cache, Ok)?;
        private(&cache)?;
        let file = index_file(&cache, &name);
        let in_memory = identities.decryptor().is_some();
        let index = Arc::new(index(&file, in_memory)?);
        let begun = Instant::now();
        let shown = std::io::stderr().is_terminal();
        let refreshed = archive
            .refresh(&index, |done, total| {
                if shown && (done % 100 == 0) {
                    terminal::say("info", &format!("indexing: {done} of {total} receipts"));
                }
            })
            .await?;
        let size = match in_memory {
            true => "in memory".to_owned(),
            false => format!("{} bytes", std::fs::metadata(&file)?.len()),
        };
        Ok(Some(OpenedArchive {
            archive,
            index,
            refreshed,
            seconds: begun.elapsed().as_secs_f64(),
            size,
            cache,
        }))
    }

    /// The sink that is read, and what it is called.
    async fn sink(&self) -> anyhow::Result<Option<(String, Arc<dyn Sink>)>> {
        if let Some(archive) = &self.archive {
            let sink = self.server.open(archive).await?;
            let name = match archive.contains("://") {
                true => archive.clone(),
                false => std::fs::canonicalize(archive)
                    .map_or_else(|_| archive.clone(), |path| path.display().to_string()),
            };
            return Ok(sink.map(|sink| (name, sink)));
        }
        let Some(path) = &self.config else {
            return Ok(None);
        };
        let config = crate::load_for(path, SecretScope::Sinks)?;
        let (name, sink) = readable(&config, self.sink.as_deref(), "--sink").await?;
        // Two configurations may have a sink of one name: the index is of one file's.
        let location = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        Ok(Some((format!("{name} of {}", location.display()), sink)))
    }
}

/// The sink of a configuration that is read: the one that is `wanted` by an option, or the only one that can
/// be. Ends the program if that is none.
pub(super) async fn readable(
    config: &Config,
    wanted: Option<&str>,
    option: &str,
) -> anyhow::Result<(String, Arc<dyn Sink>)> {
    let chosen = choose(config, wanted, option).await?;
    Ok(chosen.unwrap_or_else(|reason| usage(&reason)))
}

/// The sink of a configuration that is read, or why none is.
pub(super) async fn choose(
    config: &Config,
    wanted: Option<&str>,
    option: &str,
) -> anyhow::Result<Result<(String, Arc<dyn Sink>), String>> {
    let mut readable: Vec<(String, Arc<dyn Sink>)> = Vec::new();
    for (name, sink) in config.sinks().await? {
        if sink.store().is_some() && wanted.is_none_or(|wanted| *wanted == name) {
            readable.push((name, sink));
        }
    }
    if readable.len() > 1 {
        let names: Vec<&str> = readable.iter().map(|(name, _)| name.as_str()).collect();
        return Ok(Err(format!("choose one by {option}: {}", names.join(", "))));
    }
    let none = || "the configuration has no such sink that can be read".to_owned();
    Ok(readable.pop().ok_or_else(none))
}

/// An index in a file, or if the rows are decrypted, in memory, where they stay.
pub(super) fn index(file: &Path, in_memory: bool) -> Result<Index, PageError> {
    match in_memory {
        true => Index::in_memory(),
        false => Index::open(file),
    }
}

/// The file of the index of an archive in a folder.
pub(super) fn index_file(folder: &Path, archive: &str) -> PathBuf {
    let digest = Sha256::digest(archive.as_bytes());
    let stem: String = digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    folder.join(format!("{stem}.sqlite"))
}

/// The log of accesses in a folder, and where it is.
pub(super) fn access(folder: &Path) -> anyhow::Result<(AccessLog, PathBuf)> {
    let path = folder.join("access.jsonl");
    let log = AccessLog::open(&path).with_context(|| path.display().to_string())?;
    Ok((log, path))
}

/// The folder of the user for what can be made again.
fn cache() -> anyhow::Result<PathBuf> {
    let folder = |name: &str| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    };
    folder("XDG_CACHE_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".cache")))
        .or_else(|| folder("LOCALAPPDATA"))
        .map(|cache| cache.join("recording-host"))
        .context("there is no home folder; name a folder by --cache")
}

/// Makes a folder that only its owner can open, or makes sure that an existing one is like that.
#[cfg(unix)]
pub(super) fn private(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let made = create_private_folder(folder);
    made.with_context(|| folder.display().to_string())?;
    let found = std::fs::metadata(folder).with_context(|| folder.display().to_string())?;
    anyhow::ensure!(
        found.permissions().mode() & 0o077 == 0,
        "{}: others can open this folder, and the index has names and numbers; \
         `chmod 700` it, or name another one by --cache",
        folder.display()
    );
    Ok(())
}

#[cfg(not(unix))]
pub(super) fn private(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())
}
