//! A word on standard error about what takes long and shows nothing.

use std::{sync::mpsc, thread, time::Duration};

/// How long nothing is said.
const PATIENCE: Duration = Duration::from_secs(2);

/// Does `work`, and says `what` that is if it takes longer than two seconds.
pub(super) fn telling<T>(what: String, work: impl FnOnce() -> T) -> T {
    let (done, waiting) = mpsc::channel::<()>();
    let telling = thread::spawn(move || {
        if waiting.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("{what} ...");
        }
    });
    let worked = work();
    drop(done);
    // It has nothing left to say.
    let _ = telling.join();
    worked
}
