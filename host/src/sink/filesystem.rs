//! Objects as files below a folder: written beside their place, synced, and renamed into it.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use bytes::Bytes;
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
        let place = target.clone();
        let opened = spawn_blocking(move || {
            let folder = place.parent().unwrap_or(Path::new("."));
            fs::create_dir_all(folder)?;
            tempfile::Builder::new()
                .prefix(".part-")
                .permissions_or_default()
                .tempfile_in(folder)
        });
        // Dropped on any way out before the rename, it removes the file.
        let mut file = joined(opened.await).map_err(fail)?;
        let mut size = 0;
        while let Some(first) = body
            .next()
            .await
            .map_err(|broken| fail(io::Error::other(broken.to_string())))?
        {
            size += first.len() as u64;
            let written = spawn_blocking(move || write(file, &first));
            file = joined(written.await).map_err(fail)?;
        }
        let finished = spawn_blocking(move || {
            file.as_file().sync_data()?;
            file.persist(&target).map_err(|error| error.error)?;
            let folder = target.parent().unwrap_or(Path::new("."));
            File::open(folder)?.sync_all()
        });
        joined(finished.await).map_err(fail)?;
        Ok(Stored { size })
    }
}

fn write(mut file: tempfile::NamedTempFile, data: &Bytes) -> io::Result<tempfile::NamedTempFile> {
    file.write_all(data)?;
    Ok(file)
}

fn joined<T>(result: Result<io::Result<T>, tokio::task::JoinError>) -> io::Result<T> {
    result.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// Files that others may read as the umask allows, unlike the private ones that `tempfile` makes.
trait Permissions {
    fn permissions_or_default(&mut self) -> &mut Self;
}

impl Permissions for tempfile::Builder<'_, '_> {
    #[cfg(unix)]
    fn permissions_or_default(&mut self) -> &mut Self {
        use std::os::unix::fs::PermissionsExt;
        self.permissions(fs::Permissions::from_mode(0o640))
    }

    #[cfg(not(unix))]
    fn permissions_or_default(&mut self) -> &mut Self {
        self
    }
}
