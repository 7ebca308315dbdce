//! The answers of a pipeline without running: how far it is, the size, requests and duration of its export,
//! and whether its archive is complete.

use std::sync::Arc;

use super::{Loss, Pipeline, RunError, ms, setup::Connected};
use crate::{
    dry_run::{self, DryRun},
    plan::{self, Plan},
    privacy::Intake,
    receipt,
    reconcile::{ReconcileReport, reconcile},
    recover::ReceiptOwnership,
    source_session::SourceSession,
};
use recording_host_http::{Downloads, Patience};
use recording_host_model::{Error, TimeRange};
use recording_host_state::{Ledger, Status};

impl Pipeline {
    /// The status of the queue, whoever works on it; none if there is no queue yet.
    ///
    /// # Errors
    /// [`Error`] if the queue cannot be read.
    pub async fn status(&self) -> Result<Option<Status>, Error> {
        match self.open_read_only(&self.identified()?).await? {
            Some((queue, _)) => {
                let mut status = queue.status().await?;
                let now = self.clock.now();
                status.paused_until = status.paused_until.filter(|until| *until > now);
                Ok(Some(status))
            }
            None => Ok(None),
        }
    }

    /// The keys of objects that this export has stored in the sink `name` and is still to file; none of another
    /// export, which a change of the configuration may have made of it: nobody may file those any more.
    ///
    /// # Errors
    /// [`Error`] if the queue cannot be read.
    pub async fn not_filed(&self, name: &str) -> Result<Vec<String>, Error> {
        match self.open_read_only(&self.identified()?).await? {
            Some((queue, _)) => Ok(queue.not_filed(name.to_owned()).await?),
            None => Ok(Vec::new()),
        }
    }

    /// The conversations of which recordings are unavailable, at most so many; none if there is no
    /// queue yet.
    ///
    /// # Errors
    /// [`Error`] if the queue cannot be read.
    pub async fn losses(&self, most: usize) -> Result<Vec<Loss>, Error> {
        let Some((queue, _)) = self.open_read_only(&self.identified()?).await? else {
            return Ok(Vec::new());
        };
        let losses = queue.losses(most, false).await?.into_iter();
        let loss = |(conversation, code, message)| Loss {
            conversation,
            code,
            message,
        };
        Ok(losses.map(loss).collect())
    }

    /// Estimates the size, requests and duration of the export. No media are moved and nothing is written.
    ///
    /// # Errors
    /// [`Error`] if the source cannot be asked.
    pub async fn plan(&self) -> Result<Plan, Error> {
        let connected = self.connect().await?;
        let (fetch_size, per_minute) = (connected.fetch_size, connected.requests_per_minute);
        let (session, downloads) = self.session(connected, Patience::OnceReached);
        let range = self.range();
        Ok(plan::plan(&session, range, fetch_size, per_minute, &downloads).await?)
    }

    /// Says what a run would fetch, and under which keys the sinks would get it. The source is searched and
    /// asked for nothing that costs; nothing is written.
    ///
    /// # Errors
    /// [`Error`] if the source cannot be asked, the queue cannot be read, or a run would be refused since it is
    /// an older copy.
    pub async fn dry_run(&self) -> Result<DryRun, Error> {
        let identity = self.identified()?;
        let opened = self.open_read_only(&identity).await?;
        if let Some((queue, label)) = &opened {
            let claim = ReceiptOwnership::new(&identity, label);
            let last = queue.last_segment().await?;
            for binding in &self.bindings {
                match receipt::refuse_later(binding, &claim, last).await {
                    Err(error) if !error.retryable => return Err(RunError::Sink(error).into()),
                    // A sink that is away now is no matter of a dry run.
                    _ => {}
                }
            }
        }
        let ledger = opened.as_ref().map(|(queue, _)| queue as &dyn Ledger);
        let (session, _) = self.session(self.connect().await?, Patience::OnceReached);
        let intake = Intake::new(self.source.privacy.clone());
        let range = self.range();
        Ok(dry_run::dry_run(&session, range, ledger, &self.bindings, &intake).await?)
    }

    /// Asks the source for its conversations again and compares them with the receipts.
    ///
    /// # Errors
    /// [`Error`] if the source or a sink cannot be read.
    pub async fn reconcile(&self) -> Result<ReconcileReport, Error> {
        let (session, _) = self.session(self.connect().await?, Patience::Usual);
        let identity = self.identified()?;
        let label = match self.open_read_only(&identity).await? {
            Some((_, label)) => label,
            None => identity.label.clone(),
        };
        let claim = ReceiptOwnership::new(&identity, &label);
        Ok(reconcile(
            &session,
            self.range(),
            &claim,
            ms(self.source.late),
            &self.bindings,
        )
        .await?)
    }

    pub(super) fn session(
        &self,
        connected: Connected,
        patience: Patience,
    ) -> (SourceSession, Downloads) {
        let session = SourceSession {
            source: connected.source,
            http: Arc::new(connected.http.with_patience(patience)),
            clock: self.clock,
            events: self.events.clone(),
            patience,
            reached: Arc::default(),
        };
        (session, connected.downloads)
    }

    /// The interval; one that is not over ends now, and an open one where a run would search up to now.
    fn range(&self) -> TimeRange {
        let now = self.clock.now();
        let interval = &self.source.interval;
        let until = match interval.until {
            None => now.saturating_sub(ms(self.source.follow.settle)),
            // One that has not begun is the source's to refuse.
            Some(until) if interval.from < now => until.min(now),
            Some(until) => until,
        };
        TimeRange {
            from: interval.from,
            until: until.max(interval.from),
        }
    }
}
