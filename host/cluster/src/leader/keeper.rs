//! The task that renews the lease and publishes under it: one task, since each renewal changes the sequence
//! that what is published must name.

use async_nats::jetstream::stream::Stream;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Duration, Instant, sleep, sleep_until},
};

use super::{Fence, LEASE, MARGIN, Queued, RENEW, SteppedDown, lease, read, step_down};
use crate::{
    ClusterError, Fleet,
    connection::Try,
    publish::{MOST_AT_ONCE, Put, Stored},
};

/// How soon a renewal is tried again.
const AGAIN: Duration = Duration::from_millis(200);

/// The requests to the task.
#[derive(Debug)]
pub(super) enum Command {
    Publish(Vec<Put>, oneshot::Sender<Result<Vec<Queued>, ClusterError>>),
    Resign(oneshot::Sender<Result<(), ClusterError>>),
}

/// The lease, as the task that keeps it knows it.
pub(super) struct Keeper {
    pub(super) fleet: Fleet,
    pub(super) stream: Stream<()>,
    pub(super) subject: String,
    pub(super) fence: Fence,
    /// The fence's sequence.
    pub(super) sequence: u64,
    /// When the first of the renewals was sent whose answers have not come: it may have another sequence.
    pub(super) unclear: Option<Instant>,
    /// When the last renewal was sent that counts, or the last that failed.
    pub(super) renewed: Instant,
    pub(super) deadline: watch::Sender<Instant>,
    pub(super) over: watch::Sender<Option<SteppedDown>>,
}

impl Keeper {
    /// Keeps the lease until it is lost or given up, or nobody wants it any more.
    pub(super) async fn keep(mut self, mut orders: mpsc::Receiver<Command>) {
        let mut over = self.over.subscribe();
        while self.over.borrow().is_none() {
            let work = async {
                tokio::select! {
                    () = sleep_until(self.renewed + RENEW) => None,
                    command = orders.recv() => Some(command),
                }
            };
            let command = tokio::select! {
                command = work => command,
                _ = over.changed() => return,
            };
            match command {
                // A failure is this node's end as leader, or passes.
                None => drop(self.renew().await),
                Some(Some(Command::Publish(puts, answer))) => {
                    let published = self.publish(puts).await;
                    // Nobody may wait for it any more.
                    let _ = answer.send(published);
                }
                Some(Some(Command::Resign(answer))) => {
                    let _ = answer.send(self.resign().await);
                    return;
                }
                Some(None) => return,
            }
        }
    }

    fn leads(&self) -> Result<(), ClusterError> {
        if Instant::now() >= *self.deadline.borrow() {
            step_down(&self.over, SteppedDown::Expired);
        }
        let standing = *self.over.borrow();
        standing.map_or(Ok(()), |reason| Err(reason.into()))
    }

    /// Renews the lease; tried once.
    async fn renew(&mut self) -> Result<(), ClusterError> {
        self.leads()?;
        let sent = Instant::now();
        let put = lease(&self.subject, &self.fence, self.sequence);
        match self.fleet.put(put).await {
            Ok(Stored::At(sequence)) => {
                self.sequence = sequence;
                self.unclear = None;
                self.renewed = sent;
                self.deadline.send_replace(sent + LEASE - MARGIN);
                return Ok(());
            }
            Ok(Stored::Stale) => {
                self.resolve().await?;
            }
            Ok(Stored::Unclear(reason)) => {
                self.unclear = self.unclear.or(Some(sent));
                tracing::debug!(reason, "a renewal of the leader's lease was not answered");
            }
            Ok(Stored::Pending | Stored::Again(_)) => {}
            Err(error) => tracing::warn!(%error, "the leader's lease was not renewed"),
        }
        // Soon again, and not at once.
        self.renewed = Instant::now() + AGAIN - RENEW;
        Ok(())
    }

    /// Finds out about the fence whether it is ours, after a refusal that says that its sequence is another.
    async fn resolve(&mut self) -> Result<(), ClusterError> {
        let last = match self.fleet.try_last(&self.stream, &self.subject).await? {
            Try::Done(last) => last,
            // It is asked again after the next refusal.
            Try::Passing(_) => return Ok(()),
        };
        let is_ours = |fence: Option<Fence>| fence.is_some_and(|it| it.holder == self.fence.holder);
        match last {
            Some(message) if is_ours(read(&message.payload)?) => {
                self.sequence = message.sequence;
                // It is not older than the first renewal that was not answered.
                if let Some(sent) = self.unclear.take() {
                    let until = (*self.deadline.borrow()).max(sent + LEASE - MARGIN);
                    self.deadline.send_replace(until);
                }
                Ok(())
            }
            _ => {
                step_down(&self.over, SteppedDown::Superseded);
                Err(SteppedDown::Superseded.into())
            }
        }
    }

    async fn publish(&mut self, puts: Vec<Put>) -> Result<Vec<Queued>, ClusterError> {
        let mut queued = Vec::with_capacity(puts.len());
        for group in puts.chunks(MOST_AT_ONCE) {
            if group.len() > 1 && self.publish_at_once(group).await? {
                queued.extend(group.iter().map(|_| Queued::New));
                continue;
            }
            for put in group {
                queued.push(self.publish_one(put).await?);
            }
        }
        Ok(queued)
    }

    /// Renews the lease if it is time to.
    async fn renew_in_time(&mut self) -> Result<(), ClusterError> {
        match self.renewed.elapsed() >= RENEW {
            true => self.renew().await,
            false => self.leads(),
        }
    }

    /// Publishes messages if none of them waits already; false if one does or may.
    async fn publish_at_once(&mut self, group: &[Put]) -> Result<bool, ClusterError> {
        loop {
            self.renew_in_time().await?;
            let mut puts = group.to_vec();
            if let Some(first) = puts.first_mut() {
                *first = first.clone().fenced(self.sequence, &self.subject);
            }
            match self.fleet.put_all(puts).await? {
                Stored::At(_) => return Ok(true),
                Stored::Stale => self.resolve().await?,
                Stored::Pending | Stored::Unclear(_) => return Ok(false),
                Stored::Again(_) => {}
            }
            sleep(AGAIN / 10).await;
        }
    }

    async fn publish_one(&mut self, put: &Put) -> Result<Queued, ClusterError> {
        loop {
            self.renew_in_time().await?;
            let fenced = put.clone().fenced(self.sequence, &self.subject);
            match self.fleet.put(fenced).await? {
                Stored::At(_) => return Ok(Queued::New),
                Stored::Pending => return Ok(Queued::Known),
                Stored::Stale => self.resolve().await?,
                Stored::Again(_) | Stored::Unclear(_) => {}
            }
            sleep(AGAIN / 10).await;
        }
    }

    async fn resign(&mut self) -> Result<(), ClusterError> {
        self.leads()?;
        // From here on it does not lead, whatever the servers answer.
        step_down(&self.over, SteppedDown::Resigned);
        let deleted = self.stream.delete_message(self.sequence).await;
        deleted.map(drop).map_err(|error| ClusterError::Refused {
            what: "to end the leader's lease".to_owned(),
            reason: error.to_string(),
            code: 0,
        })
    }
}
