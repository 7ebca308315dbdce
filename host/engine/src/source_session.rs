//! Asks a source outside of a run: splits are stepped to their end, and nothing is written down.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::run::{
    RunError, is_silent,
    ports::{HttpGateway, SourceRuntime},
    stuck,
};
use recording_host_http::{Patience, Priority, RequestHalt};
use recording_host_model::{
    Event, Events, Next, Note, Purpose, SourceError, Split, SplitInput, Started, Step, clock::Clock,
};

/// How often a step is tried.
const TRIES: u32 = 8;
/// How soon it is noticed that no request is sent any more.
const LOOK: Duration = Duration::from_millis(100);

/// The source, ready to be asked.
#[derive(Clone)]
pub(crate) struct SourceSession {
    pub(crate) source: Arc<dyn SourceRuntime>,
    pub(crate) http: Arc<dyn HttpGateway>,
    pub(crate) clock: Clock,
    pub(crate) events: Events,
    pub(crate) patience: Patience,
    /// True if the source's API has answered once.
    pub(crate) reached: Arc<AtomicBool>,
}

impl SourceSession {
    fn is_hasty(&self) -> bool {
        self.patience.is_hasty(self.reached.load(Ordering::Relaxed))
    }

    /// Where the work for a purpose begins.
    pub(crate) async fn start(&self, purpose: Purpose) -> Result<Started, RunError> {
        let started = self.source.start(purpose, self.clock.now()).await?;
        started.map_err(RunError::from)
    }

    /// Steps splits, and those that come of them, to their end; `take` gets each step.
    pub(crate) async fn all(
        &self,
        mut splits: Vec<Split>,
        take: &mut (dyn FnMut(Step) + Send),
    ) -> Result<(), RunError> {
        let mut seen: BTreeSet<String> = splits.iter().map(|split| split.id.clone()).collect();
        while let Some(split) = splits.pop() {
            let more = self.one(split, take).await?;
            splits.extend(
                more.into_iter()
                    .filter(|split| seen.insert(split.id.clone())),
            );
        }
        Ok(())
    }

    /// Steps a split to its end; returns those that come of it.
    pub(crate) async fn one(
        &self,
        mut split: Split,
        take: &mut (dyn FnMut(Step) + Send),
    ) -> Result<Vec<Split>, RunError> {
        let mut event = SplitInput::Resume;
        let mut splits = Vec::new();
        let (mut tried, mut steps) = (0, 0);
        loop {
            let now = self.clock.now();
            let mut step = match self.source.step(split.state.clone(), event, now).await? {
                Ok(step) => step,
                Err(SourceError::Transient(_)) if tried < TRIES && !self.is_hasty() => {
                    tried += 1;
                    self.clock.sleep(Duration::from_secs(1 << tried)).await;
                    event = SplitInput::Resume;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            tried = 0;
            note(&self.events, &split.kind, &mut step.notes);
            splits.append(&mut step.splits);
            let next = step.next.clone();
            steps = if is_silent(&step) { steps + 1 } else { 0 };
            if let Some(reason) = stuck(&next, steps, now) {
                return Err(RunError::Source(reason));
            }
            take(step);
            match next {
                Next::Send(send) => {
                    split.state = send.state;
                    let sent = self.http.send(&split.kind, Priority::Begin, &send.request);
                    let answer = tokio::select! {
                        answer = sent => answer,
                        halt = halted(&*self.http) => return Err(halt.into()),
                    };
                    // An API that is unavailable itself may stay so.
                    if answer.as_ref().is_ok_and(|answer| answer.status < 500) {
                        self.reached.store(true, Ordering::Relaxed);
                    }
                    event = SplitInput::Response(answer);
                }
                Next::Wait(wait) => {
                    split.state = wait.state;
                    self.clock.sleep_until(wait.until).await;
                    event = SplitInput::Resume;
                }
                Next::Done(_) => return Ok(splits),
            }
        }
    }
}

/// Waits until no request is sent any more for now; says why.
async fn halted(http: &dyn HttpGateway) -> RequestHalt {
    loop {
        if let Some(halt) = http.halted() {
            return halt;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Emits what a source has for the log.
pub(crate) fn note(events: &Events, kind: &str, notes: &mut Vec<Note>) {
    for Note { level, text } in notes.drain(..) {
        events.emit(|| Event::Note {
            kind: kind.to_owned(),
            level,
            text,
        });
    }
}
