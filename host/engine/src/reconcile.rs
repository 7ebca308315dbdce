//! Compares an archive with its source: asks for the conversations again and names, day by day,
//! those of which the receipts say nothing, or something else.
//!
//! No media are moved and the queue is not touched. Memory holds a few days at a time.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use crate::{
    examined::Examined,
    recover::{ProvenEntry, ReceiptOwnership, Receipts},
    run::RunError,
    source_session::SourceSession,
    transfer::SinkBinding,
};
use recording_host_model::{
    ConversationRecord, Find, Outcome, Purpose, Step, TimeRange, Update, day,
};
use recording_host_state::{CountMismatch, goes_on};

/// Days that are searched at once.
const DAYS: usize = 4;
const DAY: u64 = 86_400_000;

/// How a day of a sink differs from the source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DayDifference {
    /// The sink.
    pub sink: String,
    /// The day on which the conversations began, `YYYY-MM-DD` in UTC.
    pub day: String,
    /// Conversations that the source has.
    pub source: u64,
    /// Conversations in the receipts.
    pub receipts: u64,
    /// Conversations that no receipt mentions.
    pub missing: Vec<String>,
    /// Conversations of which the source says that they were recorded, and the receipts that they have no
    /// recording.
    pub unrecorded: Vec<String>,
    /// Conversations of which the source has more than when they were filed.
    pub grown: Vec<String>,
    /// Conversations that the receipts name as lost, in whole or in part.
    pub lost: Vec<String>,
    /// Conversations in the receipts that the source no longer knows.
    pub unknown: Vec<String>,
}

/// The result of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReconcileReport {
    /// Conversations that the source has.
    pub source: u64,
    /// Conversations of these that are ongoing and not due yet.
    pub live: u64,
    /// Ranges in which the source counts more conversations than it hands over.
    pub miscounted: Vec<CountMismatch>,
    /// The days that differ.
    pub days: Vec<DayDifference>,
}

impl ReconcileReport {
    /// Returns true if the receipts have everything that the source has.
    #[must_use]
    pub fn complete(&self) -> bool {
        let whole = |day: &DayDifference| {
            [&day.missing, &day.unrecorded, &day.grown]
                .iter()
                .all(|list| list.is_empty())
        };
        self.miscounted.is_empty() && self.days.iter().all(whole)
    }
}

/// A conversation that the source has.
struct SourceConversation {
    /// True if it was recorded.
    recorded: bool,
    /// How much there is of it, if the source knows.
    extent: Option<u64>,
    /// For each of the sinks, true if it takes the conversation.
    takers: Vec<bool>,
}

/// Compares the receipts that an export may `claim` in some sinks with what the source has in a range.
pub(crate) async fn reconcile(
    asked: &SourceSession,
    range: TimeRange,
    claim: &ReceiptOwnership,
    horizon: u64,
    bindings: &[SinkBinding],
) -> Result<ReconcileReport, RunError> {
    let mut days = Vec::new();
    let mut from = range.from;
    while from < range.until {
        let until = ((from / DAY + 1) * DAY).min(range.until);
        days.push(TimeRange { from, until });
        from = until;
    }
    let examined = Examined::new(&asked.events, "days compared", days.len());
    let examined = &examined;
    let compared: Vec<(FoundInRange, Vec<DayDifference>)> = stream::iter(days)
        .map(|range| async move {
            let compared = one_day(asked, range, (claim, horizon), bindings).await;
            examined.one();
            compared
        })
        .buffered(DAYS)
        .try_collect()
        .await?;
    let mut reconciled = ReconcileReport::default();
    for (found, differences) in compared {
        reconciled.source += found.count;
        reconciled.live += found.live;
        reconciled.miscounted.extend(found.miscounted);
        reconciled.days.extend(differences);
    }
    Ok(reconciled)
}

async fn one_day(
    asked: &SourceSession,
    range: TimeRange,
    (claim, horizon): (&ReceiptOwnership, u64),
    bindings: &[SinkBinding],
) -> Result<(FoundInRange, Vec<DayDifference>), RunError> {
    let mut found = find(asked, range, horizon, bindings).await?;
    let known = std::mem::take(&mut found.known);
    let name = day(range.from);
    let mut differences = Vec::new();
    for (sink_index, binding) in bindings.iter().enumerate() {
        let Some(store) = binding.sink.store() else {
            continue;
        };
        let known = known.iter().filter(|(_, known)| known.takers[sink_index]);
        let known: Vec<(&String, &SourceConversation)> = known.collect();
        let mut latest = BTreeMap::<String, ProvenEntry>::new();
        let folder = format!("receipts/date={name}/");
        for line in Receipts::read(store, &folder, claim).await?.lines {
            let line = line.entry;
            let before = latest.get(&line.conversation_id);
            if before.is_none_or(|before| before.attempt < line.attempt) {
                latest.insert(line.conversation_id.clone(), line);
            }
        }
        let mut difference = DayDifference {
            sink: binding.name.clone(),
            day: name.clone(),
            source: known.len() as u64,
            receipts: latest.len() as u64,
            ..DayDifference::default()
        };
        for (id, known) in known {
            let list = match latest.remove(id) {
                None => &mut difference.missing,
                Some(line) if known.extent > line.extent => &mut difference.grown,
                Some(line) if known.recorded && line.outcome == Outcome::NoRecording => {
                    &mut difference.unrecorded
                }
                Some(line) if !line.outcome.losses().is_empty() => &mut difference.lost,
                Some(_) => continue,
            };
            list.push(id.clone());
        }
        // A range that cuts a day says nothing of the rest of the day.
        let whole = range.from.is_multiple_of(DAY) && range.until.is_multiple_of(DAY);
        if whole {
            difference.unknown = latest.into_keys().collect();
        }
        let lists = [
            &difference.missing,
            &difference.unrecorded,
            &difference.grown,
            &difference.lost,
            &difference.unknown,
        ];
        if lists.iter().any(|list| !list.is_empty()) {
            differences.push(difference);
        }
    }
    Ok((found, differences))
}

/// The conversations found in a range, and the counts of the source.
#[derive(Default)]
struct FoundInRange {
    known: BTreeMap<String, SourceConversation>,
    count: u64,
    live: u64,
    miscounted: Vec<CountMismatch>,
}

/// Finds the conversations that the source has in a range. Ongoing ones are left out until `horizon` ms
/// after they began.
async fn find(
    asked: &SourceSession,
    range: TimeRange,
    horizon: u64,
    bindings: &[SinkBinding],
) -> Result<FoundInRange, RunError> {
    let find = Find {
        name: "reconcile".to_owned(),
        range,
    };
    let started = asked.start(Purpose::Find(find)).await?;
    let now = asked.clock.now();
    let mut found = FoundInRange::default();
    let mut starts = BTreeMap::new();
    let mut counts = Vec::new();
    let mut take = |step: Step| {
        let live: BTreeSet<&str> = step
            .outcomes
            .iter()
            .filter(|outcome| goes_on(outcome))
            .map(|outcome| outcome.conversation.as_str())
            .collect();
        for one in &step.conversations {
            starts.insert(one.id.clone(), one.start);
            if live.contains(one.id.as_str()) && one.start + horizon > now {
                found.live += 1;
                continue;
            }
            let record = ConversationRecord::from(one);
            let holds = |binding: &SinkBinding| binding.route.condition.holds(&record);
            let known = SourceConversation {
                recorded: one.recorded,
                extent: one.revision,
                takers: bindings.iter().map(holds).collect(),
            };
            found.known.insert(one.id.clone(), known);
        }
        counts.extend(step.updates.into_iter().filter_map(|fact| match fact {
            Update::Count(counted) => Some(counted),
            _ => None,
        }));
    };
    asked.all(started.splits, &mut take).await?;
    found.count = starts.len() as u64;
    for counted in counts {
        let TimeRange { from, until } = counted.range;
        let within = starts
            .values()
            .filter(|start| (from..until).contains(start));
        let known = within.count() as u64;
        if counted.conversations > known {
            found.miscounted.push(CountMismatch {
                from,
                until,
                source: counted.conversations,
                known,
                at: now,
            });
        }
    }
    Ok(found)
}
