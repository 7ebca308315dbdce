//! Outcomes of conversations: final, or put off as long as more may come.

use std::{collections::BTreeMap, sync::Arc};

use rusqlite::{params, types::Type};

use super::{Queue, QueueError, delivered, life_cycle::stage, parsed, sinks::json};
use recording_host_model::{CompletedConversation, ConversationRecord, Object, Outcome};

/// The shortest pause before a recording that is late is requested again, and the longest (ms).
const PAUSE: (u64, u64) = (600_000, 7_200_000);

/// The result of completion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// Conversations whose outcome is final now.
    pub completed: u64,
    /// Conversations that are requested again later.
    pub postponed: u64,
    /// The recordings that the completed ones lack for good, by code.
    pub losses: BTreeMap<String, u64>,
}

impl Queue {
    /// Makes the outcome final of each conversation for which nothing is left to do. One that lacks
    /// recordings that may still come is requested again, for the last time not before `horizon` ms
    /// after its end. One that lacks none is requested once more, `confirm` ms after its end or later: a
    /// recording that is late need not be mentioned at all.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn complete(
        &self,
        now: u64,
        horizon: u64,
        confirm: u64,
    ) -> Result<Completion, QueueError> {
        self.transaction(move |tx| {
            let ready = ready(tx)?;
            let mut completion = Completion::default();
            for (id, ready) in ready {
                let brought = brought(tx, &id, ready.bundle.as_deref())?;
                let (outcome, retryable) = ready.outcome(&brought);
                if let Some(due) = ready.due(retryable, now, horizon, confirm) {
                    postpone(tx, &id, due)?;
                    completion.postponed += 1;
                    continue;
                }
                let losses = outcome.losses();
                tx.prepare_cached(concat!(
                    "UPDATE conversation SET ",
                    stage!(Completed),
                    ", outcome = ?2, objects = ?3, bytes = ?4, lost = ?5,
                     retryable = ?6, reported = reported AND ?5 WHERE id = ?1"
                ))?
                .execute(params![
                    id,
                    json(&outcome)?,
                    brought.objects as i64,
                    brought.bytes as i64,
                    !losses.is_empty(),
                    retryable && !losses.is_empty()
                ])?;
                completion.completed += 1;
                for (code, _) in losses {
                    *completion.losses.entry(code).or_default() += 1;
                }
            }
            Ok(completion)
        })
        .await
    }

    /// Gives conversations that were fetched, and for which nothing is left to do, the outcome that
    /// the source owes us: failed. Artifacts without a link fail too, and what is in a bundle that was never
    /// handed over. Returns how many of all there were.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn settle_forgotten(&self) -> Result<usize, QueueError> {
        self.transaction(move |tx| {
            let text = json(&no_outcome())?;
            let (code, message) = NO_LINK;
            let links = tx.execute(
                "UPDATE artifact SET status = 'failed', code = ?1, message = ?2 WHERE status = 'pending'
                 AND NOT EXISTS (SELECT 1 FROM backlog WHERE backlog.artifact = artifact.key AND backlog.code IS NULL)",
                [code, message],
            )?;
            let forgotten = tx.execute(
                concat!("UPDATE conversation SET outcome = ?1 WHERE ", stage!(Fetching)),
                [text],
            )?;
            let bundles = tx.execute(
                concat!(
                    "UPDATE conversation SET outcome = ?1, bundle = NULL, retryable = 0 WHERE ",
                    stage!(Reported),
                    " AND bundle IS NOT NULL AND NOT EXISTS (SELECT 1 FROM artifact WHERE key = bundle)"
                ),
                [json(&no_bundle())?],
            )?;
            Ok(links + forgotten + bundles)
        })
        .await
    }
}

/// The conversations with nothing left to do, by id.
fn ready(tx: &rusqlite::Transaction<'_>) -> rusqlite::Result<Vec<(String, Ready)>> {
    tx.prepare_cached(
        concat!("SELECT id, ended, recorded, outcome, retryable, bundle, fetch IS NOT NULL, start, live, announced, due FROM conversation AS c
         WHERE ", stage!(Reported), "
         AND NOT EXISTS (SELECT 1 FROM artifact AS a WHERE a.conversation = c.id AND a.status = 'pending')
         AND (bundle IS NULL OR EXISTS (SELECT 1 FROM artifact AS a WHERE a.key = c.bundle AND a.status != 'pending'))"),
    )?
    .query_map([], |row| {
        let ready = Ready {
            ended: row.get::<_, Option<i64>>(1)?.map(|ended| ended as u64),
            recorded: row.get(2)?,
            outcome: parsed(row.get_ref(3)?.as_str()?)?,
            retryable: row.get(4)?,
            bundle: row.get(5)?,
            fetched: row.get(6)?,
            start: row.get::<_, i64>(7)? as u64,
            live: row.get(8)?,
            announced: row.get(9)?,
            asked: row.get::<_, i64>(10)? as u64,
        };
        Ok((row.get(0)?, ready))
    })?
    .collect()
}

/// What was stored of a conversation, and what failed on the way.
fn brought(
    tx: &rusqlite::Transaction<'_>,
    id: &str,
    bundle: Option<&str>,
) -> rusqlite::Result<Brought> {
    let mut brought = tx
        .prepare_cached(
            "SELECT ifnull(max(n), 0), ifnull(max(total), 0) FROM
             (SELECT count(*) AS n, sum(size) AS total FROM object
              WHERE conversation = ?1 AND aside = 0 GROUP BY sink)",
        )?
        .query_row([id], |row| {
            Ok(Brought {
                objects: row.get::<_, i64>(0)? as u64,
                bytes: row.get::<_, i64>(1)? as u64,
                ..Brought::default()
            })
        })?;
    let mut query = tx.prepare_cached(
        "SELECT code, message, retryable FROM artifact
         WHERE status = 'failed' AND (conversation = ?1 OR key = ?2) ORDER BY key",
    )?;
    let mut rows = query.query(params![id, bundle])?;
    while let Some(row) = rows.next()? {
        brought.failed.push((row.get(0)?, row.get(1)?));
        brought.may_come |= row.get::<_, bool>(2)?;
    }
    // A missing recording is no artifact: it has no split that obtains it.
    brought.came = tx
        .prepare_cached("SELECT count(*) FROM artifact WHERE conversation = ?1 AND split != ''")?
        .query_row([id], |row| row.get(0))?;
    Ok(brought)
}

/// Has a conversation requested once more.
fn postpone(tx: &rusqlite::Transaction<'_>, id: &str, due: u64) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE conversation SET outcome = NULL, retryable = 0, bundle = NULL, fetch = NULL, announced = NULL, due = ?2,
         revision = ifnull(max(newer_revision, ifnull(revision, 0)), revision), newer_revision = NULL WHERE id = ?1",
    )?
    .execute(params![id, due as i64])?;
    tx.prepare_cached("DELETE FROM artifact WHERE conversation = ?1 AND status = 'failed'")?
        .execute([id])
        .map(drop)
}

/// Why an artifact has failed that was handed over and has no link any more, as code and message.
pub(super) const NO_LINK: (&str, &str) = ("no-link", "the source returned no new link");

/// What has become of a conversation that was fetched without a word on it.
pub(super) fn no_outcome() -> Outcome {
    Outcome::Failed {
        code: "no-outcome".into(),
        message: "the source did not say what became of it".into(),
    }
}

/// What has become of a conversation that is in a bundle which was never handed over.
pub(super) fn no_bundle() -> Outcome {
    Outcome::Failed {
        code: "no-bundle".into(),
        message: "the source did not hand over the archive that it is in".into(),
    }
}

/// A conversation with nothing left to do.
pub(super) struct Ready {
    pub(super) ended: Option<u64>,
    pub(super) recorded: bool,
    /// What the source said.
    pub(super) outcome: Outcome,
    pub(super) retryable: bool,
    pub(super) bundle: Option<String>,
    pub(super) fetched: bool,
    pub(super) start: u64,
    pub(super) live: bool,
    /// How many artifacts the source said that there are.
    pub(super) announced: Option<u32>,
    /// When it was requested last (ms), if it was fetched.
    pub(super) asked: u64,
}

/// What was stored of a conversation, and what failed on the way.
#[derive(Default)]
pub(super) struct Brought {
    /// How many objects there are, in the sink that has most.
    pub(super) objects: u64,
    /// Their bytes, in the sink that has most.
    pub(super) bytes: u64,
    /// Code and message of each artifact that failed.
    pub(super) failed: Vec<(String, String)>,
    /// True if one of these may come later.
    pub(super) may_come: bool,
    /// How many artifacts were handed over.
    pub(super) came: u32,
}

impl Ready {
    /// When it is requested once more (ms); none if its outcome is final.
    pub(super) fn due(&self, retryable: bool, now: u64, horizon: u64, confirm: u64) -> Option<u64> {
        let ended = self.over(now);
        // The time of the request counts: an answer may be read long after, by a later run.
        let asked = if self.fetched { self.asked } else { now };
        if retryable && asked < ended + horizon {
            let pause = (now.saturating_sub(ended) * 35 / 100).clamp(PAUSE.0, PAUSE.1);
            Some((now + pause).min(ended + horizon).max(now))
        } else if self.fetched && asked < ended + confirm {
            Some((ended + confirm).max(now))
        } else {
            None
        }
    }

    /// When it was over (ms), for what is to be done so long after that. A time in the future is not
    /// believed: nobody is held up by it.
    fn over(&self, now: u64) -> u64 {
        let reported = [self.ended, Some(self.start)];
        let past = reported.into_iter().flatten().find(|at| *at <= now);
        past.unwrap_or_default()
    }

    /// Joins what the source said with what was stored and what failed on the way: the outcome, and
    /// whether it may get better.
    pub(super) fn outcome(&self, brought: &Brought) -> (Outcome, bool) {
        let mut outcome = self.outcome.clone();
        let mut retryable = self.retryable | brought.may_come;
        let stored = brought.objects > 0;
        let mut failed = brought.failed.clone();
        if let Some(announced) = self.announced.filter(|announced| brought.came < *announced) {
            let came = brought.came;
            let message = format!("the source announced {announced} files and returned {came}");
            failed.push(("fewer-than-announced".to_owned(), message));
            retryable = true;
        }
        if self.bundle.is_some() {
            if stored {
                outcome = Outcome::Stored;
            } else if self.recorded && failed.is_empty() {
                retryable = true;
                outcome = Outcome::Failed {
                    code: "left-out".into(),
                    message: "the vendor reports a recording, but the archive has no file of it"
                        .into(),
                };
            }
        }
        if let (Outcome::Failed { code, message }, true) = (&outcome, stored) {
            outcome = Outcome::Partial {
                missing: vec![(code.clone(), message.clone())],
            };
        }
        if self.live {
            let message = "it has no end at the source: what was recorded may not be all";
            failed.push(("never-ended".into(), message.into()));
        }
        (outcome.with_losses(failed, stored), retryable)
    }
}

/// A conversation whose outcome is final, with its objects in each sink; the row has its id, record,
/// outcome, attempt and extent.
pub(super) fn completed(
    tx: &rusqlite::Transaction<'_>,
    row: &rusqlite::Row<'_>,
) -> rusqlite::Result<CompletedConversation> {
    let id: String = row.get(0)?;
    let Some(record) = row.get_ref(1)?.as_str_or_null()? else {
        let missing = format!("the record of conversation `{id}` is missing in the queue").into();
        return Err(rusqlite::Error::FromSqlConversionFailure(
            1,
            Type::Null,
            missing,
        ));
    };
    let mut record: ConversationRecord = parsed(record)?;
    shrink(&mut record);
    Ok(CompletedConversation {
        lost_in: delivered::lost(tx, &id)?,
        objects: objects_of(tx, &id)?,
        id,
        record,
        outcome: parsed(row.get_ref(2)?.as_str()?)?,
        attempt: row.get(3)?,
        revision: row.get::<_, Option<i64>>(4)?.map(|extent| extent as u64),
    })
}

/// Gives back the room that lists have for more, four for one as they are read: a segment has ten thousand records.
fn shrink(record: &mut ConversationRecord) {
    for list in [
        &mut record.agents,
        &mut record.queues,
        &mut record.wrap_up_codes,
    ] {
        list.shrink_to_fit();
    }
    for list in [
        &mut record.tags,
        &mut record.divisions,
        &mut record.division_names,
        &mut record.media_types,
    ] {
        list.shrink_to_fit();
    }
}

/// The objects of a conversation, by the sink that holds them.
pub(super) fn objects_of(
    tx: &rusqlite::Transaction<'_>,
    conversation: &str,
) -> rusqlite::Result<BTreeMap<String, Vec<Object>>> {
    let mut objects = BTreeMap::<String, Vec<Object>>::new();
    let mut query = tx.prepare_cached(
        "SELECT sink, recording, key, member, content_type, size, sha256, etag, stored_size, stored_sha256, index_metadata,
           note, aside, file FROM object
         WHERE conversation = ?1 ORDER BY sink, key, member",
    )?;
    let mut rows = query.query([conversation])?;
    while let Some(object) = rows.next()? {
        let member: String = object.get(3)?;
        let stored: (Option<i64>, Option<String>) = (object.get(8)?, object.get(9)?);
        objects.entry(object.get(0)?).or_default().push(Object {
            conversation: conversation.to_owned(),
            recording: object.get(1)?,
            key: object.get(2)?,
            member: (!member.is_empty()).then_some(member),
            content_type: object.get(4)?,
            size: object.get::<_, i64>(5)? as u64,
            sha256: object.get(6)?,
            etag: object.get(7)?,
            stored: stored.0.map(|size| size as u64).zip(stored.1),
            index_metadata: match object.get::<_, Option<String>>(10)? {
                Some(reported) => Some(Arc::new(parsed(&reported)?)),
                None => None,
            },
            note: object.get(11)?,
            aside: object.get(12)?,
            file: object.get(13)?,
        });
    }
    Ok(objects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_keeps_no_room_for_what_it_has_not() {
        let text = r#"{"start":1,"end":2,"direction":null,"ani":null,"dnis":null,"agents":[["a",null]],"queues":[["q","Q"]],
            "wrap_up_codes":[],"tags":["t"],"divisions":["d"],"media_types":["voice"],"attributes":{}}"#;
        let mut record: ConversationRecord = parsed(text).unwrap();
        shrink(&mut record);
        let parties = [&record.agents, &record.queues, &record.wrap_up_codes];
        let texts = [&record.tags, &record.divisions, &record.media_types];
        let parties = parties.map(Vec::capacity);
        let texts = texts.map(Vec::capacity);
        assert_eq!((parties, texts), ([1, 1, 0], [1, 1, 1]));
    }
}
