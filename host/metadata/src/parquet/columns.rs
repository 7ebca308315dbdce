//! The columns of the rows.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, RecordBatch,
    builder::{Int32Builder, Int64Builder, StringBuilder, TimestampMillisecondBuilder},
};
use arrow_schema::{ArrowError, DataType, Field, Schema};

use super::{
    super::row::{Party, Row},
    Columns, Labels, Pairs, Texts, element, instant_type, signed, small, taken,
};

/// Gathers rows.
pub(crate) struct Rows {
    conversation_id: StringBuilder,
    recording_id: StringBuilder,
    object_key: StringBuilder,
    archive_member: StringBuilder,
    content_type: StringBuilder,
    size_bytes: Int64Builder,
    sha256: StringBuilder,
    outcome: StringBuilder,
    reason: StringBuilder,
    start: TimestampMillisecondBuilder,
    end: TimestampMillisecondBuilder,
    duration_ms: Int64Builder,
    direction: StringBuilder,
    ani: StringBuilder,
    dnis: StringBuilder,
    agents: Pairs,
    queues: Pairs,
    wrap_up_codes: Pairs,
    tags: Texts,
    divisions: Texts,
    media_types: Texts,
    attributes: Labels,
    attempt: Int32Builder,
    ended_at: TimestampMillisecondBuilder,
    division_names: Texts,
}

impl Default for Rows {
    fn default() -> Self {
        let instants = || TimestampMillisecondBuilder::new().with_data_type(instant_type());
        let parties = || Pairs::new("id", "name");
        Rows {
            conversation_id: StringBuilder::new(),
            recording_id: StringBuilder::new(),
            object_key: StringBuilder::new(),
            archive_member: StringBuilder::new(),
            content_type: StringBuilder::new(),
            size_bytes: Int64Builder::new(),
            sha256: StringBuilder::new(),
            outcome: StringBuilder::new(),
            reason: StringBuilder::new(),
            start: instants(),
            end: instants(),
            duration_ms: Int64Builder::new(),
            direction: StringBuilder::new(),
            ani: StringBuilder::new(),
            dnis: StringBuilder::new(),
            agents: parties(),
            queues: parties(),
            wrap_up_codes: parties(),
            tags: Texts::default(),
            divisions: Texts::default(),
            media_types: Texts::default(),
            attributes: Labels::default(),
            attempt: Int32Builder::new(),
            ended_at: instants(),
            division_names: Texts::default(),
        }
    }
}

impl Columns for Rows {
    type Row<'a> = Row<'a>;

    const LOOKED_FOR: &'static [&'static str] = &["conversation_id", "recording_id"];
    const UNIQUE: &'static [&'static str] = &[
        "conversation_id",
        "recording_id",
        "object_key",
        "sha256",
        "ani",
    ];

    fn schema() -> Schema {
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        let number = |name: &str| Field::new(name, DataType::Int64, true);
        let list = |name: &str, of: DataType| Field::new(name, of, false);
        let parties = || Pairs::data_type("id", "name");
        Schema::new(vec![
            text("conversation_id").with_nullable(false),
            text("recording_id"),
            text("object_key"),
            text("archive_member"),
            text("content_type"),
            number("size_bytes"),
            text("sha256"),
            text("outcome").with_nullable(false),
            text("reason"),
            Field::new("start", instant_type(), false),
            Field::new("end", instant_type(), true),
            number("duration_ms"),
            text("direction"),
            text("ani"),
            text("dnis"),
            list("agents", parties()),
            list("queues", parties()),
            list("wrap_up_codes", parties()),
            list("tags", element(DataType::Utf8)),
            list("divisions", element(DataType::Utf8)),
            list("media_types", element(DataType::Utf8)),
            list("attributes", Labels::data_type()),
            Field::new("attempt", DataType::Int32, false),
            Field::new("ended_at", instant_type(), true),
            list("division_names", element(DataType::Utf8)).with_nullable(true),
        ])
    }

    fn push(&mut self, row: &Row<'_>) -> Result<(), ArrowError> {
        self.conversation_id.append_value(row.conversation_id);
        self.recording_id.append_option(row.recording_id);
        self.object_key.append_option(row.object_key);
        self.archive_member.append_option(row.archive_member);
        self.content_type.append_option(row.content_type);
        self.size_bytes.append_option(row.size_bytes.map(signed));
        self.sha256.append_option(row.sha256);
        self.outcome.append_value(row.outcome);
        self.reason.append_option(row.reason.as_deref());
        self.start.append_value(signed(row.start));
        self.end.append_option(row.end.map(signed));
        self.duration_ms.append_option(row.duration_ms.map(signed));
        self.direction.append_option(row.direction);
        self.ani.append_option(row.ani);
        self.dnis.append_option(row.dnis);
        self.agents.push(named(&row.agents));
        self.queues.push(named(row.queues));
        self.wrap_up_codes.push(named(row.wrap_up_codes));
        self.tags.push(&row.tags);
        self.divisions.push(row.divisions);
        self.media_types.push(row.media_types);
        self.attributes.push(row.attributes.iter());
        self.attempt.append_value(small(row.attempt));
        self.ended_at.append_option(row.ended_at.map(signed));
        self.division_names.push(row.division_names);
        Ok(())
    }

    fn take(&mut self, schema: &Arc<Schema>) -> Result<RecordBatch, ArrowError> {
        let columns: Vec<ArrayRef> = vec![
            taken(&mut self.conversation_id),
            taken(&mut self.recording_id),
            taken(&mut self.object_key),
            taken(&mut self.archive_member),
            taken(&mut self.content_type),
            Arc::new(self.size_bytes.finish()),
            taken(&mut self.sha256),
            taken(&mut self.outcome),
            taken(&mut self.reason),
            Arc::new(self.start.finish()),
            Arc::new(self.end.finish()),
            Arc::new(self.duration_ms.finish()),
            taken(&mut self.direction),
            taken(&mut self.ani),
            taken(&mut self.dnis),
            self.agents.take()?,
            self.queues.take()?,
            self.wrap_up_codes.take()?,
            self.tags.take()?,
            self.divisions.take()?,
            self.media_types.take()?,
            self.attributes.take()?,
            Arc::new(self.attempt.finish()),
            Arc::new(self.ended_at.finish()),
            self.division_names.take()?,
        ];
        RecordBatch::try_new(Arc::clone(schema), columns)
    }
}

fn named(list: &[Party]) -> impl Iterator<Item = (&str, Option<&str>)> {
    list.iter().map(|(id, name)| (id.as_str(), name.as_deref()))
}

#[cfg(test)]
mod tests {
    use arrow_schema::DataType;

    use super::{Columns, Rows};
    use crate::schema::{COLUMNS, ColumnType};

    #[test]
    fn the_columns_are_those_that_are_written() {
        let written = Rows::schema();
        let written: Vec<(&str, ColumnType, bool)> = written
            .fields()
            .iter()
            .map(|field| {
                let kind = match field.data_type() {
                    DataType::Utf8 => ColumnType::Text,
                    DataType::Int64 => ColumnType::Long,
                    DataType::Int32 => ColumnType::Int,
                    DataType::Timestamp(..) => ColumnType::Instant,
                    DataType::Map(..) => ColumnType::Map,
                    DataType::List(of) if *of.data_type() == DataType::Utf8 => ColumnType::Texts,
                    DataType::List(_) => ColumnType::Parties,
                    other => panic!("{other}"),
                };
                (field.name().as_str(), kind, !field.is_nullable())
            })
            .collect();
        assert_eq!(written, COLUMNS);
    }
}
