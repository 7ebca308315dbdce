//! The facts about conversations that downloads need, read beside the queue's own work.
//!
//! A commit waits for the disk, and what waits for the commit waits, too: downloads do not. Those that
//! ask while others are answered are answered together, in one transaction.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, OptionalExtension};
use tokio::sync::oneshot;

use super::{QueueError, parsed, worker::Worker};
use recording_host_model::KeyContext;

/// A connection of its own to the queue's database, made when it is first needed.
#[derive(Debug)]
pub(super) struct Reader {
    path: PathBuf,
    connection: Mutex<Option<Connection>>,
    worker: Worker,
    asked: Mutex<Vec<RecordRequest>>,
}

/// A conversation whose facts somebody waits for.
#[derive(Debug)]
struct RecordRequest {
    id: String,
    tell: oneshot::Sender<rusqlite::Result<Option<KeyContext>>>,
}

impl Reader {
    /// Reads the database at `path`, which others write.
    pub(super) fn new(path: PathBuf) -> Self {
        Reader {
            path,
            connection: Mutex::default(),
            worker: Worker::start(),
            asked: Mutex::default(),
        }
    }

    /// The known facts about a conversation, as of the last commit.
    pub(super) async fn known(
        self: &Arc<Self>,
        id: String,
    ) -> Result<Option<KeyContext>, QueueError> {
        let (tell, reported) = oneshot::channel();
        let is_first = {
            let mut asked = held(&self.asked);
            asked.push(RecordRequest { id, tell });
            asked.len() == 1
        };
        if is_first {
            let reader = Arc::clone(self);
            self.worker.run(move || reader.answer()).await?;
        }
        let known = reported.await.map_err(|_| QueueError::Interrupted)?;
        known.map_err(|error| super::damaged(error, &self.path))
    }

    /// Lets go of the database.
    pub(super) fn close(&self) {
        held(&self.connection).take();
    }

    /// Answers all that have asked so far.
    fn answer(&self) {
        let mut connection = held(&self.connection);
        let asked = std::mem::take(&mut *held(&self.asked));
        let opened = match connection.take() {
            Some(connection) => Ok(connection),
            None => self.open(),
        };
        // What nobody answers is dropped, and whoever asked learns that.
        let Ok(opened) = opened else { return };
        if opened.execute_batch("BEGIN").is_err() {
            return;
        }
        for RecordRequest { id, tell } in asked {
            // Nobody listens any more if the download was given up.
            let _ = tell.send(known(&opened, &id));
        }
        if opened.execute_batch("COMMIT").is_ok() {
            *connection = Some(opened);
        }
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        // Not read-only to SQLite: the last connection to be closed tidies the log up, whichever it is.
        let connection = Connection::open(&self.path)?;
        connection.busy_timeout(super::database::BUSY)?;
        connection.pragma_update(None, "query_only", "ON")?;
        connection.pragma_update(None, "cache_size", -256)?;
        Ok(connection)
    }
}

/// The facts about a conversation in a database.
pub(super) fn known(connection: &Connection, id: &str) -> rusqlite::Result<Option<KeyContext>> {
    connection
        .prepare_cached("SELECT start, text FROM conversation LEFT JOIN record ON number = record WHERE id = ?1")?
        .query_row([id], |row| {
            let record: Option<String> = row.get(1)?;
            Ok(KeyContext {
                start: row.get::<_, i64>(0)? as u64,
                record: record.map(|text| parsed(&text)).transpose()?,
            })
        })
        .optional()
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;
    use crate::Queue;

    #[tokio::test]
    async fn what_is_committed_is_read_at_once_and_while_somebody_writes() {
        let folder = tempfile::tempdir().unwrap();
        let (queue, _) = Queue::open(folder.path(), "export-0").unwrap();
        let add = |id: String| {
            queue.transaction(move |tx| {
                tx.execute(
                    "INSERT INTO conversation (id, day, start, recorded, status, due, attempt)
                     VALUES (?1, '2026-01-05', 7, 1, 'found', 0, 1)",
                    [id],
                )
            })
        };
        assert!(queue.known_one("c0".to_owned()).await.unwrap().is_none());
        for number in 0..100 {
            add(format!("c{number}")).await.unwrap();
            let known = queue.known_one(format!("c{number}")).await.unwrap();
            assert_eq!(known.unwrap().start, 7);
        }
        // A transaction that does not end holds up no reader.
        let writer = Connection::open(folder.path().join("export-0.sqlite")).unwrap();
        writer
            .execute_batch("BEGIN IMMEDIATE; UPDATE conversation SET start = 8")
            .unwrap();
        let all = (0..100).map(|number| queue.known_one(format!("c{number}")));
        for known in join_all(all).await {
            assert_eq!(known.unwrap().unwrap().start, 7);
        }
    }
}
