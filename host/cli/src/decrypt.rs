//! `decrypt`: decrypts objects written by a sink with `encrypt`.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;
use recording_host_sink::{DecryptError, encryption::Identities};
use tokio::task::spawn_blocking;

use super::{Done, terminal, usage};

#[derive(Debug, Args)]
pub(super) struct Decrypt {
    /// A file of identities as `age-keygen` writes it; may be repeated.
    #[arg(long, value_name = "FILE", required = true)]
    identity: Vec<PathBuf>,
    /// Encrypted files; or folders, of which all files that end in `.age` are decrypted; or `-`, to
    /// decrypt standard input to standard output.
    #[arg(value_name = "INPUT", required = true)]
    inputs: Vec<PathBuf>,
    /// The folder that gets the files, readable by their owner alone. They keep their names without
    /// `.age`, and those of a folder their paths in it.
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
    /// Replace files that are there already.
    #[arg(long)]
    overwrite: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Decrypt {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let identities = super::identities(&self.identity)?;
        let streamed = self.inputs.iter().any(|input| input == Path::new("-"));
        let to = match (streamed, self.to) {
            (true, None) if self.inputs.len() == 1 => {
                return spawn_blocking(move || stream(&identities)).await?;
            }
            (true, _) => usage("`-` cannot be combined with `--to` or with other files"),
            (false, None) => usage("`--to FOLDER` is missing"),
            (false, Some(to)) => to,
        };
        let (inputs, overwrite, json) = (self.inputs, self.overwrite, self.json);
        spawn_blocking(move || {
            let (mut done, mut problems) = (0, 0);
            let mut each = |input: &Path, name: &Path| match decrypt(
                &identities,
                input,
                &to.join(name),
                overwrite,
            ) {
                Ok(()) => done += 1,
                Err(error) => {
                    problems += 1;
                    terminal::say("error", &format!("{}: {error:#}", input.display()));
                }
            };
            for input in &inputs {
                let found = if input.is_dir() {
                    walk(input, input, &mut each)
                } else {
                    let name = input.file_name().unwrap_or_default();
                    each(input, &plain(Path::new(name)));
                    Ok(())
                };
                found.with_context(|| input.display().to_string())?;
            }
            match json {
                true => println!(
                    "{}",
                    serde_json::json!({ "decrypted": done, "failed": problems })
                ),
                false => println!("{done} files decrypted"),
            }
            anyhow::ensure!(problems == 0, "{problems} files could not be decrypted");
            anyhow::ensure!(done > 0, "there is no file whose name ends in .age");
            Ok(Done::All)
        })
        .await?
    }
}

/// Calls `each` with every encrypted file below a folder, and its plain path below `root`.
fn walk(root: &Path, folder: &Path, each: &mut impl FnMut(&Path, &Path)) -> io::Result<()> {
    let entries: io::Result<Vec<_>> = std::fs::read_dir(folder)?.collect();
    let mut paths: Vec<PathBuf> = entries?.iter().map(std::fs::DirEntry::path).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() && !path.is_symlink() {
            walk(root, &path, each)?;
        } else if path.extension().is_some_and(|extension| extension == "age") {
            each(&path, &plain(path.strip_prefix(root).unwrap_or(&path)));
        }
    }
    Ok(())
}

/// A path without `.age` at its end.
fn plain(path: &Path) -> PathBuf {
    match path.extension() {
        Some(extension) if extension == "age" => path.with_extension(""),
        _ => path.to_owned(),
    }
}

/// Decrypts a file. The target is there once all of it is right, or not at all.
fn decrypt(
    identities: &Identities,
    input: &Path,
    target: &Path,
    overwrite: bool,
) -> anyhow::Result<()> {
    let taken = || {
        format!(
            "{} is there already; `--overwrite` replaces it",
            target.display()
        )
    };
    anyhow::ensure!(overwrite || !target.exists(), taken());
    let from = File::open(input)?;
    let folder = target.parent().unwrap_or(Path::new("."));
    let location = || folder.display().to_string();
    std::fs::create_dir_all(folder).with_context(location)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(location)?;
    copy(identities, from, &mut file)?;
    file.as_file().sync_all().with_context(location)?;
    let kept = match overwrite {
        true => file.persist(target),
        false => file.persist_noclobber(target),
    };
    match kept {
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => anyhow::bail!(taken()),
        kept => kept.map(drop).with_context(|| target.display().to_string()),
    }
}

fn stream(identities: &Identities) -> anyhow::Result<Done> {
    let mut out = io::stdout().lock();
    copy(identities, io::stdin().lock(), &mut out).context("standard input")?;
    out.flush()?;
    Ok(Done::All)
}

/// Copies what `from` decrypts to.
fn copy(identities: &Identities, from: impl Read, into: &mut impl Write) -> anyhow::Result<()> {
    let mut from = identities.decrypt(from)?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = from.read(&mut buffer).map_err(DecryptError::from)?;
        if length == 0 {
            return Ok(());
        }
        into.write_all(&buffer[..length]).context("writing")?;
    }
}
