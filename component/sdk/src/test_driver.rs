//! Runs a source natively, to the end, against answers that a test supplies.

use std::collections::{BTreeMap, HashSet};

use crate::{
    Artifact, Conversation, ConversationRef, Event, Fetch, NOT_ENDED, Next, Note, Outcome,
    OutcomeResult, Purpose, Request, RequestResult, Source, SourceError, Split, Started, Timestamp,
    Update,
};

/// A run of a source without wasm, network or waiting: time jumps to the next split that is due.
#[derive(Debug)]
pub struct TestDriver {
    options: String,
    /// The run's clock, in milliseconds since the epoch.
    pub now: Timestamp,
    /// The answer of `start`.
    pub started: Started,
    /// Splits still to step, by the time at which they are due and then by id.
    pub open: BTreeMap<(Timestamp, String), Split>,
    /// The ids of all splits so far.
    pub known: HashSet<String>,
    /// Splits that are done, with the state that a `refresh` begins with.
    pub done: Vec<Split>,
    /// Every request sent, in order.
    pub requests: Vec<Request>,
    /// Every conversation found, in order.
    pub conversations: Vec<Conversation>,
    /// Every artifact handed over, in order.
    pub artifacts: Vec<Artifact>,
    /// Every outcome, in order.
    pub outcomes: Vec<Outcome>,
    /// Everything learned about the conversations and recordings found, in order.
    pub updates: Vec<Update>,
    /// Every line for the log, in order.
    pub notes: Vec<Note>,
    /// Conversations whose recordings have not been requested yet.
    pub wanted: Vec<ConversationRef>,
    /// The ids of all conversations whose recordings have been wanted: once is enough.
    had: HashSet<String>,
    /// The number of times that recordings have been requested.
    pub fetches: usize,
}

impl TestDriver {
    /// Starts a run of `S` at `now`.
    ///
    /// # Errors
    /// The error of the source's `start`.
    pub fn start<S: Source>(
        options: &str,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Self, SourceError> {
        let started = S::start(options, purpose, now)?;
        let mut drive = TestDriver {
            options: options.to_owned(),
            now,
            open: BTreeMap::new(),
            known: HashSet::new(),
            done: Vec::new(),
            requests: Vec::new(),
            conversations: Vec::new(),
            artifacts: Vec::new(),
            outcomes: Vec::new(),
            updates: Vec::new(),
            notes: Vec::new(),
            wanted: Vec::new(),
            had: HashSet::new(),
            fetches: 0,
            started: started.clone(),
        };
        drive.add(started.splits);
        Ok(drive)
    }

    /// Steps every split until all are done, asking `respond` for each answer, and fetches the
    /// recordings of the conversations found, as a host would.
    ///
    /// # Errors
    /// The first error that the source returns.
    pub fn run<S: Source>(
        &mut self,
        mut respond: impl FnMut(&Request, Timestamp) -> RequestResult,
    ) -> Result<(), SourceError> {
        loop {
            let size = self.started.fetch_size.max(1) as usize;
            if self.wanted.len() >= size || (self.open.is_empty() && !self.wanted.is_empty()) {
                let rest = self.wanted.split_off(self.wanted.len().min(size));
                let fetch = Fetch {
                    name: format!("fetch-{}", self.fetches),
                    conversations: std::mem::replace(&mut self.wanted, rest),
                };
                self.fetches += 1;
                let started = S::start(&self.options, Purpose::Fetch(fetch), self.now)?;
                self.add(started.splits);
            }
            let Some(((due, _), split)) = self.open.pop_first() else {
                return Ok(());
            };
            self.now = self.now.max(due);
            self.finish::<S>(split, Event::Resume, &mut respond)?;
        }
    }

    /// Steps one split with `event`, and continues while it sends requests, until it waits or is done.
    ///
    /// # Errors
    /// The first error that a step returns.
    pub fn finish<S: Source>(
        &mut self,
        mut split: Split,
        mut event: Event,
        respond: &mut impl FnMut(&Request, Timestamp) -> RequestResult,
    ) -> Result<(), SourceError> {
        loop {
            let mut step = S::step(&self.options, split.state.clone(), event, self.now)?;
            // As the host does in the end: a conversation in progress is fetched like every other.
            step.outcomes.retain(|outcome| !goes_on(outcome));
            let settled: HashSet<&str> = step
                .outcomes
                .iter()
                .map(|outcome| outcome.conversation.as_str())
                .collect();
            for found in &step.conversations {
                if !settled.contains(found.id.as_str()) && self.had.insert(found.id.clone()) {
                    self.wanted.push(ConversationRef {
                        id: found.id.clone(),
                        start: found.start,
                        recorded: found.recorded,
                    });
                }
            }
            self.conversations.extend(step.conversations);
            self.artifacts.extend(step.artifacts);
            self.outcomes.extend(step.outcomes);
            self.updates.extend(step.updates);
            self.notes.extend(step.notes);
            self.add(step.splits);
            match step.next {
                Next::Send(send) => {
                    split.state = send.state;
                    event = Event::Response(respond(&send.request, self.now));
                    self.requests.push(send.request);
                }
                Next::Wait(wait) => {
                    split.state = wait.state;
                    self.open
                        .insert((wait.until.max(self.now), split.id.clone()), split);
                    return Ok(());
                }
                Next::Done(state) => {
                    split.state = state;
                    self.done.push(split);
                    return Ok(());
                }
            }
        }
    }

    fn add(&mut self, splits: Vec<Split>) {
        for split in splits {
            if self.known.insert(split.id.clone()) {
                self.open.insert((self.now, split.id.clone()), split);
            }
        }
    }
}

/// Returns true if an outcome says that its conversation has not ended.
fn goes_on(outcome: &Outcome) -> bool {
    matches!(&outcome.result, OutcomeResult::Failed(failure) if failure.code == NOT_ENDED)
}
