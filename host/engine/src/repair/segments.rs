//! Files segments anew whose receipts, rows or parts of the catalog are wrong, from what of them is
//! sound: a receipt that adds up, or rows that say the same.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{Repair, RepairError, RepairReport, Wrong};
use crate::{
    receipt::{
        ReceiptEntry, ReceiptHeader, ReceiptObject, ReceiptReader, adds_up, by_day, name,
        receipt_key, sibling,
    },
    verify::SegmentId,
};
use recording_host_metadata::restore::{Restored, Row, all_rows};
use recording_host_model::{Object, Outcome, hex};
use recording_host_sink::{Store, StoreExt};
use recording_host_state::{Backfilled, VoidSegment};

/// The remains of a segment.
#[derive(Default)]
struct Remains {
    /// The header of the receipt, if it can be read.
    header: Option<ReceiptHeader>,
    /// The entries of the receipt, if they are those that it counts.
    entries: Option<BTreeMap<String, ReceiptEntry>>,
    /// The rows by conversation, as far as they can be read.
    rows: BTreeMap<String, Vec<Row>>,
    /// True if the rows are those that the receipt names, or that the ledger knows where it is gone.
    named: bool,
    /// True if nothing says which rows they must be.
    untold: bool,
    /// All conversations that anything mentions.
    conversations: BTreeSet<String>,
}

impl Repair<'_> {
    /// Files the conversations of a segment anew, and has its files give way. What of them is not
    /// sound is left to be fetched.
    pub(super) async fn file_again(
        &self,
        store: &dyn Store,
        segment: &SegmentId,
        wrong: &mut Wrong,
        done: &mut RepairReport,
    ) -> Result<(), RepairError> {
        let files = name(&segment.export, &segment.day, segment.number);
        if self.is_void(store, segment).await? {
            done.removed += remove(store, &files).await?;
            return Ok(());
        }
        // Another export's segments are for its own runs to put right.
        if segment.export != self.claim.label() {
            return Ok(());
        }
        let mut remains = self.remains(store, segment, &files).await?;
        if remains.header.is_none() {
            self.leave_proven(store, segment, &mut remains).await?;
            if remains.conversations.is_empty() {
                // As when a run was killed while it removed a segment that another had replaced.
                done.removed += remove(store, &files).await?;
                return Ok(());
            }
        }
        let sink = &self.binding().name;
        let mut sound = Vec::new();
        for id in &remains.conversations {
            match self.sound(store, &remains, id, wrong).await? {
                Some(lacking) => sound.push(lacking),
                None => drop(wrong.conversations.insert(id.clone())),
            }
        }
        let again = VoidSegment {
            sink: sink.clone(),
            day: segment.day.clone(),
            number: segment.number,
            conversations: remains.conversations.iter().cloned().collect(),
            sound,
        };
        match self.ledger.file_again(again, self.now).await? {
            Some(filed) => done.filed_again += filed,
            None => done.postponed += 1,
        }
        Ok(())
    }

    /// Returns true if another segment has taken its place.
    async fn is_void(&self, store: &dyn Store, segment: &SegmentId) -> Result<bool, RepairError> {
        let own = receipt_key(&name(&segment.export, &segment.day, segment.number));
        let folder = format!("receipts/date={}/", segment.day);
        for key in by_day(store, &folder).await?.into_values().flatten() {
            let Some(bytes) = store.read(&key).await? else {
                continue;
            };
            let Ok(reader) = ReceiptReader::new(bytes.as_slice()) else {
                continue;
            };
            let mut void = reader.header().replaces.iter();
            if void.any(|number| sibling(&key, *number) == sibling(&own, segment.number)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Leaves out of what an unreadable receipt was about the conversations that other receipts of the
    /// sink prove, as they were filed last.
    async fn leave_proven(
        &self,
        store: &dyn Store,
        segment: &SegmentId,
        remains: &mut Remains,
    ) -> Result<(), RepairError> {
        let mut proven = BTreeMap::<String, u32>::new();
        let folder = format!("receipts/date={}/", segment.day);
        for key in by_day(store, &folder).await?.into_values().flatten() {
            let bytes = store.read(&key).await?.unwrap_or_default();
            let Ok(reader) = ReceiptReader::new(bytes.as_slice()) else {
                continue;
            };
            if reader.header().export != segment.export || !adds_up(&bytes) {
                continue;
            }
            for (_, entry) in reader.filter_map(Result::ok) {
                let attempt = proven.entry(entry.conversation_id).or_default();
                *attempt = entry.attempt.max(*attempt);
            }
        }
        for id in remains.conversations.clone() {
            let filed = self.ledger.last_filed(id.clone()).await?;
            let attempt = proven.get(&id);
            if filed.is_some_and(|(last, _)| attempt.is_some_and(|attempt| *attempt >= last)) {
                remains.conversations.remove(&id);
            }
        }
        Ok(())
    }

    async fn remains(
        &self,
        store: &dyn Store,
        segment: &SegmentId,
        files: &str,
    ) -> Result<Remains, RepairError> {
        let mut remains = Remains::default();
        if let Some(bytes) = store.read(&receipt_key(files)).await? {
            remains.read_receipt(&bytes);
        }
        let metadata = remains.header.as_ref().and_then(|it| it.metadata.clone());
        let key = match &metadata {
            Some(rows) => Some(rows.key.clone()),
            None => first(store, &format!("metadata/{files}.")).await?,
        };
        if let Some(key) = key
            && let Some(file) = store.read(&key).await?
        {
            let digest = hex(&Sha256::digest(&file));
            let sink = self.binding().name.clone();
            let reported = match (metadata, &remains.header) {
                (None, None) => self.ledger.rows(segment.number, sink).await?,
                (metadata, _) => metadata.map(|rows| rows.sha256),
            };
            remains.named = reported.as_ref() == Some(&digest);
            remains.untold = reported.is_none() && remains.header.is_none();
            remains.read_rows(key, file.into()).await;
        }
        let known = self.ledger.filed_in(segment.number).await?;
        remains.conversations.extend(known);
        Ok(remains)
    }

    /// A conversation as it can be filed anew, if its receipt or its rows are sound and its objects
    /// are there.
    async fn sound(
        &self,
        store: &dyn Store,
        remains: &Remains,
        id: &str,
        wrong: &Wrong,
    ) -> Result<Option<Backfilled>, RepairError> {
        let rows = remains.rows.get(id).map_or(&[][..], Vec::as_slice);
        let entry = match (&remains.entries, remains.named) {
            // The receipt adds up, and the rows may be anything.
            (Some(entries), _) => entries.get(id).cloned(),
            // The receipt was changed or is gone; the rows are those that it named, or nobody knows.
            (None, named) if named || remains.untold => from_rows(id, rows),
            (None, _) => None,
        };
        let restored = match remains.entries.is_some() && !remains.named {
            true => None,
            false => Restored::of(rows),
        };
        let (Some(entry), Some(restored)) = (entry, restored) else {
            return Ok(None);
        };
        // Rows that nothing vouches for may have been changed, and lack something. Nothing is filed anew in
        // the sink_index of a later attempt.
        let complete = entry.outcome().losses().is_empty();
        if let Some((attempt, objects)) = self.ledger.last_filed(id.to_owned()).await?
            && (entry.attempt != attempt || (complete && (entry.objects.len() as u64) < objects))
        {
            return Ok(None);
        }
        let all = entry.objects.iter().map(|object| (object, false));
        let all = all.chain(entry.aside.iter().map(|object| (object, true)));
        let mut objects = Vec::new();
        for (reported, aside) in all {
            if wrong.objects.contains(&reported.key) || !is_there(store, reported).await? {
                return Ok(None);
            }
            objects.push((
                self.binding().name.clone(),
                object(id, reported, aside, &restored),
            ));
        }
        Ok(Some(Backfilled {
            conversation: id.to_owned(),
            record: Some(restored.record),
            outcome: entry.outcome(),
            extent: entry.extent,
            objects,
            filled: BTreeSet::from([self.binding().name.clone()]),
        }))
    }
}

impl Remains {
    fn read_receipt(&mut self, bytes: &[u8]) {
        let Ok(mut reader) = ReceiptReader::new(bytes) else {
            // Lines that can be read still name the conversations; what else they say is not believed.
            let lines = bytes.split(|byte| *byte == b'\n');
            let entries =
                lines.filter_map(|line| serde_json::from_slice::<ReceiptEntry>(line).ok());
            self.conversations
                .extend(entries.map(|entry| entry.conversation_id));
            return;
        };
        let header = reader.header().clone();
        let mut entries = BTreeMap::new();
        let mut sound = true;
        for entry in reader.by_ref() {
            match entry {
                Ok((_, entry)) => {
                    self.conversations.insert(entry.conversation_id.clone());
                    let id = entry.conversation_id.clone();
                    sound &= entries.insert(id, entry).is_none();
                }
                Err(_) => sound = false,
            }
        }
        let totals = reader.totals();
        // Of a receipt of version 1 only the number of lines can be checked: its rows are trusted more.
        sound &= totals.entries == header.conversations
            && header.entries_sha256.as_ref() == Some(&totals.sha256);
        self.entries = sound.then_some(entries);
        self.header = Some(header);
    }

    async fn read_rows(&mut self, key: String, file: Bytes) {
        let reading = tokio::task::spawn_blocking(move || all_rows(&key, file)).await;
        // A file that cannot be read says nothing.
        let rows = reading.ok().and_then(Result::ok).unwrap_or_default();
        self.conversations.extend(rows.keys().cloned());
        self.rows = rows;
    }
}

/// The entry of a conversation by its rows, as a receipt would have it.
fn from_rows(id: &str, rows: &[Row]) -> Option<ReceiptEntry> {
    let latest = rows.iter().map(|row| row.attempt).max()?;
    let rows: Vec<&Row> = rows.iter().filter(|row| row.attempt == latest).collect();
    let objects = rows.iter().filter_map(|row| {
        Some(ReceiptObject {
            recording: row.recording_id.clone().unwrap_or_default(),
            key: row.object_key.clone()?,
            member: row.archive_member.clone(),
            content_type: row.content_type.clone().unwrap_or_default(),
            size: row.size_bytes?,
            sha256: row.sha256.clone()?,
            etag: None,
            note: None,
        })
    });
    let outcome = outcome(rows.first()?)?;
    Some(ReceiptEntry {
        conversation_id: id.to_owned(),
        objects: objects.collect(),
        attempt: latest,
        ..ReceiptEntry::with_outcome(outcome)
    })
}

/// The outcome that a row contains.
fn outcome(row: &Row) -> Option<Outcome> {
    let reason = row.reason.clone().unwrap_or_default();
    let split = |reason: &str| {
        let (code, message) = reason.split_once(": ").unwrap_or((reason, ""));
        (code.to_owned(), message.to_owned())
    };
    Some(match row.outcome.as_str() {
        "stored" => Outcome::Stored,
        "no-recording" => Outcome::NoRecording,
        "skipped" => Outcome::Skipped { reason },
        "failed" => {
            let (code, message) = split(&reason);
            Outcome::Failed { code, message }
        }
        "partial" => Outcome::Partial {
            missing: reason.split("; ").map(split).collect(),
        },
        _ => return None,
    })
}

/// Returns true if an object is there with the bytes that `told` describes.
async fn is_there(store: &dyn Store, reported: &ReceiptObject) -> Result<bool, RepairError> {
    let Some(mut body) = store.get(&reported.key).await? else {
        return Ok(false);
    };
    let mut digest = Sha256::new();
    while let Ok(Some(data)) = body.next().await {
        digest.update(&data);
    }
    Ok(hex(&digest.finalize()) == reported.sha256)
}

fn object(id: &str, reported: &ReceiptObject, aside: bool, restored: &Restored) -> Object {
    crate::replicate::as_object(id, reported, aside, restored)
}

/// The key of the first object below a prefix.
async fn first(store: &dyn Store, prefix: &str) -> Result<Option<String>, RepairError> {
    use futures_util::StreamExt;
    let first = store.list(prefix).next().await.transpose()?;
    Ok(first.map(|found| found.key))
}

/// Removes the files of a segment that others have taken the place of; returns how many there were.
async fn remove(store: &dyn Store, files: &str) -> Result<u64, RepairError> {
    use futures_util::StreamExt;
    let mut removed = 0;
    for folder in ["metadata/", "catalog/", "receipts/"] {
        let prefix = format!("{folder}{files}.");
        let found: Vec<_> = store.list(&prefix).collect().await;
        for found in found {
            match store.delete(&found?.key).await {
                Ok(()) => removed += 1,
                Err(error) if error.retryable => return Err(error.into()),
                // An archive may well forbid it; then `verify` continues to name it.
                Err(_) => {}
            }
        }
    }
    Ok(removed)
}
