//! The outcomes of the conversations of a job that is over.

use std::collections::{BTreeMap, BTreeSet};

use recording_source_sdk::{Artifact, Missing, Note, OutcomeResult, Step};

use super::Batch;
use crate::{
    api::batch::{Job, JobResult},
    artifact::bundle,
    options::Options,
    outcome::{UNREADABLE, by_state, count, errors, failure, left_out, restoring, result},
    restore,
};

impl Batch {
    /// Hands over everything that a job yielded.
    pub(super) fn finish(mut self, job: &Job, options: &Options) -> Step {
        if job.anonymous > 0 && self.wanted().len() > 1 && self.renewing.is_none() {
            return self.single_out(job.anonymous, options);
        }
        let mut artifacts = self.artifacts(&job.results);
        let mut archived = Vec::new();
        let mut outcomes = match &job.result_url {
            Some(url) => {
                artifacts.push(bundle(&self.id, url.clone()));
                self.outcomes(|_| OutcomeResult::InBundle(self.id.clone()))
            }
            None => {
                let counts = count(&artifacts);
                let mut missing = self.missing(job);
                archived = restore::archived(options, &mut missing, restoring);
                self.outcomes(|id| match result(id, &counts, &missing, None) {
                    OutcomeResult::NoRecording if self.recorded.contains(id) => left_out(),
                    result => result,
                })
            }
        };
        if self.renewing.is_some() {
            outcomes.clear();
            archived.clear();
        }
        let notes = self.strangers(job);
        let restore = restore::begin(&self.id, archived);
        let mut step = Step::then(self.finished(options));
        step.artifacts = artifacts;
        step.outcomes = outcomes;
        step.notes = notes;
        step.splits.extend(restore);
        step
    }

    /// Divides the batch if results do not name their conversation: they may be of any in the batch,
    /// so each half is requested by itself, down to the conversation they are of.
    fn single_out(self, anonymous: u64, options: &Options) -> Step {
        let text = format!(
            "{anonymous} results of {} cannot be read: each half of the batch is submitted separately, to find out which conversations they belong to",
            self.id
        );
        let mut step = self.divide(UNREADABLE, String::new(), options);
        step.warn(text);
        step
    }

    /// Gives up a job that does not end: the files handed over count, and others may be missing.
    pub(super) fn abandon(mut self, job: &Job, code: &str, options: &Options) -> Step {
        let message = format!("the job did not complete in {} attempts", self.attempts);
        let failure = failure(code, message);
        let artifacts = self.artifacts(&job.results);
        let (counts, missing) = (count(&artifacts), errors(&job.results));
        let outcomes = self.outcomes(|id| result(id, &counts, &missing, Some(&failure)));
        let mut step = Step::then(self.finished(options));
        step.artifacts = artifacts;
        step.outcomes = outcomes;
        step
    }

    /// The wanted files among the results, each with its part.
    fn artifacts(&mut self, rows: &[JobResult]) -> Vec<Artifact> {
        let wanted: BTreeSet<&String> = self.wanted().iter().collect();
        let rows = rows.iter();
        let rows: Vec<&JobResult> = rows
            .filter(|row| wanted.contains(&row.conversation_id))
            .collect();
        self.files.artifacts(&rows)
    }

    /// The missing recordings of each conversation: those with an error in the rows, and those that
    /// its metadata list and no row names.
    fn missing(&self, job: &Job) -> BTreeMap<String, Vec<Missing>> {
        let mut missing = errors(&job.results);
        let mut named: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for row in &job.results {
            let of = named.entry(row.conversation_id.as_str()).or_default();
            of.extend(row.recording_id.as_deref());
        }
        for (conversation, known) in self.described.all() {
            let named = named.get(conversation.as_str());
            for recording in known {
                let failure = by_state(&recording.state);
                if !named.is_some_and(|named| named.contains(recording.id.as_str())) {
                    let list = missing.entry(conversation.clone()).or_default();
                    list.push(Missing {
                        recording: Some(recording.id.clone()),
                        failure,
                    });
                    continue;
                }
                let unclear = |one: &&mut Missing| {
                    one.recording.as_ref() == Some(&recording.id)
                        && one.failure.code == "vendor-error"
                };
                let list = missing.get_mut(conversation).into_iter().flatten();
                for one in list.filter(unclear).filter(|_| failure.code != "left-out") {
                    one.failure.code.clone_from(&failure.code);
                    one.failure.retryable = failure.retryable;
                }
            }
        }
        for (conversation, unlisted) in self.described.unlisted() {
            let named = named.get(conversation.as_str()).map_or(0, BTreeSet::len);
            let lacking = unlisted.missing(u32::try_from(named).unwrap_or(u32::MAX));
            let list = missing.entry(conversation.clone()).or_default();
            list.extend(lacking);
        }
        if let (1.., [only]) = (job.anonymous, self.conversations.as_slice()) {
            let message = format!("{} of its results cannot be read", job.anonymous);
            missing.entry(only.clone()).or_default().push(Missing {
                recording: None,
                failure: failure(UNREADABLE, message),
            });
        }
        missing
    }

    fn strangers(&self, job: &Job) -> Vec<Note> {
        let asked: BTreeSet<&String> = self.conversations.iter().collect();
        let strange = job.results.iter();
        let strange = strange
            .filter(|row| !asked.contains(&row.conversation_id))
            .count();
        let note = |strange| {
            Note::warning(format!(
                "{strange} results of {} name no conversation that was asked for",
                self.id
            ))
        };
        (strange > 0).then(|| note(strange)).into_iter().collect()
    }
}

/// Returns true if a job has nothing more to come.
///
/// The `status` decides, where there is one. Without it the counts do, and because the expected count
/// grows while recordings are discovered, they must have been the same at the poll before.
pub(super) fn complete(job: &Job, before: Option<(u64, u64)>, age: u64, options: &Options) -> bool {
    if let Some(status) = &job.status {
        return status.eq_ignore_ascii_case("completed");
    }
    let Some((expected, there)) = job.expected_result_count.zip(job.result_count) else {
        return false;
    };
    let settled = there >= expected && before == Some((expected, there));
    let shown = job.result_url.is_some() || !job.results.is_empty() || job.anonymous > 0;
    settled
        && if there == 0 {
            age >= 3 * options.poll_ms
        } else {
            shown
        }
}
