//! The results of artifacts: stored, failed, or owed to a sink that was unavailable.

use std::collections::BTreeMap;

use rusqlite::params;

use super::{Queue, QueueError, count, sinks::json};
use recording_host_model::{ArtifactResult, MissingRecording, Object};

impl Queue {
    /// Writes down what became of artifacts.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn delivered(&self, batch: Vec<ArtifactResult>) -> Result<(), QueueError> {
        self.transaction(move |tx| {
            for delivered in &batch {
                note(tx, delivered)?;
            }
            Ok(())
        })
        .await
    }

    /// Artifacts of splits that are done, but not delivered, by split.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn undelivered(&self) -> Result<BTreeMap<String, Vec<String>>, QueueError> {
        self.transaction(|tx| {
            let mut undelivered = BTreeMap::<String, Vec<String>>::new();
            let mut query = tx.prepare(
                "SELECT artifact.split, artifact.key FROM artifact JOIN split ON split.id = artifact.split
                 WHERE artifact.status = 'pending' AND split.status = 'done'
                 AND NOT EXISTS (SELECT 1 FROM backlog WHERE backlog.artifact = artifact.key AND backlog.code IS NULL)",
            )?;
            let mut rows = query.query([])?;
            while let Some(row) = rows.next()? {
                undelivered.entry(row.get(0)?).or_default().push(row.get(1)?);
            }
            Ok(undelivered)
        })
        .await
    }

    /// Artifacts that a split handed over and that are not delivered.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn pending(&self, split: String) -> Result<Vec<String>, QueueError> {
        self.transaction(move |tx| {
            tx.prepare_cached(
                "SELECT key FROM artifact WHERE split = ?1 AND status = 'pending'
                 AND NOT EXISTS (SELECT 1 FROM backlog WHERE backlog.artifact = artifact.key AND backlog.code IS NULL)",
            )?
            .query_map([split], |row| row.get(0))?
            .collect()
        })
        .await
    }

    /// The artifacts that some sinks are owed, by the split that obtains them anew.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn backlog(
        &self,
        sinks: Vec<String>,
    ) -> Result<BTreeMap<String, Vec<String>>, QueueError> {
        self.transaction(move |tx| {
            let mut backlog = BTreeMap::<String, Vec<String>>::new();
            for sink in &sinks {
                let mut query = tx.prepare_cached(
                    "SELECT split, artifact FROM backlog WHERE sink = ?1 AND code IS NULL",
                )?;
                let mut rows = query.query([sink])?;
                while let Some(row) = rows.next()? {
                    let keys: &mut Vec<String> = backlog.entry(row.get(0)?).or_default();
                    let key = row.get(1)?;
                    if !keys.contains(&key) {
                        keys.push(key);
                    }
                }
            }
            Ok(backlog)
        })
        .await
    }

    /// Returns true if an artifact waits for sinks that are away and that alone want it.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn any_waits_for_sinks(&self) -> Result<bool, QueueError> {
        self.transaction(|tx| {
            tx.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM artifact JOIN backlog ON backlog.artifact = artifact.key
                 WHERE artifact.status = 'pending' AND backlog.code IS NULL)",
            )?
            .query_row([], |row| row.get(0))
        })
        .await
    }
}

/// Notes what became of an artifact.
pub(super) fn note(
    tx: &rusqlite::Transaction<'_>,
    delivered: &ArtifactResult,
) -> rusqlite::Result<()> {
    let artifact = &delivered.artifact;
    let contents = match &delivered.result {
        Ok(contents) => contents,
        Err((code, message)) => return lose(tx, artifact, code, message, false),
    };
    for (sink, object) in &contents.objects {
        object_row(tx, sink, object)?;
    }
    for (sink, key) in &contents.dropped {
        tx.prepare_cached("DELETE FROM object WHERE sink = ?1 AND key = ?2 AND member = ''")?
            .execute([sink, key])?;
    }
    if let Some(lost) = &contents.lost {
        if contents.lost_in.is_empty() {
            return lose(tx, artifact, &lost.code, &lost.message, lost.retryable);
        }
        for sink in &contents.lost_in {
            tx.prepare_cached(
                "INSERT OR REPLACE INTO backlog (sink, artifact, split, conversation, code, message)
                 SELECT ?1, key, split, conversation, ?3, ?4 FROM artifact WHERE key = ?2",
            )?
            .execute([sink, artifact, &lost.code, &lost.message])?;
        }
    }
    for sink in &delivered.took {
        tx.prepare_cached(
            "DELETE FROM backlog WHERE sink = ?1 AND artifact = ?2 AND code IS NULL",
        )?
        .execute([sink, artifact])?;
    }
    for sink in &delivered.backlog {
        tx.prepare_cached(
            "INSERT OR IGNORE INTO backlog (sink, artifact, split, conversation)
             SELECT ?1, key, split, conversation FROM artifact WHERE key = ?2",
        )?
        .execute([sink, artifact])?;
    }
    if delivered.took.is_empty() && !delivered.backlog.is_empty() {
        return Ok(());
    }
    let first = tx
        .prepare_cached(
            "UPDATE artifact SET status = 'stored' WHERE key = ?1 AND status = 'pending'",
        )?
        .execute([artifact])?;
    // An artifact that a sink gets after an outage was counted when the others got it.
    if first == 0 {
        return Ok(());
    }
    count(tx, "artifacts", 1)?;
    for (number, missing) in contents.missing.iter().enumerate() {
        let MissingRecording {
            conversation,
            code,
            message,
            retryable,
        } = missing;
        let key = format!("{artifact}\n{number}");
        tx.prepare_cached(
            "INSERT OR REPLACE INTO artifact VALUES (?1, ?2, '', 'failed', ?3, ?4, ?5)",
        )?
        .execute(params![key, conversation, code, message, retryable])?;
    }
    Ok(())
}

/// Notes that an artifact is unavailable, to every sink or only to those that still lack it.
fn lose(
    tx: &rusqlite::Transaction<'_>,
    artifact: &str,
    code: &str,
    message: &str,
    retryable: bool,
) -> rusqlite::Result<()> {
    let nobody_has_it = tx
        .prepare_cached(
            "UPDATE artifact SET status = 'failed', code = ?2, message = ?3, retryable = ?4
             WHERE key = ?1 AND status = 'pending'",
        )?
        .execute(params![artifact, code, message, retryable])?;
    if nobody_has_it > 0 {
        // The loss is named once, not once more for each sink that it waited for.
        tx.prepare_cached("DELETE FROM backlog WHERE artifact = ?1")?
            .execute([artifact])?;
    }
    tx.prepare_cached(
        "UPDATE backlog SET code = ?2, message = ?3 WHERE artifact = ?1 AND code IS NULL",
    )?
    .execute([artifact, code, message])?;
    Ok(())
}

/// Notes that a sink holds an object.
pub(super) fn object_row(
    tx: &rusqlite::Transaction<'_>,
    sink: &str,
    object: &Object,
) -> rusqlite::Result<()> {
    let stored = object.stored.as_ref();
    let reported = object.index_metadata.as_deref().map(json).transpose()?;
    tx.prepare_cached(
        "INSERT OR REPLACE INTO object (sink, key, member, conversation, recording, content_type, size, sha256,
           etag, stored_size, stored_sha256, index_metadata, note, aside, file)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    )?
    .execute(params![
        sink,
        object.key,
        object.member.as_deref().unwrap_or_default(),
        object.conversation,
        object.recording,
        object.content_type,
        object.size as i64,
        object.sha256,
        object.etag,
        stored.map(|(size, _)| *size as i64),
        stored.map(|(_, sha256)| sha256),
        reported,
        object.note,
        object.aside,
        object.file
    ])
    .map(drop)
}

/// The sinks that are owed an artifact.
pub(super) fn sinks_lacking(
    tx: &rusqlite::Transaction<'_>,
    artifact: &str,
) -> rusqlite::Result<Vec<String>> {
    tx.prepare_cached(
        "SELECT sink FROM backlog WHERE artifact = ?1 AND code IS NULL ORDER BY sink",
    )?
    .query_map([artifact], |row| row.get(0))?
    .collect()
}

/// The losses of a conversation by sink, as code and message: artifacts that were no longer available
/// when the sink was back.
pub(super) fn lost(
    tx: &rusqlite::Transaction<'_>,
    conversation: &str,
) -> rusqlite::Result<BTreeMap<String, Vec<(String, String)>>> {
    let mut lost = BTreeMap::<String, Vec<(String, String)>>::new();
    let mut query = tx.prepare_cached(
        "SELECT sink, code, message FROM backlog WHERE code IS NOT NULL AND (conversation = ?1
         OR artifact = (SELECT bundle FROM conversation WHERE id = ?1)) ORDER BY sink, artifact",
    )?;
    let mut rows = query.query([conversation])?;
    while let Some(row) = rows.next()? {
        let of = lost.entry(row.get(0)?).or_default();
        of.push((row.get(1)?, row.get(2)?));
    }
    Ok(lost)
}
