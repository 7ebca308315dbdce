//! The fetches of a source as the leader sees them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_nats::jetstream::stream::Stream;
use async_trait::async_trait;
use tokio::time::sleep;

use recording_host_state::{
    FetchChange, FetchOrder, QueueError,
    fleet::{FetchCounts, FetchPublisher, FetchReport},
};

use super::{order_subject, read, report_subject};
use crate::{
    ClusterError, Fleet, Leader, WorkMessage, compression::compressed, connection::Try,
    settings::untoken, streams::StreamUse,
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

    async fn ordered(&self) -> Result<Vec<String>, QueueError> {
        let orders = order_subject(&self.fleet.settings, &self.source, "");
        let names = self.fleet.names(&self.work, &orders).await?;
        Ok(names.into_iter().collect())
    }

    async fn published(&self) -> Result<Vec<String>, QueueError> {
        let reports = report_subject(&self.fleet.settings, &self.source, "");
        let mut names: BTreeSet<String> = self.ordered().await?.into_iter().collect();
        names.extend(self.fleet.names(&self.reports, &reports).await?);
        Ok(names.into_iter().collect())
    }

    async fn counts(&self) -> Result<FetchCounts, QueueError> {
        let fetches = self.fleet.fetches().await?;
        Ok(fetches.get(&self.source).copied().unwrap_or_default())
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
            let there = (&*message.subject, &*message.payload);
            let change = read(&fetch, there, FetchChange::from_bytes)?;
            return Ok(FetchReport {
                sequence: message.sequence,
                fetch,
                change,
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
