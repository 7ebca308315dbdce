//! Ledgers in a folder: made, continued, restored from a snapshot, or taken over from an export that ran on one
//! machine.
//!
//! A queue that is empty begins with the newest snapshot, and so does one that lacks entries which the journal no longer
//! has. One that has no part in the journal is never replaced, and none is replaced by an earlier one.
//!
//! An export that ran on one machine *becomes the fleet's*: its queue notes the id of a new journal, is stored as the
//! snapshot 0, and then stores the first entry, which says that the journal begins with a snapshot. Of several
//! machines that do this at once, or begin without a queue, the one counts that stores the first entry.

use std::{path::Path, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{Journal, JournaledLedger, Place, Snapshot, place};
use crate::{Queue, QueueError, restore::CopyFile};

/// How long this process may still have the queue open that it opens again.
const CLOSING: Duration = Duration::from_secs(5);
/// How often a queue is restored until one can continue: while it is, the journal may be cut again.
const TRIES: usize = 4;

/// How a queue begins.
enum Beginning {
    /// As it is.
    Continued,
    /// With the newest snapshot.
    Restored,
}

impl JournaledLedger {
    /// The ledger of the machine that leads, with the queue `name` in `folder`, which is made, or restored from the
    /// newest snapshot, where it lacks what the journal no longer has. The queue of an export that ran on this machine
    /// alone is continued if the journal is new.
    ///
    /// # Errors
    /// [`QueueError::Diverged`] if the queue is not of this journal or has more than it, or ran alone and the journal
    /// is not new; then it is left as it is. [`QueueError::Locked`] if another process has it. Any other
    /// [`QueueError`]; it may be repeated.
    pub async fn lead_in(
        folder: &Path,
        name: &str,
        journal: Arc<dyn Journal>,
    ) -> Result<Self, QueueError> {
        Self::open_in(folder, name, journal, false).await
    }

    /// The ledger of a machine that does not lead, with a queue as that of [`lead_in`](Self::lead_in). That of an export
    /// that ran on this machine alone is refused: only the machine that leads continues one. If a later call fails with
    /// [`QueueError::Cut`], the ledger is to be opened anew.
    ///
    /// # Errors
    /// As those of [`lead_in`](Self::lead_in).
    pub async fn follow_in(
        folder: &Path,
        name: &str,
        journal: Arc<dyn Journal>,
    ) -> Result<Self, QueueError> {
        Self::open_in(folder, name, journal, true).await
    }

    async fn open_in(
        folder: &Path,
        name: &str,
        journal: Arc<dyn Journal>,
        follows: bool,
    ) -> Result<Self, QueueError> {
        let mut queue = opened(folder, name).await?;
        CopyFile::remove_left(folder, name)?;
        for _ in 0..TRIES {
            if let Beginning::Continued = begin(&queue, &*journal, follows).await? {
                let (queue, journal) = (queue.clone(), Arc::clone(&journal));
                let opened = match follows {
                    true => Self::follow(queue, journal).await,
                    false => Self::lead(queue, journal).await,
                };
                match opened {
                    Err(QueueError::Cut) => {}
                    opened => return opened,
                }
            }
            queue = restored(queue, folder, name, &*journal).await?;
        }
        Err(QueueError::Cut)
    }
}

/// Opens a queue as soon as this process has closed it.
async fn opened(folder: &Path, name: &str) -> Result<Queue, QueueError> {
    let until = Instant::now() + CLOSING;
    loop {
        match Queue::open(folder, name) {
            Err(QueueError::Locked(_)) if Instant::now() < until => {
                sleep(Duration::from_millis(20)).await;
            }
            opened => return Ok(opened?.0),
        }
    }
}

/// Decides how a queue begins.
async fn begin(
    queue: &Queue,
    journal: &dyn Journal,
    follows: bool,
) -> Result<Beginning, QueueError> {
    let place = queue.place().await?;
    // In this order: a snapshot is never newer than the last entry.
    let newest = journal.newest_snapshot().await?;
    let last = journal.last().await?;
    if newest.as_ref().is_some_and(|it| it.number > last) {
        // The journal was lost, and its snapshots were not.
        return Err(QueueError::Diverged);
    }
    match &place.journal {
        None if queue.is_empty().await? => Ok(match newest {
            // Its entries say whether they begin with it.
            Some(newest) if newest.number == 0 && last > 0 => Beginning::Continued,
            Some(_) => Beginning::Restored,
            None => Beginning::Continued,
        }),
        None if follows || last > 0 || newest.is_some() => Err(QueueError::Diverged),
        None => {
            adopt(queue, journal).await?;
            Ok(Beginning::Continued)
        }
        Some(id) if place.number == 0 && last == 0 => {
            match newest {
                Some(newest) if newest.journal != *id => return Err(QueueError::Diverged),
                // A run that was to continue it was interrupted.
                None if !follows => keep_first(queue, journal, id).await?,
                _ => {}
            }
            Ok(Beginning::Continued)
        }
        Some(_) => Ok(Beginning::Continued),
    }
}

/// Has the queue of an export that ran on one machine begin a journal. It may be interrupted anywhere.
async fn adopt(queue: &Queue, journal: &dyn Journal) -> Result<(), QueueError> {
    let id = queue.transaction(|tx| {
        let id = place::new_id(tx)?;
        place::note_journal(tx, &id)?;
        Ok(id)
    });
    keep_first(queue, journal, &id.await?).await
}

/// Stores the snapshot that a journal begins with.
async fn keep_first(queue: &Queue, journal: &dyn Journal, id: &str) -> Result<(), QueueError> {
    let path = queue.path().await?.ok_or(QueueError::Interrupted)?;
    let copy = CopyFile::new(&path)?;
    copy.fill_from(&path).await?;
    let snapshot = Snapshot {
        number: 0,
        journal: id.to_owned(),
    };
    journal.keep_snapshot(&snapshot, copy.path()).await
}

/// Puts the newest snapshot in the place of a queue that lacks what the journal no longer has.
async fn restored(
    queue: Queue,
    folder: &Path,
    name: &str,
    journal: &dyn Journal,
) -> Result<Queue, QueueError> {
    let place = queue.place().await?;
    let copy = CopyFile::new(&folder.join(format!("{name}.sqlite")))?;
    let snapshot = journal.restore_snapshot(copy.path()).await?;
    let snapshot = snapshot.ok_or(QueueError::Cut)?;
    match place {
        Place {
            journal: Some(id), ..
        } if id != snapshot.journal => return Err(QueueError::Diverged),
        Place {
            journal: Some(_),
            number,
        } if number >= snapshot.number => return Err(QueueError::Cut),
        _ => {}
    }
    copy.check(&snapshot).await?;
    queue.replaced_by(folder, name, &copy)
}
