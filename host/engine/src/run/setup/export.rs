//! Which export it is, and the queue that knows it.

use std::sync::Arc;

use futures_util::{FutureExt as _, TryFutureExt as _};
use tokio::sync::watch;

use super::Pipeline;
use crate::{
    identity::{self, ExportIdentity, label_before},
    recover::{ReceiptOwnership, RecoverError, recover},
    run::RunError,
};
use recording_host_model::{Error, OriginRole, Purpose};
use recording_host_sink::Store;
use recording_host_state::{JournaledLedger, Ledger, Queue, QueueError, WorkQueue};

/// The names under which a queue keeps what it is a queue of.
pub(in crate::run) const IDENTITY: &str = "identity";
const FORM: &str = "form";
pub(super) const LABEL: &str = "label";

/// The ledger of an export.
pub(super) struct OpenedLedger {
    pub(super) ledger: Arc<dyn Ledger>,
    /// Its splits.
    pub(super) work: Arc<dyn WorkQueue>,
    /// The same ledger, if its changes are stored in the journal of a fleet.
    pub(super) journaled: Option<JournaledLedger>,
    /// True if it knows all that receipts prove.
    pub(super) ready: bool,
    /// What it is called in keys.
    pub(super) label: String,
    /// The differences from other exports of the source that have a queue in `data_dir`, in words.
    pub(super) others: Vec<String>,
}

impl Pipeline {
    /// The identity of the export.
    ///
    /// # Errors
    /// [`Error`] if the component fails, or refuses its options.
    pub fn identity(&self) -> Result<ExportIdentity, Error> {
        Ok(self.identified()?)
    }

    /// Takes over what receipts of the same export prove: the queue before this one is lost.
    pub(super) async fn recover(
        &self,
        ledger: &dyn Ledger,
        claim: &ReceiptOwnership,
        absent: &[String],
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), RunError> {
        let present = self
            .bindings
            .iter()
            .filter(|binding| !absent.contains(&binding.name));
        let stores: Vec<(&str, &dyn Store)> = present
            .filter_map(|binding| Some((binding.name.as_str(), binding.sink.store()?)))
            .collect();
        let taken = self
            .patiently(stop, || {
                let recovered =
                    recover(ledger, claim, &stores, self.days.as_ref(), self.clock.now());
                let recovered = recovered.map_err(|error| match error {
                    RecoverError::Sink(error) => RunError::Sink(error),
                    RecoverError::Queue(error) => RunError::Queue(error),
                });
                recovered.boxed()
            })
            .await?;
        if taken > 0 {
            self.warn(&format!(
                "the queue is new: {taken} conversations that the receipts prove are not fetched again"
            ));
        }
        self.patiently(stop, || self.introduce(ledger, absent).boxed())
            .await?;
        Ok(ledger.set_ready().await?)
    }

    pub(in crate::run) fn identified(&self) -> Result<ExportIdentity, RunError> {
        let descriptor = self.component.describe()?;
        let options = self.source.options.to_string();
        let started = self
            .component
            .start(&options, &Purpose::Check, self.clock.now())?
            .map_err(RunError::from)?;
        let origins = started.origins.iter();
        let api: Vec<&str> = origins
            .filter(|origin| origin.role == OriginRole::Api)
            .map(|origin| origin.url.as_str())
            .collect();
        let schema = &descriptor.options_schema;
        let source = &self.source;
        let (text, form, label) =
            identity::source(&self.name, &api, &source.options, schema, &source.privacy);
        if let Some(days) = &self.days {
            let label = days.label(&label);
            return Ok(ExportIdentity {
                label_before: label.clone(),
                text,
                form,
                label,
            });
        }
        Ok(ExportIdentity {
            text,
            form,
            label,
            label_before: label_before(
                &self.name,
                &identity::by_former_names(&source.options, schema),
                &self.source.interval,
                &self.bindings,
                &self.source.privacy,
            ),
        })
    }

    /// Opens the export's queue for reading, whoever works on it; says what it is called in keys.
    pub(in crate::run) async fn open_read_only(
        &self,
        identity: &ExportIdentity,
    ) -> Result<Option<(Queue, String)>, RunError> {
        for name in [&identity.label, &identity.label_before] {
            if let Some(queue) = Queue::open_read_only(&self.data_dir, name)? {
                let label = queue.meta(LABEL).await?;
                return Ok(Some((queue, label.unwrap_or_else(|| name.clone()))));
            }
        }
        Ok(None)
    }

    /// Opens the export's queue, or makes it. One that an earlier version of the program named
    /// otherwise is taken over, and keeps its name in keys.
    pub(super) async fn open(&self, identity: &ExportIdentity) -> Result<OpenedLedger, RunError> {
        let (folder, name) = (&self.data_dir, &identity.label);
        let before = &identity.label_before;
        self.refuse_overlap(name)?;
        let new = !Queue::is_there(folder, name) && !Queue::is_there(folder, before);
        if !Queue::is_there(folder, name) && Queue::is_there(folder, before) {
            let (queue, _) = Queue::open(folder, before)?;
            self.remember(&queue, identity, before).await?;
            queue.take_over(self.searched_before()).await?;
            queue.rename(folder, before, name)?;
        }
        let others = match new {
            true => self.others(identity).await?,
            false => Vec::new(),
        };
        let mut opened = self.open_ledger(name).await?;
        opened.others = others;
        match opened.ledger.meta(IDENTITY).await? {
            None => self.remember(&*opened.ledger, identity, name).await?,
            Some(known) if known == identity.text => {}
            Some(known) => {
                let differs = identity::differences(&known, &identity.text).join("; ");
                return Err(RunError::Host(format!(
                    "the queue {name} in {} is of another export: {differs}; use another `data_dir`",
                    folder.display()
                )));
            }
        }
        if let Some(label) = opened.ledger.meta(LABEL).await? {
            opened.label = label;
        }
        Ok(opened)
    }

    async fn open_ledger(&self, name: &str) -> Result<OpenedLedger, RunError> {
        let opened = |ledger, work, journaled, ready| OpenedLedger {
            ledger,
            work,
            journaled,
            ready,
            label: name.to_owned(),
            others: Vec::new(),
        };
        let Some(journal) = &self.journal else {
            let (queue, ready) = Queue::open(&self.data_dir, name)?;
            if queue.is_journaled().await? {
                let path = self.data_dir.join(format!("{name}.sqlite"));
                return Err(RunError::Config(format!(
                    "{} is the queue of a fleet, and the configuration has no `cluster`: put the key back, or, if the fleet has ended for good, move the queue away and run again; what the receipts in the sinks prove is not fetched again",
                    path.display()
                )));
            }
            return Ok(opened(
                Arc::new(queue.clone()),
                Arc::new(queue),
                None,
                ready,
            ));
        };
        let ledger = JournaledLedger::lead_in(&self.data_dir, name, Arc::clone(journal)).await?;
        let ready = ledger.is_ready().await?;
        Ok(opened(
            Arc::new(ledger.clone()),
            Arc::new(ledger.clone()),
            Some(ledger),
            ready,
        ))
    }

    async fn remember(
        &self,
        queue: &dyn Ledger,
        identity: &ExportIdentity,
        label: &str,
    ) -> Result<(), QueueError> {
        for (name, value) in [
            (IDENTITY, identity.text.as_str()),
            (FORM, identity.form.as_str()),
            (LABEL, label),
        ] {
            queue.set_meta(name.to_owned(), value.to_owned()).await?;
        }
        Ok(())
    }

    /// The range that an earlier version has searched that did not say so: the interval that gave the
    /// queue its name.
    fn searched_before(&self) -> (u64, Option<u64>) {
        let interval = &self.source.interval;
        (interval.from, interval.until)
    }

    /// How this export differs from others of the source that have a queue in `data_dir`, in words.
    async fn others(&self, identity: &ExportIdentity) -> Result<Vec<String>, RunError> {
        let mut reported = Vec::new();
        for name in Queue::names(&self.data_dir, &identity.label)? {
            let path = self.data_dir.join(format!("{name}.sqlite"));
            let path = path.display();
            match Queue::open_read_only(&self.data_dir, &name) {
                Ok(Some(queue)) => {
                    if let Some(known) = queue.meta(IDENTITY).await?
                        && known != identity.text
                    {
                        let differs = identity::differences(&known, &identity.text).join("; ");
                        reported.push(format!("another export than that of {path}: {differs}"));
                    }
                }
                Err(QueueError::NotMigrated(_)) => reported.push(format!(
                    "{path} was written by an earlier version of this program for another configuration: if it is this export, run it once as it was configured then, so that it is continued"
                )),
                // Whatever else is the matter with another export's queue is no matter of this one.
                Ok(None) | Err(_) => {}
            }
        }
        Ok(reported)
    }
}
