//! The fetches of a source as one node sees them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::jetstream::{
    AckKind, Message,
    consumer::{AckPolicy, PullConsumer, pull},
    stream::Stream,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::{sync::Mutex as AsyncMutex, task::AbortHandle, time::sleep};

use recording_host_state::{
    FetchChange, FetchOrder, QueueError,
    fleet::{FetchConsumer, TakenFetch},
};

use super::{ACK_WAIT, PROGRESS, dead_subject, order_subject, read, report_subject};
use crate::{
    ClusterError, Fleet,
    compression::compressed,
    connection::{Try, pause},
    publish::{Put, Stored, WRITE, is_of, new_id},
    settings::{token, untoken},
    streams::StreamUse,
};

/// How long one request for a fetch waits.
const WAIT: Duration = Duration::from_secs(5);
/// How long one waits of which a report cannot be read.
const UNREADABLE: Duration = Duration::from_secs(10);
/// How long an order that cannot be read is kept.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// The header that says why it cannot be read.
const REASON: &str = "Recording-Host-Reason";
/// The most fetches that all nodes together have at once.
const MOST: i64 = 10_000;

/// The fetches of a source as one node of a fleet sees them.
#[derive(Debug)]
pub struct FleetConsumer {
    fleet: Fleet,
    source: String,
    consumer: PullConsumer,
    work: Stream<()>,
    reports: Stream<()>,
    held: Mutex<HashMap<String, Held>>,
}

/// A fetch that this node has.
#[derive(Debug)]
struct Held {
    message: Arc<Message>,
    /// The sequence of its last report: several are stored one after another.
    last: Arc<AsyncMutex<u64>>,
    /// Says that the node goes on.
    progress: AbortHandle,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.progress.abort();
    }
}

impl FleetConsumer {
    /// Those of a source.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn new(fleet: &Fleet, source: impl Into<String>) -> Result<Self, ClusterError> {
        let source = source.into();
        let work = fleet.stream(StreamUse::Work).await?;
        let name = token(&source);
        let config = pull::Config {
            durable_name: Some(name.clone()),
            filter_subject: order_subject(&fleet.settings, &source, ">"),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_ack_pending: MOST,
            ..pull::Config::default()
        };
        let call = async || {
            let made = work.get_or_create_consumer(&name, config.clone()).await;
            Ok(made.map_or_else(|error| Try::Passing(error.to_string()), Try::Done))
        };
        let consumer = fleet
            .repeat(&format!("making the consumer {name}"), call)
            .await?;
        Ok(FleetConsumer {
            reports: fleet.stream(StreamUse::Reports).await?,
            fleet: fleet.clone(),
            source,
            consumer,
            work,
            held: Mutex::default(),
        })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn subject(&self, fetch: &str) -> String {
        report_subject(&self.fleet.settings, &self.source, &token(fetch))
    }

    /// Waits for an order.
    async fn next_order(&self) -> Result<Message, ClusterError> {
        loop {
            let batch = self.consumer.batch().max_messages(1).expires(WAIT);
            match batch.messages().await {
                Ok(mut messages) => match messages.next().await {
                    Some(Ok(message)) => return Ok(message),
                    // An election, or a server that is gone: the next request may reach another one.
                    Some(Err(error)) => {
                        tracing::debug!(%error, "no fetch could be taken");
                        pause().await;
                    }
                    None => {}
                },
                Err(error) => {
                    tracing::debug!(%error, "no fetch could be asked for");
                    self.fleet.unanswered().await;
                    pause().await;
                }
            }
        }
    }

    /// The reports of a fetch so far, and the sequence of the last; 0 if there is none.
    async fn log(&self, fetch: &str) -> Result<(Vec<FetchChange>, u64), QueueError> {
        let subject = self.subject(fetch);
        let (mut changes, mut last) = (Vec::new(), 0);
        while let Some(message) = self.fleet.next(&self.reports, &subject, last + 1).await? {
            let there = (&*subject, &*message.payload);
            changes.push(read(fetch, there, FetchChange::from_bytes)?);
            last = message.sequence;
        }
        Ok((changes, last))
    }

    /// Stores a report after another one; returns its sequence, or none if that is not the last any more.
    async fn append(
        &self,
        fetch: &str,
        last: u64,
        change: &FetchChange,
    ) -> Result<Option<u64>, QueueError> {
        let (subject, write) = (self.subject(fetch), new_id());
        let payload = compressed(&subject, &change.to_bytes())?;
        let call = async || {
            let mut put = Put::new(subject.clone(), payload.clone()).after(last);
            put.headers.insert(WRITE, write.as_str());
            match self.fleet.put(put).await? {
                Stored::At(sequence) => Ok(Try::Done(Some(sequence))),
                Stored::Stale => {
                    let there = self.fleet.last(&self.reports, &subject).await?;
                    // An answer that did not come.
                    let ours = there.filter(|it| is_of(&it.headers, &write));
                    Ok(Try::Done(ours.map(|it| it.sequence)))
                }
                other => Ok(Try::Passing(format!("{other:?}"))),
            }
        };
        let what = format!("reporting on {fetch}");
        Ok(self.fleet.repeat(&what, call).await?)
    }

    /// Keeps an order that cannot be read where people may look at it, and nobody takes it.
    async fn put_aside(&self, message: &Message, reason: &str) -> Result<(), ClusterError> {
        let fetch = token(&fetch_of(message));
        let mut put = Put::new(
            dead_subject(&self.fleet.settings, &self.source, &fetch),
            message.payload.clone(),
        );
        // A header has one line.
        put.headers
            .insert(REASON, reason.replace(char::is_control, " "));
        let mut put = put.lasting(KEPT.as_secs());
        let what = format!("putting {} aside", put.subject);
        let call = async |put: &Put| match self.fleet.put(put.clone()).await? {
            Stored::At(_) => Ok(Try::Done(())),
            other => Ok(Try::Passing(format!("{other:?}"))),
        };
        let mut kept = self.fleet.repeat(&what, async || call(&put).await).await;
        if let Err(ClusterError::TooLarge { .. }) = kept {
            put.payload = Bytes::new();
            kept = self.fleet.repeat(&what, async || call(&put).await).await;
        }
        match kept {
            // The leader has what is needed to make it anew.
            Err(error @ ClusterError::Full(_)) => tracing::debug!(%error, "nothing was put aside"),
            kept => kept?,
        }
        if let Err(error) = message.ack_with(AckKind::Term).await {
            tracing::debug!(%error, "what was put aside comes again");
        }
        Ok(())
    }

    /// Makes a fetch this node's: nobody else can report on it any more.
    async fn take_over(&self, fetch: &str) -> Result<(Vec<FetchChange>, u64), QueueError> {
        loop {
            let (changes, last) = self.log(fetch).await?;
            let taken = FetchChange::delivered(&[]);
            if let Some(sequence) = self.append(fetch, last, &taken).await? {
                return Ok((changes, sequence));
            }
        }
    }
}

/// Gives a fetch back, for nodes to take after a while.
async fn give_back(message: &Message, after: Option<Duration>) {
    if let Err(error) = message.ack_with(AckKind::Nak(after)).await {
        tracing::debug!(%error, "a fetch was not given back; it is taken when it was silent for long");
    }
}

/// The fetch that an order is of, as its subject says.
fn fetch_of(message: &Message) -> String {
    let name = message.subject.rsplit('.').next().and_then(untoken);
    name.unwrap_or_else(|| message.subject.to_string())
}

/// Says in regular intervals that a fetch is being done.
fn keep(message: &Arc<Message>) -> AbortHandle {
    let message = Arc::clone(message);
    let task = tokio::spawn(async move {
        loop {
            sleep(PROGRESS).await;
            if let Err(error) = message.ack_with(AckKind::Progress).await {
                tracing::debug!(%error, "the servers were not told that a fetch goes on");
            }
        }
    });
    task.abort_handle()
}

#[async_trait]
impl FetchConsumer for FleetConsumer {
    async fn take(&self) -> Result<TakenFetch, QueueError> {
        let message = Arc::new(self.next_order().await?);
        // Whoever does not wait for the rest loses it to another node.
        let mut held = Held {
            progress: keep(&message),
            message,
            last: Arc::default(),
        };
        let info = held.message.info().ok();
        let deliveries = info.and_then(|info| u64::try_from(info.delivered).ok());
        let there = (&*held.message.subject, &*held.message.payload);
        let order = match read(&fetch_of(&held.message), there, FetchOrder::from_bytes) {
            Err(error) if error.unreadable().is_some() => {
                self.put_aside(&held.message, &error.to_string()).await?;
                return Err(error);
            }
            order => order?,
        };
        let (changes, last) = match self.take_over(&order.fetch).await {
            Err(error) if error.unreadable().is_some() => {
                // The leader meets the same report, and takes the fetch back.
                give_back(&held.message, Some(UNREADABLE)).await;
                return Err(error);
            }
            taken => taken?,
        };
        held.last = Arc::new(AsyncMutex::new(last));
        self.held().insert(order.fetch.clone(), held);
        Ok(TakenFetch {
            order,
            changes,
            deliveries: deliveries.unwrap_or(1),
        })
    }

    async fn report(&self, fetch: &str, change: FetchChange) -> Result<(), QueueError> {
        let not_held = || QueueError::NotHeld(fetch.to_owned());
        let log = self.held().get(fetch).map(|held| Arc::clone(&held.last));
        let log = log.ok_or_else(not_held)?;
        let mut last = log.lock().await;
        match self.append(fetch, *last, &change).await? {
            Some(sequence) => *last = sequence,
            None => {
                let mut held = self.held();
                // Unless it has been taken anew meanwhile.
                if held
                    .get(fetch)
                    .is_some_and(|it| Arc::ptr_eq(&it.last, &log))
                {
                    held.remove(fetch);
                }
                return Err(not_held());
            }
        }
        Ok(())
    }

    async fn done(&self, fetch: &str) -> Result<(), QueueError> {
        let Some(held) = self.held().remove(fetch) else {
            return Ok(());
        };
        let call = async || {
            let Err(error) = held.message.double_ack().await else {
                return Ok(Try::Done(()));
            };
            // Of a message that somebody has removed nobody says that it is acknowledged.
            let there = self
                .fleet
                .try_last(&self.work, &held.message.subject)
                .await?;
            Ok(match there {
                Try::Done(None) => Try::Done(()),
                _ => Try::Passing(error.to_string()),
            })
        };
        let what = format!("saying that {fetch} is done");
        Ok(self.fleet.repeat(&what, call).await?)
    }

    async fn give_back(&self, fetch: &str) -> Result<(), QueueError> {
        let Some(held) = self.held().remove(fetch) else {
            return Ok(());
        };
        give_back(&held.message, None).await;
        Ok(())
    }
}
