//! Steps splits, writes down what they yield, and decides what becomes of one that fails.

use std::{collections::HashMap, sync::Arc};

use tokio::task::JoinSet;

use super::{
    PATIENCE, Run, RunError,
    live::{FIND, Link, Live},
    ms,
    parts::{Answers, Steps},
    pause,
};
use crate::ask::note;
use recording_host_model::{
    Artifact, ArtifactContents, ArtifactResult, Event, Next, Request, RequestError, SourceError,
    Split, SplitInput, Step, clock::Clock,
};
use recording_host_source::SandboxError;
use recording_host_state::Abandoned;

/// What became of conversations whose source did not answer for too long: it may do so later.
const UNAVAILABLE: &str = "unavailable";

/// How often a step that traps is repeated.
const TRAPS: u32 = 3;

/// What a split is stepped with next.
pub(super) enum Todo {
    SplitInput(SplitInput),
    Request(Request),
}

/// What came of a split's steps.
pub(super) struct Stepped {
    split: Split,
    result: Result<Result<Step, SourceError>, SandboxError>,
    /// Why the host refused the last request, if it did.
    refused: Option<String>,
}

impl Run {
    pub(super) fn spawn(&self, steps: &mut JoinSet<Stepped>, split: Split, todo: Todo) {
        let (source, answers) = (Arc::clone(&self.source), Arc::clone(&self.answers));
        let clock = self.clock;
        steps.spawn(async move { advance(&*source, &*answers, clock, split, todo).await });
    }

    /// Writes down what a step yielded and goes on with its split.
    pub(super) async fn stepped(
        &self,
        stepped: Stepped,
        live: &mut Live,
        steps: &mut JoinSet<Stepped>,
    ) -> Result<(), RunError> {
        let Stepped {
            mut split,
            result,
            refused,
        } = stepped;
        let mut step = match (result, refused) {
            (Ok(Ok(step)), _) => step,
            (Ok(Err(SourceError::Options(error))), _) => return Err(RunError::Options(error)),
            (Ok(Err(_)), Some(reason)) => return Err(RunError::Source(reason)),
            (Ok(Err(error)), None) => return self.failed(&split, error, live).await,
            (Err(error), _) => return self.trapped(&split, error, live).await,
        };
        live.failures.remove(&split.id);
        live.traps.remove(&split.id);
        live.asked.remove(&split.id);
        note(&self.events, &split.kind, &mut step.notes);
        let now = self.clock.now();
        let late = ms(self.late);
        let committed = self
            .queue
            .commit(split.id.clone(), self.intake.step(step.clone()), now, late)
            .await?;
        self.events.emit(|| Event::StepCommitted {
            kind: split.kind.clone(),
            conversations: step.conversations.len(),
            artifacts: step.artifacts.len(),
            outcomes: step.outcomes.len(),
        });
        for id in committed.splits {
            live.add(id, now);
        }
        live.wanted |= committed.wanted > 0;
        self.links(&split.id, step.artifacts, &committed.artifacts, live);
        match step.next {
            Next::Send(send) => {
                split.state = send.state;
                self.spawn(steps, split, Todo::Request(send.request));
            }
            Next::Wait(wait) => {
                live.due.insert((wait.until, split.id));
            }
            Next::Done(_) => self.done(&split.id, live).await?,
        }
        Ok(())
    }

    /// Queues the downloads of artifacts that are `wanted`, with the sinks that take them; none for all.
    fn links(
        &self,
        split: &str,
        artifacts: Vec<Artifact>,
        wanted: &HashMap<String, Option<Vec<String>>>,
        live: &mut Live,
    ) {
        for artifact in artifacts {
            let key = artifact.key.to_text();
            let to: Vec<usize> = match wanted.get(&key) {
                None => continue,
                Some(None) => (0..self.outputs.len()).collect(),
                // Those that are away are owed it.
                Some(Some(takers)) => self.places(takers).collect(),
            };
            for stale in [&mut live.stale, &mut live.renewing] {
                if let Some(keys) = stale.get_mut(split) {
                    keys.retain(|known| *known != key);
                }
            }
            if to.is_empty() || !live.fetching.insert(key) {
                continue;
            }
            live.links.push_back(Link {
                artifact,
                split: split.to_owned(),
                to,
                owed: Vec::new(),
                took: Vec::new(),
                contents: ArtifactContents::default(),
                occupied: Vec::new(),
                is_last: false,
            });
        }
        live.stale.retain(|_, keys| !keys.is_empty());
    }

    async fn done(&self, id: &str, live: &mut Live) -> Result<(), RunError> {
        // What it was asked for and did not obtain, it cannot.
        let lost = live.renewing.remove(id).unwrap_or_default();
        let lost: Vec<ArtifactResult> = lost
            .into_iter()
            .filter(|key| !live.fetching.contains(key))
            .map(|artifact| {
                ArtifactResult::failed(artifact, "no-link", "the source gave no fresh link")
            })
            .collect();
        if !lost.is_empty() {
            self.commit_results(lost).await?;
        }
        // An earlier run may have had links that this one has not.
        let mut pending = self.queue.pending(id.to_owned()).await?;
        pending.retain(|key| !live.fetching.contains(key));
        if !pending.is_empty() {
            let stale = live.stale.entry(id.to_owned()).or_default();
            pending.retain(|key| !stale.contains(key));
            stale.append(&mut pending);
        }
        let search = live.finding.contains(id);
        live.done(id);
        // There is room for another fetch, and after a search what is left is gathered.
        live.wanted = true;
        if search {
            self.searched(live).await?;
        }
        Ok(())
    }

    /// Decides what becomes of a split whose source returned an error.
    async fn failed(
        &self,
        split: &Split,
        error: SourceError,
        live: &mut Live,
    ) -> Result<(), RunError> {
        let text = source_error(&error);
        live.traps.remove(&split.id);
        match error {
            SourceError::Transient(_) => {
                let now = self.clock.now();
                let (since, failures) = live.failures.entry(split.id.clone()).or_insert((now, 0));
                *failures += 1;
                let patience = u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX);
                if now.saturating_sub(*since) < patience || self.following {
                    let wait = pause(*failures);
                    // The first few are nothing to worry anybody.
                    if *failures == 4 {
                        self.warn(&format!("{}: {text}; trying on", split.kind));
                    }
                    live.due.insert((now + wait, split.id.clone()));
                    return Ok(());
                }
                self.give_up(split, UNAVAILABLE, text, live).await
            }
            SourceError::Gone(_) => self.give_up(split, "gone", text, live).await,
            SourceError::Permanent(_) => self.give_up(split, "refused", text, live).await,
            SourceError::Auth(_)
            | SourceError::Forbidden(_)
            | SourceError::Options(_)
            | SourceError::IncompatibleState(_) => Err(RunError::Source(text)),
        }
    }

    /// Decides what becomes of a split whose component failed.
    async fn trapped(
        &self,
        split: &Split,
        error: SandboxError,
        live: &mut Live,
    ) -> Result<(), RunError> {
        let now = self.clock.now();
        let traps = live.traps.entry(split.id.clone()).or_default();
        *traps += 1;
        if *traps < TRAPS {
            live.due.insert((now + pause(*traps), split.id.clone()));
            return Ok(());
        }
        if split.id.starts_with(FIND) {
            return Err(error.into());
        }
        self.give_up(split, "component-failed", error.to_string(), live)
            .await
    }

    /// Lets go of a fetch: its conversations have failed. A search cannot be done without.
    async fn give_up(
        &self,
        split: &Split,
        code: &str,
        reason: String,
        live: &mut Live,
    ) -> Result<(), RunError> {
        if split.id.starts_with(FIND) {
            return Err(RunError::Source(reason));
        }
        // Downloads under way come to their own end.
        let mut lost = live.stale.remove(&split.id).unwrap_or_default();
        lost.extend(live.renewing.remove(&split.id).unwrap_or_default());
        lost.retain(|key| !live.fetching.contains(key));
        let lost = lost.into_iter();
        let lost = lost.map(|artifact| ArtifactResult::failed(artifact, code, &reason));
        self.commit_results(lost.collect()).await?;
        let mut message = reason.clone();
        self.intake.message(&mut message);
        let failure = Abandoned {
            code: code.to_owned(),
            message,
            passing: code == UNAVAILABLE,
            // Whatever it is about one of them that cannot be dealt with, the others are without it.
            divisible: code != UNAVAILABLE,
        };
        let now = self.clock.now();
        let again = self.queue.abandon(split.id.clone(), failure, now).await?;
        match again {
            0 => self.warn(&format!("{}: failed: {reason}", split.kind)),
            _ => self.warn(&format!(
                "{}: failed: {reason}; its {again} conversations are fetched again, half as many together",
                split.kind
            )),
        }
        self.done(&split.id, live).await
    }
}

/// Steps a split until there is something to write down.
async fn advance(
    source: &dyn Steps,
    answers: &dyn Answers,
    clock: Clock,
    mut split: Split,
    mut todo: Todo,
) -> Stepped {
    loop {
        let mut refused = None;
        let event = match todo {
            Todo::SplitInput(event) => event,
            Todo::Request(request) => {
                let answer = answers.send(&split.kind, &request).await;
                if let Err(RequestError::Refused(reason)) = &answer {
                    refused = Some(reason.clone());
                }
                SplitInput::Response(answer)
            }
        };
        match source.step(split.state.clone(), event, clock.now()).await {
            Ok(Ok(Step {
                next: Next::Send(send),
                conversations,
                artifacts,
                outcomes,
                splits,
                updates,
                notes,
            })) if conversations.is_empty()
                && artifacts.is_empty()
                && outcomes.is_empty()
                && splits.is_empty()
                && updates.is_empty()
                && notes.is_empty() =>
            {
                split.state = send.state;
                todo = Todo::Request(send.request);
            }
            result => {
                return Stepped {
                    split,
                    result,
                    refused,
                };
            }
        }
    }
}

/// A source's error in words.
pub fn source_error(error: &SourceError) -> String {
    match error {
        SourceError::Options(error) => format!("option {}: {}", error.path, error.message),
        SourceError::Auth(text) => format!("the log-in failed: {text}"),
        SourceError::Forbidden(permission) => {
            format!(
                "a permission is missing: {permission}; give it to whom the source's `auth` names"
            )
        }
        SourceError::Gone(text) => format!("gone: {text}"),
        SourceError::Transient(text) | SourceError::Permanent(text) => text.clone(),
        SourceError::IncompatibleState(version) => format!(
            "the queue was written by another version of the component (state {version}); finish with that one, or begin anew with an empty data_dir"
        ),
    }
}
