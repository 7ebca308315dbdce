//! A node of a fleet as the engine sees it: all that the other modules have for the exports of a process.

use std::sync::Arc;

use async_trait::async_trait;
use recording_host_state::{
    Journal, QueueError,
    fleet::{FetchConsumer, FetchPublisher, FleetMember, Leadership},
};

use super::{Candidate, Fleet, FleetConsumer, FleetJournal, FleetPublisher, Leader};

/// A node of a fleet.
#[derive(Debug)]
pub struct FleetNode {
    fleet: Fleet,
    name: String,
}

impl FleetNode {
    /// A node, by a name that no other one of the fleet has.
    #[must_use]
    pub fn new(fleet: &Fleet, name: impl Into<String>) -> Self {
        FleetNode {
            fleet: fleet.clone(),
            name: name.into(),
        }
    }
}

#[async_trait]
impl FleetMember for FleetNode {
    async fn lead(&self, source: &str) -> Result<Box<dyn Leadership>, QueueError> {
        let candidate = Candidate::new(&self.fleet, source, &*self.name).await?;
        let leader = Arc::new(candidate.lead().await?);
        let publisher = FleetPublisher::new(&self.fleet, Arc::clone(&leader), source).await?;
        Ok(Box::new(Lead {
            leader,
            publisher: Arc::new(publisher),
        }))
    }

    async fn consumer(&self, source: &str) -> Result<Arc<dyn FetchConsumer>, QueueError> {
        Ok(Arc::new(FleetConsumer::new(&self.fleet, source).await?))
    }

    async fn journal(&self, export: &str) -> Result<Arc<dyn Journal>, QueueError> {
        Ok(Arc::new(FleetJournal::new(&self.fleet, export).await?))
    }
}

/// The lead of an export.
#[derive(Debug)]
struct Lead {
    leader: Arc<Leader>,
    publisher: Arc<FleetPublisher>,
}

impl Drop for Lead {
    fn drop(&mut self) {
        let leader = Arc::clone(&self.leader);
        // Outside a runtime nothing can be said to the servers: then the lease ends by itself.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { resign(&leader).await });
        }
    }
}

async fn resign(leader: &Leader) {
    if leader.is_leading()
        && let Err(error) = leader.resign().await
    {
        tracing::debug!(%error, "the lease was not given up; it ends by itself");
    }
}

#[async_trait]
impl Leadership for Lead {
    fn publisher(&self) -> Arc<dyn FetchPublisher> {
        Arc::clone(&self.publisher) as Arc<dyn FetchPublisher>
    }

    async fn ended(&self) -> String {
        self.leader.stepped_down().await.to_string()
    }

    async fn resign(&self) {
        resign(&self.leader).await;
    }
}
