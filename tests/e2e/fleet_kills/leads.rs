//! Who leads, as the lease in the stream tells it.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use recording_host_cluster::{Candidate, Fleet, Holder};
use tokio::{task::JoinHandle, time::sleep};

/// How often the lease is read.
const LOOK: Duration = Duration::from_millis(100);

/// Who has led, and since when: each change.
type Changes = Vec<(Instant, Option<Holder>)>;

/// Reads the lease all the while.
pub(super) struct Leads {
    changes: Arc<Mutex<Changes>>,
    task: JoinHandle<()>,
}

impl Leads {
    pub(super) async fn watch(fleet: &Fleet) -> Self {
        let candidate = Candidate::new(fleet, "calls", "nobody").await.unwrap();
        let changes = Arc::<Mutex<Changes>>::default();
        let seen = Arc::clone(&changes);
        let task = tokio::spawn(async move {
            loop {
                // Without an answer there is nothing new.
                if let Ok(holder) = candidate.holder().await {
                    let mut seen = seen.lock().unwrap();
                    if seen.last().map(|(_, last)| last) != Some(&holder) {
                        seen.push((Instant::now(), holder));
                    }
                }
                sleep(LOOK).await;
            }
        });
        Leads { changes, task }
    }

    /// The lease of now, if there is one, and since when it is known.
    pub(super) fn now(&self) -> Option<(Instant, Holder)> {
        let changes = self.changes.lock().unwrap();
        let (since, holder) = changes.last()?;
        Some((*since, holder.clone()?))
    }

    /// How long after an instant somebody else led than the one that held the lease then.
    pub(super) fn taken_over(&self, at: Instant, from: &Holder) -> Option<Duration> {
        let changes = self.changes.lock().unwrap();
        let mut later = changes.iter().filter(|(since, _)| *since > at);
        let next = later.find(|(_, holder)| holder.as_ref().is_some_and(|it| it != from));
        next.map(|(since, _)| *since - at)
    }

    /// How many have led.
    pub(super) fn count(&self) -> usize {
        let changes = self.changes.lock().unwrap();
        changes
            .iter()
            .filter(|(_, holder)| holder.is_some())
            .count()
    }
}

impl Drop for Leads {
    fn drop(&mut self) {
        self.task.abort();
    }
}
