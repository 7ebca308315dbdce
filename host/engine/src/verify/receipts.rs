//! Reads what must be there: receipts, and the rows that must agree with them.

use std::collections::HashSet;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{
    Check, Difference, ObjectKind, SegmentId, encrypted,
    expected::Expected,
    one,
    rows::{Comparison, Contradiction},
    whole,
};
use crate::receipt::{
    ObjectDigest, ReceiptEntry, ReceiptHeader, ReceiptReader, ReceiptTotals, by_day, parts_of,
    segment_of, sibling,
};
use recording_host_model::{ENCRYPTED_SUFFIX, Outcome, hex};
use recording_host_sink::SinkError;

/// Lines and rows of one receipt that are named; how many more there are is said.
const NAMED: usize = 100;

/// A receipt that is being read.
struct Reading<'a> {
    key: &'a str,
    /// Its number among the receipts that were read.
    id: i64,
    header: ReceiptHeader,
    segment: SegmentId,
    /// How many of its lines and rows were named.
    named: usize,
}

impl Check<'_> {
    /// Reads the receipts of a day. A run that is under way may replace some meanwhile: then what has
    /// come is read, too.
    pub(super) async fn day(
        &mut self,
        folder: &str,
        mut keys: Vec<String>,
    ) -> Result<(), SinkError> {
        let mut seen = HashSet::new();
        loop {
            let mut sound = true;
            keys.retain(|key| seen.insert(key.clone()));
            for key in &keys {
                if !self.is_void(key) {
                    sound &= self.receipt(key).await?;
                }
            }
            if sound || keys.is_empty() {
                break;
            }
            let listed = by_day(self.store, folder).await?;
            keys = listed.into_values().flatten().collect();
        }
        // Files of void segments that are still there.
        for key in seen {
            if self.is_void(&key)
                && let Some(found) = one(self.store, &key).await?
            {
                self.unexpected(key, found.size);
            }
        }
        Ok(())
    }

    /// Reads a receipt and its rows; says whether all of it is there.
    async fn receipt(&mut self, key: &str) -> Result<bool, SinkError> {
        let Some(bytes) = whole(self.store, key).await? else {
            return Ok(false);
        };
        let mut reader = match ReceiptReader::new(&bytes[..]) {
            Ok(reader) => reader,
            Err(error) => {
                // Its key still says which segment a repair is to look at.
                let segment = SegmentId::of_file(key);
                let detail = error.to_string();
                self.find_in(key, segment, Difference::Receipt, None, detail);
                return Ok(true);
            }
        };
        self.report.receipts += 1;
        let header = reader.header().clone();
        let void = header.replaces.iter();
        self.replaced
            .extend(void.filter_map(|number| sibling(key, *number)));
        let mut reading = Reading {
            key,
            id: self.ledger.receipt(key, &header).await?,
            segment: SegmentId {
                export: header.export.clone(),
                day: header.day.clone(),
                number: header.segment,
            },
            header,
            named: 0,
        };
        self.header(&reading);
        let encrypted = reading.header.encryption.is_some();
        let mut compared = Comparison::new(encrypted, reading.header.media_in.is_some());
        let mut entries = Vec::new();
        for entry in reader.by_ref() {
            match entry {
                Ok((line, entry)) => {
                    self.entry(&mut reading, &mut compared, line, &entry);
                    entries.push(entry);
                }
                Err(error) => {
                    self.named(&mut reading, Difference::Receipt, None, error.to_string());
                }
            }
        }
        self.totals(&reading, &reader.totals());
        self.expect(&reading, &entries).await?;
        self.ledger.entries(reading.id, entries).await?;
        self.files(&mut reading, compared).await
    }

    /// Looks at what a header says, and where it says so.
    fn header(&mut self, reading: &Reading<'_>) {
        let (key, header) = (reading.key, &reading.header);
        match header.receipt {
            1 => self.report.without_claims += 1,
            _ => self.claims.add(header),
        }
        if let Some(prefix) = header.prefix.as_ref().filter(|prefix| !prefix.is_empty()) {
            self.prefixes.insert(prefix.clone());
        }
        let own = (header.day.as_str(), header.export.as_str(), header.segment);
        if parts_of(key) != Some(own) {
            let detail = format!(
                "its header is about segment {} of {} on {}, which its key is not",
                header.segment, header.export, header.day
            );
            self.about(reading, Difference::Misplaced, None, detail);
        }
        for file in [&header.metadata, &header.catalog].into_iter().flatten() {
            if segment_of(&file.key) != segment_of(key) {
                let detail = format!("it names {}, a file of another segment", file.key);
                self.about(reading, Difference::Misplaced, None, detail);
            }
        }
    }

    /// Looks at a line by itself.
    fn entry(
        &mut self,
        reading: &mut Reading<'_>,
        compared: &mut Comparison,
        line: u64,
        entry: &ReceiptEntry,
    ) {
        let conversation = Some(entry.conversation_id.clone());
        if let Some(before) = compared.add(line, entry) {
            let detail = format!("line {line}: the conversation is already in line {before}");
            self.named(reading, Difference::Repeated, conversation, detail);
        } else if entry.outcome() == Outcome::NoRecording && !entry.objects.is_empty() {
            let detail = format!("line {line}: it says no-recording, and names recordings");
            self.named(reading, Difference::Outcome, conversation, detail);
        }
    }

    /// Compares what the header counts with what follows it.
    fn totals(&mut self, reading: &Reading<'_>, totals: &ReceiptTotals) {
        let header = &reading.header;
        let detail = if header.conversations != totals.entries {
            format!(
                "{} lines follow, its header counts {}",
                totals.entries, header.conversations
            )
        } else if header.receipt > 1 && header.outcomes != totals.outcomes {
            let listed = |counts: &std::collections::BTreeMap<String, u64>| {
                let each = counts.iter().map(|(word, count)| format!("{count} {word}"));
                each.collect::<Vec<_>>().join(", ")
            };
            format!(
                "its lines say {}, its header {}",
                listed(&totals.outcomes),
                listed(&header.outcomes)
            )
        } else if header.receipt > 1 && header.entries_sha256.as_ref() != Some(&totals.sha256) {
            "the sha256 of its lines is not the one in its header".to_owned()
        } else {
            return;
        };
        self.about(reading, Difference::Entries, None, detail);
    }

    /// Notes what must be there.
    async fn expect(
        &mut self,
        reading: &Reading<'_>,
        entries: &[ReceiptEntry],
    ) -> Result<(), SinkError> {
        let encrypted = reading.header.encryption.is_some();
        let mut expected = Vec::new();
        for entry in entries {
            let mut add = |object: Expected, kind| {
                expected.push(Expected {
                    conversation: Some(entry.conversation_id.clone()),
                    attempt: entry.attempt,
                    segment: Some(reading.segment.clone()),
                    kind,
                    encrypted,
                    ..object
                });
            };
            for object in entry.objects.iter().cloned() {
                add(object.into(), ObjectKind::Recording);
            }
            for object in entry.aside.iter().cloned() {
                add(object.into(), ObjectKind::Aside);
            }
            for sidecar in entry.sidecars.iter().cloned() {
                add(sidecar.into(), ObjectKind::Sidecar);
            }
        }
        for (object, other) in self.ledger.expect(reading.id, expected).await? {
            let detail = format!("the conversation {other} names it, too");
            self.find(Difference::SharedKey, &object, detail);
        }
        Ok(())
    }

    /// Compares the files that belong to a receipt; says whether they are there.
    async fn files(
        &mut self,
        reading: &mut Reading<'_>,
        compared: Comparison,
    ) -> Result<bool, SinkError> {
        let mut sound = true;
        if let Some(catalog) = reading.header.catalog.clone() {
            self.catalog.remove(&catalog.key);
            let catalog = file(reading, catalog, ObjectKind::Catalog);
            sound = self.proven(&catalog).await?.is_some();
        }
        let Some(metadata) = reading.header.metadata.clone() else {
            return Ok(sound);
        };
        self.rows.remove(&metadata.key);
        let metadata = file(reading, metadata, ObjectKind::Rows);
        let Some((rows, right)) = self.proven(&metadata).await? else {
            return Ok(false);
        };
        let (key, rows) = if reading.header.encryption.is_some() {
            let Some(decryptor) = &self.decryptor else {
                self.report.unread += 1;
                return Ok(sound);
            };
            match encrypted::rows(&**decryptor, &rows) {
                Ok(plain) => (metadata.key.trim_end_matches(ENCRYPTED_SUFFIX), plain),
                Err(error) => {
                    if right {
                        let detail = format!("its rows cannot be read: {error}");
                        self.find(Difference::Receipt, &metadata, detail);
                    }
                    return Ok(sound);
                }
            }
        } else {
            (metadata.key.as_str(), rows)
        };
        self.rows(reading, compared, &metadata, key, rows, right)
            .await?;
        Ok(sound)
    }

    /// Compares rows with the receipt; `right` says whether the file is the one that it names.
    async fn rows(
        &mut self,
        reading: &mut Reading<'_>,
        mut compared: Comparison,
        metadata: &Expected,
        key: &str,
        rows: Bytes,
        right: bool,
    ) -> Result<(), SinkError> {
        let encrypted = reading.header.encryption.is_some();
        let rows = match recording_host_metadata::read(key, rows) {
            Ok(rows) => rows,
            Err(error) => Box::new(std::iter::once(Err(error))),
        };
        let (mut plain, mut readable) = (Vec::new(), true);
        for row in rows {
            let row = match row {
                Ok(row) => row,
                Err(error) => {
                    readable = false;
                    // Of a file that was changed that is known already.
                    if right {
                        let detail = format!("its rows cannot be read: {error}");
                        self.find(Difference::Receipt, metadata, detail);
                    }
                    continue;
                }
            };
            for contradiction in compared.row(&row) {
                self.contradicted(reading, contradiction);
            }
            if encrypted && reading.header.media_in.is_none() {
                plain.extend(row.object_key.zip(row.sha256));
            }
        }
        self.ledger.decrypted(plain).await?;
        // It is not known what a damaged file of rows lacks.
        if right || readable {
            for contradiction in compared.rest() {
                self.contradicted(reading, contradiction);
            }
        }
        let more = reading.named.saturating_sub(NAMED);
        if more > 0 {
            let detail = format!("{more} more of its lines and rows are not as they should be");
            self.about(reading, Difference::Receipt, None, detail);
        }
        Ok(())
    }

    fn contradicted(&mut self, reading: &mut Reading<'_>, contradiction: Contradiction) {
        let Contradiction {
            difference,
            conversation,
            detail,
        } = contradiction;
        self.named(reading, difference, Some(conversation), detail);
    }

    /// Names something about a line of a receipt, unless enough of them were named.
    fn named(
        &mut self,
        reading: &mut Reading<'_>,
        difference: Difference,
        conversation: Option<String>,
        detail: String,
    ) {
        reading.named += 1;
        if reading.named <= NAMED {
            self.about(reading, difference, conversation, detail);
        }
    }

    fn about(
        &mut self,
        reading: &Reading<'_>,
        difference: Difference,
        conversation: Option<String>,
        detail: String,
    ) {
        let segment = Some(reading.segment.clone());
        self.find_in(reading.key, segment, difference, conversation, detail);
    }

    /// A file that belongs to a receipt, and whether it is the one that the receipt names.
    async fn proven(&mut self, expected: &Expected) -> Result<Option<(Bytes, bool)>, SinkError> {
        let Some(file) = whole(self.store, &expected.key).await? else {
            let detail = "the file is not there".to_owned();
            self.find(Difference::Missing, expected, detail);
            return Ok(None);
        };
        let right = hex(&Sha256::digest(&file)) == expected.sha256;
        if !right {
            let detail = format!(
                "the file is not the one in the receipt: {} bytes, {} expected",
                file.len(),
                expected.size
            );
            self.find(Difference::Content, expected, detail);
        }
        Ok(Some((file, right)))
    }
}

/// A file that belongs to a receipt.
fn file(reading: &Reading<'_>, digest: ObjectDigest, kind: ObjectKind) -> Expected {
    Expected {
        kind,
        segment: Some(reading.segment.clone()),
        ..Expected::from(digest)
    }
}
