//! Writes down what a step yielded: conversations, artifacts, outcomes and splits, all or nothing.

use std::collections::{BTreeMap, HashMap, HashSet};

use rusqlite::{OptionalExtension, params};

use super::{
    Queue, QueueError, count,
    delivered::sinks_owed,
    fetch::Filed,
    insert_splits,
    names::{self, Lookup},
    recover::file_alike,
    sinks::{self, json, wanting},
};
use recording_host_model::{
    ArtifactKey, Conversation, ConversationRecord, Counted, Next, Outcome, RecordingAttributes,
    Reported, ReportedOutcome as ToldOutcome, Step, Update, day,
};

/// What committing a step has changed.
#[derive(Debug, Default)]
pub struct Committed {
    /// The ids of splits that are new.
    pub splits: Vec<String>,
    /// The artifacts that are wanted still, as text, with the sinks that are owed them; none for all.
    pub artifacts: HashMap<String, Option<Vec<String>>>,
    /// Conversations whose recordings are now to be fetched.
    pub wanted: usize,
}

impl Queue {
    /// Writes down all that a step yielded and what is next for its split, at once. A conversation that
    /// goes on is left alone until it has ended, or for `horizon` ms after its start.
    ///
    /// # Errors
    /// [`QueueError`]; then the step counts as not made.
    pub async fn commit(
        &self,
        split: String,
        step: Step,
        now: u64,
        horizon: u64,
    ) -> Result<Committed, QueueError> {
        self.with(move |tx| {
            let mut committed = Committed::default();
            let mut outcomes: HashMap<&str, &ToldOutcome> = step
                .outcomes
                .iter()
                .map(|outcome| (outcome.conversation.as_str(), outcome))
                .collect();
            // Of these there is more to come than an outcome.
            let open: HashSet<&str> = artifacts_of(&step).chain(facts_of(&step)).collect();
            let named = step.updates.iter().filter_map(|fact| match fact {
                Update::Name(named) => Some(named),
                _ => None,
            });
            for named in named {
                names::set(tx, &named.id, &named.name)?;
            }
            let mut names = Lookup::default();
            let mut new = 0;
            for found in &step.conversations {
                let live = outcomes
                    .get(found.id.as_str())
                    .copied()
                    .is_some_and(goes_on);
                if live {
                    outcomes.remove(found.id.as_str());
                }
                let due = match live {
                    true => found.start.saturating_add(horizon),
                    false => now,
                };
                let told = outcomes.get(found.id.as_str());
                let whole = !open.contains(found.id.as_str());
                let last = told.filter(|_| whole).and_then(|told| last(told));
                let added = add_conversation(
                    tx,
                    &mut names,
                    found,
                    Told {
                        outcome: told.is_some(),
                        last: last.as_ref(),
                        live,
                        due,
                    },
                    now,
                )?;
                new += i64::from(added == Added::New);
                if last.is_some() && added == Added::New {
                    outcomes.remove(found.id.as_str());
                } else if told.is_none() && added != Added::Known && due <= now {
                    committed.wanted += 1;
                }
            }
            if new > 0 {
                count(tx, "conversations", new)?;
            }
            for fact in &step.updates {
                match fact {
                    Update::Recording(about) => add_about(tx, about)?,
                    Update::Count(counted) => add_count(tx, counted, now)?,
                    _ => {}
                }
            }
            for artifact in &step.artifacts {
                let key = artifact.key.to_text();
                if add_artifact(tx, &artifact.key, &key, &split)? {
                    let sinks = takers(tx, &artifact.key, &split)?;
                    committed.artifacts.insert(key, sinks);
                    continue;
                }
                let owed = sinks_owed(tx, &key)?;
                if !owed.is_empty() {
                    committed.artifacts.insert(key, Some(owed));
                }
            }
            for outcome in &step.outcomes {
                if outcomes.contains_key(outcome.conversation.as_str()) {
                    set_outcome(tx, outcome)?;
                }
            }
            committed.splits = insert_splits(tx, &step.splits, now)?;
            let (state, status, due) = match &step.next {
                Next::Send(send) => (&send.state, "open", now),
                Next::Wait(wait) => (&wait.state, "open", wait.until),
                Next::Done(state) => (state, "done", now),
            };
            tx.prepare_cached(
                "UPDATE split SET version = ?2, state = ?3, status = ?4, due = ?5 WHERE id = ?1",
            )?
            .execute(params![
                split,
                state.version,
                state.data,
                status,
                due as i64
            ])?;
            Ok(committed)
        })
        .await
    }
}

/// The conversations of which a step hands over recordings.
fn artifacts_of(step: &Step) -> impl Iterator<Item = &str> {
    step.artifacts
        .iter()
        .filter_map(|artifact| match &artifact.key {
            ArtifactKey::Recording(key) => Some(key.conversation.as_str()),
            ArtifactKey::Bundle(_) => None,
        })
}

/// The conversations of whose recordings a step tells more.
fn facts_of(step: &Step) -> impl Iterator<Item = &str> {
    step.updates.iter().filter_map(|fact| match fact {
        Update::Recording(about) => Some(about.conversation.as_str()),
        _ => None,
    })
}

/// An outcome that is the last word on a conversation that is new and of which nothing is handed over.
fn last(told: &ToldOutcome) -> Option<Outcome> {
    let (outcome, bundle, passing) = outcome(told);
    // What was announced may still come.
    if passing || bundle.is_some() || announced(told) > Some(0) {
        return None;
    }
    Some(outcome)
}

/// What adding a conversation has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Added {
    /// It was not known.
    New,
    /// It was filed, and there is more of it by now.
    Again,
    /// There is nothing to do for it that there was not before.
    Known,
}

/// What is said of a conversation that was found.
#[derive(Clone, Copy)]
struct Told<'a> {
    /// Whether its outcome comes with it.
    outcome: bool,
    /// The outcome that settles it at once if it is new.
    last: Option<&'a Outcome>,
    /// Whether it goes on.
    live: bool,
    /// When it is to be fetched (ms).
    due: u64,
}

/// What the source says of a conversation that it found and that goes on: the code of its outcome.
const NOT_ENDED: &str = "not-ended";

/// Whether an outcome says that the conversation goes on.
pub fn goes_on(told: &ToldOutcome) -> bool {
    matches!(&told.result, Reported::Failed(failure) if failure.code == NOT_ENDED)
}

/// Adds a conversation, or, as long as nothing has been made of it, what is known of it by now.
fn add_conversation(
    tx: &rusqlite::Transaction<'_>,
    names: &mut Lookup,
    found: &Conversation,
    told: Told<'_>,
    now: u64,
) -> rusqlite::Result<Added> {
    let mut record = ConversationRecord::from(found);
    for list in [
        &mut record.agents,
        &mut record.queues,
        &mut record.wrap_up_codes,
    ] {
        for (id, name) in list.iter_mut().filter(|(_, name)| name.is_none()) {
            *name = names.get(tx, id)?;
        }
    }
    let record = json(&record)?;
    let ended = found.end.map(|end| end as i64);
    let extent = found.revision.map(|extent| extent as i64);
    file_alike(tx, &found.id)?;
    let new = tx
        .prepare_cached(
            "INSERT OR IGNORE INTO conversation
             (id, day, start, ended, recorded, record, outcome, lost, status, due, extent, live, attempt)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,
               1 + ifnull((SELECT attempt FROM earlier WHERE conversation = ?1), 0))",
        )?
        .execute(params![
            found.id,
            day(found.start),
            found.start as i64,
            ended,
            found.recorded,
            record,
            told.last.map(json).transpose()?,
            told.last.is_some_and(|outcome| !outcome.losses().is_empty()),
            if told.last.is_some() { "settled" } else { "found" },
            told.due as i64,
            extent,
            told.live
        ])?;
    if new == 1 {
        return Ok(Added::New);
    }
    // Of what only receipts have told, the start was not known.
    tx.prepare_cached("UPDATE conversation SET start = ?2 WHERE id = ?1 AND start = 0")?
        .execute(params![found.id, found.start as i64])?;
    // What a fetch told of it is not replaced by what a search tells again. What has ended by now need
    // not be waited for.
    let was_live: Option<bool> = tx
        .prepare_cached(
            "SELECT live FROM conversation WHERE id = ?1 AND status = 'found' AND fetch IS NULL",
        )?
        .query_row([&found.id], |row| row.get(0))
        .optional()?;
    tx.prepare_cached(
        "UPDATE conversation SET ended = ?3, recorded = ?4,
         extent = CASE WHEN ?6 > ifnull(extent, 0) THEN ?6 ELSE extent END,
         record = json_patch(?2, json_object('recordings', json(ifnull(record ->> 'recordings', '{}')))),
         due = CASE WHEN live AND NOT ?7 THEN ?8 ELSE due END, live = live AND ?7
         WHERE id = ?1 AND status = 'found' AND (?5 OR fetch IS NULL)",
    )?
    .execute(params![
        found.id,
        record,
        ended,
        found.recorded,
        told.outcome,
        extent,
        told.live,
        now as i64
    ])?;
    if was_live == Some(true) && !told.live {
        return Ok(Added::Again);
    }
    if !comes_up_again(tx, found, told, now)? {
        return Ok(Added::Known);
    }
    tx.prepare_cached(
        "UPDATE conversation SET record = ?2, start = ?3, ended = ?4, recorded = ?5, live = 0,
         extent = ifnull(?6, extent) WHERE id = ?1",
    )?
    .execute(params![
        found.id,
        record,
        found.start as i64,
        ended,
        found.recorded,
        extent
    ])?;
    Ok(Added::Again)
}

/// Takes up again what was filed, if there is something to do for it; says whether there is.
fn comes_up_again(
    tx: &rusqlite::Transaction<'_>,
    found: &Conversation,
    told: Told<'_>,
    now: u64,
) -> rusqlite::Result<bool> {
    if told.live {
        return Ok(false);
    }
    // What sinks lack of it is settled by the outcome that comes with it.
    if told.outcome {
        let lacking = !wanting(tx, &found.id)?.is_empty();
        return Ok(lacking && sinks::take_up(tx, &found.id, now)?);
    }
    // What is under way is taken up again when it has been filed.
    let extent = found.revision.map(|extent| extent as i64);
    tx.prepare_cached(
        "UPDATE conversation SET grown = max(?2, ifnull(grown, 0)) WHERE id = ?1 AND ?2 > ifnull(extent, 0)
         AND (status IN ('settled', 'closing') OR (status = 'found' AND fetch IS NOT NULL))",
    )?
    .execute(params![found.id, extent])?;
    take_up(tx, found, now)
}

/// Takes up again what was filed, if there is more of it by now: it had no recording and has one, it
/// went on and has ended, or there is more of it; or if a sink lacks it.
fn take_up(
    tx: &rusqlite::Transaction<'_>,
    found: &Conversation,
    now: u64,
) -> rusqlite::Result<bool> {
    let extent = found.revision.map(|extent| extent as i64);
    let grown = tx
        .prepare_cached(
            "SELECT outcome, objects, bytes FROM conversation WHERE id = ?1 AND status IN ('filed', 'kept')
             AND (?2 AND NOT recorded OR ?3 > ifnull(extent, 0) OR live)",
        )?
        .query_row(params![found.id, found.recorded, extent], Filed::read)
        .optional()?;
    match grown {
        Some(filed) => filed.take_up(tx, &found.id, now).map(|()| true),
        None if wanting(tx, &found.id)?.is_empty() => Ok(false),
        None => sinks::take_up(tx, &found.id, now),
    }
}

/// Notes how many conversations the source counts in a range; what it counted before of the same range
/// or of parts of it is forgotten.
fn add_count(tx: &rusqlite::Transaction<'_>, counted: &Counted, now: u64) -> rusqlite::Result<()> {
    let (from, until) = (counted.range.from as i64, counted.range.until as i64);
    tx.prepare_cached(
        "DELETE FROM source_count WHERE (start >= ?1 AND until <= ?2) OR start = ?1 OR until = ?2",
    )?
    .execute([from, until])?;
    tx.prepare_cached("INSERT INTO source_count VALUES (?1, ?2, ?3, ?4)")?
        .execute([from, until, counted.conversations as i64, now as i64])
        .map(drop)
}

/// The sinks that an artifact is to be brought to; none for all.
fn takers(
    tx: &rusqlite::Transaction<'_>,
    artifact: &ArtifactKey,
    split: &str,
) -> rusqlite::Result<Option<Vec<String>>> {
    let sinks = match artifact {
        ArtifactKey::Recording(key) => wanting(tx, &key.conversation)?,
        // All conversations of a fetch are wanted by the same sinks.
        ArtifactKey::Bundle(_) => tx
            .prepare_cached(
                "SELECT sink FROM wanting WHERE conversation =
                 (SELECT id FROM conversation WHERE status = 'found' AND outcome IS NULL AND fetch IS NOT NULL
                  AND substr(?1, 1, length(fetch)) = fetch LIMIT 1)",
            )?
            .query_map([split], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?,
    };
    Ok((!sinks.is_empty()).then(|| sinks.into_iter().collect()))
}

/// Adds what is known of a recording to its conversation, unless that has been filed.
fn add_about(tx: &rusqlite::Transaction<'_>, about: &RecordingAttributes) -> rusqlite::Result<()> {
    let attributes: BTreeMap<String, String> = about.attributes.iter().cloned().collect();
    let recordings = BTreeMap::from([(about.recording.as_str(), attributes)]);
    let patch = BTreeMap::from([("recordings", recordings)]);
    let patch = json(&patch)?;
    tx.prepare_cached(
        "UPDATE conversation SET record = json_patch(record, ?2) WHERE id = ?1 AND status = 'found'",
    )?
    .execute([&about.conversation, &patch])?;
    Ok(())
}

/// Adds an artifact, and says whether it is to be delivered.
fn add_artifact(
    tx: &rusqlite::Transaction<'_>,
    artifact: &ArtifactKey,
    key: &str,
    split: &str,
) -> rusqlite::Result<bool> {
    let conversation = match artifact {
        ArtifactKey::Recording(key) => Some(&key.conversation),
        ArtifactKey::Bundle(_) => None,
    };
    if let Some(id) = conversation {
        let status: Option<String> = tx
            .prepare_cached("SELECT status FROM conversation WHERE id = ?1")?
            .query_row([id], |row| row.get(0))
            .optional()?;
        // Of a conversation that nobody found there is nothing to file; a filed one is done with.
        if status.as_deref() != Some("found") {
            return Ok(false);
        }
    }
    tx.prepare_cached(
        "INSERT OR IGNORE INTO artifact (key, conversation, split, status) VALUES (?1, ?2, ?3, 'pending')",
    )?
    .execute(params![key, conversation, split])?;
    tx.prepare_cached("SELECT status = 'pending' FROM artifact WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
}

/// What the source says has become of a conversation, the bundle that holds it, and whether it may
/// get better.
fn outcome(told: &ToldOutcome) -> (Outcome, Option<String>, bool) {
    let mut bundle = None;
    let mut passing = false;
    let outcome = match &told.result {
        Reported::HandedOver(handed) if handed.missing.is_empty() => Outcome::Stored,
        Reported::HandedOver(handed) => {
            let missing = handed.missing.iter().map(|missing| {
                let failure = &missing.failure;
                passing |= failure.retryable;
                (failure.code.clone(), failure.message.clone())
            });
            Outcome::Partial {
                missing: missing.collect(),
            }
        }
        Reported::InArchive(id) => {
            bundle = Some(ArtifactKey::Bundle(id.clone()).to_text());
            Outcome::NoRecording
        }
        Reported::NoRecording => Outcome::NoRecording,
        Reported::Skipped(reason) => Outcome::Skipped {
            reason: reason.clone(),
        },
        Reported::Failed(failure) => {
            passing = failure.retryable;
            Outcome::Failed {
                code: failure.code.clone(),
                message: failure.message.clone(),
            }
        }
    };
    (outcome, bundle, passing)
}

/// How many artifacts the source says that there are of a conversation.
fn announced(told: &ToldOutcome) -> Option<u32> {
    match &told.result {
        Reported::HandedOver(handed) => Some(handed.artifacts),
        _ => None,
    }
}

/// Notes what the source says has become of a conversation.
fn set_outcome(tx: &rusqlite::Transaction<'_>, told: &ToldOutcome) -> rusqlite::Result<()> {
    let (result, bundle, passing) = outcome(told);
    let text = json(&result)?;
    tx.prepare_cached(
        "UPDATE conversation SET outcome = ?2, bundle = ?3, passing = ?4, announced = ?5
         WHERE id = ?1 AND status = 'found'",
    )?
    .execute(params![
        told.conversation,
        text,
        bundle,
        passing,
        announced(told)
    ])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use recording_host_model::{HandedOver, Split, SplitState};

    fn state() -> SplitState {
        SplitState {
            version: 1,
            data: Vec::new(),
        }
    }

    /// A step that tells of a conversation, and what has become of it if `handed` is true.
    fn step(ani: Option<&str>, handed: bool) -> Step {
        let result = Reported::HandedOver(HandedOver {
            artifacts: 1,
            missing: Vec::new(),
        });
        Step {
            conversations: vec![Conversation {
                id: "c".to_owned(),
                start: 0,
                end: ani.map(|_| 5),
                direction: None,
                ani: ani.map(str::to_owned),
                dnis: None,
                agents: Vec::new(),
                queues: Vec::new(),
                wrap_up_codes: Vec::new(),
                tags: Vec::new(),
                divisions: Vec::new(),
                media_types: Vec::new(),
                recorded: true,
                revision: None,
                attributes: Vec::new(),
            }],
            artifacts: Vec::new(),
            outcomes: match handed {
                true => vec![ToldOutcome {
                    conversation: "c".to_owned(),
                    result,
                }],
                false => Vec::new(),
            },
            splits: Vec::new(),
            updates: Vec::new(),
            notes: Vec::new(),
            next: Next::Done(state()),
        }
    }

    #[tokio::test]
    async fn what_a_fetch_told_is_not_replaced_by_what_a_search_tells_again() {
        let queue = Queue::in_memory().unwrap();
        let commit = async |step: Step| queue.commit("s".to_owned(), step, 0, 0).await.unwrap();
        let record = async || {
            queue
                .with(|tx| {
                    tx.query_row("SELECT record FROM conversation", [], |row| {
                        row.get::<_, String>(0)
                    })
                })
                .await
                .unwrap()
        };
        commit(step(None, false)).await;
        // Nothing is made of it yet: what is known by now counts.
        commit(step(Some("tel:+1"), false)).await;
        assert!(record().await.contains("tel:+1"));
        let split = Split {
            id: "f".to_owned(),
            kind: "files".to_owned(),
            state: state(),
        };
        let conversations = vec!["c".to_owned()];
        queue
            .fetch("f".to_owned(), conversations, vec![split], 0)
            .await
            .unwrap();
        commit(step(Some("tel:+2"), true)).await;
        assert!(record().await.contains("tel:+2"));
        commit(step(None, false)).await;
        assert!(record().await.contains("tel:+2"));
    }
}
