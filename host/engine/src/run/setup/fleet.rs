//! A pipeline on several machines: one leads, and nodes do its fetches.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{Pipeline, export::LABEL};
use crate::{
    recover::ReceiptOwnership,
    run::{FleetRole, RunError, RunReport, backlog::owed},
};
use recording_host_model::{Error, Event, Events};
use recording_host_state::{
    Journal, JournaledLedger, Queue, QueueError,
    fleet::{FetchConsumer, FetchPublisher, FleetMember, Leadership},
    ledger::Report as _,
};

/// How often a node that stands by makes the changes that the leader has stored.
const FOLLOW: Duration = Duration::from_secs(1);
/// How long a node waits after a failure before it tries again.
const AGAIN: Duration = Duration::from_secs(5);
/// The failures that a node survives that does not follow its source. Servers that are unavailable are one only after
/// they were tried for long.
const MOST_FAILURES: u32 = 5;
/// How long a ledger that this process has used before may take to be let go.
const LETS_GO: Duration = Duration::from_secs(10);
/// How often a leader looks whether a snapshot is due.
const LOOK: Duration = Duration::from_secs(10);
/// The changes to a ledger between two snapshots.
const SNAPSHOT_EVERY: u64 = 20_000;

impl Pipeline {
    /// Runs the export on several machines: each of them runs a pipeline with the same source and sinks in the same
    /// fleet. One of them leads; all of them do fetches. A run ends on each machine when nothing is left to do.
    #[must_use]
    pub fn fleet(mut self, member: Arc<dyn FleetMember>) -> Self {
        self.fleet = Some(member);
        self
    }

    /// Has the nodes of a fleet do the fetches; this pipeline searches, keeps the queue, and files what they
    /// report. At any time one process alone may run the export so.
    // Hidden: a part of `fleet`.
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
        stop: watch::Receiver<bool>,
    ) -> Result<(), Error> {
        let label = self.identified()?.label;
        Ok(self.work_for(&label, consumer, stop).await?)
    }

    /// The same for an export that is called `label` in keys.
    async fn work_for(
        self,
        label: &str,
        consumer: Arc<dyn FetchConsumer>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), RunError> {
        let absent = match self.absent(&mut stop).await {
            Err(RunError::Stopped) => return Ok(()),
            absent => absent?,
        };
        let identity = self.identified()?;
        let connected = self.connect().await?;
        let claim = Arc::new(ReceiptOwnership::new(&identity, label));
        let queue = Queue::for_node()?;
        let kept = (Arc::new(queue.clone()) as _, Arc::new(queue) as _);
        let role = FleetRole::Node(consumer);
        let engine = self.engine(connected, claim, label.to_owned(), kept, absent, role)?;
        engine.work(stop).await
    }

    /// Runs the export as a machine of a fleet: it does fetches, stands by, and leads when no other machine does.
    pub(super) async fn run_in_fleet(
        self,
        fleet: Arc<dyn FleetMember>,
        stop: watch::Receiver<bool>,
    ) -> Result<RunReport, RunError> {
        let export = self.identified()?.label;
        let journal = fleet.journal(&export).await?;
        let (known, label) = watch::channel(None);
        let (halt, halted) = watch::channel(false);
        let drain = self.drain.clone();
        let mut working = pin!(self.clone().keep_working(Arc::clone(&fleet), label, halted));
        let (mut waiting, mut worked) = (stop.clone(), false);
        let leading = self.stand_by_and_lead(&*fleet, &export, journal, stop, &known);
        let mut leading = pin!(leading);
        let led = loop {
            tokio::select! {
                led = &mut leading => break led,
                ended = &mut working, if !worked => match ended {
                    // It drains, and so does the rest.
                    Ok(()) => worked = true,
                    Err(error) => return Err(error),
                },
            }
        };
        if !worked {
            // A node that drains ends the fetches that it has; any other gives them back.
            let drains = *drain.borrow() && !*waiting.borrow();
            if drains {
                tokio::select! {
                    ended = &mut working => return ended.and(led),
                    () = turned(&mut waiting) => {}
                }
            }
            halt.send_replace(true);
            working.await?;
        }
        led
    }

    /// Does fetches of the fleet until `halted` turns true; begins when it is known how the export is called.
    async fn keep_working(
        self,
        fleet: Arc<dyn FleetMember>,
        mut label: watch::Receiver<Option<String>>,
        mut halted: watch::Receiver<bool>,
    ) -> Result<(), RunError> {
        let named = tokio::select! {
            named = name_of(&mut label) => named,
            () = turned(&mut halted) => return Ok(()),
        };
        // Nobody will say.
        let Some(label) = named else { return Ok(()) };
        let mut failures = Failures::new(&self);
        loop {
            let ended = async {
                let consumer = fleet.consumer(&self.name).await?;
                let node = self.clone();
                node.work_for(&label, consumer, halted.clone()).await
            };
            match ended.await {
                Ok(()) => return Ok(()),
                Err(error) => failures.note(error)?,
            }
            tokio::select! {
                () = sleep(AGAIN) => {}
                () = turned(&mut halted) => return Ok(()),
            }
        }
    }

    /// Stands by until this machine leads, and then leads to the end of the export, or of the lead.
    async fn stand_by_and_lead(
        self,
        fleet: &dyn FleetMember,
        export: &str,
        journal: Arc<dyn Journal>,
        mut stop: watch::Receiver<bool>,
        known: &watch::Sender<Option<String>>,
    ) -> Result<RunReport, RunError> {
        let mut failures = Failures::new(&self);
        loop {
            let leadership = tokio::select! {
                leads = self.wait_for_lead(fleet, &mut failures) => leads?,
                never = self.follow_leader(export, &journal, known) => match never {},
                () = self.is_to_end(&mut stop) => return Err(RunError::Stopped),
            };
            let ended = self.lead_until(&*leadership, &journal, &mut stop, known);
            match ended.await {
                // Whoever ends before the work does leaves it to the others at once.
                Ok(Some(report)) if report.ended_early().is_some() || self.is_ending(&stop) => {
                    leadership.resign().await;
                    return Ok(report);
                }
                Ok(Some(report)) => return Ok(report.led_by(leadership)),
                Ok(None) => {}
                Err(error) if error.is_lead_lost() => {
                    self.warn("another node leads the export; this one stands by");
                }
                Err(error) => {
                    leadership.resign().await;
                    return Err(error);
                }
            }
        }
    }

    async fn wait_for_lead(
        &self,
        fleet: &dyn FleetMember,
        failures: &mut Failures<'_>,
    ) -> Result<Box<dyn Leadership>, RunError> {
        loop {
            match fleet.lead(&self.name).await {
                Ok(leadership) => return Ok(leadership),
                Err(error) => failures.note(error.into())?,
            }
            sleep(AGAIN).await;
        }
    }

    /// Returns true if this node is to stop, or to drain.
    fn is_ending(&self, stop: &watch::Receiver<bool>) -> bool {
        *stop.borrow() || *self.drain.borrow()
    }

    /// Returns when that is so: then others lead.
    async fn is_to_end(&self, stop: &mut watch::Receiver<bool>) {
        let mut drain = self.drain.clone();
        tokio::select! {
            () = turned(stop) => {}
            () = turned(&mut drain) => {}
        }
    }

    /// Leads until the export ends; none if the lead has ended before.
    async fn lead_until(
        &self,
        leadership: &dyn Leadership,
        journal: &Arc<dyn Journal>,
        stop: &mut watch::Receiver<bool>,
        known: &watch::Sender<Option<String>>,
    ) -> Result<Option<RunReport>, RunError> {
        let mut pipeline = self.clone().lead(leadership.publisher());
        pipeline.journal = Some(Arc::clone(journal));
        pipeline.label = Some(known.clone());
        let (halt, halted) = watch::channel(false);
        // One that drains hands the lead on.
        pipeline.drain = watch::channel(false).1;
        let mut running = pin!(pipeline.run_when_let_go(halted));
        tokio::select! {
            reason = leadership.ended() => {
                self.warn(&format!(
                    "this node leads the export no longer: {reason}; it stands by"
                ));
                return Ok(None);
            }
            report = &mut running => return report.map(Some),
            () = self.is_to_end(stop) => {}
        }
        halt.send_replace(true);
        tokio::select! {
            _ = leadership.ended() => Err(RunError::Stopped),
            report = running => report.map(Some),
        }
    }

    /// Runs the export once the ledger that this process has used before is free.
    async fn run_when_let_go(self, stop: watch::Receiver<bool>) -> Result<RunReport, RunError> {
        let began = Instant::now();
        loop {
            match self.clone().run_here(stop.clone()).await {
                Err(RunError::Queue(QueueError::Locked(_))) if began.elapsed() < LETS_GO => {
                    sleep(Duration::from_millis(100)).await;
                }
                ended => return ended,
            }
        }
    }

    /// Makes the changes to the ledger that the leader has stored, as long as this is awaited: whoever leads next then
    /// has nearly all of them.
    async fn follow_leader(
        &self,
        export: &str,
        journal: &Arc<dyn Journal>,
        known: &watch::Sender<Option<String>>,
    ) -> Infallible {
        let mut told = None;
        loop {
            let Err(error) = self.try_follow_leader(export, journal, known).await;
            let text = format!("this node does not follow the leader: {error}");
            if !matches!(error, QueueError::Locked(_)) && told.as_ref() != Some(&text) {
                self.warn(&text);
                told = Some(text);
            }
            sleep(FOLLOW).await;
        }
    }

    async fn try_follow_leader(
        &self,
        export: &str,
        journal: &Arc<dyn Journal>,
        known: &watch::Sender<Option<String>>,
    ) -> Result<Infallible, QueueError> {
        let open = || JournaledLedger::follow_in(&self.data_dir, export, Arc::clone(journal));
        let mut ledger = open().await?;
        loop {
            match ledger.catch_up().await {
                // The leader has just begun the journal with a snapshot, or cut it.
                Err(QueueError::Cut) => {
                    drop(ledger);
                    ledger = open().await?;
                }
                Err(error) => return Err(error),
                Ok(_) => {}
            }
            if self.events.has_subscribers() {
                let progress = ledger.progress().await?;
                self.events.emit(|| Event::Progress(progress));
                self.events.emit(|| Event::StandingBy);
                // Also says that this machine no longer counts the fetches that wait.
                let sinks = self.bindings.iter().map(|binding| &*binding.name);
                let backlog = owed(&ledger.stock().await?, sinks);
                self.events.emit(|| Event::Backlog(backlog));
            }
            if known.borrow().is_none() {
                let label = ledger.meta(LABEL).await?;
                known.send_if_modified(|known| {
                    *known = label;
                    known.is_some()
                });
            }
            sleep(FOLLOW).await;
        }
    }
}

/// Returns once it is true; never if nobody can say so any more.
async fn turned(signal: &mut watch::Receiver<bool>) {
    if signal.wait_for(|it| *it).await.map(drop).is_err() {
        std::future::pending().await
    }
}

/// How the export is called, once that is known; none if nobody will say.
async fn name_of(label: &mut watch::Receiver<Option<String>>) -> Option<String> {
    let known = label.wait_for(Option::is_some).await;
    known.ok().and_then(|known| known.clone())
}

/// The failures that a node has survived.
struct Failures<'a> {
    pipeline: &'a Pipeline,
    count: u32,
}

impl<'a> Failures<'a> {
    fn new(pipeline: &'a Pipeline) -> Self {
        Failures { pipeline, count: 0 }
    }

    /// Tells of a failure that may pass; any other ends the run, and so do too many unless it follows its source.
    fn note(&mut self, error: RunError) -> Result<(), RunError> {
        self.count += 1;
        let passes = matches!(
            &error,
            RunError::Queue(QueueError::Backend(_) | QueueError::NotHeld(_))
                | RunError::Unavailable(_)
        );
        if !passes || (self.count > MOST_FAILURES && !self.pipeline.following) {
            return Err(error);
        }
        self.pipeline.warn(&format!("{error}; trying again"));
        Ok(())
    }
}

/// Stores a snapshot of a journaled ledger whenever enough has changed, as long as this is awaited.
pub(super) async fn keep_snapshots(
    journaled: Option<&JournaledLedger>,
    events: &Events,
) -> Infallible {
    let Some(ledger) = journaled else {
        return std::future::pending().await;
    };
    loop {
        sleep(LOOK).await;
        // It is tried again: until then the journal is longer.
        if let Err(error) = ledger.snapshot_after(SNAPSHOT_EVERY).await {
            events.warn(&format!("no snapshot of the ledger was stored: {error}"));
        }
    }
}
