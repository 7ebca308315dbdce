//! The fetches of a source as the leader sees them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_nats::jetstream::stream::Stream;
use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use tokio::time::sleep;

use recording_host_state::{
    FetchChange, FetchOrder, QueueError,
    fleet::{FetchPublisher, FetchReport},
};

use super::{order_subject, report_subject};
use crate::{
    ClusterError, Fleet, Leader, WorkMessage,
    compression::{compressed, unpacked},
    connection::Try,
    streams::StreamUse,
};

/// How often it is looked whether a node has reported something.
const LOOK: Duration = Duration::from_millis(100);

/// The fetches of a source as the leader of a fleet sees them.
#[derive(Debug)]
pub struct FleetPublisher {
    fleet: Fleet,
    leader: Arc<Leader>,
    source: String,
    work: Stream<()>,
    reports: Stream<()>,
}

impl FleetPublisher {
    /// Those of a source; what no longer leads publishes nothing.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn new(
        fleet: &Fleet,
        leader: Arc<Leader>,
        source: impl Into<String>,
    ) -> Result<Self, ClusterError> {
        Ok(FleetPublisher {
            work: fleet.stream(StreamUse::Work).await?,
            reports: fleet.stream(StreamUse::Reports).await?,
            fleet: fleet.clone(),
            leader,
            source: source.into(),
        })
    }

    /// The names of the fetches of which a stream has messages; the beginning of their subjects is given.
    async fn fetches(
        &self,
        stream: &Stream<()>,
        prefix: &str,
    ) -> Result<BTreeSet<String>, ClusterError> {
        let call = async || {
            let subjects = match stream.info_with_subjects(format!("{prefix}>")).await {
                Ok(info) => info.try_collect::<Vec<(String, usize)>>().await,
                Err(error) => return Ok(Try::Passing(error.to_string())),
            };
            Ok(match subjects {
                Ok(subjects) => Try::Done(subjects),
                Err(error) => Try::Passing(error.to_string()),
            })
        };
        let subjects = self.fleet.repeat("listing fetches", call).await?;
        let names = subjects.iter();
        let names = names.filter_map(|(subject, _)| subject.strip_prefix(prefix));
        Ok(names.filter_map(untoken).collect())
    }

    async fn purge(&self, stream: &Stream<()>, subject: &str) -> Result<(), ClusterError> {
        let call = async || {
            let purged = stream.purge().filter(subject).await;
            Ok(purged.map_or_else(|error| Try::Passing(error.to_string()), |_| Try::Done(())))
        };
        self.fleet
            .repeat(&format!("removing {subject}"), call)
            .await
    }
}

/// The text that a token of a subject stands for.
fn untoken(token: &str) -> Option<String> {
    let mut parts = token.split('=');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[async_trait]
impl FetchPublisher for FleetPublisher {
    async fn publish(&self, orders: Vec<FetchOrder>) -> Result<(), QueueError> {
        let mut messages = Vec::with_capacity(orders.len());
        for order in orders {
            messages.push(WorkMessage {
                source: self.source.clone(),
                body: compressed(&order.fetch, &order.to_bytes())?,
                fetch: order.fetch,
            });
        }
        self.leader.publish(messages).await?;
        Ok(())
    }

    async fn published(&self) -> Result<Vec<String>, QueueError> {
        let settings = &self.fleet.settings;
        let (orders, reports) = (
            order_subject(settings, &self.source, ""),
            report_subject(settings, &self.source, ""),
        );
        let mut names = self.fetches(&self.work, &orders).await?;
        names.extend(self.fetches(&self.reports, &reports).await?);
        Ok(names.into_iter().collect())
    }

    async fn next_report(&self, after: u64) -> Result<FetchReport, QueueError> {
        let prefix = report_subject(&self.fleet.settings, &self.source, "");
        let filter = format!("{prefix}>");
        let mut after = after;
        loop {
            let Some(message) = self.fleet.next(&self.reports, &filter, after + 1).await? else {
                sleep(LOOK).await;
                continue;
            };
            let fetch = message.subject.strip_prefix(&prefix).and_then(untoken);
            let Some(fetch) = fetch else {
                after = message.sequence;
                continue;
            };
            let bytes = unpacked(&message.subject, &message.payload)?;
            return Ok(FetchReport {
                sequence: message.sequence,
                fetch,
                change: FetchChange::from_bytes(&bytes)?,
            });
        }
    }

    async fn forget(&self, fetch: &str) -> Result<(), QueueError> {
        let settings = &self.fleet.settings;
        let fetch = crate::settings::token(fetch);
        let order = order_subject(settings, &self.source, &fetch);
        self.purge(&self.work, &order).await?;
        let reports = report_subject(settings, &self.source, &fetch);
        Ok(self.purge(&self.reports, &reports).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::untoken;
    use crate::settings::token;

    #[test]
    fn a_token_stands_for_one_text() {
        for text in ["calls-000001", "a.b/c d", "=", "é"] {
            assert_eq!(untoken(&token(text)).as_deref(), Some(text));
        }
        assert_eq!((untoken("a=Z"), untoken("a=é")), (None, None));
    }
}
