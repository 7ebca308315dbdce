//! The queue's file: found, opened, brought up to date, renamed.

use std::{
    fs::File,
    path::Path,
    sync::{Arc, Mutex, Once, PoisonError},
    time::Duration,
};

use recording_host_model::{create_private_folder, open_private_file};
use rusqlite::{Connection, config::DbConfig};

use super::{
    Queue, QueueError, claims,
    counters::counted,
    error::damaged,
    journal::Place,
    life_cycle, next_holder,
    reader::Reader,
    schema::{self, Version},
    worker::Worker,
};

/// How long SQLite waits for another process.
pub(super) const BUSY: Duration = Duration::from_secs(10);
/// Pages of the database that are kept in memory, in KiB: ids are random, and so are the places in their
/// index.
const CACHE: i64 = 4 << 10;
/// Pages that the log has before they go to the database: one that changes often goes there once.
const CHECKPOINT: i64 = 4000;

impl Queue {
    /// Opens or makes the queue of the export `name` in `folder`, for this process alone. Says
    /// whether it is ready: a new one may have to be recovered first.
    ///
    /// # Errors
    /// [`QueueError`] says what stands in the way.
    pub fn open(folder: &Path, name: &str) -> Result<(Self, bool), QueueError> {
        let lock = Self::lock(folder, name)?;
        Self::open_locked(folder, name, lock)
    }

    /// Claims the queue of the export `name` in `folder`, which need not be there yet, for this process alone.
    fn lock(folder: &Path, name: &str) -> Result<Arc<File>, QueueError> {
        create_private_folder(folder).map_err(QueueError::io(folder))?;
        let path = folder.join(format!("{name}.lock"));
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        let lock = open_private_file(&path, &mut options).map_err(QueueError::io(&path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Arc::new(lock)),
            Err(_) => Err(QueueError::Locked(path.display().to_string())),
        }
    }

    /// Opens or makes the queue that this process has claimed.
    pub(super) fn open_locked(
        folder: &Path,
        name: &str,
        lock: Arc<File>,
    ) -> Result<(Self, bool), QueueError> {
        let path = folder.join(format!("{name}.sqlite"));
        make_private(&path).map_err(QueueError::io(&path))?;
        prepare(&path, lock)
    }

    /// Returns true if there is a queue of the export `name` in `folder`.
    #[must_use]
    pub fn is_there(folder: &Path, name: &str) -> bool {
        folder.join(format!("{name}.sqlite")).exists()
    }

    /// The names of the queues in `folder` that are of the source of the export `label`, but not of
    /// that export.
    ///
    /// # Errors
    /// [`QueueError::Io`].
    pub fn names(folder: &Path, label: &str) -> Result<Vec<String>, QueueError> {
        let (source, digits) = label.rsplit_once('-').unwrap_or((label, ""));
        let names = Self::all(folder)?.into_iter().filter(|name| {
            let rest = name
                .strip_prefix(source)
                .and_then(|rest| rest.strip_prefix('-'));
            rest.is_some_and(|rest| {
                rest.len() == digits.len() && rest.chars().all(|c| c.is_ascii_hexdigit())
            })
        });
        Ok(names.filter(|name| name != label).collect())
    }

    /// The names of all queues in a folder, sorted.
    ///
    /// # Errors
    /// [`QueueError`] if the folder cannot be read.
    pub fn all(folder: &Path) -> Result<Vec<String>, QueueError> {
        let entries = match std::fs::read_dir(folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|source| QueueError::Io {
                path: folder.display().to_string(),
                source,
            })?,
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|name| Some(name.strip_suffix(".sqlite")?.to_owned()))
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Gives the queue's files, which are called `before`, another name; the queue is closed by that.
    ///
    /// # Errors
    /// [`QueueError`]; then it has the name that it had.
    pub fn rename(self, folder: &Path, before: &str, name: &str) -> Result<(), QueueError> {
        let (from, to) = (
            folder.join(format!("{before}.sqlite")),
            folder.join(format!("{name}.sqlite")),
        );
        let lock = self.close(&from)?;
        std::fs::rename(&from, &to).map_err(QueueError::io(&from))?;
        let _ = std::fs::remove_file(folder.join(format!("{before}.lock")));
        drop(lock);
        Ok(())
    }

    /// Closes the queue, of which there is no clone, with all of it in the one file at `path`; what remains is its lock.
    pub(super) fn close(self, path: &Path) -> Result<Option<Arc<File>>, QueueError> {
        if let Some(reader) = &self.reader {
            reader.close();
        }
        let connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        connection
            .query_row(checkpoint, [], |row| row.get::<_, i64>(0))
            .map_err(|error| damaged(error, path))?;
        connection
            .pragma_update(None, "journal_mode", "DELETE")
            .map_err(|error| damaged(error, path))?;
        drop(connection);
        Ok(self._lock)
    }

    /// Opens the queue of the export `name` in `folder` for reading, whoever works on it.
    ///
    /// # Errors
    /// [`QueueError`] says what stands in the way; that there is none is none.
    pub fn open_read_only(folder: &Path, name: &str) -> Result<Option<Self>, QueueError> {
        let path = folder.join(format!("{name}.sqlite"));
        if !path.exists() {
            return Ok(None);
        }
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = Connection::open_with_flags(&path, flags)?;
        connection.busy_timeout(BUSY)?;
        let shown = path.display().to_string();
        match schema::version(&connection).map_err(|error| damaged(error, &path))? {
            Version::Current => {}
            // Another process has only just made it.
            Version::New => return Ok(None),
            Version::Earlier(_) => return Err(QueueError::NotMigrated(shown)),
            Version::Unknown(version) => {
                let path = shown;
                return Err(QueueError::OtherVersion { path, version });
            }
        }
        Ok(Some(Queue {
            connection: Arc::new(Mutex::new(connection)),
            _lock: None,
            worker: Some(Worker::start()),
            reader: None,
            holder: next_holder(),
            entry: None,
        }))
    }

    /// A queue that is lost with the process, and works on the caller's own thread.
    pub fn in_memory() -> Result<Self, QueueError> {
        let mut connection = Connection::open_in_memory()?;
        schema::create(&mut connection)?;
        claims::prepare(&connection)?;
        life_cycle::guard(&connection)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(Queue {
            connection: Arc::new(Mutex::new(connection)),
            _lock: None,
            worker: None,
            reader: None,
            holder: next_holder(),
            entry: None,
        })
    }
}

/// Opens a database for writing, brought up to date if an earlier version of the program wrote it;
/// each commit is on disk when it returns.
fn prepare(path: &Path, lock: Arc<File>) -> Result<(Queue, bool), QueueError> {
    let failed = |error| damaged(error, path);
    let mut connection = Connection::open(path).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    let version = schema::version(&connection).map_err(failed)?;
    if let Version::Unknown(version) = version {
        let path = path.display().to_string();
        return Err(QueueError::OtherVersion { path, version });
    }
    set_up(&connection).map_err(failed)?;
    keep_temporary_files_beside(path, &connection);
    match version {
        Version::New => schema::create(&mut connection),
        Version::Earlier(from) => schema::migrate(&mut connection, path, from),
        Version::Current | Version::Unknown(_) => Ok(()),
    }
    .map_err(failed)?;
    schema::shrink(&connection).map_err(failed)?;
    let (mut queue, is_ready) = ready(connection, lock).map_err(failed)?;
    queue.reader = Some(Arc::new(Reader::new(path.to_owned())));
    Ok((queue, is_ready))
}

/// Has a database, and the files that SQLite puts beside it, be readable by their owner alone: it holds
/// telephone numbers and names.
fn make_private(path: &Path) -> std::io::Result<()> {
    // An empty file is a new database.
    let file = open_private_file(path, File::options().append(true).create(true))?;
    #[cfg(unix)]
    for more in ["-wal", "-shm"] {
        let mut beside = path.as_os_str().to_owned();
        beside.push(more);
        if Path::new(&beside).exists() {
            let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            // Of a run that was killed.
            let _ = std::fs::set_permissions(&beside, private);
        }
    }
    drop(file);
    Ok(())
}

/// Has SQLite put its temporary files beside the first database that the process opens, and not into the system's
/// folder for such: they may be as large as the queue, and hold what it holds. Where that cannot be, they go there.
fn keep_temporary_files_beside(path: &Path, connection: &Connection) {
    // It is one setting for all connections, and is to change under none of them.
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let folder = path.parent().unwrap_or(Path::new("."));
        let folder = folder.display().to_string();
        let _ = connection.pragma_update(None, "temp_store_directory", folder);
    });
}

/// The longest that the log stays once what is in it has gone to the database (bytes).
const LOG: i64 = 16 << 20;

/// A plan does not depend on the values that a statement is given: else it would be made anew for each.
const PLANS_STAY: DbConfig = DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG;

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(PLANS_STAY, true)?;
    // Pages that are free can be given back. Of a new file, before the log makes its first page; of an
    // earlier one, from its next `VACUUM` on.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    // What is deleted is overwritten: it is personal data.
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -CACHE)?;
    connection.pragma_update(None, "journal_size_limit", LOG)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT)
}

/// A queue, and whether it knows all that receipts prove.
fn ready(mut connection: Connection, lock: Arc<File>) -> rusqlite::Result<(Queue, bool)> {
    connection.set_prepared_statement_cache_capacity(64);
    let transaction = connection.transaction()?;
    let ready = counted(&transaction, "ready")? == 1;
    // What a queue with a journal has is what that says.
    if !ready && Place::of(&transaction)?.journal.is_none() {
        // A recovery was interrupted: the next one begins anew.
        transaction.execute_batch(
            "DELETE FROM conversation; DELETE FROM record; DELETE FROM segment; DELETE FROM replaced; DELETE FROM stale_segment;
             DELETE FROM earlier; DELETE FROM counted; DELETE FROM wanting; DELETE FROM alike;",
        )?;
    }
    transaction.commit()?;
    claims::prepare(&connection)?;
    life_cycle::guard(&connection)?;
    let queue = Queue {
        connection: Arc::new(Mutex::new(connection)),
        _lock: Some(lock),
        worker: Some(Worker::start()),
        reader: None,
        holder: next_holder(),
        entry: None,
    };
    Ok((queue, ready))
}

#[cfg(test)]
mod tests {
    use recording_host_model::ConversationRecord;

    use super::*;
    use crate::record;

    /// When all conversations of the fixture are long over (ms).
    const NOW: u64 = 1_900_000_000_000;

    #[cfg(unix)]
    #[tokio::test]
    async fn the_queue_is_its_owners_alone_and_keeps_nothing_of_what_is_deleted() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data/deep");
        let number = "tel:+15550100-and-more-of-it";
        let path = data.join("export-0.sqlite");
        {
            let (queue, _) = Queue::open(&data, "export-0").unwrap();
            let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&data), 0o700);
            assert_eq!(mode(&path), 0o600);
            assert_eq!(mode(&data.join("export-0.lock")), 0o600);
            queue
                .set_meta("number".to_owned(), number.to_owned())
                .await
                .unwrap();
            assert_eq!(mode(&data.join("export-0.sqlite-wal")), 0o600);
            let connection = queue.connection.lock().unwrap();
            connection
                .execute("DELETE FROM meta WHERE name = 'number'", [])
                .unwrap();
        }
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        assert!(!text.contains(number), "it is still in the file");
    }

    #[test]
    fn temporary_files_lie_beside_the_queue() {
        let folder = tempfile::tempdir().unwrap();
        let (queue, _) = Queue::open(folder.path(), "export-0").unwrap();
        let connection = queue.connection.lock().unwrap();
        let at: String = connection
            .pragma_query_value(None, "temp_store_directory", |row| row.get(0))
            .unwrap();
        // That of the first queue which the process has opened.
        assert!(Path::new(&at).is_absolute(), "{at}");
    }

    #[test]
    fn what_is_asked_again_is_not_planned_again() {
        let folder = tempfile::tempdir().unwrap();
        let (queue, _) = Queue::open(folder.path(), "export-0").unwrap();
        let connection = queue.connection.lock().unwrap();
        let planned_again = |stays: bool| {
            connection.set_db_config(PLANS_STAY, stays).unwrap();
            connection.flush_prepared_statement_cache();
            let mut times = 0;
            for id in ["a", "b", "c"] {
                let sql =
                    "SELECT key FROM object WHERE conversation = ?1 ORDER BY sink, key, member";
                let mut query = connection.prepare_cached(sql).unwrap();
                assert!(!query.exists([id]).unwrap());
                times = query.get_status(rusqlite::StatementStatus::RePrepare);
            }
            times
        };
        assert!(
            planned_again(false) > 0,
            "the setting is not needed any more"
        );
        assert_eq!(planned_again(true), 0);
    }

    #[tokio::test]
    async fn the_file_is_short_again_once_all_is_filed() {
        let folder = tempfile::tempdir().unwrap();
        let (queue, _) = Queue::open(folder.path(), "export-0").unwrap();
        let record = serde_json::to_string(&ConversationRecord {
            tags: vec!["tag ".repeat(2000)],
            ..ConversationRecord::default()
        })
        .unwrap();
        let completed = queue.transaction(move |tx| {
            for number in 1..=2000 {
                record::add(tx, number, &record)?;
                tx.execute(
                    "INSERT INTO conversation (id, day, start, recorded, status, due, attempt, record, outcome)
                     VALUES ('c' || ?1, '2026-01-05', 7, 1, 'completed', 0, 1, ?1, '{\"outcome\":\"stored\"}')",
                    [number],
                )?;
            }
            Ok(())
        });
        completed.await.unwrap();
        let full = queue.stock().await.unwrap().bytes;
        let sinks = vec!["lake".to_owned()];
        queue.seal_segments(1, 500, sinks).await.unwrap();
        for number in queue.unfiled().await.unwrap().into_keys() {
            let filed = queue.filed(number, "lake".to_owned(), false, NOW);
            assert!(filed.await.unwrap().everywhere);
        }
        drop(queue);
        let path = folder.path().join("export-0.sqlite");
        let short = std::fs::metadata(&path).unwrap().len();
        assert!(full > 16_000_000 && short < 7_000_000, "{full} {short}");
    }

    #[tokio::test]
    async fn a_queue_of_version_1_is_continued_along_the_life_cycle() {
        let fixture = "../../tests/fixtures/queue-v1/data/calls-491e0447fee1.sqlite";
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join(fixture);
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(fixture, folder.path().join("export-0.sqlite")).unwrap();
        let (queue, ready) = Queue::open(folder.path(), "export-0").unwrap();
        assert!(ready);
        // All of it was being fetched when it was killed.
        assert_eq!(queue.status().await.unwrap().fetching, 12);
        queue.settle_forgotten().await.unwrap();
        let completed = queue.complete(NOW, 0, 0).await.unwrap();
        assert_eq!(completed.completed, 12);
        let sinks = vec!["lake".to_owned()];
        queue.seal_segments(1, 100, sinks).await.unwrap();
        for number in queue.unfiled().await.unwrap().into_keys() {
            let filed = queue.filed(number, "lake".to_owned(), false, NOW).await;
            assert!(filed.unwrap().everywhere);
        }
        let lost = queue.status().await.unwrap().lost;
        assert!(lost > 0);
        assert_eq!(queue.retry_lost(NOW).await.unwrap() as u64, lost);
    }
}
