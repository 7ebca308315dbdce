//! The fetches of a source on their way to nodes, and the reports that come back.
//!
//! An order is a message that waits until a node acknowledges it, which it does when the fetch is done; a node that
//! says nothing for [`ACK_WAIT`] loses it to another one. The reports of a fetch are the messages of one subject, each
//! stored only if the one that the node knows is still the last. A node that takes a fetch adds a report without a
//! change: from then on those of the node before it are refused. Payloads are JSON, compressed.

mod consumer;
mod publisher;

use std::{collections::BTreeSet, time::Duration};

use async_nats::jetstream::{message::StreamMessage, stream::Stream};
use futures_util::TryStreamExt as _;

pub use consumer::FleetConsumer;
pub use publisher::FleetPublisher;

use super::{
    ClusterError, Fleet, FleetSettings,
    connection::Try,
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
        let call = async || {
            let subjects = match stream.info_with_subjects(format!("{prefix}>")).await {
                Ok(info) => info.try_collect::<Vec<(String, usize)>>().await,
                Err(error) => return Ok(Try::Passing(error.to_string())),
            };
            Ok(subjects.map_or_else(|error| Try::Passing(error.to_string()), Try::Done))
        };
        let what = format!("listing what there is at {prefix}");
        let subjects = self.repeat(&what, call).await?;
        let names = subjects.iter();
        let names = names.filter_map(|(subject, _)| subject.strip_prefix(prefix));
        Ok(names.filter_map(untoken).collect())
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
