//! Estimates the size, requests and duration of an export, day by day.
//!
//! The source counts; a few conversations are fetched as far as their links, and the files behind
//! those are measured, not moved. Estimates from this sample are given with their error.

mod cost;
mod picture;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use rand::seq::IndexedRandom;
use serde::Serialize;

pub use cost::{Cost, CostItem, Prices};
pub use picture::picture;

use crate::{examined::Examined, run::RunError, source_session::SourceSession};
use recording_host_http::Downloads;
use recording_host_model::{
    Artifact, ArtifactKey, Container, ConversationRef, Fetch, Purpose, Split, Step, TimeRange,
    Update, day,
};

/// Days that are counted at once.
const DAYS: usize = 8;
/// Files that are measured at once.
const FILES: usize = 8;
/// How far, in standard errors, the true value is from the estimate in 19 cases of 20.
const SURE: f64 = 1.96;

/// The estimate of the size, requests and duration of an export.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Plan {
    /// DayEstimate by day, days without conversations left out.
    pub days: Vec<DayEstimate>,
    /// All together; of `day` there is none.
    pub total: DayEstimate,
    /// Days of which the source tells no count: `total` is without them.
    pub unknown_days: u64,
    /// How far the true number of bytes may be from `total.bytes`, in 19 cases of 20; none if the
    /// sample is too small to tell.
    pub bytes_error: Option<u64>,
    /// Requests by kind.
    pub requests: BTreeMap<String, u64>,
    /// Requests that the vendor allows in a minute, if it states that.
    pub requests_per_minute: Option<u32>,
    /// The sample that it was estimated from.
    pub sample: SizeSample,
}

/// The estimate for one day.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DayEstimate {
    /// The day, `YYYY-MM-DD` in UTC.
    pub day: String,
    /// Conversations, counted.
    pub conversations: u64,
    /// Those that the vendor says were recorded, counted.
    pub recorded: u64,
    /// Recordings, estimated.
    pub recordings: u64,
    /// Their bytes, estimated.
    pub bytes: u64,
    /// Requests to the vendor's API, estimated.
    pub requests: u64,
    /// How long it takes at the vendor's request limit, in seconds.
    pub seconds: u64,
}

/// The conversations that were looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SizeSample {
    /// Conversations fetched as far as their links.
    pub conversations: u64,
    /// Files behind the links.
    pub recordings: u64,
    /// The bytes of these files.
    pub bytes: u64,
    /// Files whose length was not given.
    pub unmeasured: u64,
}

/// The source's counts, and its examples.
#[derive(Default)]
struct Counts {
    /// Conversations, recorded ones, and requests to find them, by day.
    days: BTreeMap<String, (u64, u64, u64)>,
    /// Examples whose recordings would be fetched.
    wanted: Vec<ConversationRef>,
    examples: u64,
    /// Splits of the estimate that have counted nothing, not even none.
    unknown: u64,
}

impl Counts {
    /// The share of the examples that a run would fetch.
    fn share(&self) -> f64 {
        match self.examples {
            0 => 0.0,
            examples => self.wanted.len() as f64 / examples as f64,
        }
    }

    fn take(&mut self, step: Step) {
        for update in step.updates {
            if let Update::Count(counted) = update {
                let of = self.days.entry(day(counted.range.from)).or_default();
                of.0 += counted.conversations;
                of.1 += counted.recorded;
                of.2 += counted.requests;
            }
        }
        self.examples += step.conversations.len() as u64;
        let completed = |id: &str| step.outcomes.iter().any(|one| one.conversation == id);
        let wanted = step.conversations.iter().filter(|one| !completed(&one.id));
        self.wanted.extend(wanted.map(|one| ConversationRef {
            id: one.id.clone(),
            start: one.start,
            recorded: one.recorded,
        }));
    }
}

/// The results of a sample.
#[derive(Default)]
struct Sampled {
    sample: SizeSample,
    /// Bytes of each conversation in it, if they can be told apart.
    each: Vec<f64>,
    requests: BTreeMap<String, u64>,
}

/// Plans the export of a range from a source, whose media `downloads` can measure.
pub(crate) async fn plan(
    session: &SourceSession,
    range: TimeRange,
    fetch_size: usize,
    requests_per_minute: Option<u32>,
    downloads: &Downloads,
) -> Result<Plan, RunError> {
    let started = session.start(Purpose::Estimate(range)).await?;
    let examined = Examined::new(&session.events, "days counted", started.splits.len());
    let mut all = Counts::default();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut splits = started.splits;
    while !splits.is_empty() {
        let counting = stream::iter(splits).map(|split| count(session, split, &examined));
        let counted: Vec<(Counts, Vec<Split>)> = counting.buffered(DAYS).try_collect().await?;
        splits = Vec::new();
        for (counts, more) in counted {
            all.days.extend(counts.days);
            all.wanted.extend(counts.wanted);
            all.examples += counts.examples;
            all.unknown += counts.unknown;
            splits.extend(more);
        }
        splits.retain(|split| seen.insert(split.id.clone()));
    }
    let chosen = all.wanted.sample(&mut rand::rng(), fetch_size);
    let chosen: Vec<ConversationRef> = chosen.cloned().collect();
    let sampled = match chosen.is_empty() {
        true => Sampled::default(),
        false => sample(session, chosen, downloads).await?,
    };
    Ok(add_up(&all, sampled, fetch_size, requests_per_minute))
}

/// Counts what a split is about; gives the splits that come of it.
async fn count(
    session: &SourceSession,
    split: Split,
    examined: &Examined<'_>,
) -> Result<(Counts, Vec<Split>), RunError> {
    let mut counts = Counts::default();
    let mut take = |step| counts.take(step);
    let more = session.one(split, &mut take).await?;
    // One that only begins others has no day of its own.
    counts.unknown = u64::from(counts.days.is_empty() && more.is_empty());
    examined.one();
    Ok((counts, more))
}

/// Has some conversations fetched as far as their links, and measures the files behind those.
async fn sample(
    session: &SourceSession,
    conversations: Vec<ConversationRef>,
    downloads: &Downloads,
) -> Result<Sampled, RunError> {
    let before = session.http.calls().sent;
    let mut bytes: BTreeMap<String, f64> = conversations
        .iter()
        .map(|wanted| (wanted.id.clone(), 0.0))
        .collect();
    let fetch = Fetch {
        name: format!("plan-{}", session.clock.now()),
        conversations,
    };
    let started = session.start(Purpose::Fetch(fetch)).await?;
    let mut artifacts = BTreeMap::<String, Artifact>::new();
    let mut take = |step: Step| {
        for artifact in step.artifacts {
            artifacts.insert(artifact.key.to_text(), artifact);
        }
    };
    session.all(started.splits, &mut take).await?;
    let examined = Examined::new(&session.events, "files measured", artifacts.len());
    let examined = &examined;
    let lengths: Vec<(Artifact, Option<u64>)> = stream::iter(artifacts.into_values())
        .map(|artifact| async move {
            let length = downloads.length(&artifact).await;
            examined.one();
            (artifact, length)
        })
        .buffered(FILES)
        .collect()
        .await;
    let mut sampled = Sampled::default();
    sampled.sample.conversations = bytes.len() as u64;
    let mut apart = true;
    for (artifact, length) in lengths {
        sampled.sample.recordings += 1;
        let Some(length) = length else {
            sampled.sample.unmeasured += 1;
            continue;
        };
        sampled.sample.bytes += length;
        match (&artifact.key, &artifact.container) {
            (ArtifactKey::Recording(key), Container::Single | Container::Zip) => {
                if let Some(bytes) = bytes.get_mut(&key.conversation) {
                    *bytes += length as f64;
                }
            }
            // One archive with the files of many.
            _ => apart = false,
        }
    }
    if apart {
        sampled.each = bytes.into_values().collect();
    }
    for (kind, sent) in session.http.calls().sent {
        let more = sent - before.get(&kind).copied().unwrap_or_default();
        // A run needs a token, too, but not one for each group.
        if more > 0 && kind != "token" {
            sampled.requests.insert(kind, more);
        }
    }
    Ok(sampled)
}

impl SizeSample {
    /// The bytes of a conversation. Of the unmeasured the same is assumed as of the others.
    fn bytes_each(&self) -> f64 {
        let measured = self.recordings - self.unmeasured;
        let unseen = self.recordings as f64 / measured.max(1) as f64;
        self.bytes as f64 / self.conversations.max(1) as f64 * unseen
    }
}

fn add_up(
    counts: &Counts,
    sampled: Sampled,
    fetch_size: usize,
    requests_per_minute: Option<u32>,
) -> Plan {
    let Sampled {
        sample,
        each,
        requests,
    } = sampled;
    let size = sample.conversations.max(1) as f64;
    let bytes_each = sample.bytes_each();
    // Of an archive with the files of many, only the flags say how many there are.
    let apart = !each.is_empty();
    let recordings_each = sample.recordings as f64 / size;
    let share = counts.share();
    let asked: u64 = requests.values().sum();
    // Where a few requests fetch a whole group, they are counted by groups.
    let by_groups = asked as f64 <= size / 2.0;
    let groups = match by_groups {
        true => fetch_size.max(1) as f64,
        false => size,
    };
    let minute = requests_per_minute.map_or(f64::INFINITY, f64::from);
    let mut plan = Plan {
        unknown_days: counts.unknown,
        requests_per_minute,
        sample,
        ..Plan::default()
    };
    let mut wanted = 0.0;
    for (day, (conversations, recorded, searches)) in &counts.days {
        let fetched = *conversations as f64 * share;
        wanted += fetched;
        let fetches = fetched / groups * asked as f64;
        let requests = *searches as f64 + fetches;
        plan.days.push(DayEstimate {
            day: day.clone(),
            conversations: *conversations,
            recorded: *recorded,
            recordings: match apart {
                true => (fetched * recordings_each).round() as u64,
                false => *recorded,
            },
            bytes: (fetched * bytes_each).round() as u64,
            requests: requests.ceil() as u64,
            seconds: (requests / minute * 60.0).round() as u64,
        });
    }
    plan.days.retain(|day| day.conversations > 0);
    let searches: u64 = counts.days.values().map(|day| day.2).sum();
    plan.requests.insert("search".to_owned(), searches);
    // Groups are filled across days.
    let fetches = match by_groups {
        true => (wanted / groups).ceil(),
        false => wanted / groups,
    };
    let sent = requests.into_iter();
    let sent = sent.map(|(kind, sent)| (kind, (fetches * sent as f64).ceil() as u64));
    plan.requests.extend(sent);
    let all: u64 = plan.requests.values().sum();
    plan.total = DayEstimate {
        requests: all,
        seconds: (all as f64 / minute * 60.0).round() as u64,
        ..total(&plan.days)
    };
    plan.bytes_error = error(&each).map(|error| (error * wanted * SURE).round() as u64);
    plan
}

/// The sums of days, without a day, requests and their time.
fn total(days: &[DayEstimate]) -> DayEstimate {
    let sum = |of: fn(&DayEstimate) -> u64| days.iter().map(of).sum();
    DayEstimate {
        conversations: sum(|day| day.conversations),
        recorded: sum(|day| day.recorded),
        recordings: sum(|day| day.recordings),
        bytes: sum(|day| day.bytes),
        ..DayEstimate::default()
    }
}

/// The standard error of the mean.
fn error(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (count - 1.0) / count).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sample_tells_is_scaled_to_all() {
        let counts = Counts {
            days: BTreeMap::from([
                ("2026-01-05".to_owned(), (900, 700, 9)),
                ("2026-01-06".to_owned(), (100, 80, 1)),
            ]),
            wanted: vec![
                ConversationRef {
                    id: "c".to_owned(),
                    start: 0,
                    recorded: true
                };
                80
            ],
            examples: 100,
            unknown: 2,
        };
        let sampled = Sampled {
            sample: SizeSample {
                conversations: 4,
                recordings: 6,
                bytes: 400,
                unmeasured: 0,
            },
            each: vec![90.0, 110.0, 90.0, 110.0],
            requests: BTreeMap::from([("batch POST".to_owned(), 1), ("batch GET".to_owned(), 1)]),
        };
        let plan = add_up(&counts, sampled, 100, Some(60));
        assert_eq!(plan.total.conversations, 1000);
        // What the source does not count is not taken for nothing.
        assert_eq!(plan.unknown_days, 2);
        assert_eq!((plan.total.recordings, plan.total.bytes), (1200, 80_000));
        // Eight groups of a hundred, and ten pages.
        assert_eq!(plan.requests["batch POST"], 8);
        assert_eq!((plan.total.requests, plan.total.seconds), (26, 26));
        assert_eq!(plan.days[0].bytes, 72_000);
        // A standard deviation of 11.5 and four values, 800 conversations, 1.96 errors.
        assert_eq!(plan.bytes_error, Some(9053));
    }

    #[test]
    fn one_value_has_no_error() {
        assert_eq!(error(&[1.0]), None);
        assert_eq!(error(&[1.0, 1.0]), Some(0.0));
    }
}
