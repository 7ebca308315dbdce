//! Objects as files below a folder: written beside their place, synced, and renamed into it.
//!
//! Small objects are written in one go, and synced together with those that are written meanwhile. Large
//! ones are written by one thread that is fed through a bounded channel, and which syncs them.

mod group_commit;
mod part;
mod walk;

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    ops::Range,
    path::PathBuf,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream, stream::BoxStream};
use tokio::{sync::mpsc, task::spawn_blocking};

use super::{
    Body, BodyReader, Health, ObjectMeta, Overwrite, PutOptions, PutResult, Segments, Sink,
    SinkError, Store,
};
use group_commit::GroupCommit;
use part::Part;

/// The type of this sink.
const NAME: &str = "filesystem";

/// Objects up to this size, in bytes, are written in one go.
const SMALL: usize = 1 << 20;

/// The sink `filesystem`.
#[derive(Clone, Debug)]
pub struct Filesystem {
    root: PathBuf,
    options: FilesystemOptions,
    groups: GroupCommit,
}

/// How files are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilesystemOptions {
    /// The permissions of files, whatever the process' umask is. Without them: 0640, less the umask.
    pub mode: Option<u32>,
    /// The permissions of folders that are made, whatever the process' umask is. Without them:
    /// 0777, less the umask.
    pub directory_mode: Option<u32>,
    /// How to treat objects that are there already.
    pub overwrite: Overwrite,
}

impl Filesystem {
    /// Files below `root`, which is made if need be.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Filesystem::with(root, FilesystemOptions::default())
    }

    /// [`new`](Self::new), with options.
    #[must_use]
    pub fn with(root: PathBuf, options: FilesystemOptions) -> Self {
        Filesystem {
            root,
            options,
            groups: GroupCommit::default(),
        }
    }

    fn failure(&self, key: &str, reason: impl Into<String>, retryable: bool) -> SinkError {
        let path = self.root.join(key).display().to_string();
        SinkError::new(NAME, &path, reason).with_retryable(retryable)
    }

    fn error(&self, key: &str, error: &io::Error) -> SinkError {
        use io::ErrorKind as Kind;
        let (reason, retryable) = match error.kind() {
            Kind::StorageFull | Kind::QuotaExceeded => (
                format!("no space is left: {error}; free some, and it goes on"),
                true,
            ),
            Kind::WouldBlock => (
                "another process is writing this object; it is tried again".to_owned(),
                true,
            ),
            Kind::PermissionDenied => (
                format!("{error}; let the user of this process write below the sink's `path`"),
                false,
            ),
            Kind::InvalidInput => (error.to_string(), false),
            Kind::InvalidFilename => (
                format!("{error}; the file system takes no name of this length or kind"),
                false,
            ),
            Kind::ReadOnlyFilesystem
            | Kind::NotADirectory
            | Kind::IsADirectory
            | Kind::AlreadyExists => (format!("{error}; check the sink's `path`"), false),
            Kind::Unsupported => (
                format!("{error}; the file system cannot lock files, which keeps writers apart"),
                false,
            ),
            _ => (error.to_string(), true),
        };
        self.failure(key, reason, retryable)
    }

    /// The file of a key, which must not lead anywhere else.
    fn path(&self, key: &str) -> Result<PathBuf, SinkError> {
        let strange = |name: &str| matches!(name, "" | "." | "..") || name.contains('\0');
        if key.split('/').any(strange) {
            let reason = "the key has a part that is no file name; it must not begin or end with `/`, nor have `..` in it";
            return Err(self.failure(key, reason, false));
        }
        let path = self.root.join(key);
        if path.file_name().is_some_and(part::is_part) {
            let reason = "names such as `.x.part` are kept for files that are being written";
            return Err(self.failure(key, reason, false));
        }
        Ok(path)
    }

    fn opened(&self, key: &str, info: &PutOptions) -> Result<Opening, SinkError> {
        Ok(Opening {
            target: self.path(key)?,
            root: self.root.clone(),
            options: self.options,
            groups: self.groups.clone(),
            keep: self.options.overwrite.keeps(info),
            size: info.size,
        })
    }

    /// The result of a put, from the end of its writer.
    async fn ended(
        &self,
        key: &str,
        info: &PutOptions,
        ended: End,
    ) -> Result<PutResult, SinkError> {
        let stored = |size| PutResult {
            size,
            etag: None,
            encrypted: None,
        };
        match ended {
            End::Written(size, part) => {
                let committed = self.groups.commit(part).await;
                committed.map_err(|error| self.error(key, &error))?;
                Ok(stored(size))
            }
            End::Same(size) => Ok(stored(size)),
            End::Different(there) => {
                let overwrite = self.options.overwrite;
                let reason = overwrite.refusal(there, info);
                let error = self.failure(key, reason, false);
                Err(error.with_different(key, overwrite, info))
            }
            End::Broken => Err(self.failure(key, super::BodyAborted.to_string(), true)),
        }
    }
}

#[async_trait]
impl Sink for Filesystem {
    fn name(&self) -> &str {
        NAME
    }

    async fn check(&self) -> Result<Health, SinkError> {
        let (root, mode) = (self.root.clone(), self.options.directory_mode);
        let probe = spawn_blocking(move || part::probe(&root, mode));
        joined(probe.await).map_err(|error| self.error("", &error))?;
        Ok(Health {
            found: format!("files below {}", self.root.display()),
        })
    }

    async fn put(&self, key: &str, info: PutOptions, body: Body) -> Result<PutResult, SinkError> {
        let opening = self.opened(key, &info)?;
        let fail = |error: io::Error| self.error(key, &error);
        let broken = |_| self.failure(key, super::BodyAborted.to_string(), true);
        let mut body = BodyReader::new(body);
        let first = body.take(SMALL).await.map_err(broken)?;
        if body.at_end().await.map_err(broken)? {
            let written = spawn_blocking(move || opening.write(first, || Frame::End));
            let written = joined(written.await).map_err(fail)?;
            return self.ended(key, &info, written).await;
        }
        let (frames, mut arriving) = mpsc::channel(8);
        let writing = spawn_blocking(move || {
            // A sender that is gone without a word has been dropped with its put.
            opening.write(first, || arriving.blocking_recv().unwrap_or(Frame::Broken))
        });
        loop {
            let frame = match body.next().await {
                Ok(Some(data)) => Frame::Data(data),
                Ok(None) => Frame::End,
                Err(_) => Frame::Broken,
            };
            let last = !matches!(frame, Frame::Data(_));
            // A writer that does not listen any more says why.
            if frames.send(frame).await.is_err() || last {
                break;
            }
        }
        let written = joined(writing.await).map_err(fail)?;
        self.ended(key, &info, written).await
    }

    async fn cleanup(&self) -> Result<u64, SinkError> {
        let root = self.root.clone();
        joined(spawn_blocking(move || part::remove_left(&root)).await)
            .map_err(|error| self.error("", &error))
    }

    fn store(&self) -> Option<&dyn Store> {
        Some(self)
    }
}

#[async_trait]
impl Store for Filesystem {
    fn list(&self, prefix: &str) -> BoxStream<'_, Result<ObjectMeta, SinkError>> {
        let (found, listed) = mpsc::channel(256);
        let (root, prefix) = (self.root.clone(), prefix.to_owned());
        spawn_blocking(move || {
            if let Err(error) = walk::walk(&root, &prefix, &found) {
                let _ = found.blocking_send(Err(error));
            }
        });
        stream::unfold(listed, |mut listed| async move {
            let next: io::Result<ObjectMeta> = listed.recv().await?;
            Some((next, listed))
        })
        .map(|found| found.map_err(|error| self.error("", &error)))
        .boxed()
    }

    async fn get(&self, key: &str) -> Result<Option<Body>, SinkError> {
        self.get_range(key, 0..u64::MAX).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Option<Body>, SinkError> {
        let path = self.path(key)?;
        let root = self.root.clone();
        let opening = spawn_blocking(move || {
            let mut file = part::object(&root, &path)?;
            file.seek(SeekFrom::Start(range.start))?;
            Ok(file.take(range.end.saturating_sub(range.start)))
        });
        let mut file = match joined(opening.await) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|error| self.error(key, &error))?,
        };
        let (feed, body) = Body::channel();
        spawn_blocking(move || {
            loop {
                let mut buffer = vec![0; 256 << 10];
                // A reader learns of a failure from the body that breaks off.
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

    async fn delete(&self, key: &str) -> Result<(), SinkError> {
        let (root, path) = (self.root.clone(), self.path(key)?);
        let removing = spawn_blocking(move || {
            part::stays_within(&root, part::folder_of(&path))?;
            match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed.and_then(|()| part::sync_folder(part::folder_of(&path))),
            }
        });
        joined(removing.await).map_err(|error| self.error(key, &error))
    }
}

/// A message to a writer.
enum Frame {
    Data(Bytes),
    End,
    Broken,
}

/// How a writer ended.
enum End {
    /// The object is written, with this size, and neither synced nor at its place.
    Written(u64, Part),
    /// The object was there already, with this size.
    Same(u64),
    /// A different one of this size is there, and stays.
    Different(u64),
    Broken,
}

/// An object that is to be written.
struct Opening {
    target: PathBuf,
    root: PathBuf,
    options: FilesystemOptions,
    groups: GroupCommit,
    keep: bool,
    size: Option<u64>,
}

impl Opening {
    /// Writes an object, from a thread that may block.
    fn write(self, first: Segments, mut next: impl FnMut() -> Frame) -> io::Result<End> {
        // Dropped on any way out before it is finished, it removes the file.
        part::stays_within(&self.root, part::folder_of(&self.target))?;
        let mut part = Part::open(&self.target, &self.options, self.groups.folders())?;
        if self.keep {
            match part::object(&self.root, &self.target) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                there => return self.compare(&there?, first, next),
            }
        }
        let mut size = first.len() as u64;
        for data in first.iter() {
            part.file.write_all(data)?;
        }
        drop(first);
        loop {
            match next() {
                Frame::Data(data) => {
                    size += data.len() as u64;
                    part.file.write_all(&data)?;
                }
                Frame::End => break,
                Frame::Broken => return Ok(End::Broken),
            }
        }
        if size > SMALL as u64 {
            // Those that are synced together do not wait for all of this.
            part.file.sync_data()?;
        }
        Ok(End::Written(size, part))
    }

    /// Compares a file that is there with the object that is to be written.
    fn compare(
        &self,
        mut there: &File,
        first: Segments,
        mut next: impl FnMut() -> Frame,
    ) -> io::Result<End> {
        let length = there.metadata()?.len();
        let different = Ok(End::Different(length));
        if self.size.is_some_and(|size| size != length) {
            return different;
        }
        let mut first = first.into_iter();
        let mut size = 0;
        let mut buffer = Vec::new();
        loop {
            match first.next().map_or_else(&mut next, Frame::Data) {
                Frame::Data(data) => {
                    size += data.len() as u64;
                    if size > length {
                        return different;
                    }
                    buffer.resize(data.len(), 0);
                    there.read_exact(&mut buffer)?;
                    if buffer != data {
                        return different;
                    }
                }
                Frame::End if size == length => return Ok(End::Same(size)),
                Frame::End => return different,
                Frame::Broken => return Ok(End::Broken),
            }
        }
    }
}

fn joined<T>(result: Result<io::Result<T>, tokio::task::JoinError>) -> io::Result<T> {
    result.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn set_mode(path: &std::path::Path, mode: Option<u32>) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(mode) = mode {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    }
    #[cfg(not(unix))]
    let _ = (path, mode);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_full_disk_is_said_plainly_and_may_pass() {
        let sink = Filesystem::new("archive".into());
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            let error = sink.error("a.wav", &kind.into());
            assert!(error.retryable);
            let said = error.to_string();
            let path = Path::new("archive").join("a.wav");
            let expected = format!("{}: no space is left", path.display());
            assert!(said.contains(&expected), "{said}");
        }
        let error = sink.error("a.wav", &io::ErrorKind::PermissionDenied.into());
        assert!(!error.retryable);
    }
}
