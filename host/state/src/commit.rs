//! Writes down what a step yielded: conversations, artifacts, outcomes and splits, all or nothing.

mod discovered;
mod reported;

use std::collections::{BTreeMap, HashMap, HashSet};

use rusqlite::{OptionalExtension, params};

use super::{
    Queue, QueueError, claims, count,
    delivered::sinks_lacking,
    insert_splits,
    life_cycle::stage,
    names::{self, Lookup},
    sinks::{json, wanting},
};
use discovered::{Added, FoundReport, add_conversation};
use recording_host_model::{
    ArtifactKey, ConversationCount, Next, RecordingAttributes, ReportedOutcome, Step, Update,
};
pub use reported::goes_on;
use reported::set_outcome;
pub(crate) use reported::{NOT_ENDED, announced, last_word, outcome};

/// The changes made by committing a step.
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
    /// Writes down all that a step yielded and what is next for its split, at once, if this worker holds
    /// the split.
    pub(super) async fn commit_step(
        &self,
        split: String,
        step: Step,
        now: u64,
        horizon: u64,
    ) -> Result<Committed, QueueError> {
        let (id, holder) = (split.clone(), self.holder);
        let committed = self.transaction(move |tx| {
            if !claims::holds(tx, &split, holder)? {
                return Ok(None);
            }
            let committed = commit(tx, &split, &step, Due { now, horizon })?;
            if !matches!(step.next, Next::Send(_)) {
                claims::end(tx, &split, holder)?;
            }
            Ok(Some(committed))
        });
        committed.await?.ok_or(QueueError::NotHeld(id))
    }
}

/// Writes down all that a step yielded and what is next for its split. A conversation that continues is
/// left alone until it has ended, or for the horizon after its start.
pub(super) fn commit(
    tx: &rusqlite::Transaction<'_>,
    split: &str,
    step: &Step,
    due: Due,
) -> rusqlite::Result<Committed> {
    let mut committed = Committed::default();
    let mut outcomes: HashMap<&str, &ReportedOutcome> = step
        .outcomes
        .iter()
        .map(|outcome| (outcome.conversation.as_str(), outcome))
        .collect();
    add_names(tx, step)?;
    committed.wanted = add_conversations(tx, step, &mut outcomes, due)?;
    for update in &step.updates {
        match update {
            Update::Recording(about) => add_about(tx, about)?,
            Update::Count(counted) => add_count(tx, counted, due.now)?,
            _ => {}
        }
    }
    committed.artifacts = add_artifacts(tx, step, split)?;
    for outcome in &step.outcomes {
        if outcomes.contains_key(outcome.conversation.as_str()) {
            set_outcome(tx, outcome)?;
        }
    }
    committed.splits = insert_splits(tx, &step.splits, due.now)?;
    advance(tx, split, &step.next, due.now)?;
    Ok(committed)
}

/// When conversations are to be fetched.
#[derive(Clone, Copy)]
pub(super) struct Due {
    pub(super) now: u64,
    /// How long after its start a conversation that continues is waited for (ms).
    pub(super) horizon: u64,
}

/// Keeps the names that a step contains.
fn add_names(tx: &rusqlite::Transaction<'_>, step: &Step) -> rusqlite::Result<()> {
    for update in &step.updates {
        if let Update::Name(named) = update {
            names::set(tx, &named.id, &named.name)?;
        }
    }
    Ok(())
}

/// Adds the conversations of a step; returns how many are to be fetched now. The `outcomes` that they
/// need no longer are taken out.
fn add_conversations<'a>(
    tx: &rusqlite::Transaction<'_>,
    step: &'a Step,
    outcomes: &mut HashMap<&'a str, &'a ReportedOutcome>,
    Due { now, horizon }: Due,
) -> rusqlite::Result<usize> {
    // Of these there is more to come than an outcome.
    let open: HashSet<&str> = artifacts_of(step).chain(facts_of(step)).collect();
    let mut names = Lookup::default();
    let mut went_on = HashSet::new();
    let (mut new, mut wanted) = (0, 0);
    for found in &step.conversations {
        let id = found.id.as_str();
        // It may be reported twice in a step.
        let live = went_on.contains(id) || outcomes.get(id).copied().is_some_and(goes_on);
        if live {
            outcomes.remove(id);
            went_on.insert(id);
        }
        let due = match live {
            true => found.start.saturating_add(horizon),
            false => now,
        };
        let outcome = outcomes.get(id);
        let last = outcome.filter(|_| !open.contains(id));
        let last = last.and_then(|outcome| last_word(outcome));
        let stated = FoundReport {
            outcome: outcome.is_some(),
            last: last.as_ref(),
            live,
            due,
        };
        let added = add_conversation(tx, &mut names, found, stated, now)?;
        new += i64::from(added == Added::New);
        if last.is_some() && added == Added::New {
            outcomes.remove(id);
        } else if outcome.is_none() && added != Added::Known && due <= now {
            wanted += 1;
        }
    }
    if new > 0 {
        count(tx, "conversations", new)?;
    }
    Ok(wanted)
}

/// Adds the artifacts of a step; returns those that are to be delivered, with the sinks that take them.
fn add_artifacts(
    tx: &rusqlite::Transaction<'_>,
    step: &Step,
    split: &str,
) -> rusqlite::Result<HashMap<String, Option<Vec<String>>>> {
    let mut wanted = HashMap::new();
    for artifact in &step.artifacts {
        let key = artifact.key.to_text();
        if add_artifact(tx, &artifact.key, &key, split)? {
            let sinks = takers(tx, &artifact.key, split)?;
            wanted.insert(key, sinks);
            continue;
        }
        let backlog = sinks_lacking(tx, &key)?;
        if !backlog.is_empty() {
            wanted.insert(key, Some(backlog));
        }
    }
    Ok(wanted)
}

/// Writes down what is next for a split.
fn advance(
    tx: &rusqlite::Transaction<'_>,
    split: &str,
    next: &Next,
    now: u64,
) -> rusqlite::Result<()> {
    let (state, status, due) = match next {
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
    ])
    .map(drop)
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

/// The conversations about whose recordings a step reports more.
fn facts_of(step: &Step) -> impl Iterator<Item = &str> {
    step.updates.iter().filter_map(|fact| match fact {
        Update::Recording(about) => Some(about.conversation.as_str()),
        _ => None,
    })
}

/// Notes how many conversations the source counts in a range; what it counted before of the same range
/// or of parts of it is forgotten.
fn add_count(
    tx: &rusqlite::Transaction<'_>,
    counted: &ConversationCount,
    now: u64,
) -> rusqlite::Result<()> {
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
pub(super) fn takers(
    tx: &rusqlite::Transaction<'_>,
    artifact: &ArtifactKey,
    split: &str,
) -> rusqlite::Result<Option<Vec<String>>> {
    let sinks = match artifact {
        ArtifactKey::Recording(key) => wanting(tx, &key.conversation)?,
        // All conversations of a fetch are wanted by the same sinks, also when their outcomes are known.
        ArtifactKey::Bundle(_) => tx
            .prepare_cached(concat!(
                "SELECT sink FROM wanting WHERE conversation = ifnull(
                 (SELECT id FROM conversation WHERE ",
                stage!(Fetching),
                " AND substr(?1, 1, length(fetch)) = fetch LIMIT 1),
                 (SELECT id FROM conversation WHERE ",
                stage!(Reported),
                " AND substr(?1, 1, length(fetch)) = fetch LIMIT 1))"
            ))?
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
    tx.prepare_cached(concat!(
        "UPDATE record SET text = json_patch(text, ?2) WHERE number = (SELECT record FROM conversation WHERE id = ?1 AND ",
        stage!(Found),
        ")"
    ))?
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
        let found: Option<bool> = tx
            .prepare_cached(concat!(
                "SELECT ",
                stage!(Found),
                " FROM conversation WHERE id = ?1"
            ))?
            .query_row([id], |row| row.get(0))
            .optional()?;
        // Of a conversation that nobody found there is nothing to file; a filed one is done with.
        if found != Some(true) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Lease, WorkQueue};
    use recording_host_model::{Conversation, HandedOver, Reported, Split, SplitState};

    fn state() -> SplitState {
        SplitState {
            version: 1,
            data: Vec::new(),
        }
    }

    /// A step that reports a conversation, and its outcome if `handed` is true.
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
            outcomes: match handed {
                true => vec![ReportedOutcome {
                    conversation: "c".to_owned(),
                    result,
                }],
                false => Vec::new(),
            },
            ..Step::from(Next::Done(state()))
        }
    }

    #[tokio::test]
    async fn what_a_fetch_told_is_not_replaced_by_what_a_search_tells_again() {
        let queue = Queue::in_memory().unwrap();
        let commit = async |step: Step| {
            let split = Split {
                id: "s".to_owned(),
                kind: "pages".to_owned(),
                state: state(),
            };
            queue.add(vec![split], 0).await.unwrap();
            let held = queue.claim("s".to_owned(), Lease::without_end(0)).await;
            assert!(held.unwrap().is_some());
            queue.commit("s".to_owned(), step, 0, 0).await.unwrap()
        };
        let record = async || {
            queue
                .transaction(|tx| {
                    tx.query_row("SELECT text FROM record", [], |row| row.get::<_, String>(0))
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
