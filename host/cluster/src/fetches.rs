//! The fetches of a source on their way to nodes, and the reports that come back.
//!
//! An order is a message that waits until a node acknowledges it, which it does when the fetch is done; a node that
//! says nothing for [`ACK_WAIT`] loses it to another one. The reports of a fetch are the messages of one subject, each
//! stored only if the one that the node knows is still the last. A node that takes a fetch adds a report without a
//! change: from then on those of the node before it are refused. Payloads are JSON, compressed.
//!
//! An order that cannot be read is put aside, where people may look at it, and the leader publishes it anew. If a report
//! cannot be read, the leader takes the fetch back and publishes it as its ledger has it.

mod consumer;
mod publisher;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use async_nats::jetstream::{message::StreamMessage, stream::Stream};

pub use consumer::FleetConsumer;
pub use publisher::FleetPublisher;

use recording_host_state::{FetchError, QueueError};

use super::{
    ClusterError, Fleet, FleetSettings,
    compression::unpacked,
    settings::{token, untoken},
    streams::StreamUse,
};

/// How long a fetch is a node's that says nothing.
const ACK_WAIT: Duration = Duration::from_secs(30);
/// How often a node says that it goes on.
const PROGRESS: Duration = Duration::from_secs(10);

/// The subject of an order.
fn order_subject(settings: &FleetSettings, source: &str, fetch: &str) -> String {
    let what = format!("work.{}.{fetch}", token(source));
    StreamUse::Work.subject(settings, &what)
}

/// The subject of a fetch that could not be read.
fn dead_subject(settings: &FleetSettings, source: &str, fetch: &str) -> String {
    let what = format!("dead.{}.{fetch}", token(source));
    StreamUse::Work.subject(settings, &what)
}

/// Reads what came of a fetch.
fn read<T>(
    fetch: &str,
    message: (&str, &[u8]),
    from_bytes: impl FnOnce(&[u8]) -> Result<T, QueueError>,
) -> Result<T, QueueError> {
    let (subject, payload) = message;
    let bytes = unpacked(subject, payload).map_err(QueueError::from);
    bytes
        .and_then(|bytes| from_bytes(&bytes))
        .map_err(|error| match error {
            later if later.fetch_error().is_some() => later,
            error => FetchError::Unreadable {
                fetch: fetch.to_owned(),
                reason: match error {
                    QueueError::Backend(error) => error.to_string(),
                    error => error.to_string(),
                },
            }
            .into(),
        })
}

/// The subject of the reports of a fetch.
fn report_subject(settings: &FleetSettings, source: &str, fetch: &str) -> String {
    let what = format!("{}.{fetch}", token(source));
    StreamUse::Reports.subject(settings, &what)
}

impl Fleet {
    /// The texts whose tokens end the subjects of the messages that a stream has; the beginning of these is given.
    pub(super) async fn names(
        &self,
        stream: &Stream<()>,
        prefix: &str,
    ) -> Result<BTreeSet<String>, ClusterError> {
        let subjects = self.subjects(stream, &format!("{prefix}>")).await?;
        let ends = subjects.iter().filter_map(|it| it.strip_prefix(prefix));
        Ok(ends.filter_map(untoken).collect())
    }

    /// The fetches that nodes could not read and have put aside, by source: how many, and the subjects of their
    /// messages.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn dead_letters(&self) -> Result<BTreeMap<String, (u64, String)>, ClusterError> {
        let work = self.stream(StreamUse::Work).await?;
        let mut dead = BTreeMap::<String, (u64, String)>::new();
        let prefix = StreamUse::Work.subject(&self.settings, "dead.");
        for subject in self.subjects(&work, &format!("{prefix}>")).await? {
            let source = subject.strip_prefix(&prefix);
            let source = source.and_then(|end| untoken(end.split('.').next()?));
            if let Some(source) = source {
                let subjects = dead_subject(&self.settings, &source, ">");
                dead.entry(source).or_insert((0, subjects)).0 += 1;
            }
        }
        Ok(dead)
    }

    /// The first message of a stream from a sequence on whose subject matches.
    async fn next(
        &self,
        stream: &Stream<()>,
        subject: &str,
        from: u64,
    ) -> Result<Option<StreamMessage>, ClusterError> {
        let call = async || {
            let next = stream
                .raw_message_builder()
                .sequence(from)
                .next_by_subject(subject)
                .send();
            Ok(self.heed(next.await).await)
        };
        self.repeat(&format!("reading {subject}"), call).await
    }
}
