//! Tries out the source and the sinks of a pipeline before an export does.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::{join, join_all};
use serde::Serialize;
use tokio::time::{error::Elapsed, timeout};

use super::{Pipeline, RunError};
use crate::examined::Examined;
use recording_host_http::Patience;
use recording_host_model::{Error, Purpose, Update, Verdict};
use recording_host_sink::{Sink, SinkError};

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

/// Tries out a sink once; one that gives no answer in eight seconds is reported so.
pub async fn check_sink(name: &str, sink: &dyn Sink) -> CheckFinding {
    let (state, text) = match timeout(CHECK, sink.check()).await {
        Ok(Ok(health)) => (CheckState::Good, health.found),
        Ok(Err(SinkError { key, reason, .. })) => (CheckState::Bad, format!("{key}: {reason}")),
        Err(_) => (CheckState::Bad, late()),
    };
    CheckFinding {
        subject: format!("sink {name}"),
        state,
        text,
    }
}

impl Pipeline {
    /// Tries out the source and the sinks, all at once and each part once: what gives no answer in
    /// eight seconds is reported so. Nothing is exported.
    ///
    /// # Errors
    /// [`Error`] if the source is not configured right.
    pub async fn check(&self) -> Result<Vec<CheckFinding>, Error> {
        let parts = 1 + self.bindings.len();
        let examined = Examined::new(&self.events, "parts tried", parts);
        let source = async {
            let tried = SourceCheck::default();
            let checked = timeout(CHECK, self.check_source(&tried)).await;
            examined.one();
            tried.findings(checked)
        };
        let sinks = join_all(self.bindings.iter().map(|binding| async {
            let finding = check_sink(&binding.name, &*binding.sink).await;
            examined.one();
            finding
        }));
        let (source, sinks) = join(source, sinks).await;
        let mut findings = source?;
        findings.extend(sinks);
        Ok(findings)
    }

    /// Tries out the source: the first part alone, whose failure is that of all; then the others at once.
    async fn check_source(&self, tried: &SourceCheck) -> Result<(), RunError> {
        let (session, _) = self.session(self.connect().await?, Patience::None);
        let started = session.start(Purpose::Check).await?;
        let session = &session;
        let parts = started.splits.into_iter().enumerate();
        let mut parts = parts.map(|(number, split)| {
            tried.begin(number);
            async move {
                let mut take = |step| tried.take(number, step);
                let ended = session.all(vec![split], &mut take).await;
                let is_well = ended.is_ok();
                tried.end(number, ended);
                is_well
            }
        });
        let Some(first) = parts.next() else {
            return Ok(());
        };
        let others: Vec<_> = parts.collect();
        match first.await {
            true => _ = join_all(others).await,
            // All go the same way: what stops one stops the others, in words that may differ.
            false => tried.end_others(),
        }
        Ok(())
    }
}

/// The state of each part of a source's check, by its number.
#[derive(Default)]
struct SourceCheck {
    parts: Mutex<BTreeMap<usize, PartCheck>>,
}

#[derive(Default)]
struct PartCheck {
    findings: Vec<CheckFinding>,
    ended: Option<Result<(), RunError>>,
}

impl SourceCheck {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, PartCheck>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, number: usize) {
        self.lock().insert(number, PartCheck::default());
    }

    /// Adds what a step has found.
    fn take(&self, number: usize, step: recording_host_model::Step) {
        let mut parts = self.lock();
        let found = &mut parts.entry(number).or_default().findings;
        for update in step.updates {
            if let Update::Finding(one) = update {
                found.push(CheckFinding {
                    subject: one.subject,
                    text: one.text,
                    state: match one.verdict {
                        Verdict::Good => CheckState::Good,
                        Verdict::Doubtful => CheckState::Doubtful,
                        Verdict::Bad => CheckState::Bad,
                    },
                });
            }
        }
    }

    fn end(&self, number: usize, ended: Result<(), RunError>) {
        self.lock().entry(number).or_default().ended = Some(ended);
    }

    /// Ends what has not been tried.
    fn end_others(&self) {
        for part in self.lock().values_mut() {
            part.ended.get_or_insert(Ok(()));
        }
    }

    /// What was found, in the order of the parts, and why there is not more: each reason once.
    fn findings(
        self,
        checked: Result<Result<(), RunError>, Elapsed>,
    ) -> Result<Vec<CheckFinding>, RunError> {
        let parts = self.parts.into_inner();
        let parts = parts.unwrap_or_else(PoisonError::into_inner);
        let all = parts.len();
        let open = parts.values().filter(|part| part.ended.is_none()).count();
        let (mut found, mut reasons) = (Vec::new(), Vec::new());
        let mut reason = |error: RunError| match error {
            error @ (RunError::Options(_) | RunError::Config(_)) => Err(error),
            error => {
                let text = error.to_string();
                if !reasons.contains(&text) {
                    reasons.push(text);
                }
                Ok(())
            }
        };
        for part in parts.into_values() {
            found.extend(part.findings);
            if let Some(Err(error)) = part.ended {
                reason(error)?;
            }
        }
        match checked {
            Ok(ended) => ended.or_else(&mut reason)?,
            Err(_) if open == all => reasons.push(late()),
            Err(_) => reasons.push(format!("{open} of its {all} parts gave {}", late())),
        }
        found.extend(reasons.into_iter().map(|text| CheckFinding {
            subject: "source".to_owned(),
            state: CheckState::Bad,
            text,
        }));
        Ok(found)
    }
}
