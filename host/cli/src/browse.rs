//! `browse`: an archive in a browser, to search, listen and verify.

use std::{
    io::IsTerminal,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use anyhow::Context;
use clap::Args;
use recording_host_page::{AccessLog, Archive, Guard, Index, Page, Token, new_token, serve};
use recording_host_sink::Sink;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

use super::{Done, stopped, terminal, usage, verify::Server};

#[derive(Debug, Args)]
pub(super) struct Browse {
    /// The archive: a folder, or s3://bucket/prefix.
    #[arg(
        value_name = "FOLDER|s3://BUCKET/PREFIX",
        required_unless_present = "config",
        conflicts_with = "config"
    )]
    archive: Option<String>,
    /// The configuration, YAML or TOML, of whose sinks one is shown.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which sink of the configuration, if several can be read.
    #[arg(long, value_name = "NAME", requires = "config")]
    sink: Option<String>,
    /// Where to listen. Elsewhere than on loopback a token is asked for, and a proxy should add TLS.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8321")]
    listen: SocketAddr,
    /// A name by which browsers reach the page, with its port if it has one, as behind a proxy; may be
    /// repeated.
    #[arg(long, value_name = "NAME[:PORT]")]
    host: Vec<String>,
    /// A file of tokens, one line `name token` for each person; the name stands in the log of accesses.
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// Read what is encrypted by this file of identities as `age-keygen` writes it; may be repeated.
    #[arg(long, value_name = "FILE")]
    identity: Vec<PathBuf>,
    /// The folder of the index, the log of accesses and nothing of the archive; by default in the
    /// user's cache.
    #[arg(long, value_name = "FOLDER")]
    cache: Option<PathBuf>,
    /// Bring the index up to date, print its time and size, and end.
    #[arg(long)]
    index_only: bool,
    #[command(flatten)]
    server: Server,
}

impl Browse {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let identities = super::identities(&self.identity)?;
        let Some((name, sink)) = self.open().await? else {
            eprintln!("nothing to show: there is no such folder");
            return Ok(Done::Nothing);
        };
        let archive = Archive::new(&name, sink, identities.decryptor())?;
        let cache = self.cache.clone().map_or_else(cache, Ok)?;
        private(&cache)?;
        let digest = Sha256::digest(name.as_bytes());
        let stem: String = digest[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let file = cache.join(format!("{stem}.sqlite"));
        // What is decrypted stays in memory.
        let in_memory = identities.decryptor().is_some();
        let index = Arc::new(match in_memory {
            true => Index::in_memory()?,
            false => Index::open(&file)?,
        });
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
        println!(
            "index: {} rows of {} receipts taken in, {} receipts taken out, {:.1} s; {size}",
            refreshed.rows,
            refreshed.added,
            refreshed.removed,
            begun.elapsed().as_secs_f64()
        );
        if self.index_only {
            return Ok(Done::All);
        }
        self.serve(archive, index, &cache.join("access.jsonl"))
            .await
    }

    async fn serve(self, archive: Archive, index: Arc<Index>, log: &Path) -> anyhow::Result<Done> {
        let listener = TcpListener::bind(self.listen).await;
        let listener = listener.with_context(|| format!("--listen {}", self.listen))?;
        let address = listener.local_addr()?;
        let mut tokens = match &self.tokens {
            Some(path) => read_tokens(path)?,
            None => Vec::new(),
        };
        if tokens.is_empty() && !address.ip().is_loopback() {
            let secret = new_token();
            println!("token: {secret}");
            tokens.push(Token {
                name: "token".to_owned(),
                secret: secret.into(),
            });
        }
        let access = AccessLog::open(log).with_context(|| log.display().to_string())?;
        println!("log of accesses: {}", log.display());
        println!("open http://{address}/ in a browser; Ctrl-C ends it");
        let page = Page {
            archive,
            index,
            guard: Guard::new(address, self.host, tokens),
            access,
        };
        let mut stopped = stopped()?;
        tokio::select! {
            () = serve(listener, page) => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
        Ok(Done::All)
    }

    /// The sink that is shown, and what it is called.
    async fn open(&self) -> anyhow::Result<Option<(String, Arc<dyn Sink>)>> {
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
        let config = crate::load(path)?;
        let mut readable: Vec<(String, Arc<dyn Sink>)> = Vec::new();
        for (name, sink) in config.sinks().await? {
            if sink.store().is_some() && self.sink.as_ref().is_none_or(|wanted| *wanted == name) {
                readable.push((name, sink));
            }
        }
        if readable.len() > 1 {
            let names: Vec<&str> = readable.iter().map(|(name, _)| name.as_str()).collect();
            usage(&format!("choose one by --sink: {}", names.join(", ")));
        }
        let Some((name, sink)) = readable.pop() else {
            usage("the configuration has no such sink that can be read");
        };
        // Two configurations may have a sink of one name: the index is of one file's.
        let place = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        Ok(Some((format!("{name} of {}", place.display()), sink)))
    }
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
fn private(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

    let mut builder = std::fs::DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(folder);
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
fn private(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())
}

fn read_tokens(path: &Path) -> anyhow::Result<Vec<Token>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut tokens = Vec::new();
    for (at, line) in lines.enumerate() {
        let parts = line.split_once(char::is_whitespace);
        let parts = parts.filter(|(_, token)| token.trim().len() >= 16);
        let Some((name, token)) = parts else {
            // The line is not shown: it may be a token.
            anyhow::bail!(
                "{}: entry {}: give a name, a space and a token of 16 characters or more",
                path.display(),
                at + 1
            );
        };
        tokens.push(Token {
            name: name.to_owned(),
            secret: token.trim().to_owned().into(),
        });
    }
    anyhow::ensure!(
        !tokens.is_empty(),
        "{}: there is no token in it",
        path.display()
    );
    Ok(tokens)
}
