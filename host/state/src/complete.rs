//! Outcomes of conversations: final, or put off as long as more may come.

use std::{collections::BTreeMap, sync::Arc};

use rusqlite::{params, types::Type};

use super::{Queue, QueueError, delivered, life_cycle::stage, parsed, sinks::json};
use recording_host_model::{CompletedConversation, Object, Outcome};

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
            let ready: Vec<Ready> = tx
                .prepare_cached(
                    concat!("SELECT id, ended, recorded, outcome, retryable, bundle, fetch IS NOT NULL, start, live, announced, due FROM conversation AS c
                     WHERE ", stage!(Reported), "
                     AND NOT EXISTS (SELECT 1 FROM artifact AS a WHERE a.conversation = c.id AND a.status = 'pending')
                     AND (bundle IS NULL OR EXISTS (SELECT 1 FROM artifact AS a WHERE a.key = c.bundle AND a.status != 'pending'))"),
                )?
                .query_map([], |row| {
                    Ok(Ready {
                        id: row.get(0)?,
                        ended: row.get::<_, Option<i64>>(1)?.map(|ended| ended as u64),
                        recorded: row.get(2)?,
                        outcome: row.get(3)?,
                        retryable: row.get(4)?,
                        bundle: row.get(5)?,
                        fetched: row.get(6)?,
                        start: row.get::<_, i64>(7)? as u64,
                        live: row.get(8)?,
                        announced: row.get(9)?,
                        asked: row.get::<_, i64>(10)? as u64,
                    })
                })?
                .collect::<rusqlite::Result<_>>()?;
            let mut completion = Completion::default();
            for ready in ready {
                let (outcome, retryable, objects, bytes) = ready.outcome(tx)?;
                if let Some(due) = ready.due(retryable, now, horizon, confirm) {
                    postpone(tx, &ready.id, due)?;
                    completion.postponed += 1;
                    continue;
                }
                let losses = outcome.losses();
                tx.prepare_cached(
                    concat!("UPDATE conversation SET ", stage!(Completed), ", outcome = ?2, objects = ?3, bytes = ?4, lost = ?5,
                     retryable = ?6, reported = reported AND ?5 WHERE id = ?1"),
                )?
                .execute(params![
                    ready.id,
                    json(&outcome)?,
                    objects,
                    bytes,
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
    /// the source owes us: failed. Artifacts without a link fail too. Returns how many of both there
    /// were.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn settle_forgotten(&self) -> Result<usize, QueueError> {
        let outcome = Outcome::Failed {
            code: "no-outcome".into(),
            message: "the source did not say what became of it".into(),
        };
        self.transaction(move |tx| {
            let text = json(&outcome)?;
            let links = tx.execute(
                "UPDATE artifact SET status = 'failed', code = 'no-link',
                 message = 'the source returned no new link' WHERE status = 'pending'
                 AND NOT EXISTS (SELECT 1 FROM backlog WHERE backlog.artifact = artifact.key AND backlog.code IS NULL)",
                [],
            )?;
            let forgotten = tx.execute(
                concat!("UPDATE conversation SET outcome = ?1 WHERE ", stage!(Fetching)),
                [text],
            )?;
            Ok(links + forgotten)
        })
        .await
    }
}

/// Has a conversation requested once more.
fn postpone(tx: &rusqlite::Transaction<'_>, id: &str, due: u64) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE conversation SET outcome = NULL, retryable = 0, bundle = NULL, fetch = NULL, due = ?2,
         revision = ifnull(max(newer_revision, ifnull(revision, 0)), revision), newer_revision = NULL WHERE id = ?1",
    )?
    .execute(params![id, due as i64])?;
    tx.prepare_cached("DELETE FROM artifact WHERE conversation = ?1 AND status = 'failed'")?
        .execute([id])
        .map(drop)
}

/// A conversation with nothing left to do.
struct Ready {
    id: String,
    ended: Option<u64>,
    recorded: bool,
    outcome: String,
    retryable: bool,
    bundle: Option<String>,
    fetched: bool,
    start: u64,
    live: bool,
    /// How many artifacts the source said that there are.
    announced: Option<i64>,
    /// When it was requested last (ms), if it was fetched.
    asked: u64,
}

impl Ready {
    /// When it is requested once more (ms); none if its outcome is final.
    fn due(&self, retryable: bool, now: u64, horizon: u64, confirm: u64) -> Option<u64> {
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

    /// Joins what the source said with what was stored and what failed on the way: the outcome,
    /// whether it may get better, and how many objects of how many bytes there are.
    fn outcome(
        &self,
        tx: &rusqlite::Transaction<'_>,
    ) -> rusqlite::Result<(Outcome, bool, i64, i64)> {
        let mut outcome = parsed(&self.outcome)?;
        let mut retryable = self.retryable;
        // Counted in the sink that has most.
        let (objects, bytes): (i64, i64) = tx
            .prepare_cached(
                "SELECT ifnull(max(n), 0), ifnull(max(total), 0) FROM
                 (SELECT count(*) AS n, sum(size) AS total FROM object
                  WHERE conversation = ?1 AND aside = 0 GROUP BY sink)",
            )?
            .query_row([&self.id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut failed = Vec::new();
        let mut query = tx.prepare_cached(
            "SELECT code, message, retryable FROM artifact
             WHERE status = 'failed' AND (conversation = ?1 OR key = ?2) ORDER BY key",
        )?;
        let mut rows = query.query(params![self.id, self.bundle])?;
        while let Some(row) = rows.next()? {
            failed.push((row.get(0)?, row.get(1)?));
            retryable |= row.get::<_, bool>(2)?;
        }
        if let Some(lacking) = self.fewer(tx)? {
            failed.push(lacking);
            retryable = true;
        }
        if self.bundle.is_some() {
            if objects > 0 {
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
        if let (Outcome::Failed { code, message }, true) = (&outcome, objects > 0) {
            outcome = Outcome::Partial {
                missing: vec![(code.clone(), message.clone())],
            };
        }
        if self.live {
            let message = "it has no end at the source: what was recorded may not be all";
            failed.push(("never-ended".into(), message.into()));
        }
        let outcome = outcome.with_losses(failed, objects > 0);
        Ok((outcome, retryable, objects, bytes))
    }

    /// That fewer artifacts came than the source said that there are, as code and message.
    fn fewer(&self, tx: &rusqlite::Transaction<'_>) -> rusqlite::Result<Option<(String, String)>> {
        let Some(announced) = self.announced else {
            return Ok(None);
        };
        // A missing recording is no artifact: it has no split that obtains it.
        let came: i64 = tx
            .prepare_cached(
                "SELECT count(*) FROM artifact WHERE conversation = ?1 AND split != ''",
            )?
            .query_row([&self.id], |row| row.get(0))?;
        Ok((came < announced).then(|| {
            let message = format!("the source announced {announced} files and returned {came}");
            ("fewer-than-announced".to_owned(), message)
        }))
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
    let record = parsed(record)?;
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
