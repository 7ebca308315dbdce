//! Says what a run would fetch, and under which keys each sink would get it. The source is searched and
//! asked for nothing that costs: no job is submitted, no media are moved, nothing is written.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use crate::{
    examined::Examined, privacy::Intake, run::RunError, source_session::SourceSession,
    transfer::SinkBinding,
};
use recording_host_model::{
    ConversationRecord, Find, Purpose, Step, TimeRange,
    layout::{KeyFacts, Layout},
};
use recording_host_state::Ledger;

/// Days that are searched at once.
const DAYS: usize = 4;
const DAY: u64 = 86_400_000;
/// Keys that are named for each sink.
const KEYS: usize = 3;
/// Stands in a key for the id of the recording, which is known once it is fetched.
const RECORDING: &str = "recording-id";
/// Stands in a key for the extension of the file.
const EXTENSION: &str = "ext";

/// The work that a run would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DryRun {
    /// Conversations found in what no run has searched yet, and that none knows.
    pub found: u64,
    /// Those of them that would be fetched; of the others the search says already what becomes of them.
    pub fetched: u64,
    /// Conversations that earlier runs have found, and that are still to be fetched.
    pub waiting: u64,
    /// Conversations that earlier runs have fetched, and that are still to be stored and filed in a sink.
    pub unfiled: u64,
    /// The share of each sink in those that were found.
    pub sinks: BTreeMap<String, DrySink>,
}

/// The share of a sink.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DrySink {
    /// Conversations that it takes, of those that would be fetched.
    pub conversations: u64,
    /// Keys of a few of them; `recording-id` and `ext` stand for the id and the extension, which are known
    /// once a recording is fetched.
    pub keys: Vec<String>,
}

/// The conversations that were found in a day.
#[derive(Default)]
struct FoundInDay {
    conversations: BTreeMap<String, ConversationRecord>,
    /// Those of which the search says already what becomes of them.
    decided: BTreeSet<String>,
}

/// Searches what `queue` has not searched of a range, and says what would come of it.
pub(crate) async fn dry_run(
    session: &SourceSession,
    range: TimeRange,
    ledger: Option<&dyn Ledger>,
    bindings: &[SinkBinding],
    intake: &Intake,
) -> Result<DryRun, RunError> {
    let mut dry = DryRun::default();
    for binding in bindings {
        dry.sinks.entry(binding.name.clone()).or_default();
    }
    if let Some(ledger) = ledger {
        let status = ledger.status().await?;
        dry.waiting = status.wanted + status.fetching;
        dry.unfiled = status.unfiled;
    }
    let days = days(range, ledger).await?;
    let examined = Examined::new(&session.events, "days searched", days.len());
    let examined = &examined;
    let mut searches = stream::iter(days)
        .map(|range| async move {
            let found = search(session, range, intake).await;
            examined.one();
            found
        })
        .buffered(DAYS);
    while let Some(found) = searches.try_next().await? {
        dry.add(found, ledger, bindings).await?;
    }
    Ok(dry)
}

/// The parts of a range that have not been searched, cut at midnight.
async fn days(range: TimeRange, ledger: Option<&dyn Ledger>) -> Result<Vec<TimeRange>, RunError> {
    let searched = match ledger {
        Some(ledger) => ledger.searched().await?,
        None => recording_host_state::Searched::default(),
    };
    let mut days = Vec::new();
    let mut from = range.from;
    while let Some((start, end)) = searched.lacking(from, range.until) {
        from = start;
        while from < end {
            let until = ((from / DAY + 1) * DAY).min(end);
            days.push(TimeRange { from, until });
            from = until;
        }
    }
    Ok(days)
}

async fn search(
    session: &SourceSession,
    range: TimeRange,
    intake: &Intake,
) -> Result<FoundInDay, RunError> {
    let find = Find {
        name: "dry-run".to_owned(),
        range,
    };
    let started = session.start(Purpose::Find(find)).await?;
    let mut found = FoundInDay::default();
    let mut take = |step: Step| {
        let step = intake.step(step);
        let decided = step
            .outcomes
            .into_iter()
            .map(|reported| reported.conversation);
        found.decided.extend(decided);
        for one in &step.conversations {
            let record = ConversationRecord::from(one);
            found.conversations.insert(one.id.clone(), record);
        }
    };
    session.all(started.splits, &mut take).await?;
    Ok(found)
}

impl DryRun {
    async fn add(
        &mut self,
        mut found: FoundInDay,
        ledger: Option<&dyn Ledger>,
        bindings: &[SinkBinding],
    ) -> Result<(), RunError> {
        if let Some(ledger) = ledger {
            let ids = found.conversations.keys().cloned().collect();
            for id in ledger.known(ids).await?.keys() {
                found.conversations.remove(id);
            }
        }
        self.found += found.conversations.len() as u64;
        for (id, record) in &found.conversations {
            if found.decided.contains(id) {
                continue;
            }
            self.fetched += 1;
            for binding in bindings {
                if !binding.route.condition.holds(record) {
                    continue;
                }
                let sink = self.sinks.entry(binding.name.clone()).or_default();
                sink.conversations += 1;
                if sink.keys.len() < KEYS {
                    sink.keys.push(key(&binding.layout, id, record));
                }
            }
        }
        Ok(())
    }
}

/// The key of a recording of a conversation.
fn key(layout: &Layout, id: &str, record: &ConversationRecord) -> String {
    let stem = layout.stem(&KeyFacts::of(record), id, RECORDING, 0);
    layout.whole(&stem, EXTENSION)
}
