//! Divides a batch that is too much for one job into halves.

use recording_source_sdk::{OutcomeResult, Split, SplitKind, Step};

use super::{Batch, Phase};
use crate::{
    options::Options,
    outcome::{TOO_LARGE, failure},
};

impl Batch {
    /// Submits each half by itself, down to the one conversation that is too much by itself.
    pub(super) fn divide(mut self, code: &str, message: String, options: &Options) -> Step {
        if self.wanted().len() < 2 {
            let failure = failure(code, message);
            let outcomes = self.outcomes(|_| OutcomeResult::Failed(failure.clone()));
            let mut step = Step::then(self.finished(options));
            step.outcomes = outcomes;
            return step;
        }
        if let Some(renewing) = &mut self.renewing {
            // A renewal continues in this split: its artifacts belong to it.
            let mut second = renewing.split_off(renewing.len() / 2);
            self.to_renew.append(&mut second);
            self.phase = Phase::Unsubmitted;
            return Step::then(self.ask(options));
        }
        let halves = self.halves();
        let mut step = Step::then(self.done());
        step.splits = halves;
        step
    }

    /// The two halves of the batch.
    pub(super) fn halves(&self) -> Vec<Split> {
        let mut first = self.conversations.clone();
        let second = first.split_off(first.len() / 2);
        vec![self.part("0", first), self.part("1", second)]
    }

    /// Some of the conversations, as a batch of its own.
    pub(super) fn part(&self, name: &str, conversations: Vec<String>) -> Split {
        let mut recorded = self.recorded.clone();
        recorded.retain(|id| conversations.contains(id));
        let mut part = Batch::new(format!("{}.{name}", self.id), conversations, recorded);
        part.attempts = self.attempts;
        part.absent = self.absent.clone();
        part.described = self.described.of(&part.conversations);
        let describing = matches!(self.phase, Phase::Describing);
        if describing && !part.described.is_complete(&part.conversations) {
            part.phase = Phase::Describing;
        }
        part.split()
    }

    /// Handles results that are larger than the host accepts in one answer: those of one half may be
    /// smaller.
    pub(super) fn too_large(self, limit: u64, options: &Options) -> Step {
        let text = format!(
            "the results of {} have more than {limit} bytes: each half is submitted separately",
            self.id
        );
        let divided = self.wanted().len() > 1;
        let message = format!("the data about it in the batch API exceed {limit} bytes");
        let mut step = self.divide(TOO_LARGE, message, options);
        if divided {
            step.inform(text);
        }
        step
    }
}
