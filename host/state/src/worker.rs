//! The thread on which the queue's work is done.
//!
//! One, and not whichever of a pool is free: the allocator keeps what each thread has freed, and a
//! segment takes much.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

use rusqlite::{Connection, Transaction};
use tokio::sync::oneshot;

use super::{
    QueueError,
    group::{Closing, Group},
};

type Job = Box<dyn FnOnce() + Send>;

/// A thread that ends when nobody has work for it any more.
#[derive(Clone)]
pub(super) struct Worker {
    jobs: mpsc::Sender<Job>,
    group: Arc<Group>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Worker")
    }
}

impl Worker {
    pub(super) fn start() -> Self {
        let (jobs, waiting) = mpsc::channel::<Job>();
        let group = Arc::new(Group::default());
        let closing = Closing(Arc::clone(&group));
        thread::spawn(move || {
            // Also when a job panics.
            let _closing = closing;
            waiting.into_iter().for_each(|job| job());
        });
        Worker { jobs, group }
    }

    /// Does some work that may block. It is done to its end even if nobody waits for it.
    ///
    /// # Errors
    /// [`QueueError::Interrupted`] if it, or other work before it, has panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, QueueError> {
        let (tell, reported) = oneshot::channel();
        let job = move || {
            // Nobody listens any more if the run was stopped.
            let _ = tell.send(work());
        };
        let sent = self.jobs.send(Box::new(job));
        sent.map_err(|_| QueueError::Interrupted)?;
        reported.await.map_err(|_| QueueError::Interrupted)
    }

    /// Makes a transaction, together with others that wait.
    ///
    /// # Errors
    /// [`QueueError::Interrupted`] as above; the inner error is that of its own work, or of the commit.
    pub(super) async fn transaction<T: Send + 'static>(
        &self,
        connection: Arc<Mutex<Connection>>,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<rusqlite::Result<T>, QueueError> {
        let (is_first, reported) = self.group.add(work);
        if is_first {
            let group = Arc::clone(&self.group);
            let job = move || {
                group.run(&mut connection.lock().unwrap_or_else(PoisonError::into_inner));
            };
            let sent = self.jobs.send(Box::new(job));
            sent.map_err(|_| QueueError::Interrupted)?;
        }
        reported.await.map_err(|_| QueueError::Interrupted)
    }

    /// How many transactions wait to be made together.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.group.waiting()
    }
}
