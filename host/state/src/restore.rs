//! Copies of a queue's file: made while others work on the queue, checked, and put in the place of a queue.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use recording_host_model::open_private_file;
use rusqlite::{Connection, OpenFlags};

use super::{
    Queue, QueueError,
    database::BUSY,
    error::damaged,
    journal::{Place, Snapshot},
    next_holder,
    schema::{self, Version},
    worker::Worker,
};

/// What the names of copies have after the name of their queue.
const COPY: &str = ".copy-";

/// A copy of a queue in a file beside it, which is removed with this.
#[derive(Clone, Debug)]
pub(super) struct CopyFile(Arc<Removed>);

#[derive(Debug)]
struct Removed(PathBuf);

impl CopyFile {
    /// A new one, which is empty.
    pub(super) fn new(queue: &Path) -> Result<Self, QueueError> {
        let mut name = queue.file_name().unwrap_or_default().to_owned();
        name.push(format!("{COPY}{}", next_holder()));
        let path = queue.with_file_name(name);
        // One that an earlier process has left.
        remove(&path)?;
        // It has the personal data that the queue has.
        open_private_file(&path, File::options().append(true).create_new(true))
            .map_err(QueueError::io(&path))?;
        Ok(CopyFile(Arc::new(Removed(path))))
    }

    /// Removes the copies of a queue that an earlier process has left, which was killed.
    pub(super) fn remove_left(folder: &Path, name: &str) -> Result<(), QueueError> {
        let prefix = format!("{name}.sqlite{COPY}");
        for entry in fs::read_dir(folder).map_err(QueueError::io(folder))? {
            let entry = entry.map_err(QueueError::io(folder))?;
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.0.0
    }

    /// Copies the queue at a path as of its last commit, whoever changes it meanwhile.
    pub(super) async fn fill_from(&self, queue: &Path) -> Result<Place, QueueError> {
        // Removed once the work is done, also if nobody waits for it any more.
        let (queue, copy) = (queue.to_owned(), self.clone());
        let copy = move || {
            let (failed, to) = (|error| damaged(error, &queue), copy.path());
            let connection = read_only(&queue)?;
            let name = to.display().to_string();
            connection
                .execute("VACUUM INTO ?1", [name])
                .map_err(failed)?;
            Place::of(&read_only(to)?).map_err(failed)
        };
        Worker::start().run(copy).await?
    }

    /// Checks that this is what a snapshot is said to be, and makes it durable.
    pub(super) async fn check(&self, snapshot: &Snapshot) -> Result<(), QueueError> {
        let (copy, snapshot) = (self.clone(), snapshot.clone());
        let check = move || {
            let path = copy.path();
            let fault = match fault(path, &snapshot) {
                Ok(fault) => fault,
                Err(QueueError::Damaged { reason, .. }) => Some(reason),
                Err(other) => return Err(other),
            };
            if let Some(reason) = fault {
                let number = snapshot.number;
                return Err(QueueError::Snapshot { number, reason });
            }
            let synced = File::open(path).and_then(|file| file.sync_all());
            synced.map_err(QueueError::io(path))
        };
        Worker::start().run(check).await?
    }
}

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = remove(&self.0);
    }
}

fn remove(path: &Path) -> Result<(), QueueError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(QueueError::io(path)(error))
        }
        _ => Ok(()),
    }
}

fn read_only(path: &Path) -> Result<Connection, QueueError> {
    let failed = |error| damaged(error, path);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    Ok(connection)
}

/// In what a file is not what a snapshot is said to be.
fn fault(path: &Path, snapshot: &Snapshot) -> Result<Option<String>, QueueError> {
    let failed = |error| damaged(error, path);
    let connection = read_only(path)?;
    match schema::version(&connection).map_err(failed)? {
        Version::Current | Version::Earlier(_) => {}
        Version::New => return Ok(Some("it is empty".to_owned())),
        Version::Unknown(version) => {
            let path = path.display().to_string();
            return Err(QueueError::OtherVersion { path, version });
        }
    }
    let quick_check = "PRAGMA quick_check(1)";
    let said: String = connection
        .query_row(quick_check, [], |row| row.get(0))
        .map_err(failed)?;
    if said != "ok" {
        return Ok(Some(said));
    }
    let place = Place::of(&connection).map_err(failed)?;
    let is_right =
        place.number == snapshot.number && place.journal.as_ref() == Some(&snapshot.journal);
    Ok((!is_right).then(|| {
        let number = place.number;
        format!("it is a queue after entry {number}, or of another journal")
    }))
}

impl Queue {
    /// Where the queue's file is; none if it is in memory.
    pub(super) async fn path(&self) -> Result<Option<PathBuf>, QueueError> {
        let path = self.run(|connection| Ok(connection.path().map(PathBuf::from)));
        Ok(path.await?.filter(|it| !it.as_os_str().is_empty()))
    }

    /// Puts a copy that was checked in the place of the queue, of which there is no clone; returns the queue that it is
    /// then. At each instant, either queue is there with all that it has.
    pub(super) fn replaced_by(
        self,
        folder: &Path,
        name: &str,
        copy: &CopyFile,
    ) -> Result<Self, QueueError> {
        let path = folder.join(format!("{name}.sqlite"));
        // From here on, all of the earlier one is in the file that is replaced: no log could be taken for that of the
        // other one. It is this process' throughout.
        let lock = self.close(&path)?.ok_or(QueueError::Interrupted)?;
        let log = folder.join(format!("{name}.sqlite-wal"));
        if log.exists() {
            return Err(QueueError::Locked(path.display().to_string()));
        }
        fs::rename(copy.path(), &path).map_err(QueueError::io(&path))?;
        #[cfg(unix)]
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(QueueError::io(folder))?;
        Ok(Self::open_locked(folder, name, lock)?.0)
    }
}
