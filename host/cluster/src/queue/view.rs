//! The open splits of a queue in memory, in their order, kept up to date by the stream.
//!
//! It may be behind. Whoever asks it first learns from the stream's leader which message is the last one, and
//! waits until the view has it.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::jetstream::{
    consumer::{AckPolicy, DeliverPolicy, pull},
    stream::Stream,
};
use futures_util::StreamExt;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};

use super::record::SplitRecord;
use crate::{ClusterError, Fleet, connection::pause};

/// How long the view may be behind until it is followed anew.
const BEHIND: Duration = Duration::from_secs(2);

/// The open splits, and the task that follows them.
#[derive(Debug)]
pub(super) struct View {
    fleet: Fleet,
    stream: Stream<()>,
    /// The subjects of splits.
    filter: String,
    splits: Arc<Mutex<Splits>>,
    /// The last message that is in it.
    applied: watch::Receiver<u64>,
    /// Tells the task to read the whole stream again.
    anew: Arc<Notify>,
    task: tokio::task::AbortHandle,
}

#[derive(Debug, Default)]
struct Splits {
    /// By due time, and then by id.
    order: BTreeSet<(u64, String)>,
    /// When each is due, and until when it is held.
    open: HashMap<String, (u64, Option<u64>)>,
    /// The subjects of splits that this version of the program cannot read.
    unreadable: BTreeSet<String>,
}

impl Splits {
    fn apply(&mut self, record: &SplitRecord) {
        if let Some((due, _)) = self.open.remove(&record.id) {
            self.order.remove(&(due, record.id.clone()));
        }
        if !record.done {
            let held = record.claim.as_ref().map(|it| it.until);
            self.open.insert(record.id.clone(), (record.due, held));
            self.order.insert((record.due, record.id.clone()));
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl View {
    /// Begins to follow the splits at some subjects.
    pub(super) fn follow(fleet: &Fleet, stream: &Stream<()>, filter: String) -> Self {
        let (tell, applied) = watch::channel(0);
        let (splits, anew) = (Arc::<Mutex<Splits>>::default(), Arc::<Notify>::default());
        let follower = Follower {
            stream: stream.clone(),
            filter: filter.clone(),
            splits: Arc::clone(&splits),
            applied: tell,
            anew: Arc::clone(&anew),
        };
        View {
            fleet: fleet.clone(),
            stream: stream.clone(),
            filter,
            splits,
            applied,
            anew,
            task: tokio::spawn(follower.follow()).abort_handle(),
        }
    }

    /// Waits until all is in it that was stored before this call.
    pub(super) async fn catch_up(&self) -> Result<(), ClusterError> {
        let last = self.fleet.last(&self.stream, &self.filter).await?;
        let target = last.map_or(0, |message| message.sequence);
        let (mut applied, began) = (self.applied.clone(), Instant::now());
        while timeout(BEHIND, applied.wait_for(|at| *at >= target))
            .await
            .is_err()
        {
            self.anew.notify_one();
            let waited = began.elapsed();
            if waited >= self.fleet.settings.patience {
                return Err(ClusterError::Unavailable {
                    what: format!("following {}", self.filter),
                    waited,
                    reason: "the stream does not tell its changes".to_owned(),
                });
            }
        }
        let unreadable = self.splits().unreadable.first().cloned();
        if let Some(subject) = unreadable
            && let Some(message) = self.fleet.last(&self.stream, &subject).await?
        {
            SplitRecord::read(&subject, &message.payload)?;
        }
        Ok(())
    }

    /// The open splits, in order, each with the time at which it is due.
    pub(super) fn open(&self) -> Vec<(String, u64)> {
        let splits = self.splits();
        splits
            .order
            .iter()
            .map(|(due, id)| (id.clone(), *due))
            .collect()
    }

    /// The first split that is due and that nobody holds.
    pub(super) fn first_free(&self, now: u64) -> Option<String> {
        let splits = self.splits();
        let mut due = splits.order.iter().take_while(|(due, _)| *due <= now);
        let is_free = |id: &String| {
            let held = splits.open.get(id).and_then(|(_, until)| *until);
            held.is_none_or(|until| until <= now)
        };
        due.find(|(_, id)| is_free(id)).map(|(_, id)| id.clone())
    }

    fn splits(&self) -> MutexGuard<'_, Splits> {
        self.splits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that keeps a view up to date.
struct Follower {
    stream: Stream<()>,
    filter: String,
    splits: Arc<Mutex<Splits>>,
    applied: watch::Sender<u64>,
    anew: Arc<Notify>,
}

impl Follower {
    async fn follow(self) {
        loop {
            let reason = self.follow_once().await;
            tracing::debug!(reason, filter = self.filter, "the splits are followed anew");
            pause().await;
        }
    }

    /// Follows through one consumer, until it ends or leaves something out; says why.
    async fn follow_once(&self) -> String {
        let start_sequence = *self.applied.borrow() + 1;
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence },
            ack_policy: AckPolicy::None,
            filter_subject: self.filter.clone(),
            inactive_threshold: Duration::from_secs(30),
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let consumer = match self.stream.create_consumer(config).await {
            Ok(consumer) => consumer,
            Err(error) => return error.to_string(),
        };
        let messages = consumer
            .stream()
            .max_messages_per_batch(500)
            .expires(Duration::from_secs(5))
            .heartbeat(Duration::from_secs(1));
        let mut messages = match messages.messages().await {
            Ok(messages) => messages,
            Err(error) => return error.to_string(),
        };
        let mut expected = 1;
        loop {
            let message = tokio::select! {
                message = messages.next() => message,
                () = self.anew.notified() => return "it was behind".to_owned(),
            };
            let message = match message {
                Some(Ok(message)) => message,
                Some(Err(error)) => return error.to_string(),
                None => return "the consumer has ended".to_owned(),
            };
            let (sequence, number) = match message.info() {
                Ok(info) => (info.stream_sequence, info.consumer_sequence),
                Err(error) => return error.to_string(),
            };
            // What was sent to a connection that broke is not sent again.
            if number != expected {
                return "a message was left out".to_owned();
            }
            expected += 1;
            self.apply(&message.subject, &message.payload);
            self.applied.send_replace(sequence);
        }
    }

    fn apply(&self, subject: &str, payload: &[u8]) {
        let record = SplitRecord::read(subject, payload);
        let mut splits = self.splits.lock().unwrap_or_else(PoisonError::into_inner);
        match record {
            Ok(record) => {
                splits.unreadable.remove(subject);
                splits.apply(&record);
            }
            Err(_) => drop(splits.unreadable.insert(subject.to_owned())),
        }
    }
}
