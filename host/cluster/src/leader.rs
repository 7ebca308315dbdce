//! The one node of a fleet that leads the export of a source.
//!
//! The lease is a message in the very stream that the leader writes, the *fence* of the source. It ends by itself unless it
//! is renewed, and each renewal gives it another sequence. What the leader publishes names the sequence that it
//! knows: the servers refuse the message of a leader whose lease has ended or is another's, however late it
//! comes.
//!
//! A leader steps down by its own clock, which never jumps: some time before the servers can have ended its
//! lease, counted from the instant before the last renewal was sent. No server is asked for that, so that a
//! renewal which hangs makes no second leader.

mod keeper;

use std::time::Duration;

use async_nats::jetstream::stream::Stream;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep, sleep_until},
};

use super::{
    ClusterError, Fleet,
    connection::pause,
    publish::{Put, Stored, new_id},
    settings::token,
    streams::StreamUse,
};
use keeper::{Command, Keeper};

/// How long a lease lasts that is not renewed. An election among servers takes up to 6 s.
const LEASE: Duration = Duration::from_secs(10);
/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(2);
/// How long before its lease can have ended a leader steps down.
const MARGIN: Duration = Duration::from_secs(1);
/// How often a node that stands by looks.
const LOOK: Duration = Duration::from_millis(500);
/// The version of the formats.
const VERSION: u32 = 1;
/// The header that has it.
const FORMAT: &str = "Recording-Host-Format";

/// Why a node leads no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SteppedDown {
    /// It could not renew its lease in time.
    #[error("it could not renew its lease in time")]
    Expired,
    /// The servers have the lease of another, or of nobody.
    #[error("its lease has passed to another node")]
    Superseded,
    /// It has given it up.
    #[error("it has given up its lease")]
    Resigned,
}

/// How a fetch was taken into the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queued {
    /// It waits now.
    New,
    /// It waited already, be it since a first try of which no answer came.
    Known,
}

/// A fetch, as it waits for a node.
#[derive(Clone, Debug)]
pub struct WorkMessage {
    /// The source that it is for.
    pub source: String,
    /// Its name, unique for the source: a second message of this name is refused while one waits.
    pub fetch: String,
    /// The knowledge that a node needs. No signed link, and nothing secret.
    pub body: Bytes,
}

/// The lease, as it stands in the stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Fence {
    v: u32,
    /// The node's name, for people.
    node: String,
    /// Who holds it: of one process, once.
    holder: String,
}

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The node's name.
    pub node: String,
    /// What no other lease has, of the same node neither.
    pub id: String,
}

/// A node that would lead.
#[derive(Debug)]
pub struct Candidate {
    fleet: Fleet,
    node: String,
    stream: Stream<()>,
    fence: String,
}

impl Candidate {
    /// A node that would lead the export of a source, by a name that people know it by.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn new(
        fleet: &Fleet,
        source: &str,
        node: impl Into<String>,
    ) -> Result<Self, ClusterError> {
        let fence = format!("fence.{}", token(source));
        Ok(Candidate {
            stream: fleet.stream(StreamUse::Work).await?,
            fence: StreamUse::Work.subject(&fleet.settings, &fence),
            fleet: fleet.clone(),
            node: node.into(),
        })
    }

    /// The name of the node that leads, if one does.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn leader(&self) -> Result<Option<String>, ClusterError> {
        Ok(self.holder().await?.map(|holder| holder.node))
    }

    /// Who leads, if anybody does: a node that leads again after its process has ended is another one.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn holder(&self) -> Result<Option<Holder>, ClusterError> {
        let last = self.fleet.last(&self.stream, &self.fence).await?;
        let fence = last.map(|message| read(&message.payload)).transpose()?;
        let fence = fence.flatten();
        Ok(fence.map(|Fence { node, holder, .. }| Holder { node, id: holder }))
    }

    /// Waits until this node leads.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn lead(&self) -> Result<Leader, ClusterError> {
        let fence = Fence {
            v: VERSION,
            node: self.node.clone(),
            holder: new_id(),
        };
        // The first try whose answer has not come: from then on the lease may have begun.
        let mut unclear = None;
        // The lease of another, and since when it is as it is.
        let mut seen = (0, Instant::now());
        loop {
            let mut after = 0;
            if let Some(message) = self.fleet.last(&self.stream, &self.fence).await? {
                let there = read(&message.payload)?;
                let is_ours = there.is_some_and(|there| there.holder == fence.holder);
                if let Some(sent) = unclear.filter(|_| is_ours) {
                    return Ok(self.leading(fence, message.sequence, sent));
                }
                if seen.0 != message.sequence {
                    seen = (message.sequence, Instant::now());
                }
                if seen.1.elapsed() < LEASE + MARGIN {
                    sleep(LOOK).await;
                    continue;
                }
                // Its leader has stepped down by its own clock, whether or not the servers have ended it yet: servers
                // that are busy, or whose clocks differ, do so late.
                after = message.sequence;
            }
            let sent = Instant::now();
            match self.fleet.put(lease(&self.fence, &fence, after)).await {
                Ok(Stored::At(sequence)) => {
                    return Ok(self.leading(fence, sequence, unclear.unwrap_or(sent)));
                }
                Ok(Stored::Unclear(_)) => unclear = unclear.or(Some(sent)),
                // Nodes that take work make room.
                Ok(Stored::Stale | Stored::Pending | Stored::Again(_))
                | Err(ClusterError::Full(_)) => {}
                Err(error) => return Err(error),
            }
            pause().await;
        }
    }

    fn leading(&self, fence: Fence, sequence: u64, sent: Instant) -> Leader {
        tracing::info!(node = self.node, fence = self.fence, "this node leads");
        let (deadline, until) = watch::channel(sent + LEASE - MARGIN);
        let (over, standing) = watch::channel(None);
        let (commands, orders) = mpsc::channel(16);
        tokio::spawn(end_in_time(until.clone(), over.clone()));
        let keeper = Keeper {
            fleet: self.fleet.clone(),
            stream: self.stream.clone(),
            subject: self.fence.clone(),
            fence,
            sequence,
            unclear: None,
            renewed: sent,
            deadline,
            over,
        };
        let task = tokio::spawn(keeper.keep(orders));
        Leader {
            commands,
            until,
            standing,
            prefix: StreamUse::Work.subject(&self.fleet.settings, "work"),
            task: task.abort_handle(),
        }
    }
}

/// The lease as a message that takes the place of the one with a sequence.
fn lease(subject: &str, fence: &Fence, sequence: u64) -> Put {
    let text = serde_json::to_vec(fence).unwrap_or_default();
    Put::new(subject, text)
        .after(sequence)
        .lasting(LEASE.as_secs())
}

/// Reads a lease; what is none is nobody's, and ends as one does that is not renewed.
fn read(payload: &[u8]) -> Result<Option<Fence>, ClusterError> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    match serde_json::from_slice(payload) {
        Ok(Version { v }) if v > VERSION => Err(ClusterError::OtherVersion {
            what: "the leader's lease".to_owned(),
            version: v,
        }),
        _ => Ok(serde_json::from_slice(payload).ok()),
    }
}

/// Steps down when the deadline is reached, whatever the task that renews is waiting for.
async fn end_in_time(
    mut until: watch::Receiver<Instant>,
    over: watch::Sender<Option<SteppedDown>>,
) {
    loop {
        let deadline = *until.borrow_and_update();
        sleep_until(deadline).await;
        // Unless it has been moved meanwhile.
        if *until.borrow() <= Instant::now() {
            step_down(&over, SteppedDown::Expired);
            return;
        }
    }
}

/// The first reason stays.
fn step_down(over: &watch::Sender<Option<SteppedDown>>, reason: SteppedDown) {
    over.send_if_modified(|standing| {
        let first = standing.is_none();
        if first {
            tracing::info!(%reason, "this node leads no longer");
            *standing = Some(reason);
        }
        first
    });
}

/// The node that leads an export. When this is dropped it leads no longer, and another one may as soon as the lease has
/// ended.
#[derive(Debug)]
pub struct Leader {
    commands: mpsc::Sender<Command>,
    until: watch::Receiver<Instant>,
    standing: watch::Receiver<Option<SteppedDown>>,
    /// The beginning of the subjects of fetches.
    prefix: String,
    task: tokio::task::AbortHandle,
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Leader {
    /// Returns true if this node leads at this instant.
    #[must_use]
    pub fn is_leading(&self) -> bool {
        self.standing.borrow().is_none() && Instant::now() < *self.until.borrow()
    }

    /// Waits until this node leads no longer; says why.
    pub async fn stepped_down(&self) -> SteppedDown {
        let mut standing = self.standing.clone();
        let reason = standing.wait_for(Option::is_some).await;
        reason
            .ok()
            .and_then(|it| *it)
            .unwrap_or(SteppedDown::Expired)
    }

    /// Has fetches wait for a node, in their order, each durable when this returns. All of up to a thousand
    /// are stored at once if none of them waits already.
    ///
    /// # Errors
    /// [`ClusterError::NotLeading`] if this node leads no longer: then some of them may wait, and none will
    /// that does not by now. Any other [`ClusterError`].
    pub async fn publish(&self, fetches: Vec<WorkMessage>) -> Result<Vec<Queued>, ClusterError> {
        let puts = fetches.into_iter().map(|fetch| {
            let (source, name) = (token(&fetch.source), token(&fetch.fetch));
            let mut put = Put::new(format!("{}.{source}.{name}", self.prefix), fetch.body);
            put.headers.insert(FORMAT, VERSION.to_string());
            put
        });
        let (answer, answered) = oneshot::channel();
        self.order(Command::Publish(puts.collect(), answer)).await?;
        answered.await.map_err(|_| self.reason())?
    }

    /// Gives the lease up, so that another node may lead at once.
    ///
    /// # Errors
    /// [`ClusterError`]; then another one leads when the lease has ended.
    pub async fn resign(&self) -> Result<(), ClusterError> {
        let (answer, answered) = oneshot::channel();
        self.order(Command::Resign(answer)).await?;
        answered.await.map_err(|_| self.reason())?
    }

    async fn order(&self, command: Command) -> Result<(), ClusterError> {
        if !self.is_leading() {
            return Err(self.reason());
        }
        self.commands.send(command).await.map_err(|_| self.reason())
    }

    fn reason(&self) -> ClusterError {
        ClusterError::NotLeading(self.standing.borrow().unwrap_or(SteppedDown::Expired))
    }
}
