//! Steps splits, writes down what they yield, and decides what becomes of one that fails.

use std::{collections::HashMap, sync::Arc};

use tokio::{sync::OwnedSemaphorePermit, task::JoinSet};
use tracing::Instrument;

use super::{
    Engine, PATIENCE, RunError,
    answer_room::AnswerRoom,
    in_flight::InFlight,
    links::{PendingArtifact, PendingArtifacts},
    ms, pause,
    ports::{HttpGateway, SourceRuntime},
    splits::is_search,
    suspect::{Suspect, in_turn},
};
use crate::source_session::note;
use recording_host_http::Priority;
use recording_host_model::{
    Artifact, ArtifactResult, Event, Next, Request, RequestError, SourceError, Split, SplitInput,
    Step, clock::Clock,
};
use recording_host_source::SandboxError;
use recording_host_state::{FetchChange, FetchFailure};

/// The outcome of conversations whose source did not answer for too long: it may do so later.
const UNAVAILABLE: &str = "unavailable";

/// How often a step that traps is repeated.
const TRAPS: u32 = 3;

/// How many requests a split may send one after another without a wait and without a result.
const REQUESTS: u32 = 10_000;

/// How many steps a split may take in a run without a result. One that polls each second for a day is
/// within it.
const STEPS: u32 = 100_000;

/// The longest that a split may wait, in milliseconds: nothing of a vendor takes a year.
const LONGEST_WAIT: u64 = 366 * 24 * 3600 * 1000;

/// The input of a split's next step.
pub(super) enum NextInput {
    SplitInput(SplitInput),
    Request(Request),
}

/// The result of a split's steps.
pub(super) struct StepDone {
    split: Split,
    result: Result<Result<Step, SourceError>, SandboxError>,
    /// Why the host refused the last request, if it did.
    refused: Option<String>,
    /// The room of the answer, taken until what came of it is written down.
    room: Option<OwnedSemaphorePermit>,
}

impl Engine {
    pub(super) fn spawn(
        &self,
        steps: &mut JoinSet<StepDone>,
        split: Split,
        suspect: Option<Arc<Suspect>>,
        priority: Priority,
        todo: NextInput,
    ) {
        let stepping = Stepping {
            source: Arc::clone(&self.source),
            http: Arc::clone(&self.http),
            clock: self.clock,
            room: self.answer_room.clone(),
            suspect,
            priority,
        };
        let span = self.spans.of(&split.id, &split.kind);
        let step = async move { stepping.advance(split, todo).await };
        steps.spawn(step.instrument(span));
    }

    /// Writes down what a step yielded and continues with its split.
    pub(super) async fn on_step(
        &self,
        done: StepDone,
        in_flight: &mut InFlight,
        steps: &mut JoinSet<StepDone>,
    ) -> Result<(), RunError> {
        let StepDone {
            split,
            result,
            refused,
            room: _room,
        } = done;
        let mut step = match (result, refused) {
            (Ok(Ok(step)), _) => step,
            (Ok(Err(SourceError::Options(error))), _) => return Err(RunError::Options(error)),
            (Ok(Err(_)), Some(reason)) => return Err(RunError::Source(reason)),
            (Ok(Err(error)), None) => return self.on_source_error(&split, error, in_flight).await,
            (Err(error), _) => return self.on_trap(&split, error, in_flight).await,
        };
        let recovered = in_flight.splits.succeeded(&split.id);
        note(&self.events, &split.kind, &mut step.notes);
        let now = self.clock.now();
        let times = &mut in_flight.job_times;
        times.plan(&split.id, &mut step.next, now, self.budget());
        let idle = in_flight.splits.idled(&split.id, is_silent(&step));
        self.tell_of_return(recovered || idle == 0, now, in_flight);
        let (conversations, outcomes) = (step.conversations.len(), step.outcomes.len());
        let (artifacts, next) = (step.artifacts.clone(), step.next.clone());
        let (taken, late) = (self.intake.step(step), ms(self.late));
        let change = || FetchChange::step(&split.id, &taken, now, late);
        if !self.report_change(&split.id, change, in_flight).await? {
            return Ok(());
        }
        let committed = self.work.commit(split.id.clone(), taken, now, late).await?;
        in_flight.links.committed(&split.id);
        self.events.emit(|| Event::StepCommitted {
            kind: split.kind.clone(),
            conversations,
            artifacts: artifacts.len(),
            outcomes,
        });
        for id in committed.splits {
            in_flight.splits.add(id, now);
        }
        in_flight.discovery.found(committed.wanted > 0);
        let elsewhere = self.take_links(
            &split.id,
            artifacts,
            &committed.artifacts,
            &mut in_flight.links,
        );
        self.write_lost(elsewhere, in_flight).await?;
        if let Some(reason) = stuck(&next, idle, now) {
            return self
                .fail_split(&split, "no-progress", reason, in_flight)
                .await;
        }
        self.continue_split(split, next, in_flight, steps).await
    }

    /// Continues with a split whose step is written down.
    async fn continue_split(
        &self,
        mut split: Split,
        next: Next,
        in_flight: &mut InFlight,
        steps: &mut JoinSet<StepDone>,
    ) -> Result<(), RunError> {
        match next {
            Next::Send(send) => {
                split.state = send.state;
                let priority = in_flight.priority(&split.id);
                let suspect = in_flight.held.suspect(&split.id);
                let todo = NextInput::Request(send.request);
                self.spawn(steps, split, suspect, priority, todo);
            }
            Next::Wait(wait) => {
                in_flight.splits.resume_at(split.id, wait.until);
            }
            Next::Done(_) => self.on_split_done(&split.id, in_flight).await?,
        }
        Ok(())
    }

    /// Queues the downloads of artifacts that are `wanted`, with the sinks that take them; none for all. Returns those
    /// for sinks that this node's configuration lacks: the leader brings them there.
    fn take_links(
        &self,
        split: &str,
        artifacts: Vec<Artifact>,
        wanted: &HashMap<String, Option<Vec<String>>>,
        links: &mut PendingArtifacts,
    ) -> Vec<ArtifactResult> {
        let mut elsewhere = Vec::new();
        for artifact in artifacts {
            let key = artifact.key.to_text();
            let to: Vec<usize> = match wanted.get(&key) {
                None => continue,
                Some(None) => (0..self.bindings.len()).collect(),
                // Those that are away are owed it.
                Some(Some(takers)) => self.indexes(takers).collect(),
            };
            if let (true, Some(Some(takers))) = (to.is_empty(), wanted.get(&key)) {
                elsewhere.push(ArtifactResult::owed(key, takers.clone()));
                continue;
            }
            links.obtained(split, &key);
            let span = self.spans.artifact(split, &key);
            links.add(PendingArtifact::new(artifact, split, to).with_span(span));
        }
        elsewhere
    }

    async fn on_split_done(&self, id: &str, in_flight: &mut InFlight) -> Result<(), RunError> {
        // It cannot obtain what was requested of it and not obtained so far.
        let lost = in_flight.links.done(id).into_iter();
        let lost: Vec<ArtifactResult> = lost
            .map(|artifact| {
                ArtifactResult::failed(artifact, "no-link", "the source returned no new link")
            })
            .collect();
        self.write_lost(lost, in_flight).await?;
        // An earlier run may have had links that this one has not.
        let pending = self.ledger.pending(id.to_owned()).await?;
        in_flight.links.want(id, pending);
        self.spans.done(id);
        let was_search = in_flight.splits.done(id);
        // There is room for another fetch, and after a search what is left is gathered.
        in_flight.discovery.found(true);
        if was_search && !in_flight.splits.is_searching() {
            self.ledger.searched_all(self.clock.now()).await?;
        }
        Ok(())
    }

    /// Tells of the end of an outage that was long, if `is_back`.
    fn tell_of_return(&self, is_back: bool, now: u64, in_flight: &mut InFlight) {
        if is_back && let Some(lasted) = in_flight.splits.outage_over(now) {
            let seconds = lasted / 1000;
            self.warn(&format!("the source is available again after {seconds} s"));
        }
    }

    /// Decides what becomes of a split whose source returned an error.
    async fn on_source_error(
        &self,
        split: &Split,
        error: SourceError,
        in_flight: &mut InFlight,
    ) -> Result<(), RunError> {
        let text = error.to_string();
        in_flight.splits.answered(&split.id);
        match error {
            SourceError::Transient(_) => {
                let now = self.clock.now();
                let (since, failures) = in_flight.splits.failed(&split.id, now);
                if now.saturating_sub(since) < ms(PATIENCE) || self.following {
                    let due = now + pause(failures);
                    // The first few are nothing to worry anybody, once anything has worked.
                    let lasts = in_flight.splits.outage_to_tell(now);
                    if in_flight.splits.is_first_failure() || failures == 4 {
                        self.warn(&format!("{}: {text}; retrying", split.kind));
                    } else if let Some(lasts) = lasts {
                        self.warn(&format!(
                            "{}: {text}; the source has been unavailable for {} minutes, retrying",
                            split.kind,
                            lasts / 60_000
                        ));
                    }
                    in_flight.splits.resume_at(split.id.clone(), due);
                    return Ok(());
                }
                self.fail_split(split, UNAVAILABLE, text, in_flight).await
            }
            SourceError::Gone(_) => self.fail_split(split, "gone", text, in_flight).await,
            SourceError::Permanent(_) => self.fail_split(split, "refused", text, in_flight).await,
            SourceError::Auth(_)
            | SourceError::Forbidden(_)
            | SourceError::Options(_)
            | SourceError::IncompatibleState(_) => Err(RunError::Source(text)),
        }
    }

    /// Decides what becomes of a split whose component failed.
    async fn on_trap(
        &self,
        split: &Split,
        error: SandboxError,
        in_flight: &mut InFlight,
    ) -> Result<(), RunError> {
        let now = self.clock.now();
        let traps = in_flight.splits.on_trap(&split.id);
        if traps < TRAPS {
            let due = now + pause(traps);
            in_flight.splits.resume_at(split.id.clone(), due);
            return Ok(());
        }
        if is_search(&split.id) {
            return Err(error.into());
        }
        self.fail_split(split, "component-failed", error.to_string(), in_flight)
            .await
    }

    /// Lets go of a fetch: its conversations have failed. A search cannot be done without.
    pub(super) async fn fail_split(
        &self,
        split: &Split,
        code: &str,
        reason: String,
        in_flight: &mut InFlight,
    ) -> Result<(), RunError> {
        if is_search(&split.id) {
            return Err(match code {
                UNAVAILABLE => RunError::Unavailable(reason),
                _ => RunError::Source(reason),
            });
        }
        in_flight.job_times.forget(&split.id);
        let lost = in_flight.links.abandon(&split.id).into_iter();
        let lost = lost.map(|artifact| ArtifactResult::failed(artifact, code, &reason));
        self.write_lost(lost.collect(), in_flight).await?;
        let mut message = reason.clone();
        self.intake.message(&mut message);
        let failure = FetchFailure {
            code: code.to_owned(),
            message,
            retryable: code == UNAVAILABLE,
            // Whatever it is about one of them that cannot be dealt with, the others are without it.
            divisible: code != UNAVAILABLE,
        };
        let now = self.clock.now();
        let change = || FetchChange::abandoned(&split.id, &failure, now);
        if !self.report_change(&split.id, change, in_flight).await? {
            return Ok(());
        }
        let again = self.ledger.abandon(split.id.clone(), failure, now).await?;
        match again {
            0 => self.warn(&format!("{}: failed: {reason}", split.kind)),
            _ => self.warn(&format!(
                "{}: failed: {reason}; its {again} conversations are fetched again, half as many together",
                split.kind
            )),
        }
        self.on_split_done(&split.id, in_flight).await
    }
}

/// The parts of the engine that step a split.
struct Stepping {
    source: Arc<dyn SourceRuntime>,
    http: Arc<dyn HttpGateway>,
    clock: Clock,
    room: AnswerRoom,
    suspect: Option<Arc<Suspect>>,
    priority: Priority,
}

impl Stepping {
    /// Steps a split until there is something to write down.
    async fn advance(&self, mut split: Split, mut todo: NextInput) -> StepDone {
        let mut requests = 0;
        loop {
            let mut refused = None;
            let event = match todo {
                NextInput::SplitInput(event) => event,
                NextInput::Request(request) => {
                    requests += 1;
                    let answer = self.http.send(&split.kind, self.priority, &request).await;
                    if let Err(RequestError::Refused(reason)) = &answer {
                        refused = Some(reason.clone());
                    }
                    SplitInput::Response(answer)
                }
            };
            // In its turn, so that none has room while it waits for that.
            let step = async {
                let room = self.room.take(&event).await;
                let now = self.clock.now();
                let step = self.source.step(split.state.clone(), event, now);
                (step.await, room)
            };
            let suspect = self.suspect.as_deref();
            let (step, room) = in_turn(suspect, None, &split.id, step).await;
            let result = match step {
                Ok(Ok(step)) if is_silent(&step) && step.notes.is_empty() => match step.next {
                    Next::Send(_) if requests >= REQUESTS => {
                        let reason = format!(
                            "the component sent {requests} requests one after another and reported nothing"
                        );
                        refused = None;
                        Ok(Err(SourceError::Permanent(reason)))
                    }
                    Next::Send(send) => {
                        split.state = send.state;
                        todo = NextInput::Request(send.request);
                        continue;
                    }
                    _ => Ok(Ok(step)),
                },
                result => result,
            };
            return StepDone {
                split,
                result,
                refused,
                room,
            };
        }
    }
}

/// Returns true if a step has no result, whatever it has for the log.
pub(crate) fn is_silent(step: &Step) -> bool {
    step.conversations.is_empty()
        && step.artifacts.is_empty()
        && step.outcomes.is_empty()
        && step.splits.is_empty()
        && step.updates.is_empty()
}

/// The reason to give up a split that has taken so many steps without a result; none if it may continue.
pub(crate) fn stuck(next: &Next, steps: u32, now: u64) -> Option<String> {
    match next {
        Next::Done(_) => None,
        Next::Wait(wait) if wait.until.saturating_sub(now) > LONGEST_WAIT => {
            Some("the component waits for more than a year".to_owned())
        }
        _ if steps > STEPS => Some(format!(
            "the component took {steps} steps one after another and reported nothing"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use recording_host_model::{SplitState, Wait};

    #[test]
    fn a_split_that_never_ends_is_told_from_one_that_is_slow() {
        let state = || SplitState {
            version: 1,
            data: Vec::new(),
        };
        let wait = |until| {
            Next::Wait(Wait {
                until,
                state: state(),
                job: None,
            })
        };
        assert_eq!(stuck(&wait(1000), STEPS, 0), None);
        assert!(stuck(&wait(1000), STEPS + 1, 0).is_some());
        assert!(stuck(&wait(u64::MAX), 0, 0).is_some());
        assert_eq!(stuck(&Next::Done(state()), u32::MAX, 0), None);
    }
}
