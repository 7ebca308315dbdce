//! The answers of a pipeline without running: how far it is, what it will take, whether it would work,
//! and whether its archive is complete.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::{join, join_all};
use serde::Serialize;
use tokio::time::timeout;

use super::{Loss, Pipeline, RunError, ms, setup::Connected};
use crate::{
    dry_run::{self, DryRun},
    examined::Examined,
    plan::{self, Plan},
    privacy::Intake,
    reconcile::{Reconciled, reconcile},
    recover::Claim,
    source_session::SourceSession,
};
use recording_host_http::{Downloads, Patience};
use recording_host_model::{Error, Purpose, TimeRange, Update, Verdict};
use recording_host_sink::SinkError;
use recording_host_state::Status;

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckFinding {
    /// The subject of the check.
    pub subject: String,
    /// How it is.
    pub state: CheckState,
    /// The result, and how to fix it if it is not good.
    pub text: String,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckState {
    /// As it should be.
    Good,
    /// It works, but not as well as it might.
    Doubtful,
    /// An export would fail, or lack something.
    Bad,
}

/// How long a part of a check may take.
const CHECK: Duration = Duration::from_secs(8);

/// The text about a part that gave no answer.
fn late() -> String {
    format!("no answer in {} s", CHECK.as_secs())
}

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

    /// Says what the export will take. No media are moved and nothing is written.
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
    /// [`Error`] if the source cannot be asked, or the queue cannot be read.
    pub async fn dry_run(&self) -> Result<DryRun, Error> {
        let (session, _) = self.session(self.connect().await?, Patience::OnceReached);
        let queue = self
            .open_read_only(&self.identified()?)
            .await?
            .map(|(queue, _)| queue);
        let intake = Intake::new(self.source.privacy.clone());
        let range = self.range();
        Ok(dry_run::dry_run(&session, range, queue.as_ref(), &self.bindings, &intake).await?)
    }

    /// Tries out the source and the sinks, all at once and each part once: what gives no answer in
    /// eight seconds is reported so. Nothing is exported.
    ///
    /// # Errors
    /// [`Error`] if the source is not configured right.
    pub async fn check(&self) -> Result<Vec<CheckFinding>, Error> {
        let findings = Mutex::new(Vec::new());
        let parts = 1 + self.bindings.len();
        let examined = Examined::new(&self.events, "parts tried", parts);
        let source = async {
            let bad = |text: String| CheckFinding {
                subject: "source".to_owned(),
                state: CheckState::Bad,
                text,
            };
            let checked = timeout(CHECK, self.check_source(&findings)).await;
            examined.one();
            match checked {
                Ok(Ok(())) => Ok(None),
                Ok(Err(error @ (RunError::Options(_) | RunError::Config(_)))) => Err(error),
                Ok(Err(error)) => Ok(Some(bad(error.to_string()))),
                Err(_) => Ok(Some(bad(late()))),
            }
        };
        let sinks = join_all(self.bindings.iter().map(|binding| async {
            let (state, text) = match timeout(CHECK, binding.sink.check()).await {
                Ok(Ok(health)) => (CheckState::Good, health.found),
                Ok(Err(SinkError { key, reason, .. })) => {
                    (CheckState::Bad, format!("{key}: {reason}"))
                }
                Err(_) => (CheckState::Bad, late()),
            };
            examined.one();
            CheckFinding {
                subject: format!("sink {}", binding.name),
                state,
                text,
            }
        }));
        let (source, sinks) = join(source, sinks).await;
        let mut findings = findings
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        findings.extend(source?);
        findings.extend(sinks);
        Ok(findings)
    }

    /// Tries out the source, and adds what it finds.
    async fn check_source(&self, findings: &Mutex<Vec<CheckFinding>>) -> Result<(), RunError> {
        let (session, _) = self.session(self.connect().await?, Patience::None);
        let started = session.start(Purpose::Check).await?;
        let mut take = |step: recording_host_model::Step| {
            let mut findings = findings.lock().unwrap_or_else(PoisonError::into_inner);
            for update in step.updates {
                if let Update::Finding(found) = update {
                    findings.push(CheckFinding {
                        subject: found.subject,
                        text: found.text,
                        state: match found.verdict {
                            Verdict::Good => CheckState::Good,
                            Verdict::Doubtful => CheckState::Doubtful,
                            Verdict::Bad => CheckState::Bad,
                        },
                    });
                }
            }
        };
        session.all(started.splits, &mut take).await
    }

    /// Asks the source for its conversations again and compares them with the receipts.
    ///
    /// # Errors
    /// [`Error`] if the source or a sink cannot be read.
    pub async fn reconcile(&self) -> Result<Reconciled, Error> {
        let (session, _) = self.session(self.connect().await?, Patience::Usual);
        let identity = self.identified()?;
        let label = match self.open_read_only(&identity).await? {
            Some((_, label)) => label,
            None => identity.label.clone(),
        };
        let claim = Claim::new(&identity, &label);
        Ok(reconcile(
            &session,
            self.range(),
            &claim,
            ms(self.source.late),
            &self.bindings,
        )
        .await?)
    }

    fn session(&self, connected: Connected, patience: Patience) -> (SourceSession, Downloads) {
        let session = SourceSession {
            source: connected.source,
            answers: Arc::new(connected.http.with_patience(patience)),
            clock: self.clock,
            events: self.events.clone(),
            patience,
            reached: Arc::default(),
        };
        (session, connected.downloads)
    }

    /// The interval; an open one ends where a run would search up to now.
    fn range(&self) -> TimeRange {
        let latest = self
            .clock
            .now()
            .saturating_sub(ms(self.source.follow.settle));
        let interval = &self.source.interval;
        TimeRange {
            from: interval.from,
            until: interval.until.unwrap_or(latest).max(interval.from),
        }
    }
}
