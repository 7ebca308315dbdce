//! Sets a run up: from a source's configuration and its sinks to a [`Engine`].

mod controls;
mod export;
mod fleet;
mod login;
mod sinks;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{sync::watch, time::Instant};

use super::{
    Concurrency, Engine, FleetRole, Interval, RunError, RunReport, RunSummary, SourceConfig,
    answer_room::AnswerRoom, context::context, ports::Sandboxed, spans::WorkSpans,
};
use crate::{
    privacy::Intake,
    recover::ReceiptOwnership,
    repair::RepairReport,
    shard::Days,
    transfer::{ArchiveMode, SinkBinding, Transfer},
};
use recording_host_http::{ClientError, Downloads, Limiters, SourceHttp, Throttle};
use recording_host_model::{Error, Events, OriginRole, Purpose, Subscriber, clock::Clock};
use recording_host_sink::Sink;
use recording_host_source::{SourceComponent, Trace};
use recording_host_state::{
    Journal, JournaledLedger, Ledger, WorkQueue,
    fleet::{FetchPublisher, FleetMember},
};

pub(super) use sinks::checked;

/// An export from one source to some sinks.
#[derive(Clone)]
pub struct Pipeline {
    name: String,
    pub(super) source: SourceConfig,
    component: SourceComponent,
    pub(super) bindings: Vec<SinkBinding>,
    pub(super) data_dir: PathBuf,
    pub(super) clock: Clock,
    concurrency: Concurrency,
    pub(super) events: Events,
    trace: Option<Trace>,
    following: bool,
    retry_lost: bool,
    search_again: bool,
    refill: BTreeSet<String>,
    repair: bool,
    limiters: Limiters,
    throttle: Throttle,
    drain: watch::Receiver<bool>,
    /// The days that it exports of its interval, if not all.
    days: Option<Days>,
    /// The fleet that it is part of, if there is one.
    fleet: Option<Arc<dyn FleetMember>>,
    /// The nodes that do its fetches, if this pipeline leads them.
    publisher: Option<Arc<dyn FetchPublisher>>,
    /// Where the changes to its ledger are stored for others, if they are.
    journal: Option<Arc<dyn Journal>>,
    /// Is told how the export is called in keys, once that is known.
    label: Option<watch::Sender<Option<String>>>,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline")
            .field("name", &self.name)
            .field("component", &self.component)
            .field("bindings", &self.bindings)
            .finish_non_exhaustive()
    }
}

/// The way to a source's API: requests are authenticated and limited as those of a run are.
#[derive(Debug)]
pub struct VendorApi {
    /// Makes the requests.
    pub http: SourceHttp,
    /// The origin of the API.
    pub origin: String,
    /// The clock of the pipeline.
    pub clock: Clock,
}

impl Pipeline {
    /// An export from the source `name`, whose queue is in `data_dir`.
    #[must_use]
    pub fn new(
        name: &str,
        source: SourceConfig,
        component: SourceComponent,
        data_dir: &Path,
    ) -> Self {
        Pipeline {
            name: name.to_owned(),
            source,
            component,
            bindings: Vec::new(),
            data_dir: data_dir.to_owned(),
            clock: Clock::default(),
            concurrency: Concurrency::default(),
            events: Events::default(),
            trace: None,
            following: false,
            retry_lost: false,
            search_again: false,
            refill: BTreeSet::new(),
            repair: false,
            limiters: Limiters::default(),
            throttle: Throttle::default(),
            drain: watch::channel(false).1,
            days: None,
            fleet: None,
            publisher: None,
            journal: None,
            label: None,
        }
    }

    /// Shares the rate limits of credentials with other pipelines that are given the same `limiters`.
    #[must_use]
    pub fn limiters(mut self, limiters: &Limiters) -> Self {
        self.limiters = limiters.clone();
        self
    }

    /// Adds a sink, which gets everything that the source yields.
    #[must_use]
    pub fn sink(self, name: &str, sink: Arc<dyn Sink>, zip: ArchiveMode) -> Self {
        self.bind(SinkBinding {
            zip,
            ..SinkBinding::new(name, sink)
        })
    }

    /// Adds a sink that wants its rows in a way of its own.
    #[must_use]
    pub fn bind(mut self, binding: SinkBinding) -> Self {
        self.bindings.push(binding);
        self
    }

    /// Drops the sinks that it has, so that others can take their place.
    #[must_use]
    pub fn without_sinks(mut self) -> Self {
        self.bindings.clear();
        self
    }

    /// Uses another clock than the real one.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Bounds what is under way at once.
    #[must_use]
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// Has a subscriber watch what happens: runs, and what plans, checks and reconciliations are told.
    #[must_use]
    pub fn subscribe(mut self, subscriber: Arc<dyn Subscriber>) -> Self {
        self.events = self.events.with(subscriber);
        self
    }

    /// Writes down every step of the component, with all that the source's API answers. A source
    /// whose [`Privacy`](crate::privacy::Privacy) takes values out refuses to run so.
    #[must_use]
    pub fn record(mut self, trace: Trace) -> Self {
        self.trace = Some(trace);
        self
    }

    /// Runs until stopped and exports new conversations as they end; the interval must have an open end.
    #[must_use]
    pub fn follow(mut self) -> Self {
        self.following = true;
        self
    }

    /// Takes up again the conversations that earlier runs filed with a loss.
    #[must_use]
    pub fn retry_lost(mut self) -> Self {
        self.retry_lost = true;
        self
    }

    /// Searches the whole interval once more, though it has been searched: what is new or more than
    /// it was is fetched.
    #[must_use]
    pub fn search_again(mut self) -> Self {
        self.search_again = true;
        self
    }

    /// Fills a sink with all that it lacks, though it is another one than the export was filed in: it
    /// was moved or emptied.
    #[must_use]
    pub fn refill(mut self, sink: &str) -> Self {
        self.refill.insert(sink.to_owned());
        self
    }

    /// Compares the sinks with their receipts, object by object, and puts right what is not as it should
    /// be: from another sink where one has it, else from the source.
    #[must_use]
    pub fn repair(mut self) -> Self {
        self.repair = true;
        self
    }

    /// The names of its sinks.
    #[must_use]
    pub fn sinks(&self) -> Vec<String> {
        let bindings = self.bindings.iter();
        bindings.map(|binding| binding.name.clone()).collect()
    }

    /// The source's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs the export to its end.
    ///
    /// # Errors
    /// [`Error`]; another run of the same export resumes from there.
    pub async fn run(self) -> Result<RunSummary, Error> {
        // The sender must outlive the run: without it the receiver would be told of its end.
        let (_running, stop) = watch::channel(false);
        self.run_until(stop).await
    }

    /// Runs the export to its end, or until `stop` turns true: then downloads under way come to their
    /// end, for at most 20 seconds. One that follows its source ends well so; any other ends with an error
    /// of the kind [`Stopped`](recording_host_model::ErrorKind::Stopped). To end it at once, drop the future. Either way nothing is lost, and
    /// the next run resumes. The losses in the summary count as named.
    ///
    /// # Errors
    /// [`Error`]; another run of the same export resumes from there.
    pub async fn run_until(self, stop: watch::Receiver<bool>) -> Result<RunSummary, Error> {
        self.run_to_report(stop).await?.named().await
    }

    /// [`Self::run_until`] for a caller that tells somebody else of the losses: they count as named once
    /// it says so.
    ///
    /// # Errors
    /// [`Error`]; another run of the same export resumes from there.
    pub async fn run_to_report(self, stop: watch::Receiver<bool>) -> Result<RunReport, Error> {
        Ok(match self.fleet.clone() {
            Some(fleet) => self.run_in_fleet(fleet, stop).await?,
            None => self.run_here(stop).await?,
        })
    }

    /// Runs the export with the ledger that this process has.
    async fn run_here(self, mut stop: watch::Receiver<bool>) -> Result<RunReport, RunError> {
        let began = Instant::now();
        let absent = self.absent(&mut stop).await?;
        let (run, journaled) = self.set_up(absent, &mut stop).await?;
        let ended = tokio::select! {
            ended = run.run_and_repair(&stop) => ended,
            never = fleet::keep_snapshots(journaled.as_ref(), &run.events) => match never {},
        };
        let (repaired, ended_early) = match ended {
            Ok(repaired) => (repaired, None),
            // That is how an export without an end ends.
            Err(RunError::Stopped) if run.following => (RepairReport::default(), None),
            // There is nothing to report of an export that is another node's.
            Err(error) if error.is_lead_lost() => return Err(error),
            Err(error) => (RepairReport::default(), Some(error)),
        };
        let calls = run.http.calls();
        let seconds = began.elapsed().as_secs_f64();
        let mut report = match (
            RunSummary::of(&*run.ledger, calls, seconds).await,
            ended_early,
        ) {
            (Ok(summary), None) => RunReport::new(summary, run.ledger.clone()),
            (Ok(summary), Some(error)) => {
                RunReport::of_early_end(summary, run.ledger.clone(), error.into())
            }
            // A queue that fails has mostly ended the run.
            (Err(_), Some(error)) => return Err(error),
            (Err(error), None) => return Err(error.into()),
        };
        if run.repair && report.ended_early().is_none() {
            report.summary.repaired = Some(repaired);
        }
        Ok(report)
    }

    /// The name of the source's component.
    ///
    /// # Errors
    /// [`Error`] if the component fails.
    pub fn source_type(&self) -> Result<String, Error> {
        Ok(self.component.describe()?.name)
    }

    /// The range of time in which the conversations begin.
    #[must_use]
    pub fn interval(&self) -> &Interval {
        &self.source.interval
    }

    /// The way to the source's API, for commands of its vendor; none if the source has none.
    ///
    /// # Errors
    /// [`Error`] if the source cannot be used.
    #[doc(hidden)]
    pub async fn vendor_api(&self) -> Result<Option<VendorApi>, Error> {
        let connected = self.connect().await?;
        Ok(connected.api.map(|origin| VendorApi {
            http: connected.http,
            origin,
            clock: self.clock,
        }))
    }

    /// Reads the options and makes the way to the vendor's API.
    pub(super) async fn connect(&self) -> Result<Connected, RunError> {
        if self.trace.is_some() && self.source.privacy.is_active() {
            return Err(RunError::Private);
        }
        let descriptor = self.component.describe()?;
        for warning in self.source.warnings(&self.name, &descriptor.options_schema) {
            self.warn(&warning);
        }
        let options: Arc<str> = self.source.options.to_string().into();
        let started = self
            .component
            .start(&options, &Purpose::Check, self.clock.now())?
            .map_err(RunError::from)?;
        let allow = self.source.allowed_origins(&started.origins);
        let login = self
            .login(descriptor.auth, &started.origins, &allow)
            .await?;
        let login = Arc::new(login);
        let limiter = self.limiters.of(
            self.credential(&started.origins),
            descriptor.rate_limit.clone(),
            self.source.limits,
            &self.data_dir,
        );
        let api = started.origins.iter();
        let api = api.filter(|origin| origin.role == OriginRole::Api);
        let api = api.map(|origin| origin.url.clone()).next();
        Ok(Connected {
            fetch_size: started.fetch_size.max(1) as usize,
            requests_per_minute: descriptor
                .rate_limit
                .as_ref()
                .map(|limit| limit.requests_per_minute),
            source: Arc::new(Sandboxed {
                component: self.component.clone(),
                options,
                trace: self.trace.clone(),
            }),
            http: SourceHttp::new(allow.clone(), Arc::clone(&login), limiter, self.clock)
                .and_then(|http| http.with_tls(&self.source.tls))
                .map_err(host)?
                .with_throttle(self.throttle.clone())
                .with_events(self.events.clone()),
            downloads: Downloads::new(allow, login, self.clock)
                .and_then(|downloads| downloads.with_tls(&self.source.tls))
                .map_err(host)?
                .check_etag(self.source.check_etag)
                .with_throttle(self.throttle.clone())
                .with_events(self.events.clone()),
            api,
        })
    }

    async fn set_up(
        self,
        absent: Vec<String>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(Engine, Option<JournaledLedger>), RunError> {
        if self.following && self.source.interval.until.is_some() {
            return Err(RunError::Config(format!(
                "sources.{}.options.interval: it has an end, so there is nothing to follow; give an open one such as 2026-01-01/..",
                self.name
            )));
        }
        let identity = self.identified()?;
        let connected = self.connect().await?;
        let opened = self.open(&identity).await?;
        for other in &opened.others {
            self.warn(&format!(
                "{other}; all of the interval is searched, and what receipts in the sinks prove in the same form is not fetched again"
            ));
        }
        if let Some(label) = &self.label {
            label.send_replace(Some(opened.label.clone()));
        }
        let claim = Arc::new(ReceiptOwnership::new(&identity, &opened.label));
        let ledger = Arc::clone(&opened.ledger);
        if !opened.ready {
            self.recover(&*ledger, &claim, &absent, stop).await?;
        }
        if self.retry_lost {
            ledger.retry_lost(self.clock.now()).await?;
        }
        ledger.retry_passing(self.clock.now()).await?;
        if self.search_again {
            ledger.search_again().await?;
        }
        let fleet = self
            .publisher
            .clone()
            .map_or(FleetRole::Alone, FleetRole::Leader);
        let (label, work) = (opened.label, opened.work);
        let engine = self.engine(connected, claim, label, (ledger, work), absent, fleet)?;
        Ok((engine, opened.journaled))
    }

    /// The engine of a run with a ledger and its splits.
    fn engine(
        self,
        connected: Connected,
        claim: Arc<ReceiptOwnership>,
        label: String,
        (ledger, work): (Arc<dyn Ledger>, Arc<dyn WorkQueue>),
        absent: Vec<String>,
        fleet: FleetRole,
    ) -> Result<Engine, RunError> {
        let transfer = Transfer::new(
            connected.downloads,
            Arc::clone(&ledger),
            self.data_dir.clone(),
        );
        Ok(Engine {
            context: context(&label, &self.source.interval, &self.component)?,
            export: label,
            claim,
            interval: self.source.interval.clone(),
            source: connected.source,
            fetch_size: connected.fetch_size,
            http: Arc::new(connected.http),
            transfer: Arc::new(transfer),
            bindings: self.bindings.into_iter().map(Arc::new).collect(),
            absent,
            refill: self.refill,
            repair: self.repair,
            work,
            ledger,
            fleet,
            intake: Arc::new(Intake::new(self.source.privacy.clone())),
            clock: self.clock,
            concurrency: self.concurrency,
            answer_room: AnswerRoom::default(),
            follow: self.source.follow,
            following: self.following,
            drain: self.drain,
            late: self.source.late,
            confirm: self.source.confirm,
            events: self.events,
            spans: WorkSpans::default(),
        })
    }

    fn warn(&self, text: &str) {
        self.events.warn(text);
    }
}

/// A source and the way to its API.
pub(super) struct Connected {
    pub(super) source: Arc<Sandboxed>,
    pub(super) fetch_size: usize,
    pub(super) requests_per_minute: Option<u32>,
    pub(super) http: SourceHttp,
    pub(super) downloads: Downloads,
    /// The base URL of the vendor's API.
    api: Option<String>,
}

fn host(error: ClientError) -> RunError {
    RunError::Config(error.to_string())
}
