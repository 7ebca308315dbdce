//! A batch: submit up to a hundred conversations, poll the job, hand over its results.
//!
//! A batch that is too much for one job is divided, down to the one conversation that is too much by
//! itself. `files` decides which file of its recording a link leads to, `end` the outcomes of the
//! conversations when a job is over.

mod divide;
mod end;
mod files;

use std::collections::{BTreeMap, BTreeSet};

use recording_source_sdk::{
    Artifact, ArtifactKey, ConversationRef, Event, Fetch, Job as VendorJob, Next, Outcome,
    OutcomeResult, RequestError, RequestResult, SourceError, Split, SplitKind, Step, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::{
    api::{
        self,
        batch::{self as call, Job, JobResult},
    },
    describe::Described,
    metadata::fnv,
    options::{Mode, Options},
    outcome::{JOB_LOST, JOB_TIMEOUT, NOT_FOUND},
    page::only_metadata,
    patience::Absence,
};
use end::complete;
use files::Files;

/// The time for which a job is trusted to return fresh links: less than the default lifetime of links.
const YOUNG: u64 = 50 * 60_000;
/// The largest state of a batch, in bytes, before it is divided: half of what hosts take.
const MOST_STATE: usize = 128 << 10;

/// How often a finished job is asked for fresh links to the same file before a batch is submitted instead. Once is too
/// few, since a machine may end before it has used those that it was given; hosts ask five times.
const ASKED: usize = 3;
/// Of how many files it is remembered that they are asked for.
const REMEMBERED: usize = 8;

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The state of a batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Batch {
    id: String,
    conversations: Vec<String>,
    /// Those of them that were recorded according to the vendor.
    recorded: BTreeSet<String>,
    phase: Phase,
    /// The number of unsuccessful submissions.
    attempts: u32,
    #[serde(flatten)]
    files: Files,
    /// The conversations that need fresh links, once everything has been handed over.
    renewing: Option<Vec<String>>,
    /// Those that need fresh links after these, since all at once are too many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    to_renew: Vec<String>,
    /// True if the finished job has been asked for fresh links already: for earlier versions.
    asked_again: bool,
    /// How often in a row it was asked for them.
    #[serde(default, skip_serializing_if = "is_zero")]
    times: usize,
    /// Digests of files, not of all, that it was asked for each of these times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    asked: Vec<u64>,
    /// The conversations of the last job, if not all.
    #[serde(default)]
    covered: Option<Vec<String>>,
    /// The job of all conversations, if the last one is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of_all: Option<Submitted>,
    /// The conversations for which the running job has returned something.
    #[serde(default)]
    #[serde(rename = "told")]
    reported: BTreeSet<String>,
    /// The metadata of the recordings, if they are requested.
    #[serde(default)]
    described: Described,
    /// The time since which the job, or the place to submit it to, is not found.
    #[serde(default)]
    absent: Absence,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    Describing,
    Unsubmitted,
    Running {
        job: String,
        since: Timestamp,
        /// The numbers of results expected and present at the last poll.
        counts: Option<(u64, u64)>,
    },
    Finished {
        job: String,
        since: Timestamp,
    },
}

/// A job, and when it was submitted.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Submitted {
    job: String,
    since: Timestamp,
}

/// The initial splits of a fetch.
pub(crate) fn begin(options: &Options, fetch: Fetch) -> Vec<Split> {
    let groups: Vec<&[ConversationRef]> = fetch.conversations.chunks(options.batch_size).collect();
    groups
        .iter()
        .enumerate()
        .map(|(number, group)| {
            let id = match groups.len() {
                1 => fetch.name.clone(),
                _ => format!("{}/{number}", fetch.name),
            };
            let recorded = group.iter().filter(|wanted| wanted.recorded);
            let recorded = recorded.map(|wanted| wanted.id.clone()).collect();
            let all = group.iter().map(|wanted| wanted.id.clone()).collect();
            let mut batch = Batch::new(id, all, recorded);
            if options.recording_metadata {
                batch.phase = Phase::Describing;
            }
            batch.split()
        })
        .collect()
}

/// The report to the host about the job that a batch waits for, with the number of results present.
fn waited_for(since: Timestamp, progress: Option<(u64, u64)>, options: &Options) -> VendorJob {
    VendorJob {
        kind: "batch".to_owned(),
        since,
        done: progress.map(|(done, _)| done),
        total: progress.map(|(_, total)| total),
        latest: since + options.job_timeout_ms,
    }
}

impl Batch {
    fn new(id: String, conversations: Vec<String>, recorded: BTreeSet<String>) -> Self {
        Batch {
            id,
            conversations,
            recorded,
            phase: Phase::Unsubmitted,
            attempts: 0,
            files: Files::default(),
            renewing: None,
            to_renew: Vec::new(),
            asked_again: false,
            times: 0,
            asked: Vec::new(),
            covered: None,
            of_all: None,
            reported: BTreeSet::new(),
            described: Described::default(),
            absent: Absence::default(),
        }
    }

    fn split(self) -> Split {
        let id = self.id.clone();
        self.into_split(id)
    }

    pub(crate) fn step(
        self,
        options: &Options,
        event: Event,
        now: Timestamp,
    ) -> Result<Step, SourceError> {
        match (event, self.phase.clone()) {
            (Event::Refresh(keys), _) => Ok(self.refresh(&keys, options, now)),
            // Its conversations had not ended when their rows were found: there is nothing to request.
            (Event::Resume, phase)
                if options.mode == Mode::MetadataOnly
                    && matches!(phase, Phase::Describing | Phase::Unsubmitted) =>
            {
                let outcomes = self.outcomes(|_| only_metadata());
                let mut step = Step::then(self.done());
                step.outcomes = outcomes;
                Ok(step)
            }
            (Event::Resume, Phase::Finished { .. }) => Ok(Step::then(self.done())),
            (Event::Resume, _) => Ok(Step::then(self.ask(options))),
            (Event::Response(answer), Phase::Describing) => self.describe(answer, options, now),
            (Event::Response(answer), Phase::Unsubmitted) => self.submitted(answer, options, now),
            (Event::Response(answer), Phase::Running { job, since, counts }) => {
                self.polled(answer, &job, since, counts, options, now)
            }
            (Event::Response(_), Phase::Finished { .. }) => Ok(Step::then(self.done())),
        }
    }

    /// The conversations that the batch is about now.
    fn wanted(&self) -> &[String] {
        self.renewing.as_ref().unwrap_or(&self.conversations)
    }

    fn ask(&self, options: &Options) -> Next {
        let request = match &self.phase {
            Phase::Describing => self.described.ask(options, &self.conversations),
            Phase::Unsubmitted => call::submit(options, self.wanted()),
            Phase::Running { job, .. } | Phase::Finished { job, .. } => call::poll(options, job),
        };
        self.send(request)
    }

    fn describe(
        mut self,
        answer: RequestResult,
        options: &Options,
        now: Timestamp,
    ) -> Result<Step, SourceError> {
        let mut step = Step::then(self.done());
        let pace = (now, options.poll_ms);
        let again = self
            .described
            .answered(answer, &self.conversations, pace, &mut step)?;
        if let Some(until) = again {
            step.next = self.wait(until);
            return Ok(step);
        }
        if self.conversations.len() > 1 && self.state().data.len() > MOST_STATE {
            let halves = self.halves();
            step.next = self.done();
            step.splits = halves;
            return Ok(step);
        }
        if self.described.is_complete(&self.conversations) {
            self.phase = Phase::Unsubmitted;
        }
        step.next = self.ask(options);
        Ok(step)
    }

    fn submitted(
        mut self,
        answer: RequestResult,
        options: &Options,
        now: Timestamp,
    ) -> Result<Step, SourceError> {
        let refusal = match api::success(answer)? {
            Ok(response) => {
                self.covered.clone_from(&self.renewing);
                self.reported.clear();
                self.absent.over();
                self.phase = Phase::Running {
                    job: call::job_id(&response)?,
                    since: now,
                    counts: None,
                };
                let next = self.wait_for(waited_for(now, None, options), now + options.poll_ms);
                return Ok(Step::then(next));
            }
            Err(refusal) => refusal,
        };
        if refusal.status == 404 {
            if let Some(until) = self.absent.again(now, options.poll_ms) {
                return Ok(Step::then(self.wait(until)));
            }
            let message = format!("status 404: {}", refusal.message);
            return Ok(self.divide(NOT_FOUND, message, options));
        }
        if refusal.too_many_items() {
            let message = format!("status {}: {}", refusal.status, refusal.message);
            return Ok(self.divide("refused", message, options));
        }
        Err(refusal.into())
    }

    /// Continues after a finished job: with the rest of a renewal, if there is one.
    fn finished(mut self, options: &Options) -> Next {
        // The metadata are no longer needed, and a done split is kept for long.
        self.described = Described::default();
        let mut state = self.state();
        for forget in [Files::forget_the_obvious, Files::forget] {
            if state.data.len() > MOST_STATE {
                forget(&mut self.files);
                state = self.state();
            }
        }
        if self.renewing.is_some() && !self.to_renew.is_empty() {
            self.renewing = Some(std::mem::take(&mut self.to_renew));
            self.phase = Phase::Unsubmitted;
            self.attempts = 0;
            return self.ask(options);
        }
        Next::Done(state)
    }

    fn polled(
        mut self,
        answer: RequestResult,
        id: &str,
        since: Timestamp,
        counts: Option<(u64, u64)>,
        options: &Options,
        now: Timestamp,
    ) -> Result<Step, SourceError> {
        if let Err(RequestError::TooLarge(limit)) = answer {
            return Ok(self.too_large(limit, options));
        }
        let job = match api::success(answer)? {
            Ok(response) => Job::read(&response)?,
            // The job is no longer kept or belongs to another client, or seems so for a while.
            Err(refusal)
                if refusal.status == 404 || refusal.code == "batch.download.permission.denied" =>
            {
                return Ok(match self.absent.again(now, options.poll_ms) {
                    Some(until) => Step::then(self.wait(until)),
                    None => self.resubmit(&Job::default(), JOB_LOST, options),
                });
            }
            Err(refusal) => return Err(refusal.into()),
        };
        self.absent.over();
        let age = now.saturating_sub(since);
        let named = job.results.iter().map(|row| row.conversation_id.clone());
        self.reported.extend(named);
        if complete(&job, counts, age, options) {
            self.phase = Phase::Finished {
                job: id.to_owned(),
                since,
            };
            return Ok(self.finish(&job, options));
        }
        if age > options.job_timeout_ms {
            return Ok(self.resubmit(&job, JOB_TIMEOUT, options));
        }
        let mut step = Step::then(self.done());
        step.artifacts = self.early(&job.results);
        self.phase = Phase::Running {
            job: id.to_owned(),
            since,
            counts: job.expected_result_count.zip(job.result_count),
        };
        let progress = job.result_count.zip(job.expected_result_count);
        step.next = self.wait_for(waited_for(since, progress, options), now + options.poll_ms);
        Ok(step)
    }

    /// Files that must be the only one of their recording, while the job still runs.
    fn early(&mut self, rows: &[JobResult]) -> Vec<Artifact> {
        if !self.files.has_room() {
            return Vec::new();
        }
        let key = |row: &JobResult| (row.conversation_id.clone(), row.recording_id.clone());
        let mut results: BTreeMap<(String, Option<String>), u32> = BTreeMap::new();
        for row in rows {
            *results.entry(key(row)).or_default() += 1;
        }
        let wanted: BTreeSet<&String> = self.wanted().iter().collect();
        let only = |row: &&JobResult| {
            let kind = row.content_type.as_deref().unwrap_or_default();
            kind.starts_with("audio/")
                && results[&key(row)] == 1
                && wanted.contains(&row.conversation_id)
        };
        let rows: Vec<&JobResult> = rows.iter().filter(only).collect();
        self.files.artifacts(&rows)
    }

    /// Submits the batch again, or gives up.
    ///
    /// A job that does not end does not say which conversations are complete: those with results are
    /// requested once more. Those without are, too, but in a job of their own: whatever holds up the
    /// job is among them, and no longer holds up the others.
    fn resubmit(mut self, job: &Job, code: &str, options: &Options) -> Step {
        self.attempts += 1;
        self.absent.over();
        let attempts = self.attempts;
        if attempts < options.job_attempts {
            self.phase = Phase::Unsubmitted;
            let reported = std::mem::take(&mut self.reported);
            let (reported, rest): (Vec<String>, Vec<String>) = self
                .wanted()
                .iter()
                .cloned()
                .partition(|id| reported.contains(id));
            let apart = self.renewing.is_none() && !reported.is_empty() && !rest.is_empty();
            let note = match apart {
                true => format!(
                    "{code}: {} is submitted again: {} conversations with results apart from {} without",
                    self.id,
                    reported.len(),
                    rest.len()
                ),
                false => format!("{code}: {} is submitted again", self.id),
            };
            let mut step = if apart {
                let parts = vec![self.part("told", reported), self.part("rest", rest)];
                let mut step = Step::then(self.done());
                step.splits = parts;
                step
            } else {
                Step::then(self.ask(options))
            };
            step.inform(note);
            return step;
        }
        self.abandon(job, code, options)
    }

    /// Obtains fresh links: from the job while it is young and was not asked for the same file too often, later by
    /// submitting the conversations concerned.
    fn refresh(mut self, keys: &[ArtifactKey], options: &Options, now: Timestamp) -> Step {
        let recordings = keys.iter().filter_map(ArtifactKey::recording);
        let concerned: BTreeSet<&str> = recordings.map(|key| key.conversation.as_str()).collect();
        let whole = keys.iter().any(|key| key.recording().is_none());
        let mut conversations = self.conversations.clone();
        conversations.retain(|id| whole || concerned.contains(id.as_str()));
        if conversations.is_empty() {
            return Step::then(self.done());
        }
        let job = self.job_of(&conversations);
        let is_young = |job: &Submitted| now.saturating_sub(job.since) < YOUNG;
        let job = job.filter(|job| is_young(job) && self.asked_for(keys) <= ASKED);
        if job.is_none() {
            (self.times, self.asked) = (0, Vec::new());
        }
        self.renewing = Some(conversations);
        self.to_renew.clear();
        self.absent.over();
        self.attempts = 0;
        self.asked_again = job.is_some();
        self.phase = match job {
            Some(Submitted { job, since }) => Phase::Running {
                job,
                since,
                counts: None,
            },
            None => Phase::Unsubmitted,
        };
        Step::then(self.ask(options))
    }

    /// Notes which files the job is asked for; returns how often in a row it was asked for the same.
    fn asked_for(&mut self, keys: &[ArtifactKey]) -> usize {
        let digest = |key: &ArtifactKey| match key {
            ArtifactKey::Recording(key) => fnv(&format!(
                "{} {} {}",
                key.conversation, key.recording, key.part
            )),
            ArtifactKey::Bundle(id) => fnv(id),
        };
        let keys: Vec<u64> = keys.iter().map(digest).collect();
        self.asked.retain(|asked| keys.contains(asked));
        if self.asked.is_empty() {
            self.times = 0;
            self.asked = keys.into_iter().take(REMEMBERED).collect();
        }
        self.times += 1;
        self.times
    }

    /// The job that returns links of some conversations: the last one, or else that of all, which becomes the last one.
    fn job_of(&mut self, conversations: &[String]) -> Option<Submitted> {
        let last = match &self.phase {
            Phase::Finished { job, since } | Phase::Running { job, since, .. } => Submitted {
                job: job.clone(),
                since: *since,
            },
            Phase::Describing | Phase::Unsubmitted => return None,
        };
        match &self.covered {
            None => {
                self.of_all = Some(last.clone());
                Some(last)
            }
            Some(covered) if conversations.iter().all(|id| covered.contains(id)) => Some(last),
            Some(_) => {
                let of_all = self.of_all.clone()?;
                self.covered = None;
                Some(of_all)
            }
        }
    }

    fn outcomes(&self, result: impl Fn(&str) -> OutcomeResult) -> Vec<Outcome> {
        if self.renewing.is_some() {
            return Vec::new();
        }
        self.conversations
            .iter()
            .map(|id| Outcome::new(id, result(id)))
            .collect()
    }
}
