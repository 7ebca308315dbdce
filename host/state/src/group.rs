//! Transactions that wait for the queue's thread at once are committed together: the disk syncs once for all of them.
//!
//! Each is in a savepoint of its own, so that one that fails leaves nothing behind and costs no other. Their callers
//! learn what came of them when all are on the disk. What breaks the common transaction, such as a full disk, is told to
//! all.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, Transaction, ffi};
use tokio::sync::oneshot;

/// The transactions that wait.
#[derive(Default)]
pub(super) struct Group(Mutex<State>);

#[derive(Default)]
struct State {
    calls: Vec<Box<dyn Call>>,
    /// True once nobody runs them any more.
    is_closed: bool,
}

/// Closes a group when it is dropped: who waits, or adds a transaction later, learns that nobody makes it.
pub(super) struct Closing(pub(super) Arc<Group>);

impl Drop for Closing {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_closed = true;
        state.calls.clear();
    }
}

/// What came of a call.
pub(super) type Reported<T> = oneshot::Receiver<rusqlite::Result<T>>;

/// A transaction whose caller waits for it.
trait Call: Send {
    /// Does its work; false if it failed.
    fn work(&mut self, transaction: &Transaction<'_>) -> bool;
    /// Tells its caller what came of it: what its work came to, unless that is lost.
    fn tell(self: Box<Self>, lost: Option<&rusqlite::Error>);
}

struct Waiting<T, F> {
    work: Option<F>,
    value: Option<rusqlite::Result<T>>,
    tell: oneshot::Sender<rusqlite::Result<T>>,
}

impl<T, F> Call for Waiting<T, F>
where
    T: Send,
    F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send,
{
    fn work(&mut self, transaction: &Transaction<'_>) -> bool {
        self.value = self.work.take().map(|work| work(transaction));
        matches!(self.value, Some(Ok(_)))
    }

    fn tell(self: Box<Self>, lost: Option<&rusqlite::Error>) {
        let value = match (self.value, lost) {
            (Some(Ok(_)) | None, Some(lost)) => Err(copy(lost)),
            (Some(value), _) => value,
            // It is told that its work was interrupted.
            (None, None) => return,
        };
        // Nobody listens any more if the run was stopped.
        let _ = self.tell.send(value);
    }
}

impl Group {
    /// Adds a transaction; true if it is the only one, so that somebody has to [run](Self::run) the group.
    pub(super) fn add<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> (bool, Reported<T>) {
        let (tell, reported) = oneshot::channel();
        let mut state = self.state();
        if !state.is_closed {
            state.calls.push(Box::new(Waiting {
                work: Some(work),
                value: None,
                tell,
            }));
        }
        (state.calls.len() == 1, reported)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.state().calls.len()
    }

    /// Runs and commits all that wait, and tells their callers.
    pub(super) fn run(&self, connection: &mut Connection) {
        let mut calls = std::mem::take(&mut self.state().calls);
        let lost = match calls.as_mut_slice() {
            [only] => alone(&mut **only, connection),
            calls => together(calls, connection),
        };
        for call in calls {
            call.tell(lost.as_ref().err());
        }
    }
}

/// Makes a single transaction; an error if nothing of it is on the disk though its work succeeded.
fn alone(call: &mut dyn Call, connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    match call.work(&transaction) {
        true => transaction.commit(),
        false => transaction.rollback(),
    }
}

/// Makes one of several; an error if it broke, so that nothing of any is on the disk.
fn together(calls: &mut [Box<dyn Call>], connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for call in calls {
        transaction.prepare_cached("SAVEPOINT call")?.execute([])?;
        if !call.work(&transaction) {
            // Some errors end the whole transaction; this one is then an error, too.
            transaction
                .prepare_cached("ROLLBACK TO call")?
                .execute([])?;
        }
        transaction.prepare_cached("RELEASE call")?.execute([])?;
    }
    transaction.commit()
}

/// The same error for another caller.
fn copy(error: &rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(code, text) => {
            rusqlite::Error::SqliteFailure(*code, text.clone())
        }
        other => {
            let code = ffi::Error::new(ffi::SQLITE_ERROR);
            rusqlite::Error::SqliteFailure(code, Some(other.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, mpsc};

    use rusqlite::trace::{TraceEvent, TraceEventCodes};

    use crate::{Queue, QueueError, counters::count};

    /// A queue on a disk, whose commits are noted, and whose thread waits until the sender is dropped.
    async fn held(folder: &std::path::Path) -> (Queue, Arc<Mutex<Vec<String>>>, mpsc::Sender<()>) {
        let (queue, _) = Queue::open(folder, "export").unwrap();
        queue.set_ready().await.unwrap();
        let commits = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&commits);
        let traced = queue.connection.lock().unwrap().trace_v2(
            TraceEventCodes::SQLITE_TRACE_STMT,
            Some(Box::new(move |event: TraceEvent<'_>| {
                if let TraceEvent::Stmt(_, text) = event
                    && text.starts_with("COMMIT")
                {
                    noted.lock().unwrap().push(text.to_owned());
                }
            })),
        );
        traced.unwrap();
        let (hold, held) = mpsc::channel::<()>();
        let waits = queue.clone();
        tokio::spawn(async move {
            waits
                .run(move |_| {
                    let _ = held.recv();
                    Ok(())
                })
                .await
        });
        (queue, commits, hold)
    }

    async fn note(queue: Queue, fails: bool) -> Result<i64, QueueError> {
        let noted = queue.transaction(move |tx| {
            count(tx, "noted", 1)?;
            match fails {
                true => Err(rusqlite::Error::QueryReturnedNoRows),
                false => crate::counted(tx, "noted"),
            }
        });
        noted.await
    }

    #[tokio::test]
    async fn those_that_wait_together_are_committed_once_and_one_that_fails_costs_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let (queue, commits, hold) = held(folder.path()).await;
        tokio::task::yield_now().await;
        let calls = (0..9).map(|number| tokio::spawn(note(queue.clone(), number == 4)));
        let calls: Vec<_> = calls.collect();
        while queue.worker.as_ref().unwrap().waiting() < 9 {
            tokio::task::yield_now().await;
        }
        assert!(!calls.iter().any(tokio::task::JoinHandle::is_finished));
        drop(hold);
        let mut results = Vec::new();
        for call in calls {
            results.push(call.await.unwrap().ok());
        }
        let expected = [1, 2, 3, 4, 0, 5, 6, 7, 8].map(|count| (count > 0).then_some(count));
        assert_eq!(results, expected);
        assert_eq!(commits.lock().unwrap().len(), 1);
        drop(queue);
        let (queue, _) = Queue::open(folder.path(), "export").unwrap();
        assert_eq!(
            note(queue, false).await.unwrap(),
            9,
            "eight are on the disk"
        );
    }

    #[tokio::test]
    async fn nobody_waits_for_a_thread_that_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let (queue, _, hold) = held(folder.path()).await;
        tokio::task::yield_now().await;
        let panics = tokio::spawn({
            let queue = queue.clone();
            async move { queue.run::<()>(|_| panic!("a job may")).await }
        });
        tokio::task::yield_now().await;
        let waiting = [false, false].map(|fails| tokio::spawn(note(queue.clone(), fails)));
        while queue.worker.as_ref().unwrap().waiting() < 2 {
            tokio::task::yield_now().await;
        }
        drop(hold);
        let interrupted = |result| matches!(result, Err(QueueError::Interrupted));
        assert!(matches!(
            panics.await.unwrap(),
            Err(QueueError::Interrupted)
        ));
        for call in waiting {
            assert!(interrupted(call.await.unwrap()));
        }
        for _ in 0..2 {
            assert!(interrupted(note(queue.clone(), false).await));
        }
    }

    #[tokio::test]
    async fn when_the_common_transaction_breaks_nobody_is_told_that_all_is_well() {
        let folder = tempfile::tempdir().unwrap();
        let (queue, _, hold) = held(folder.path()).await;
        tokio::task::yield_now().await;
        let breaks = |queue: Queue| async move {
            // As SQLite does when the disk is full.
            let broken = queue.transaction(|tx| {
                tx.execute_batch("ROLLBACK")?;
                Err::<i64, _>(rusqlite::Error::QueryReturnedNoRows)
            });
            broken.await
        };
        let calls = [
            tokio::spawn(note(queue.clone(), false)),
            tokio::spawn(breaks(queue.clone())),
            tokio::spawn(note(queue.clone(), false)),
        ];
        while queue.worker.as_ref().unwrap().waiting() < 3 {
            tokio::task::yield_now().await;
        }
        drop(hold);
        for call in calls {
            assert!(call.await.unwrap().is_err());
        }
        assert_eq!(note(queue, false).await.unwrap(), 1, "none of them counted");
    }
}
