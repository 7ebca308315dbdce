//! The state of what is shown, made from events, and the lines that show it.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use recording_host_model::{Activity, Event, Level, Progress, one_line};
use serde::{Deserialize, Serialize};

use super::words::{number, percent, rate, time};
use crate::print::bytes;

/// The time over which rates are taken.
const WINDOW: Duration = Duration::from_secs(20);
/// How often losses of a source are told, at most.
const LOSSES: Duration = Duration::from_secs(1);
/// With more sources than this, each has one line.
const DETAILED: usize = 3;
/// Columns below which a line has a short end.
const NARROW: u16 = 72;

/// A line of the display.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DisplayLine {
    /// A bar between what it is about and how far that is.
    Bar {
        /// The source and the stage.
        before: String,
        /// The number that is done.
        done: u64,
        /// The number of all.
        total: u64,
        /// The numbers.
        after: String,
    },
    /// Text.
    Text(String),
}

/// All sources of a command.
#[derive(Debug)]
pub(crate) struct Board {
    began: Instant,
    sources: BTreeMap<String, Source>,
    /// Bytes, requests and losses of sources that have ended.
    past: Totals,
}

#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    bytes: u64,
    requests: u64,
    lost: u64,
}

/// A source as it is now.
#[derive(Debug, Default)]
struct Source {
    progress: Option<Progress>,
    activity: Activity,
    /// When the activity was told.
    reported: Option<Instant>,
    /// Conversations found and stored, and bytes, at instants not long ago.
    samples: VecDeque<(Instant, [u64; 3])>,
    totals: Totals,
    /// Losses that are yet to be told, by code.
    losses: BTreeMap<String, u64>,
    losses_told: Option<Instant>,
    /// True if its last request had no answer.
    unanswered: bool,
    /// The sinks that are unavailable.
    away: Vec<String>,
    /// The artifacts that sinks lacked when they were back.
    backlog: BTreeMap<String, u64>,
    /// The things that are examined, and how far that is; none while it exports.
    examined: Option<(&'static str, u64, Option<u64>)>,
    /// Lines to be written above the display.
    lines: Vec<String>,
}

impl Board {
    pub(crate) fn new(now: Instant) -> Self {
        Board {
            began: now,
            sources: BTreeMap::new(),
            past: Totals::default(),
        }
    }

    /// Adds a source; one of this name that has ended gives way, and its totals stay.
    pub(crate) fn add(&mut self, name: &str) {
        if let Some(before) = self.sources.insert(name.to_owned(), Source::default()) {
            self.past.bytes += before.totals.bytes;
            self.past.requests += before.totals.requests;
            self.past.lost += before.totals.lost;
        }
    }

    /// Notes that a source has ended, which waits for nothing any more; returns the lines that it still
    /// had to write.
    pub(crate) fn end(&mut self, name: &str) -> Vec<String> {
        let Some(source) = self.sources.get_mut(name) else {
            return Vec::new();
        };
        source.activity = Activity::default();
        source.unanswered = false;
        source.away.clear();
        source.tell_losses(name);
        std::mem::take(&mut source.lines)
    }

    /// The lines that are left to be written above the display.
    pub(crate) fn rest(&mut self) -> Vec<String> {
        let names: Vec<String> = self.sources.keys().cloned().collect();
        names.iter().flat_map(|name| self.end(name)).collect()
    }

    /// Takes an event of a source.
    pub(crate) fn take(&mut self, name: &str, event: &Event, now: Instant) {
        if let Some(source) = self.sources.get_mut(name) {
            source.take(name, event, now);
        }
    }

    /// The lines to be written above the display, once each.
    pub(crate) fn above(&mut self, now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, source) in &mut self.sources {
            let due = |reported: Instant| now.duration_since(reported) >= LOSSES;
            if source.losses_told.is_none_or(due) && !source.losses.is_empty() {
                source.losses_told = Some(now);
                source.tell_losses(name);
            }
            lines.append(&mut source.lines);
        }
        lines
    }

    /// The lines of the display on a terminal with so many columns.
    pub(crate) fn lines(&mut self, now: Instant, columns: u16) -> Vec<DisplayLine> {
        let width = self.sources.keys().map(|name| name.chars().count()).max();
        let width = width.unwrap_or_default();
        let detailed = self.sources.len() <= DETAILED;
        let mut lines = Vec::new();
        for (name, source) in &mut self.sources {
            source.sample(now);
            let name = format!("{name:<width$}");
            match (&source.progress, source.examined) {
                (_, Some((subject, done, total))) => {
                    lines.push(examined(&name, subject, done, total));
                }
                (None, None) => lines.push(DisplayLine::Text(format!("{name}  begins"))),
                (Some(progress), None) => {
                    lines.extend(source.stages(&name, progress, detailed, columns));
                }
            }
        }
        lines.push(DisplayLine::Text(self.waits(now)));
        lines.push(DisplayLine::Text(self.totals(now)));
        lines
    }

    /// The line that says what is waited for.
    fn waits(&self, now: Instant) -> String {
        let mut waits = Vec::new();
        let (mut jobs, mut oldest, mut links) = (0, None, 0);
        for (name, source) in &self.sources {
            let since = source
                .reported
                .map_or(Duration::ZERO, |reported| now - reported);
            let since = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
            let left = source.activity.paused_millis.unwrap_or_default();
            let left = left.saturating_sub(since);
            if left > 0 {
                let left = time(left.div_ceil(1000));
                waits.push(format!("{name} for its rate limit, {left} more"));
            }
            if source.unanswered {
                waits.push(format!("{name} for an answer of its source"));
            }
            for sink in &source.away {
                waits.push(format!("{name} for sink {sink}"));
            }
            links += source.activity.links;
            jobs += source.activity.jobs;
            let age = source.activity.oldest_job_millis.map(|age| age + since);
            oldest = oldest.max(age);
        }
        if jobs > 0 {
            let oldest = time(oldest.unwrap_or_default() / 1000);
            let noun = if jobs == 1 { "job" } else { "jobs" };
            waits.push(format!("{jobs} vendor {noun}, the oldest {oldest}"));
        }
        if links > 0 {
            waits.push(format!("{} files for a download", number(links as u64)));
        }
        if waits.is_empty() {
            waits.push(self.left());
        }
        format!("waits: {}", waits.join("; "))
    }

    /// The work that is left where nothing known holds it up: requests that keep to your own limits, searches,
    /// conversations that are asked for again later, files of rows on their way.
    fn left(&self) -> String {
        let (mut to_fetch, mut to_file, mut splits) = (0, 0, 0);
        for source in self.sources.values() {
            splits += source.activity.splits;
            if let Some(progress) = &source.progress {
                let filed: u64 = progress.filed.values().sum();
                to_fetch += progress.conversations.saturating_sub(progress.fetched);
                to_file += progress.fetched.saturating_sub(filed);
            }
        }
        match (to_fetch, to_file) {
            (0, 0) if splits > 0 => "for a search".to_owned(),
            (0, 0) => "for nothing".to_owned(),
            (0, _) => format!("{} conversations to be filed", number(to_file)),
            (_, 0) => format!("{} conversations to be fetched", number(to_fetch)),
            _ => format!(
                "{} conversations to be fetched, {} to be filed",
                number(to_fetch),
                number(to_file)
            ),
        }
    }

    /// The sums of all sources since the command began.
    fn totals(&self, now: Instant) -> String {
        let mut totals = self.past;
        let mut each_second = 0.0;
        let mut backlog = BTreeMap::<&str, u64>::new();
        for source in self.sources.values() {
            totals.bytes += source.totals.bytes;
            totals.requests += source.totals.requests;
            totals.lost += source.totals.lost;
            each_second += source.rate(2);
            for (sink, count) in &source.backlog {
                *backlog.entry(sink).or_default() += count;
            }
        }
        let mut text = format!(
            "{} at {}/s  API {}  lost {}",
            bytes(totals.bytes),
            bytes(each_second as u64),
            number(totals.requests),
            number(totals.lost)
        );
        for (sink, count) in backlog {
            text.push_str(&format!("  backlog {sink} {}", number(count)));
        }
        let seconds = now.duration_since(self.began).as_secs();
        format!("{text}  {}", time(seconds))
    }
}

/// The line of a look at many things.
fn examined(name: &str, subject: &str, done: u64, total: Option<u64>) -> DisplayLine {
    let before = format!("{name}  {subject}");
    match total {
        None => DisplayLine::Text(format!("{before}: {}", number(done))),
        Some(total) => DisplayLine::Bar {
            before,
            done: done.min(total),
            total,
            after: format!("{} of {}", number(done), number(total)),
        },
    }
}

impl Source {
    fn take(&mut self, name: &str, event: &Event, now: Instant) {
        match event {
            Event::Progress(progress) => {
                self.progress = Some(progress.clone());
                self.examined = None;
            }
            Event::Activity(activity) => {
                self.activity = activity.clone();
                self.reported = Some(now);
            }
            Event::Examined {
                subject,
                done,
                total,
            } => self.examined = Some((subject, *done, *total)),
            Event::Warning { text } => self.warn(name, text),
            Event::Note {
                kind,
                level: Level::Warn,
                text,
            } => self.warn(name, &format!("{kind}: {text}")),
            Event::Request { kind, status, .. } => {
                self.totals.requests += u64::from(kind != "token");
                self.unanswered = status.is_none();
            }
            Event::ArtifactStored { stored } => {
                let most = stored.values().map(|stored| stored.bytes).max();
                self.totals.bytes += most.unwrap_or_default();
            }
            Event::RecordingsLost { code, count } => {
                self.totals.lost += count;
                *self.losses.entry(code.clone()).or_default() += count;
            }
            Event::SinkUnavailable { sink } => self.away.push(sink.clone()),
            Event::SinkAvailable { sink, backlog } => {
                self.away.retain(|away| away != sink);
                self.backlog.insert(sink.clone(), *backlog as u64);
            }
            _ => {}
        }
    }

    fn warn(&mut self, name: &str, text: &str) {
        self.lines
            .push(one_line(&format!("{name}: warning: {text}")));
    }

    fn tell_losses(&mut self, name: &str) {
        let losses = std::mem::take(&mut self.losses);
        if losses.is_empty() {
            return;
        }
        let parts: Vec<String> = losses
            .iter()
            .map(|(code, count)| format!("{count} {code}"))
            .collect();
        let line = format!("{name}: unavailable: {}", parts.join(", "));
        self.lines.push(one_line(&line));
    }

    /// Notes where the numbers are, for the rates.
    fn sample(&mut self, now: Instant) {
        let Some(progress) = &self.progress else {
            return;
        };
        let numbers = [progress.conversations, progress.stored, self.totals.bytes];
        self.samples.push_back((now, numbers));
        let old = |sample: &(Instant, _)| now.duration_since(sample.0) > WINDOW;
        while self.samples.len() > 2 && self.samples.front().is_some_and(old) {
            self.samples.pop_front();
        }
    }

    /// How much a number grows in a second.
    fn rate(&self, at: usize) -> f64 {
        let (Some((from, first)), Some((until, last))) =
            (self.samples.front(), self.samples.back())
        else {
            return 0.0;
        };
        let seconds = until.duration_since(*from).as_secs_f64();
        match seconds > 0.0 {
            true => last[at].saturating_sub(first[at]) as f64 / seconds,
            false => 0.0,
        }
    }

    /// The lines of a source that exports.
    fn stages(
        &self,
        name: &str,
        progress: &Progress,
        detailed: bool,
        columns: u16,
    ) -> Vec<DisplayLine> {
        let found = progress.conversations;
        let counted = progress.counted.unwrap_or_default();
        let total = found.max(counted);
        let committed: u64 = progress.filed.values().sum();
        let stored = format!("{}{}", rate(self.rate(1)), self.left(progress, total));
        let share = |part| percent(part, total);
        let mut stages = vec![
            ("discovered", found, rate(self.rate(0))),
            ("fetched", progress.fetched, share(progress.fetched)),
            ("stored", progress.stored, stored),
            ("committed", committed, share(committed)),
        ];
        if !detailed {
            stages.retain(|(stage, ..)| *stage == "stored");
        }
        let blank = " ".repeat(name.chars().count());
        let digits = number(total).len();
        let lines = stages
            .into_iter()
            .enumerate()
            .map(|(at, (stage, done, end))| {
                let name = if at == 0 { name } else { &blank };
                let done_text = number(done);
                let after = match columns < NARROW {
                    true => format!("{done_text:>digits$} of {}", number(total)),
                    false => format!("{done_text:>digits$} of {}  {end:<18}", number(total)),
                };
                DisplayLine::Bar {
                    before: format!("{name}  {stage:<10}"),
                    done: done.min(total),
                    total,
                    after,
                }
            });
        lines.collect()
    }

    /// When the rest is stored, if that can be told: the source must count its conversations.
    fn left(&self, progress: &Progress, total: u64) -> String {
        let rest = total.saturating_sub(progress.stored);
        let each_second = self.rate(1);
        match progress.counted {
            Some(_) if rest > 0 && each_second > 0.0 => {
                let seconds = (rest as f64 / each_second).ceil() as u64;
                format!(" ETA {}", time(seconds))
            }
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests;
