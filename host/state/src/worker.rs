//! The thread on which the queue's work is done.
//!
//! One, and not whichever of a pool is free: the allocator keeps what each thread has freed, and a
//! segment takes much.

use std::{sync::mpsc, thread};

use tokio::sync::oneshot;

use super::QueueError;

type Job = Box<dyn FnOnce() + Send>;

/// A thread that ends when nobody has work for it any more.
#[derive(Clone, Debug)]
pub(super) struct Worker(mpsc::Sender<Job>);

impl Worker {
    pub(super) fn start() -> Self {
        let (jobs, waiting) = mpsc::channel::<Job>();
        thread::spawn(move || waiting.into_iter().for_each(|job| job()));
        Worker(jobs)
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
        let sent = self.0.send(Box::new(job));
        sent.map_err(|_| QueueError::Interrupted)?;
        reported.await.map_err(|_| QueueError::Interrupted)
    }
}
