//! Objects as files below a folder: written beside their place, synced, and renamed into it.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use tokio::task::spawn_blocking;

use super::{Body, ObjectInfo, Sink, SinkError, Stored};

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
    async fn check(&self) -> Result<(), SinkError> {
        let root = self.root.clone();
        let probe = spawn_blocking(move || {
            fs::create_dir_all(&root)?;
            tempfile::NamedTempFile::with_prefix_in(".probe-", &root)?.close()
        });
        joined(probe.await).map_err(|error| self.error("", &error))
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
        Ok(Stored { size })
    }
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
