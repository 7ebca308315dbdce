//! A pipeline on several machines: one leads, and nodes do its fetches.

use std::sync::Arc;

use tokio::sync::watch;

use super::Pipeline;
use crate::{
    recover::ReceiptOwnership,
    run::{FleetRole, RunError},
};
use recording_host_model::Error;
use recording_host_state::{
    Queue,
    fleet::{FetchConsumer, FetchPublisher},
};

impl Pipeline {
    /// Has the nodes of a fleet do the fetches; this pipeline searches, keeps the queue, and files what they
    /// report. At any time one process alone may run the export so.
    // Hidden until the program has it: the traits' error names SQLite's.
    #[doc(hidden)]
    #[must_use]
    pub fn lead(mut self, publisher: Arc<dyn FetchPublisher>) -> Self {
        self.publisher = Some(publisher);
        self
    }

    /// Does fetches that a pipeline with the same source and sinks [hands over](Self::lead), until `stop` turns
    /// true: then downloads under way come to their end, for at most 20 seconds, and what is not done is given
    /// back.
    ///
    /// # Errors
    /// [`Error`]; another node does the fetches that this one had.
    #[doc(hidden)]
    pub async fn work(
        self,
        consumer: Arc<dyn FetchConsumer>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), Error> {
        let absent = match self.absent(&mut stop).await {
            Err(RunError::Stopped) => return Ok(()),
            absent => absent?,
        };
        let identity = self.identified()?;
        let connected = self.connect().await?;
        let label = identity.label.clone();
        let claim = Arc::new(ReceiptOwnership::new(&identity, &label));
        let queue = Queue::for_node().map_err(RunError::from)?;
        let role = FleetRole::Node(consumer);
        let engine = self.engine(connected, claim, label, queue, absent, role)?;
        Ok(engine.work(stop).await?)
    }
}
