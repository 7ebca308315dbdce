//! A batch: submit up to a hundred conversations, poll the job, hand over what it yields.

use std::collections::{BTreeMap, BTreeSet};

use recording_source_sdk::{
    Answer, Artifact, ArtifactKey, Container, Event, Fetch, Level, Missing, Next, Note, Outcome,
    OutcomeResult, RecordingKey, Send, SourceError, Split, Step, Timestamp, Wait, Wanted,
};
use serde::{Deserialize, Serialize};

use crate::{
    Memory,
    api::{
        self,
        batch::{self as call, Job, JobResult},
    },
    artifact::{bundle, download, path},
    describe::Described,
    metadata::fnv,
    options::Options,
    outcome::{by_state, count, errors, failure, left_out, restoring, result},
    restore,
};

/// How long a job is trusted to answer with fresh links: less than links live by default.
const YOUNG: u64 = 50 * 60_000;

/// What a batch remembers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Batch {
    id: String,
    conversations: Vec<String>,
    /// Those of them that the vendor says were recorded.
    recorded: BTreeSet<String>,
    phase: Phase,
    /// How often it has been submitted in vain.
    attempts: u32,
    /// The files of each recording in the order of their parts, as digests of their links' paths.
    parts: BTreeMap<String, Vec<u64>>,
    /// The conversations that need fresh links, once everything has been handed over.
    renewing: Option<Vec<String>>,
    /// Whether the finished job has been asked for fresh links already.
    asked_again: bool,
    /// The conversations that the last job was about, if not all.
    #[serde(default)]
    covered: Option<Vec<String>>,
    /// The conversations of which the running job has told something.
    #[serde(default)]
    told: BTreeSet<String>,
    /// What the metadata tell of the recordings, if they are asked for.
    #[serde(default)]
    described: Described,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    Describing,
    Unsubmitted,
    Running {
        job: String,
        since: Timestamp,
        /// Results expected and there at the last poll.
        counts: Option<(u64, u64)>,
    },
    Finished {
        job: String,
        since: Timestamp,
    },
}

/// The splits that fetching begins with.
pub(crate) fn begin(options: &Options, fetch: Fetch) -> Vec<Split> {
    let groups: Vec<&[Wanted]> = fetch.conversations.chunks(options.batch_size).collect();
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

impl Batch {
    fn new(id: String, conversations: Vec<String>, recorded: BTreeSet<String>) -> Self {
        Batch {
            id,
            conversations,
            recorded,
            phase: Phase::Unsubmitted,
            attempts: 0,
            parts: BTreeMap::new(),
            renewing: None,
            asked_again: false,
            covered: None,
            told: BTreeSet::new(),
            described: Described::default(),
        }
    }

    fn split(self) -> Split {
        let id = self.id.clone();
        Memory::Batch(self).split(id)
    }

    pub(crate) fn step(
        self,
        options: &Options,
        event: Event,
        now: Timestamp,
    ) -> Result<Step, SourceError> {
        match (event, self.phase.clone()) {
            (Event::Renew(keys), _) => Ok(self.renew(&keys, options, now)),
            (Event::Due, Phase::Finished { .. }) => Ok(Step::then(self.done())),
            (Event::Due, _) => Ok(Step::then(self.ask(options))),
            (Event::Answer(answer), Phase::Describing) => self.describe(answer, options),
            (Event::Answer(answer), Phase::Unsubmitted) => self.submitted(answer, options, now),
            (Event::Answer(answer), Phase::Running { job, since, counts }) => {
                self.polled(answer, &job, since, counts, options, now)
            }
            (Event::Answer(_), Phase::Finished { .. }) => Ok(Step::then(self.done())),
        }
    }

    /// The conversations that the batch is about now.
    fn wanted(&self) -> &[String] {
        self.renewing.as_ref().unwrap_or(&self.conversations)
    }

    fn ask(self, options: &Options) -> Next {
        let request = match &self.phase {
            Phase::Describing => self.described.ask(options, &self.conversations),
            Phase::Unsubmitted => call::submit(options, self.wanted()),
            Phase::Running { job, .. } | Phase::Finished { job, .. } => call::poll(options, job),
        };
        Next::Send(Send {
            request,
            state: Memory::Batch(self).write(),
        })
    }

    fn wait(self, until: Timestamp) -> Next {
        Next::Wait(Wait {
            until,
            state: Memory::Batch(self).write(),
        })
    }

    fn done(self) -> Next {
        Next::Done(Memory::Batch(self).write())
    }

    fn describe(mut self, answer: Answer, options: &Options) -> Result<Step, SourceError> {
        let facts = self.described.answered(answer, &self.conversations)?;
        if self.described.is_complete(&self.conversations) {
            self.phase = Phase::Unsubmitted;
        }
        let mut step = Step::then(self.ask(options));
        step.facts = facts;
        Ok(step)
    }

    fn submitted(
        mut self,
        answer: Answer,
        options: &Options,
        now: Timestamp,
    ) -> Result<Step, SourceError> {
        match api::success(answer)? {
            Ok(response) => {
                self.covered.clone_from(&self.renewing);
                self.told.clear();
                self.phase = Phase::Running {
                    job: call::job_id(&response)?,
                    since: now,
                    counts: None,
                };
                Ok(Step::then(self.wait(now + options.poll_ms)))
            }
            Err(refusal) if refusal.too_many_items() || refusal.status == 404 => {
                Ok(self.divide(&refusal))
            }
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Submits each half by itself, down to the one conversation that is refused.
    fn divide(self, refusal: &api::Refusal) -> Step {
        let mut first = self.wanted().to_vec();
        if self.renewing.is_some() || first.len() < 2 {
            let message = format!("status {}: {}", refusal.status, refusal.message);
            let failure = failure("refused", message);
            let outcomes = self.outcomes(|_| OutcomeResult::Failed(failure.clone()));
            let mut step = Step::then(self.done());
            step.outcomes = outcomes;
            return step;
        }
        let second = first.split_off(first.len() / 2);
        let halves = vec![self.part("0", first), self.part("1", second)];
        let mut step = Step::then(self.done());
        step.splits = halves;
        step
    }

    /// Some of the conversations, as a batch of its own.
    fn part(&self, name: &str, conversations: Vec<String>) -> Split {
        let mut recorded = self.recorded.clone();
        recorded.retain(|id| conversations.contains(id));
        let mut part = Batch::new(format!("{}.{name}", self.id), conversations, recorded);
        part.attempts = self.attempts;
        part.described = self.described.of(&part.conversations);
        part.split()
    }

    fn polled(
        mut self,
        answer: Answer,
        id: &str,
        since: Timestamp,
        counts: Option<(u64, u64)>,
        options: &Options,
        now: Timestamp,
    ) -> Result<Step, SourceError> {
        let job: Job = match api::success(answer)? {
            Ok(response) => api::parse(&response)?,
            // The job is no longer kept, or belongs to another client.
            Err(refusal)
                if refusal.status == 404 || refusal.code == "batch.download.permission.denied" =>
            {
                return Ok(self.resubmit(Vec::new(), "job-lost", options));
            }
            Err(refusal) => return Err(refusal.into()),
        };
        let age = now.saturating_sub(since);
        let rows = job.results.clone().unwrap_or_default();
        let named = rows.iter().filter_map(|row| row.conversation_id.clone());
        self.told.extend(named);
        if complete(&job, counts, age, options) {
            self.phase = Phase::Finished {
                job: id.to_owned(),
                since,
            };
            return Ok(self.finish(job, rows, options));
        }
        if age > options.job_timeout_ms {
            return Ok(self.resubmit(rows, "job-timeout", options));
        }
        let mut step = Step::then(Next::Done(Memory::Batch(self.clone()).write()));
        step.artifacts = self.early(&rows);
        self.phase = Phase::Running {
            job: id.to_owned(),
            since,
            counts: job.expected_result_count.zip(job.result_count),
        };
        // Polls thin out as a job takes longer: a fixed pace would eat the request limit.
        let pause = options.poll_ms.max(age * 35 / 100);
        step.next = self.wait(now + pause);
        Ok(step)
    }

    /// Files that can be nothing but their recording's only one, while the job still runs.
    fn early(&mut self, rows: &[JobResult]) -> Vec<Artifact> {
        let mut files: BTreeMap<&str, u32> = BTreeMap::new();
        for row in rows {
            *files
                .entry(row.recording_id.as_deref().unwrap_or_default())
                .or_default() += 1;
        }
        let audio = |row: &&JobResult| {
            let kind = row.content_type.as_deref().unwrap_or_default();
            kind.starts_with("audio/")
                && files[row.recording_id.as_deref().unwrap_or_default()] == 1
        };
        let rows: Vec<JobResult> = rows.iter().filter(audio).cloned().collect();
        self.artifacts(&rows)
    }

    /// Everything that a job yielded.
    fn finish(mut self, job: Job, rows: Vec<JobResult>, options: &Options) -> Step {
        let mut artifacts = self.artifacts(&rows);
        let mut archived = Vec::new();
        let mut outcomes = match job.result_url.filter(|url| !url.is_empty()) {
            Some(url) => {
                artifacts.push(bundle(&self.id, url));
                self.outcomes(|_| OutcomeResult::InBundle(self.id.clone()))
            }
            None => {
                let counts = count(&artifacts);
                let mut missing = self.missing(&rows);
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
        let notes = self.strangers(&rows);
        let restore = restore::begin(&self.id, archived);
        let mut step = Step::then(self.done());
        step.artifacts = artifacts;
        step.outcomes = outcomes;
        step.notes = notes;
        step.splits.extend(restore);
        step
    }

    /// What each conversation lacks: as the rows say, and what its metadata list and no row names.
    fn missing(&self, rows: &[JobResult]) -> BTreeMap<String, Vec<Missing>> {
        let mut missing = errors(rows);
        let named = rows.iter().filter_map(|row| row.recording_id.as_deref());
        let named: BTreeSet<&str> = named.collect();
        for (conversation, known) in self.described.all() {
            for recording in known {
                let failure = by_state(&recording.state);
                if !named.contains(recording.id.as_str()) {
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
                    one.failure.passing = failure.passing;
                }
            }
        }
        missing
    }

    /// Submits the batch anew, or gives up.
    ///
    /// Of a job that does not end nothing says which conversations are complete: those that it told
    /// of are asked for once more. Those that it told nothing of are, too, but in a job of their own:
    /// whatever it is that holds up a job is among them, and holds up the others no longer.
    fn resubmit(mut self, rows: Vec<JobResult>, code: &str, options: &Options) -> Step {
        self.attempts += 1;
        let attempts = self.attempts;
        if attempts < options.job_attempts {
            self.phase = Phase::Unsubmitted;
            self.parts.clear();
            let told = std::mem::take(&mut self.told);
            let (told, rest): (Vec<String>, Vec<String>) = self
                .wanted()
                .iter()
                .cloned()
                .partition(|id| told.contains(id));
            let apart = self.renewing.is_none() && !told.is_empty() && !rest.is_empty();
            let note = match apart {
                true => format!(
                    "{code}: {} is submitted again: {} conversations with results apart from {} without",
                    self.id,
                    told.len(),
                    rest.len()
                ),
                false => format!("{code}: {} is submitted again", self.id),
            };
            let mut step = if apart {
                let parts = vec![self.part("told", told), self.part("rest", rest)];
                let mut step = Step::then(self.done());
                step.splits = parts;
                step
            } else {
                Step::then(self.ask(options))
            };
            step.notes.push(Note {
                level: Level::Info,
                text: note,
            });
            return step;
        }
        let message = format!("the job did not complete in {attempts} attempts");
        let failure = failure(code, message);
        let artifacts = self.artifacts(&rows);
        let (counts, missing) = (count(&artifacts), errors(&rows));
        let outcomes = if self.renewing.is_some() {
            Vec::new()
        } else {
            self.outcomes(|id| result(id, &counts, &missing, Some(&failure)))
        };
        let mut step = Step::then(self.done());
        step.artifacts = artifacts;
        step.outcomes = outcomes;
        step
    }

    /// Obtains links anew: from the job while it is young, later by submitting what is needed.
    fn renew(mut self, keys: &[ArtifactKey], options: &Options, now: Timestamp) -> Step {
        let concerned: BTreeSet<&str> = keys
            .iter()
            .filter_map(|key| match key {
                ArtifactKey::Recording(key) => Some(key.conversation.as_str()),
                ArtifactKey::Bundle(_) => None,
            })
            .collect();
        let whole = keys.iter().any(|key| matches!(key, ArtifactKey::Bundle(_)));
        let mut conversations = self.conversations.clone();
        conversations.retain(|id| whole || concerned.contains(id.as_str()));
        if conversations.is_empty() {
            return Step::then(self.done());
        }
        let covers = |id: &String| self.covered.as_ref().is_none_or(|of| of.contains(id));
        let covered = conversations.iter().all(covers);
        self.renewing = Some(conversations);
        self.attempts = 0;
        self.phase = match &self.phase {
            Phase::Finished { job, since } | Phase::Running { job, since, .. }
                if now.saturating_sub(*since) < YOUNG && !self.asked_again && covered =>
            {
                self.asked_again = true;
                Phase::Running {
                    job: job.clone(),
                    since: *since,
                    counts: None,
                }
            }
            _ => {
                self.asked_again = false;
                self.parts.clear();
                Phase::Unsubmitted
            }
        };
        Step::then(self.ask(options))
    }

    /// The files among `rows` that are wanted, each with its part.
    fn artifacts(&mut self, rows: &[JobResult]) -> Vec<Artifact> {
        let wanted: BTreeSet<String> = self.wanted().iter().cloned().collect();
        let mut files: Vec<(&str, &str, &str, &JobResult)> = rows
            .iter()
            .filter_map(|row| {
                let url = row.result_url.as_deref().filter(|url| !url.is_empty())?;
                let conversation = row.conversation_id.as_deref()?;
                let recording = row.recording_id.as_deref()?;
                wanted
                    .contains(conversation)
                    .then_some((conversation, recording, url, row))
            })
            .collect();
        // The order of parts is not documented: that of their paths is at least the same each time.
        files.sort_by_key(|(_, recording, url, _)| (*recording, path(url)));
        files
            .into_iter()
            .map(|(conversation, recording, url, row)| {
                let parts = self.parts.entry(recording.to_owned()).or_default();
                let digest = fnv(path(url));
                let part = parts.iter().position(|known| *known == digest);
                let part = part.unwrap_or_else(|| {
                    parts.push(digest);
                    parts.len() - 1
                });
                let zip = row.content_type.as_deref() == Some("application/zip");
                Artifact {
                    key: ArtifactKey::Recording(RecordingKey {
                        conversation: conversation.to_owned(),
                        recording: recording.to_owned(),
                        part: u32::try_from(part).unwrap_or(u32::MAX),
                    }),
                    download: download(url.to_owned()),
                    content_type: row.content_type.clone(),
                    container: if zip {
                        Container::Zip
                    } else {
                        Container::Single
                    },
                    size: None,
                    sha256: None,
                }
            })
            .collect()
    }

    fn outcomes(&self, result: impl Fn(&str) -> OutcomeResult) -> Vec<Outcome> {
        if self.renewing.is_some() {
            return Vec::new();
        }
        self.conversations
            .iter()
            .map(|id| Outcome {
                conversation: id.clone(),
                result: result(id),
            })
            .collect()
    }

    fn strangers(&self, rows: &[JobResult]) -> Vec<Note> {
        let asked: BTreeSet<&str> = self.conversations.iter().map(String::as_str).collect();
        let strange = rows
            .iter()
            .filter(|row| {
                !row.conversation_id
                    .as_deref()
                    .is_some_and(|id| asked.contains(id))
            })
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

/// Whether a job has nothing more to come.
///
/// `status` tells, where there is one. Without it the counts do, and because
/// the expected count grows while recordings are discovered, they must have
/// been the same at the poll before.
fn complete(job: &Job, before: Option<(u64, u64)>, age: u64, options: &Options) -> bool {
    if let Some(status) = &job.status {
        return status.eq_ignore_ascii_case("completed");
    }
    let Some((expected, there)) = job.expected_result_count.zip(job.result_count) else {
        return false;
    };
    let settled = there >= expected && before == Some((expected, there));
    let shown =
        job.result_url.is_some() || job.results.as_ref().is_some_and(|rows| !rows.is_empty());
    settled
        && if there == 0 {
            age >= 3 * options.poll_ms
        } else {
            shown
        }
}
