//! Reads what an archive has of a selection, receipt by receipt, checks it, and packs it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufWriter, Write},
};

use bytes::Bytes;
use recording_host_engine::receipt::{ReceiptEntry, ReceiptObject};
use recording_host_metadata::{Dialect, RowFormat, restore::Row, schema};
use recording_host_model::hex;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{
    Package, Packed, Selection,
    checked::{Checked, Verdict},
    package::{Form, Writing},
    path::path,
    receipt::Receipt,
    report::{Attempt, Listed, Report},
    rows::picked,
};
use crate::{Archive, PageError, archive::broken};

/// The end of the names of encrypted objects.
const ENCRYPTED: &str = ".age";

/// The collection so far.
struct Collector<'a, F> {
    archive: &'a Archive,
    selection: &'a Selection,
    writing: Writing,
    exported: F,
    rows: BufWriter<File>,
    promised: BufWriter<File>,
    verified: BufWriter<File>,
    report: Report,
}

/// A receipt's line that is wanted.
struct Line<'a> {
    receipt: &'a str,
    number: u64,
    entry: &'a ReceiptEntry,
    rows: &'a [Row],
}

pub(super) async fn collect(
    package: Package<'_>,
    into: impl Write + Send + 'static,
    exported: impl FnMut(&str) -> io::Result<()> + Send,
) -> Result<Packed, PageError> {
    let spool = || tempfile::tempfile().map(BufWriter::new);
    let mut report = Report::new(
        package.made,
        &package.archive.name,
        &package.selection.asked,
    );
    for id in &package.selection.unknown {
        report.finding("unknown", id, "the archive has no such conversation");
    }
    let mut collector = Collector {
        archive: package.archive,
        selection: package.selection,
        writing: Writing::to(into)?,
        exported,
        rows: spool()?,
        promised: spool()?,
        verified: spool()?,
        report,
    };
    match collector.receipts().await {
        Ok(()) => collector.finish().await,
        Err(error) => Err(collector.writing.failure(error).await),
    }
}

impl<F: FnMut(&str) -> io::Result<()> + Send> Collector<'_, F> {
    async fn receipts(&mut self) -> Result<(), PageError> {
        let mut last = String::new();
        while let Some(receipt) = self.selection.receipt_after(&last)? {
            self.receipt(&receipt).await?;
            last = receipt;
        }
        Ok(())
    }

    /// Packs a receipt as a whole, and all that it says about the conversations that are wanted.
    async fn receipt(&mut self, key: &str) -> Result<(), PageError> {
        let wanted = self.selection.of_receipt(key)?;
        let bytes = match self.archive.receipt(key).await {
            Ok(bytes) => bytes,
            Err(PageError::Missing(_)) => {
                self.report
                    .finding("receipt", key, "it is not there any more");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.writing
            .whole(&path("archive", key), bytes.clone())
            .await?;
        self.report.receipts += 1;
        let Receipt {
            header,
            lines,
            adds_up,
        } = match Receipt::read(&bytes, &wanted) {
            Ok(receipt) => receipt,
            Err(error) => {
                self.report.finding("receipt", key, &error.to_string());
                return Ok(());
            }
        };
        if !adds_up {
            let changed = "its lines are not those that its first line counts: it was changed";
            self.report.finding("entries", key, changed);
        }
        if let Some(other) = &header.media_in {
            self.report.note(format!(
                "The recordings of {key} are in another archive, the sink {other}."
            ));
        }
        let rows = match &header.metadata {
            Some(file) => self.rows(&file.key, &file.sha256, &wanted).await?,
            None => None,
        };
        let there: BTreeSet<&str> = lines
            .iter()
            .map(|(_, entry)| entry.conversation_id.as_str())
            .collect();
        for id in &wanted {
            if !there.contains(id.as_str()) {
                let lacking = format!("it has no line of the conversation {id}");
                self.report.finding("receipt", key, &lacking);
            }
        }
        for (number, entry) in &lines {
            let id = &entry.conversation_id;
            let mine = rows.as_ref().and_then(|rows| rows.get(id));
            if rows.is_some() && mine.is_none() {
                let lacking = format!("{key} names it, and the file of rows does not");
                self.report.finding("rows", id, &lacking);
            }
            let line = Line {
                receipt: key,
                number: *number,
                entry,
                rows: mine.map_or(&[][..], Vec::as_slice),
            };
            self.conversation(&line).await?;
        }
        Ok(())
    }

    /// The rows of the conversations in a file that is checked as a whole; none if it cannot be read.
    async fn rows(
        &mut self,
        key: &str,
        sha256: &str,
        wanted: &BTreeSet<String>,
    ) -> Result<Option<BTreeMap<String, Vec<Row>>>, PageError> {
        let Some(mut body) = self.archive.stored(key).await? else {
            self.report.finding(
                "missing",
                key,
                "the receipt names this file of rows, and it is not there",
            );
            return Ok(None);
        };
        let mut file = Vec::new();
        while let Some(data) = body.next().await.map_err(|_| broken(key))? {
            file.extend_from_slice(&data);
        }
        if hex(&Sha256::digest(&file)) != sha256 {
            self.report.finding(
                "content",
                key,
                "this file of rows has another SHA-256 than the receipt says",
            );
        }
        let read = match key.ends_with(ENCRYPTED) {
            true => self.archive.rows(key).await,
            false => Ok((key.to_owned(), file.into())),
        };
        let (plain, file) = match read {
            Ok(read) => read,
            Err(PageError::Encrypted(_)) => {
                self.report.note("The rows are encrypted, and no identity was given: they were not compared, the package has none, and who called, whom and when is not in this report.".to_owned());
                return Ok(None);
            }
            Err(error) => {
                self.report.finding("rows", key, &error.to_string());
                return Ok(None);
            }
        };
        match picked(plain, file, wanted.clone()).await? {
            Err(error) => {
                self.report.finding("rows", key, &error.to_string());
                Ok(None)
            }
            Ok(picked) => {
                let mut rows = BTreeMap::<String, Vec<Row>>::new();
                for (row, line) in picked {
                    if self.is_wanted(&row) {
                        writeln!(self.rows, "{line}")?;
                    }
                    rows.entry(row.conversation_id.clone())
                        .or_default()
                        .push(row);
                }
                Ok(Some(rows))
            }
        }
    }

    fn is_wanted(&self, row: &Row) -> bool {
        self.selection.only.as_ref().is_none_or(|only| {
            only.object_key == row.object_key && only.archive_member == row.archive_member
        })
    }

    async fn conversation(&mut self, line: &Line<'_>) -> Result<(), PageError> {
        let (entry, id) = (line.entry, &line.entry.conversation_id);
        if self.selection.is_new(id)? {
            (self.exported)(id)?;
            self.report.conversations += 1;
        }
        let attempt = Attempt {
            attempt: entry.attempt,
            outcome: entry.outcome.clone(),
            reason: entry.code.clone().or_else(|| entry.reason.clone()),
            receipt: path("archive", line.receipt),
            line: line.number,
        };
        let row = line.rows.iter().find(|row| self.is_wanted(row));
        self.report.attempt(id, attempt, row);
        for row in line.rows {
            if row.attempt == entry.attempt && row.outcome != entry.outcome {
                let reported = format!(
                    "the receipt says {}, and a row says {}",
                    entry.outcome, row.outcome
                );
                self.report.finding("outcome", id, &reported);
            }
        }
        let mut files: Vec<ReceiptObject> =
            entry.objects.iter().chain(&entry.aside).cloned().collect();
        files.extend(entry.sidecars.iter().map(|file| ReceiptObject {
            key: file.key.clone(),
            size: file.size,
            sha256: file.sha256.clone(),
            ..ReceiptObject::default()
        }));
        for file in &files {
            let only = self.selection.only.as_ref();
            let key = only.map(|only| only.object_key.as_deref().unwrap_or_default());
            if key.is_none_or(|key| is_of(&file.key, key)) {
                self.object(line, file).await?;
            }
        }
        Ok(())
    }

    /// Packs an object as it is stored, and says how it stands to its receipt.
    async fn object(&mut self, line: &Line<'_>, promised: &ReceiptObject) -> Result<(), PageError> {
        let path = path("archive", &promised.key);
        let found = match self.selection.packed(&path)? {
            Some(found) => Some(found),
            None => self.pack(&path, promised).await?,
        };
        let verdict = found.as_ref().map_or(Verdict::Missing, |found| {
            Verdict::of(found, promised.size, &promised.sha256)
        });
        let is_digest = promised.sha256.len() == 64
            && promised.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_digest {
            writeln!(self.promised, "{}  {path}", promised.sha256)?;
        }
        self.verified(line, promised, &path, found.as_ref(), verdict)?;
        if promised.member.is_some() {
            self.report.note(format!("{path} is a zip that is kept as it came: it may have recordings of other conversations, too."));
        }
        let row = line.rows.iter().find(|row| {
            let key = row.object_key.as_deref();
            let member = promised.member.is_none() || promised.member == row.archive_member;
            key.is_some_and(|key| is_of(&promised.key, key)) && member
        });
        let Some(sha256) = row.and_then(|row| row.sha256.as_deref()) else {
            return Ok(());
        };
        if !promised.key.ends_with(ENCRYPTED) {
            if sha256 != promised.sha256 {
                self.report.finding(
                    "receipt",
                    &promised.key,
                    "the row has another SHA-256 than the receipt",
                );
            }
        } else if verdict == Verdict::Good && self.archive.can_decrypt() {
            self.decrypted(line, promised, sha256).await?;
        }
        Ok(())
    }

    fn verified(
        &mut self,
        line: &Line<'_>,
        promised: &ReceiptObject,
        path: &str,
        found: Option<&Checked>,
        verdict: Verdict,
    ) -> Result<(), PageError> {
        let id = &line.entry.conversation_id;
        let reported = json!({
            "conversation_id": id, "attempt": line.entry.attempt, "key": promised.key, "path": path,
            "verdict": verdict.word(),
            "promised": { "size": promised.size, "sha256": promised.sha256 },
            "found": found.map(|found| json!({ "size": found.size, "sha256": found.sha256 })),
        });
        writeln!(self.verified, "{reported}")?;
        let wrong = match (verdict, found) {
            (Verdict::Good, _) => None,
            (Verdict::Size, Some(found)) => Some(format!(
                "it has {} bytes, and {} in the receipt",
                found.size, promised.size
            )),
            (Verdict::Content, Some(found)) => Some(format!(
                "its SHA-256 is {}, and {} in the receipt",
                found.sha256, promised.sha256
            )),
            _ => Some("the receipt names it, and it is not there".to_owned()),
        };
        if let Some(wrong) = wrong {
            self.report.finding(verdict.word(), &promised.key, &wrong);
        }
        self.report.file(
            id,
            Listed {
                path: path.to_owned(),
                found: found.cloned(),
                verdict,
            },
        );
        Ok(())
    }

    /// Reads an object into the package; none if it is not there.
    async fn pack(
        &mut self,
        path: &str,
        promised: &ReceiptObject,
    ) -> Result<Option<Checked>, PageError> {
        let key = &promised.key;
        let Some(mut body) = self.archive.stored(key).await? else {
            return Ok(None);
        };
        self.writing
            .begin(path, Form::Stored(promised.size))
            .await?;
        while let Some(data) = body.next().await.map_err(|_| broken(key))? {
            self.writing.data(data).await?;
        }
        let found = self.writing.end().await?;
        self.selection.pack(path, &found)?;
        self.report.files += 1;
        self.report.bytes += found.size;
        Ok(Some(found))
    }

    /// Packs an encrypted object in clear text, and says whether it is what the row says.
    async fn decrypted(
        &mut self,
        line: &Line<'_>,
        promised: &ReceiptObject,
        sha256: &str,
    ) -> Result<(), PageError> {
        let key = promised
            .key
            .strip_suffix(ENCRYPTED)
            .unwrap_or(&promised.key);
        let path = path("decrypted", key);
        if self.selection.packed(&path)?.is_some() {
            return Ok(());
        }
        let Some(mut body) = self.archive.open(&promised.key).await? else {
            return Ok(());
        };
        // Whoever has the wrong identity gets nothing, not an empty file.
        let Ok(first) = body.next().await else {
            self.report.finding(
                "encrypted",
                &promised.key,
                "the identity that was given cannot decrypt it",
            );
            return Ok(());
        };
        self.writing
            .begin(&path, Form::Stored(promised.size))
            .await?;
        let mut next = first;
        while let Some(data) = next {
            self.writing.data(data).await?;
            next = body.next().await.map_err(|_| broken(&promised.key))?;
        }
        let found = self.writing.end().await?;
        self.selection.pack(&path, &found)?;
        let verdict = Verdict::of(&found, found.size, sha256);
        if verdict != Verdict::Good {
            self.report.finding(
                "content",
                key,
                "decrypted, its SHA-256 is not that of the row",
            );
        }
        if sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            writeln!(self.promised, "{sha256}  {path}")?;
        }
        self.report.file(
            &line.entry.conversation_id,
            Listed {
                path,
                found: Some(found),
                verdict,
            },
        );
        Ok(())
    }

    async fn finish(self) -> Result<Packed, PageError> {
        let Collector {
            mut writing,
            rows,
            promised,
            verified,
            report,
            ..
        } = self;
        let inner =
            |spool: BufWriter<File>| spool.into_inner().map_err(io::IntoInnerError::into_error);
        let schema = schema(Dialect::JsonSchema, RowFormat::Jsonl, "");
        let packing = async {
            for (name, spool) in [
                ("rows.jsonl", rows),
                ("verification.jsonl", verified),
                ("RECEIPT-SHA256SUMS", promised),
            ] {
                writing.copy(name, inner(spool)?).await?;
            }
            writing.whole("row.schema.json", schema.into()).await?;
            let (html, pdf) = report.rendered();
            writing.whole("report.html", Bytes::from(html)).await?;
            writing.whole("report.pdf", Bytes::from(pdf)).await?;
            Ok(())
        };
        if let Err(error) = packing.await {
            return Err(writing.failure(error).await);
        }
        let (files, zip) = writing.finish().await?;
        Ok(Packed {
            conversations: report.conversations,
            files,
            size: zip.size,
            sha256: zip.sha256,
            findings: report.found,
            first_findings: report.findings.iter().map(ToString::to_string).collect(),
        })
    }
}

/// True if an object is that of a row's key, encrypted or not.
fn is_of(object: &str, key: &str) -> bool {
    object == key || object.strip_suffix(ENCRYPTED) == Some(key)
}
