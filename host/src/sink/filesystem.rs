//! Objects as files below a folder: written beside their place, synced, and renamed into it.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use futures_util::{StreamExt, stream, stream::BoxStream};
use tokio::{sync::mpsc, task::spawn_blocking};

use super::{Body, Found, Health, ObjectInfo, Sink, SinkError, Store, Stored};

/// The sink `filesystem`.
#[derive(Clone, Debug)]
pub struct Filesystem {
    root: PathBuf,
}

impl Filesystem {
    /// Files below `root`, which is made if need be.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Filesystem { root }
    }

    fn error(&self, key: &str, error: &io::Error) -> SinkError {
        SinkError {
            sink: "filesystem".into(),
            key: self.root.join(key).display().to_string(),
            reason: error.to_string(),
            retryable: !matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied
                    | io::ErrorKind::ReadOnlyFilesystem
                    | io::ErrorKind::NotADirectory
            ),
        }
    }
}

#[async_trait]
impl Sink for Filesystem {
    async fn check(&self) -> Result<Health, SinkError> {
        let root = self.root.clone();
        let probe = spawn_blocking(move || {
            fs::create_dir_all(&root)?;
            tempfile::NamedTempFile::with_prefix_in(".probe-", &root)?.close()
        });
        joined(probe.await).map_err(|error| self.error("", &error))?;
        Ok(Health {
            found: format!("files below {}", self.root.display()),
        })
    }

    async fn put(&self, key: &str, _info: ObjectInfo, mut body: Body) -> Result<Stored, SinkError> {
        let target = self.root.join(key);
        let fail = |error: io::Error| self.error(key, &error);
        let opened = spawn_blocking(move || Part::open(target));
        // Dropped on any way out before it is finished, it removes the file.
        let mut part = joined(opened.await).map_err(fail)?;
        let mut size = 0;
        while let Some(data) = body
            .next()
            .await
            .map_err(|broken| fail(io::Error::other(broken.to_string())))?
        {
            size += data.len() as u64;
            let written = spawn_blocking(move || part.file.write_all(&data).map(|()| part));
            part = joined(written.await).map_err(fail)?;
        }
        joined(spawn_blocking(move || part.finish()).await).map_err(fail)?;
        Ok(Stored { size, etag: None })
    }

    fn store(&self) -> Option<&dyn Store> {
        Some(self)
    }
}

#[async_trait]
impl Store for Filesystem {
    fn list(&self, prefix: &str) -> BoxStream<'_, Result<Found, SinkError>> {
        let (found, listed) = mpsc::channel(256);
        let (root, prefix) = (self.root.clone(), prefix.to_owned());
        spawn_blocking(move || {
            if let Err(error) = walk(&root, &prefix, &found) {
                let _ = found.blocking_send(Err(error));
            }
        });
        stream::unfold(listed, |mut listed| async move {
            let next: io::Result<Found> = listed.recv().await?;
            Some((next, listed))
        })
        .map(|found| found.map_err(|error| self.error("", &error)))
        .boxed()
    }

    async fn get(&self, key: &str) -> Result<Option<Body>, SinkError> {
        let path = self.root.join(key);
        let mut file = match joined(spawn_blocking(move || File::open(path)).await) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|error| self.error(key, &error))?,
        };
        let (feed, body) = Body::channel();
        spawn_blocking(move || {
            loop {
                let mut buffer = vec![0; 256 << 10];
                // A reader is told of a failure by the body that breaks off.
                let Ok(length) = file.read(&mut buffer) else {
                    return;
                };
                buffer.truncate(length);
                if length == 0 {
                    feed.end_blocking();
                    return;
                }
                if feed.send_blocking(buffer.into()).is_err() {
                    return;
                }
            }
        });
        Ok(Some(body))
    }
}

/// Tells the files below the folder `prefix`, in the order of their names.
fn walk(root: &Path, prefix: &str, found: &mpsc::Sender<io::Result<Found>>) -> io::Result<()> {
    let folder = root.join(prefix);
    let mut entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?.collect::<io::Result<Vec<_>>>()?,
    };
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let key = format!(
            "{}/{}",
            prefix.trim_end_matches('/'),
            entry.file_name().to_string_lossy()
        );
        if entry.file_type()?.is_dir() {
            walk(root, &key, found)?;
        } else {
            let size = entry.metadata()?.len();
            if found
                .blocking_send(Ok(Found {
                    key,
                    size,
                    etag: None,
                }))
                .is_err()
            {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// A file beside its place. Its name follows from the key, so that what a killed process left is
/// overwritten by the next attempt.
struct Part {
    file: File,
    path: PathBuf,
    target: PathBuf,
    finished: bool,
}

impl Part {
    fn open(target: PathBuf) -> io::Result<Self> {
        let folder = target.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = folder.join(format!(".{name}.part"));
        let mut options = File::options();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
        let file = options.open(&path)?;
        // Another process may be writing the same object: they must not mix.
        file.try_lock()?;
        file.set_len(0)?;
        Ok(Part {
            file,
            path,
            target,
            finished: false,
        })
    }

    fn finish(mut self) -> io::Result<()> {
        self.file.sync_data()?;
        fs::rename(&self.path, &self.target)?;
        self.finished = true;
        let folder = self.target.parent().unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.finished {
            // What cannot be removed is overwritten by the next attempt.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn joined<T>(result: Result<io::Result<T>, tokio::task::JoinError>) -> io::Result<T> {
    result.unwrap_or_else(|error| Err(io::Error::other(error)))
}
