//! The catalog: the contents of receipts, as Parquet for whoever queries by SQL.
//!
//! The receipts remain the proof; each names its part of the catalog with its
//! sha256.

use std::{
    io::{self, Write},
    sync::Arc,
};

use arrow_array::{
    ArrayRef, RecordBatch,
    builder::{Int32Builder, Int64Builder, StringBuilder},
};
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema};

use super::{Columns, Pairs, Table, element, signed, small, structs};
use crate::Compression;
use recording_host_model::{CompletedConversation, Object, Outcome};

/// Writes a segment's part of the catalog, in the order in which conversations are given.
pub struct CatalogWriter<W: Write + Send> {
    export: String,
    segment: i64,
    table: Table<Catalog, W>,
}

impl<W: Write + Send> CatalogWriter<W> {
    /// A segment's part of the catalog of an export that begins now.
    ///
    /// # Errors
    /// The error of `into`.
    pub fn new(export: &str, segment: i64, compression: Compression, into: W) -> io::Result<Self> {
        Ok(CatalogWriter {
            export: export.to_owned(),
            segment,
            table: Table::new(compression, into)?,
        })
    }

    /// Writes the entry of a conversation about its objects in a sink.
    ///
    /// # Errors
    /// The error of the target.
    pub fn write(&mut self, completed: &CompletedConversation, sink: &str) -> io::Result<()> {
        self.table.write(&Entry {
            export: &self.export,
            segment: self.segment,
            completed,
            objects: completed.recordings_in(sink).collect(),
        })
    }

    /// Completes the file and gives the target back.
    ///
    /// # Errors
    /// The error of the target.
    pub fn finish(self) -> io::Result<W> {
        self.table.finish()
    }
}

/// The catalog's entry for a conversation.
struct Entry<'a> {
    export: &'a str,
    segment: i64,
    completed: &'a CompletedConversation,
    objects: Vec<&'a Object>,
}

#[derive(Default)]
struct Objects {
    lengths: Vec<usize>,
    recording_id: StringBuilder,
    key: StringBuilder,
    archive_member: StringBuilder,
    size_bytes: Int64Builder,
    sha256: StringBuilder,
}

/// Gathers entries.
struct Catalog {
    conversation_id: StringBuilder,
    export: StringBuilder,
    segment: Int64Builder,
    attempt: Int32Builder,
    outcome: StringBuilder,
    reason_code: StringBuilder,
    reasons: Pairs,
    object_count: Int64Builder,
    bytes: Int64Builder,
    objects: Objects,
}

impl Default for Catalog {
    fn default() -> Self {
        Catalog {
            conversation_id: StringBuilder::new(),
            export: StringBuilder::new(),
            segment: Int64Builder::new(),
            attempt: Int32Builder::new(),
            outcome: StringBuilder::new(),
            reason_code: StringBuilder::new(),
            reasons: Pairs::new("code", "message"),
            object_count: Int64Builder::new(),
            bytes: Int64Builder::new(),
            objects: Objects::default(),
        }
    }
}

fn object_fields() -> Fields {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    Fields::from(vec![
        text("recording_id"),
        text("key"),
        text("archive_member").with_nullable(true),
        Field::new("size_bytes", DataType::Int64, false),
        text("sha256"),
    ])
}

impl Columns for Catalog {
    type Row<'a> = Entry<'a>;

    const LOOKED_FOR: &'static [&'static str] =
        &["conversation_id", "objects.list.element.recording_id"];
    const UNIQUE: &'static [&'static str] = &[
        "conversation_id",
        "objects.list.element.recording_id",
        "objects.list.element.key",
        "objects.list.element.sha256",
    ];

    fn schema() -> Schema {
        let text = |name: &str| Field::new(name, DataType::Utf8, false);
        let number = |name: &str| Field::new(name, DataType::Int64, false);
        Schema::new(vec![
            text("conversation_id"),
            text("export"),
            number("segment"),
            Field::new("attempt", DataType::Int32, false),
            text("outcome"),
            text("reason_code").with_nullable(true),
            Field::new("reasons", Pairs::data_type("code", "message"), false),
            number("object_count"),
            number("bytes"),
            Field::new("objects", element(DataType::Struct(object_fields())), false),
        ])
    }

    fn push(&mut self, entry: &Entry<'_>) -> Result<(), ArrowError> {
        let completed = entry.completed;
        let reasons = reasons(&completed.outcome);
        self.conversation_id.append_value(&completed.id);
        self.export.append_value(entry.export);
        self.segment.append_value(entry.segment);
        self.attempt.append_value(small(completed.attempt));
        self.outcome.append_value(completed.outcome.word());
        self.reason_code
            .append_option(reasons.first().map(|(code, _)| code));
        self.reasons.push(reasons.into_iter());
        self.object_count.append_value(entry.objects.len() as i64);
        let bytes = entry.objects.iter().map(|object| object.size).sum();
        self.bytes.append_value(signed(bytes));
        self.objects.push(&entry.objects);
        Ok(())
    }

    fn take(&mut self, schema: &Arc<Schema>) -> Result<RecordBatch, ArrowError> {
        let objects = &mut self.objects;
        let of_objects: Vec<ArrayRef> = vec![
            Arc::new(objects.recording_id.finish()),
            Arc::new(objects.key.finish()),
            Arc::new(objects.archive_member.finish()),
            Arc::new(objects.size_bytes.finish()),
            Arc::new(objects.sha256.finish()),
        ];
        let lengths = std::mem::take(&mut objects.lengths);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.conversation_id.finish()),
            Arc::new(self.export.finish()),
            Arc::new(self.segment.finish()),
            Arc::new(self.attempt.finish()),
            Arc::new(self.outcome.finish()),
            Arc::new(self.reason_code.finish()),
            self.reasons.take()?,
            Arc::new(self.object_count.finish()),
            Arc::new(self.bytes.finish()),
            structs(object_fields(), lengths, of_objects)?,
        ];
        RecordBatch::try_new(Arc::clone(schema), columns)
    }
}

impl Objects {
    fn push(&mut self, objects: &[&Object]) {
        for object in objects {
            self.recording_id.append_value(&object.recording);
            self.key.append_value(&object.key);
            self.archive_member.append_option(object.member.as_deref());
            self.size_bytes.append_value(signed(object.size));
            self.sha256.append_value(&object.sha256);
        }
        self.lengths.push(objects.len());
    }
}

/// Code and message of what is missing.
fn reasons(outcome: &Outcome) -> Vec<(&str, Option<&str>)> {
    match outcome {
        Outcome::Stored | Outcome::NoRecording => Vec::new(),
        Outcome::Skipped { reason } => vec![(reason, None)],
        Outcome::Failed { code, message } => vec![(code, Some(message))],
        Outcome::Partial { missing } => missing
            .iter()
            .map(|(code, message)| (code.as_str(), Some(message.as_str())))
            .collect(),
    }
}
