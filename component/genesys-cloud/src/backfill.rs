//! A backfill: old conversations by asynchronous analytics jobs, a thousand to a page.
//!
//! A plan asks how far the data of jobs reach; up to there, jobs search runs of days, one after the
//! other in each lane, and windows search the younger rest. A job's interval matches activity, so
//! conversations are filtered here by their start. Those that had not ended when the data of jobs
//! ended are requested once more, so that both ways find the same.
//! The results of jobs are compared with the query's counts (`count`).

mod count;
mod live;

use std::ops::Range;

use recording_source_sdk::{
    Event, Next, RequestError, RequestResult, SourceError, Split, SplitKind, Step, Timestamp, json,
    time::{DAY, parallel_ranges},
};
use serde::{Deserialize, Serialize};

use crate::{
    api::{self, analytics},
    metadata::{ConversationRow, iso},
    names::Names,
    options::{Options, Search},
    page,
    patience::{Absence, PATIENCE},
    window,
};
use live::LiveConversations;

/// A range shorter than this is not worth a job when the choice is free: a job may take long to begin.
pub(crate) const LARGE: u64 = 28 * DAY;
/// The longest interval of one job.
const SPAN: u64 = 31 * DAY;
/// No interval is cut shorter than this.
const SHORTEST: u64 = 60_000;
/// Conversations on a page of results.
pub(crate) const PAGE: u32 = 1000;
/// The number of conversations requested again in one request.
const AGAIN: usize = 100;
/// How long a job may take, and the longest pause between two polls.
const TIMEOUT: u64 = 4 * 3_600_000;
const LONGEST_PAUSE: u64 = 120_000;

/// The state of the plan of a backfill.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BackfillPlan {
    name: String,
    range: Range<Timestamp>,
}

/// The state of a run of days that is searched by jobs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Backfill {
    name: String,
    /// The interval of the job, and the end of the run.
    from: Timestamp,
    until: Timestamp,
    end: Timestamp,
    phase: Phase,
    /// The number of unsuccessful submissions of the job.
    attempts: u32,
    /// Conversations on a page of results.
    size: u32,
    /// The number of conversations requested again in one request.
    together: usize,
    /// The time since which the job is not found.
    #[serde(default)]
    absent: Absence,
    /// The time since which jobs come to nothing.
    #[serde(default)]
    failing: Option<Timestamp>,
    /// The job's results so far: day, conversations, and those of them that were recorded.
    #[serde(default)]
    days: Vec<(u64, u64, u64)>,
    names: Names,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    Unsubmitted,
    Running {
        job: String,
        since: Timestamp,
    },
    Reading {
        job: String,
        cursor: Option<String>,
    },
    /// Conversations that had not ended when the data of jobs ended are requested once more.
    Again {
        job: String,
        next: Option<String>,
        ids: Vec<String>,
        /// The start of each of them.
        #[serde(default)]
        starts: Vec<Timestamp>,
    },
    /// The query counts the conversations of these ranges, the last one first.
    Counting {
        ranges: Vec<(Timestamp, Timestamp)>,
    },
    Cancelling {
        job: String,
    },
}

/// The initial split of a backfill.
pub(crate) fn begin(name: &str, range: Range<Timestamp>) -> Split {
    let plan = BackfillPlan {
        name: name.to_owned(),
        range,
    };
    plan.into_split(format!("{name}/plan"))
}

impl BackfillPlan {
    pub(crate) fn step(
        self,
        options: &Options,
        event: Event,
        _: Timestamp,
    ) -> Result<Step, SourceError> {
        let answer = match event {
            Event::Resume => {
                return Ok(Step::then(self.send(analytics::availability(options))));
            }
            Event::Response(answer) => answer,
            Event::Refresh(_) => return Ok(Step::then(self.done())),
        };
        let reach = match api::success(answer)? {
            Ok(response) => json::instant(&analytics::reach(&response)?).ok_or_else(|| {
                SourceError::Transient("dataAvailabilityDate is not an instant".to_owned())
            })?,
            // Without jobs the query finds everything, too.
            Err(refusal) if options.search == Search::Auto && refusal.status == 404 => 0,
            Err(refusal) => return Err(refusal.into()),
        };
        let Range { start, end } = self.range;
        let mut reach = reach.clamp(start, end);
        if options.search == Search::Auto && reach - start < LARGE {
            reach = start;
        }
        let mut step = Step::then(self.done());
        if reach > start {
            let most = (reach - start)
                .div_ceil(SPAN)
                .min(u64::from(options.parallelism));
            step.splits = parallel_ranges(start..reach, most)
                .map(|range| Backfill::split(&self.name, range))
                .collect();
        }
        if reach < end {
            step.splits
                .extend(window::begin(options, &self.name, reach..end));
        }
        Ok(step)
    }
}

impl Backfill {
    fn split(name: &str, range: Range<Timestamp>) -> Split {
        let mut backfill = Backfill {
            name: name.to_owned(),
            from: range.start,
            until: range.start,
            end: range.end,
            phase: Phase::Unsubmitted,
            attempts: 0,
            size: PAGE,
            together: AGAIN,
            absent: Absence::default(),
            failing: None,
            days: Vec::new(),
            names: Names::default(),
        };
        backfill.advance();
        let id = format!("{name}/job/{}", iso(range.start).replace(".000Z", "Z"));
        backfill.into_split(id)
    }

    /// Moves on to the next interval.
    fn advance(&mut self) {
        self.from = self.until;
        self.until = (self.from + SPAN).min(self.end);
        self.phase = Phase::Unsubmitted;
        self.attempts = 0;
        self.size = PAGE;
        self.absent.over();
        self.failing = None;
        self.days.clear();
    }

    fn ask(&self, options: &Options) -> Next {
        let request = self
            .names
            .ask(options)
            .unwrap_or_else(|| match &self.phase {
                Phase::Unsubmitted => {
                    let interval = format!("{}/{}", iso(self.from), iso(self.until));
                    analytics::submit(options, &interval)
                }
                Phase::Running { job, .. } => analytics::poll(options, job),
                Phase::Reading { job, cursor } => {
                    analytics::results(options, job, self.size, cursor.as_deref())
                }
                Phase::Again { ids, .. } => {
                    analytics::details(options, &ids[..ids.len().min(self.together)])
                }
                Phase::Counting { ranges } => {
                    let (from, until) = ranges.last().copied().unwrap_or((self.from, self.until));
                    let interval = format!("{}/{}", iso(from), iso(until));
                    analytics::query(options, &interval, 1, 1)
                }
                Phase::Cancelling { job } => analytics::cancel(options, job),
            });
        self.send(request)
    }

    fn next(&self, options: &Options) -> Next {
        if self.from < self.end {
            self.ask(options)
        } else {
            self.done()
        }
    }

    pub(crate) fn step(
        mut self,
        options: &Options,
        event: Event,
        now: Timestamp,
    ) -> Result<Step, SourceError> {
        let answer = match event {
            Event::Resume => return Ok(Step::then(self.next(options))),
            Event::Response(answer) => answer,
            // A search hands over no artifacts.
            Event::Refresh(_) => return Ok(Step::then(self.done())),
        };
        if self.names.is_asking() {
            let mut step = Step::then(self.done());
            self.names.answered(options, answer, &mut step)?;
            step.next = self.ask(options);
            return Ok(step);
        }
        match self.phase.clone() {
            Phase::Unsubmitted => self.submitted(answer, options, now),
            Phase::Running { job, since } => self.polled(answer, job, since, options, now),
            Phase::Reading { job, cursor } => self.read(answer, job, cursor, options, now),
            Phase::Again {
                job,
                next,
                ids,
                starts,
            } => {
                let mut live = LiveConversations { ids, starts };
                // Earlier versions did not keep their starts.
                live.starts.resize(live.ids.len(), self.from);
                self.read_again(answer, job, next, live, options, now)
            }
            Phase::Counting { ranges } => self.counted(answer, ranges, options),
            Phase::Cancelling { .. } => {
                // A job that cannot be cancelled ends by itself.
                let _ = api::success(answer)?;
                self.resubmit("it took too long", options, now)
            }
        }
    }

    fn submitted(
        mut self,
        answer: RequestResult,
        options: &Options,
        now: Timestamp,
    ) -> Result<Step, SourceError> {
        match api::success(answer)? {
            Ok(response) => {
                self.phase = Phase::Running {
                    job: analytics::job_id(&response)?,
                    since: now,
                };
                Ok(Step::then(self.wait(now + options.poll_ms)))
            }
            Err(refusal) if refusal.too_wide() && self.until - self.from > SHORTEST => {
                self.until = self.from + (self.until - self.from) / 2;
                Ok(Step::then(self.ask(options)))
            }
            Err(refusal) => Err(refusal.into()),
        }
    }

    fn polled(
        mut self,
        answer: RequestResult,
        job: String,
        since: Timestamp,
        options: &Options,
        now: Timestamp,
    ) -> Result<Step, SourceError> {
        let status = match api::success(answer)? {
            Ok(response) => analytics::JobStatus::read(&response)?,
            Err(refusal) if refusal.status == 404 => {
                return match self.absent.again(now, options.poll_ms) {
                    Some(until) => Ok(Step::then(self.wait(until))),
                    None => self.resubmit("it is not known any more", options, now),
                };
            }
            Err(refusal) => return Err(refusal.into()),
        };
        self.absent.over();
        let state = status.state.unwrap_or_default();
        match state.as_str() {
            "FULFILLED" => {
                self.phase = Phase::Reading { job, cursor: None };
                Ok(Step::then(self.ask(options)))
            }
            "FAILED" | "CANCELLED" | "EXPIRED" => {
                let why = status.error_message.unwrap_or_default();
                let why: String = why.chars().take(200).collect();
                self.resubmit(&format!("{state} {why}"), options, now)
            }
            _ if now.saturating_sub(since) > TIMEOUT => {
                // It would count against the vendor's limit of concurrent jobs.
                self.phase = Phase::Cancelling { job };
                Ok(Step::then(self.ask(options)))
            }
            _ => {
                let age = now.saturating_sub(since);
                let pause = (age * 35 / 100).min(LONGEST_PAUSE).max(options.poll_ms);
                Ok(Step::then(self.wait(now + pause)))
            }
        }
    }

    /// A page of results.
    fn read(
        mut self,
        answer: RequestResult,
        job: String,
        cursor: Option<String>,
        options: &Options,
        now: Timestamp,
    ) -> Result<Step, SourceError> {
        if let Err(RequestError::TooLarge(limit)) = answer {
            return Ok(self.too_large(limit, options));
        }
        let page = match api::success(answer)? {
            Ok(response) => analytics::Page::read(&response)?,
            Err(refusal) if refusal.status == 404 => {
                return match self.absent.again(now, options.poll_ms) {
                    Some(until) => Ok(Step::then(self.wait(until))),
                    None => self.resubmit("its results are not found any more", options, now),
                };
            }
            Err(refusal) if matches!(refusal.status, 400 | 410) => {
                return self.resubmit("its results are gone", options, now);
            }
            Err(refusal) => return Err(refusal.into()),
        };
        self.absent.over();
        if page.cursor.is_some() && page.cursor == cursor {
            return self.resubmit("its results do not end", options, now);
        }
        let mut step = Step::then(self.done());
        let cursor = page.cursor.clone();
        let mut rows = page::readable(page, &(self.from..self.until), &mut step);
        rows.retain(|row| self.is_inside(row));
        let went_on = |row: &ConversationRow| {
            let plain = api::id(Some(row.conversation.id.clone())).is_some();
            row.conversation.end.is_none() && plain
        };
        let mut again = LiveConversations::default();
        for row in rows.iter().filter(|row| went_on(row)) {
            again.ids.push(row.conversation.id.clone());
            again.starts.push(row.conversation.start);
        }
        if self
            .names
            .needed(options, rows.iter().filter(|row| !went_on(row)))
        {
            // The page is read once more, and its oddities are reported then.
            return Ok(Step::then(self.ask(options)));
        }
        self.tally(&rows);
        rows.retain(|row| !went_on(row));
        page::hand_over(rows.into_iter(), options.mode, now, &mut step);
        self.go_on(job, cursor, again);
        step.next = self.next(options);
        Ok(step)
    }

    /// A page that is too large is requested in smaller ones. No cursor leads past a single row that
    /// is too large: the query can pass it over.
    fn too_large(mut self, limit: u64, options: &Options) -> Step {
        if self.size > 1 {
            self.size /= 2;
            return Step::then(self.ask(options));
        }
        let mut step = Step::then(self.done());
        step.warn(format!(
            "a row of an analytics job has more than {limit} bytes by itself: the query is used for {}/{} instead",
            iso(self.from),
            iso(self.until)
        ));
        step.splits = window::begin(options, &self.name, self.from..self.until);
        self.advance();
        step.next = self.next(options);
        step
    }

    fn is_inside(&self, row: &ConversationRow) -> bool {
        (self.from..self.until).contains(&row.conversation.start)
    }

    /// Chooses the next phase after a page whose successor begins at `next`.
    fn go_on(&mut self, job: String, next: Option<String>, again: LiveConversations) {
        self.phase = match (again.ids.is_empty(), next) {
            (false, next) => Phase::Again {
                job,
                next,
                ids: again.ids,
                starts: again.starts,
            },
            (true, Some(next)) => Phase::Reading {
                job,
                cursor: Some(next),
            },
            (true, None) => {
                // Days that the interval cuts are counted whole by the query.
                let whole = self.from.div_ceil(DAY) * DAY..self.until / DAY * DAY;
                if whole.is_empty() {
                    return self.advance();
                }
                Phase::Counting {
                    ranges: vec![(whole.start, whole.end)],
                }
            }
        };
    }

    /// Submits the job again, after a pause. After the last attempt the query takes over; with
    /// `Search::Job` the split fails.
    fn resubmit(
        mut self,
        why: &str,
        options: &Options,
        now: Timestamp,
    ) -> Result<Step, SourceError> {
        self.attempts += 1;
        self.absent.over();
        self.days.clear();
        let failing = now.saturating_sub(*self.failing.get_or_insert(now));
        let text = format!("an analytics job has come to nothing: {why}");
        // Where the query does not take over, the job is not given up before `PATIENCE` has passed.
        let patient = options.search == Search::Job && failing < PATIENCE;
        if self.attempts >= options.job_attempts && !patient {
            if options.search == Search::Job {
                let attempts = self.attempts;
                return Err(SourceError::Permanent(format!(
                    "{text}, {attempts} times; `search: auto` or `query` does without"
                )));
            }
            let mut step = Step::then(self.done());
            step.splits = window::begin(options, &self.name, self.from..self.end);
            step.warn(format!("{text}; the query is used instead"));
            return Ok(step);
        }
        self.phase = Phase::Unsubmitted;
        let pause =
            (options.poll_ms << self.attempts.min(6)).min(LONGEST_PAUSE.max(options.poll_ms));
        let mut step = Step::then(self.wait(now + pause));
        step.inform(format!("{text}; it is submitted again"));
        Ok(step)
    }
}
