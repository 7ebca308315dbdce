//! The types of a row in the forms in which other tools take them: JSON Schema, SQL, schemas in Python.

use std::fmt::Write;

use serde_json::{Value, json};

use super::Format;

/// A form of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// JSON Schema of a line of JSON Lines.
    JsonSchema,
    /// A view of DuckDB.
    DuckDb,
    /// An external table of Athena.
    Athena,
    /// A table of Trino's Hive connector.
    Trino,
    /// A schema for `polars.scan_ndjson`.
    Polars,
    /// A schema for `pyarrow.dataset`.
    PyArrow,
}

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Long,
    Int,
    Instant,
    /// A list of structs of `id` and `name`.
    Parties,
    Texts,
    /// A map of text to text.
    Map,
}

/// The columns of a row in their order: name, type, and true if never null.
const COLUMNS: [(&str, Kind, bool); 24] = [
    ("conversation_id", Kind::Text, true),
    ("recording_id", Kind::Text, false),
    ("object_key", Kind::Text, false),
    ("archive_member", Kind::Text, false),
    ("content_type", Kind::Text, false),
    ("size_bytes", Kind::Long, false),
    ("sha256", Kind::Text, false),
    ("outcome", Kind::Text, true),
    ("reason", Kind::Text, false),
    ("start", Kind::Instant, true),
    ("end", Kind::Instant, false),
    ("duration_ms", Kind::Long, false),
    ("direction", Kind::Text, false),
    ("ani", Kind::Text, false),
    ("dnis", Kind::Text, false),
    ("agents", Kind::Parties, true),
    ("queues", Kind::Parties, true),
    ("wrap_up_codes", Kind::Parties, true),
    ("tags", Kind::Texts, true),
    ("divisions", Kind::Texts, true),
    ("media_types", Kind::Texts, true),
    ("attributes", Kind::Map, true),
    ("attempt", Kind::Int, true),
    ("ended_at", Kind::Instant, false),
];

/// The schema of rows in a format, for a table of the sink at `location`.
#[must_use]
pub fn schema(dialect: Dialect, format: Format, location: &str) -> String {
    let location = location.trim_end_matches('/');
    match dialect {
        Dialect::JsonSchema => format!("{:#}\n", json_schema()),
        Dialect::DuckDb => duckdb(format, location),
        Dialect::Athena => athena(format, location),
        Dialect::Trino => trino(format, location),
        Dialect::Polars => polars(),
        Dialect::PyArrow => pyarrow(),
    }
}

fn json_schema() -> Value {
    let of = |kind: Kind| match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Long | Kind::Int => json!({ "type": "integer", "minimum": 0 }),
        Kind::Instant => json!({ "type": "string", "format": "date-time" }),
        Kind::Parties => json!({ "type": "array", "items": {
            "type": "object",
            "properties": { "id": { "type": "string" }, "name": { "type": ["string", "null"] } },
            "required": ["id", "name"],
            "additionalProperties": false,
        } }),
        Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Map => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
    };
    let properties = COLUMNS.map(|(name, kind, required)| {
        let mut schema = of(kind);
        if !required {
            schema["type"] = json!([schema["type"], "null"]);
        }
        (name.to_owned(), schema)
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A row of recording-host",
        "type": "object",
        "properties": serde_json::Map::from_iter(properties),
        "required": COLUMNS.map(|(name, ..)| name),
    })
}

/// Lines of columns, each by `one`, with commas between.
fn columns(one: impl Fn(&str, Kind) -> String) -> String {
    let lines = COLUMNS.map(|(name, kind, _)| format!("  {}", one(name, kind)));
    lines.join(",\n")
}

fn duckdb(format: Format, location: &str) -> String {
    let of = |kind| match kind {
        Kind::Text => "VARCHAR",
        Kind::Long => "BIGINT",
        Kind::Int => "INTEGER",
        Kind::Instant => "TIMESTAMPTZ",
        Kind::Parties => "STRUCT(id VARCHAR, \"name\" VARCHAR)[]",
        Kind::Texts => "VARCHAR[]",
        Kind::Map => "MAP(VARCHAR, VARCHAR)",
    };
    let from = match format {
        Format::Parquet => format!(
            "read_parquet('{}/metadata/*/*.parquet', hive_partitioning = true, union_by_name = true)",
            quoted(location)
        ),
        Format::Jsonl => {
            let columns = columns(|name, kind| format!("\"{name}\": '{}'", of(kind)));
            format!(
                "read_json('{}/metadata/*/*.jsonl*', format = 'newline_delimited', hive_partitioning = true, columns = {{\n{columns}\n}})",
                quoted(location)
            )
        }
    };
    format!("CREATE OR REPLACE VIEW recordings AS\nSELECT * FROM {from};\n")
}

fn athena(format: Format, location: &str) -> String {
    let columns = columns(|name, kind| {
        let of = match kind {
            Kind::Text => "string",
            Kind::Long => "bigint",
            Kind::Int => "int",
            Kind::Instant => instant(format, "timestamp", "string"),
            Kind::Parties => "array<struct<id:string,name:string>>",
            Kind::Texts => "array<string>",
            Kind::Map => "map<string,string>",
        };
        format!("`{name}` {of}")
    });
    let stored = match format {
        Format::Parquet => "STORED AS PARQUET",
        Format::Jsonl => "ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'",
    };
    let location = quoted(location);
    let mut text = format!(
        "CREATE EXTERNAL TABLE recordings (\n{columns}\n)\nPARTITIONED BY (`date` string)\n{stored}\nLOCATION '{location}/metadata/'\nTBLPROPERTIES (\n"
    );
    for (name, value) in [
        ("projection.enabled", "true"),
        ("projection.date.type", "date"),
        ("projection.date.format", "yyyy-MM-dd"),
        ("projection.date.range", "2010-01-01,NOW"),
    ] {
        let _ = writeln!(text, "  '{name}' = '{value}',");
    }
    let template = format!("{location}/metadata/date=${{date}}/");
    let _ = write!(text, "  'storage.location.template' = '{template}'\n);\n");
    text
}

fn trino(format: Format, location: &str) -> String {
    let columns = columns(|name, kind| {
        let of = match kind {
            Kind::Text => "varchar",
            Kind::Long => "bigint",
            Kind::Int => "integer",
            Kind::Instant => instant(format, "timestamp(3)", "varchar"),
            Kind::Parties => "array(row(id varchar, name varchar))",
            Kind::Texts => "array(varchar)",
            Kind::Map => "map(varchar, varchar)",
        };
        format!("\"{name}\" {of}")
    });
    let stored = instant(format, "PARQUET", "JSON");
    let location = quoted(location);
    format!(
        "CREATE TABLE recordings (\n{columns},\n  \"date\" varchar\n)\nWITH (\n  format = '{stored}',\n  external_location = '{location}/metadata/',\n  partitioned_by = ARRAY['date']\n);\n-- Once, and whenever there are further days:\n-- CALL system.sync_partition_metadata('SCHEMA', 'recordings', 'FULL');\n"
    )
}

/// One of two words, by the format: lines have instants as text.
fn instant(format: Format, parquet: &'static str, lines: &'static str) -> &'static str {
    match format {
        Format::Parquet => parquet,
        Format::Jsonl => lines,
    }
}

fn polars() -> String {
    let columns = columns(|name, kind| {
        let of = match kind {
            Kind::Text | Kind::Instant => "pl.String",
            Kind::Long => "pl.Int64",
            Kind::Int => "pl.Int32",
            Kind::Parties => "pl.List(pl.Struct({\"id\": pl.String, \"name\": pl.String}))",
            Kind::Texts => "pl.List(pl.String)",
            // Names come and go: a struct has those that it is given.
            Kind::Map => "pl.Struct({})",
        };
        format!("  \"{name}\": {of}")
    });
    format!(
        "import polars as pl\n\n# For pl.scan_ndjson(\"metadata/*/*.jsonl\", schema=rows). Instants are text: .str.to_datetime(time_zone=\"UTC\").\n# `attributes` takes the fields that are named here, such as pl.Struct({{\"recording.media\": pl.String}}).\nrows = pl.Schema({{\n{columns}\n}})\n"
    )
}

fn pyarrow() -> String {
    let columns = columns(|name, kind| {
        let of = match kind {
            Kind::Text => "pa.string()",
            Kind::Long => "pa.int64()",
            Kind::Int => "pa.int32()",
            Kind::Instant => "pa.timestamp(\"ms\", \"UTC\")",
            Kind::Parties => {
                "pa.list_(pa.struct([(\"id\", pa.string()), (\"name\", pa.string())]))"
            }
            Kind::Texts => "pa.list_(pa.string())",
            Kind::Map => "pa.struct([])",
        };
        format!("  (\"{name}\", {of})")
    });
    format!(
        "import pyarrow as pa\n\n# For pyarrow.dataset.dataset(\"metadata\", format=\"json\", schema=rows, partitioning=\"hive\").\n# `attributes` takes the fields that are named here, such as pa.struct([(\"recording.media\", pa.string())]).\nrows = pa.schema([\n{columns}\n])\n"
    )
}

/// A text within single quotes of SQL.
fn quoted(text: &str) -> String {
    text.replace('\'', "''")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "parquet")]
    #[test]
    fn the_columns_are_those_that_are_written() {
        use crate::parquet::{Columns, Rows};
        use arrow_schema::DataType;

        let written = Rows::schema();
        let written: Vec<(&str, Kind, bool)> = written
            .fields()
            .iter()
            .map(|field| {
                let kind = match field.data_type() {
                    DataType::Utf8 => Kind::Text,
                    DataType::Int64 => Kind::Long,
                    DataType::Int32 => Kind::Int,
                    DataType::Timestamp(..) => Kind::Instant,
                    DataType::Map(..) => Kind::Map,
                    DataType::List(of) if *of.data_type() == DataType::Utf8 => Kind::Texts,
                    DataType::List(_) => Kind::Parties,
                    other => panic!("{other}"),
                };
                (field.name().as_str(), kind, !field.is_nullable())
            })
            .collect();
        assert_eq!(written, COLUMNS);
    }
}
