//! The types of a row in the forms in which other tools take them: JSON Schema, SQL, schemas in Python.

use std::fmt::Write;

use serde_json::{Value, json};

use super::RowFormat;

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
pub(crate) enum ColumnType {
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
pub(crate) const COLUMNS: [(&str, ColumnType, bool); 25] = [
    ("conversation_id", ColumnType::Text, true),
    ("recording_id", ColumnType::Text, false),
    ("object_key", ColumnType::Text, false),
    ("archive_member", ColumnType::Text, false),
    ("content_type", ColumnType::Text, false),
    ("size_bytes", ColumnType::Long, false),
    ("sha256", ColumnType::Text, false),
    ("outcome", ColumnType::Text, true),
    ("reason", ColumnType::Text, false),
    ("start", ColumnType::Instant, true),
    ("end", ColumnType::Instant, false),
    ("duration_ms", ColumnType::Long, false),
    ("direction", ColumnType::Text, false),
    ("ani", ColumnType::Text, false),
    ("dnis", ColumnType::Text, false),
    ("agents", ColumnType::Parties, true),
    ("queues", ColumnType::Parties, true),
    ("wrap_up_codes", ColumnType::Parties, true),
    ("tags", ColumnType::Texts, true),
    ("divisions", ColumnType::Texts, true),
    ("media_types", ColumnType::Texts, true),
    ("attributes", ColumnType::Map, true),
    ("attempt", ColumnType::Int, true),
    ("ended_at", ColumnType::Instant, false),
    ("division_names", ColumnType::Texts, false),
];

/// The schema of rows in a format, for a table of the sink at `location`.
#[must_use]
pub fn schema(dialect: Dialect, format: RowFormat, location: &str) -> String {
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
    let of = |kind: ColumnType| match kind {
        ColumnType::Text => json!({ "type": "string" }),
        ColumnType::Long | ColumnType::Int => json!({ "type": "integer", "minimum": 0 }),
        ColumnType::Instant => json!({ "type": "string", "format": "date-time" }),
        ColumnType::Parties => json!({ "type": "array", "items": {
            "type": "object",
            "properties": { "id": { "type": "string" }, "name": { "type": ["string", "null"] } },
            "required": ["id", "name"],
            "additionalProperties": false,
        } }),
        ColumnType::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        ColumnType::Map => {
            json!({ "type": "object", "additionalProperties": { "type": "string" } })
        }
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
fn columns(one: impl Fn(&str, ColumnType) -> String) -> String {
    let lines = COLUMNS.map(|(name, kind, _)| format!("  {}", one(name, kind)));
    lines.join(",\n")
}

fn duckdb(format: RowFormat, location: &str) -> String {
    let of = |kind| match kind {
        ColumnType::Text => "VARCHAR",
        ColumnType::Long => "BIGINT",
        ColumnType::Int => "INTEGER",
        ColumnType::Instant => "TIMESTAMPTZ",
        ColumnType::Parties => "STRUCT(id VARCHAR, \"name\" VARCHAR)[]",
        ColumnType::Texts => "VARCHAR[]",
        ColumnType::Map => "MAP(VARCHAR, VARCHAR)",
    };
    let location = quoted(location);
    let (selected, from) = match format {
        RowFormat::Parquet => (
            "*".to_owned(),
            format!(
                "read_parquet('{location}/metadata/*/*.parquet', hive_partitioning = true, union_by_name = true)"
            ),
        ),
        RowFormat::Jsonl => {
            let columns = columns(|name, kind| format!("\"{name}\": '{}'", of(kind)));
            (
                format!("* REPLACE (\n{}\n)", absent_as_null()),
                format!(
                    "read_json('{location}/metadata/*/*.jsonl*', format = 'newline_delimited', hive_partitioning = true, columns = {{\n{columns}\n}})"
                ),
            )
        }
    };
    format!("CREATE OR REPLACE VIEW recordings AS\nSELECT {selected} FROM {from};\n")
}

/// Expressions that make null, as in Parquet, of the texts that are empty in JSON Lines since they are absent.
fn absent_as_null() -> String {
    let texts = COLUMNS.iter();
    let texts = texts.filter(|(_, kind, required)| *kind == ColumnType::Text && !required);
    let texts = texts.map(|(name, ..)| format!("  nullif(\"{name}\", '') AS \"{name}\""));
    texts.collect::<Vec<_>>().join(",\n")
}

fn athena(format: RowFormat, location: &str) -> String {
    let columns = columns(|name, kind| {
        let of = match kind {
            ColumnType::Text => "string",
            ColumnType::Long => "bigint",
            ColumnType::Int => "int",
            ColumnType::Instant => instant(format, "timestamp", "string"),
            ColumnType::Parties => "array<struct<id:string,name:string>>",
            ColumnType::Texts => "array<string>",
            ColumnType::Map => "map<string,string>",
        };
        format!("`{name}` {of}")
    });
    let stored = match format {
        RowFormat::Parquet => "STORED AS PARQUET",
        RowFormat::Jsonl => "ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'",
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

fn trino(format: RowFormat, location: &str) -> String {
    let columns = columns(|name, kind| {
        let of = match kind {
            ColumnType::Text => "varchar",
            ColumnType::Long => "bigint",
            ColumnType::Int => "integer",
            ColumnType::Instant => instant(format, "timestamp(3)", "varchar"),
            ColumnType::Parties => "array(row(id varchar, name varchar))",
            ColumnType::Texts => "array(varchar)",
            ColumnType::Map => "map(varchar, varchar)",
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
fn instant(format: RowFormat, parquet: &'static str, lines: &'static str) -> &'static str {
    match format {
        RowFormat::Parquet => parquet,
        RowFormat::Jsonl => lines,
    }
}

fn polars() -> String {
    let columns = columns(|name, kind| {
        let of = match kind {
            ColumnType::Text | ColumnType::Instant => "pl.String",
            ColumnType::Long => "pl.Int64",
            ColumnType::Int => "pl.Int32",
            ColumnType::Parties => "pl.List(pl.Struct({\"id\": pl.String, \"name\": pl.String}))",
            ColumnType::Texts => "pl.List(pl.String)",
            // Names come and go: a struct has those that it is given.
            ColumnType::Map => "pl.Struct({})",
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
            ColumnType::Text => "pa.string()",
            ColumnType::Long => "pa.int64()",
            ColumnType::Int => "pa.int32()",
            ColumnType::Instant => "pa.timestamp(\"ms\", \"UTC\")",
            ColumnType::Parties => {
                "pa.list_(pa.struct([(\"id\", pa.string()), (\"name\", pa.string())]))"
            }
            ColumnType::Texts => "pa.list_(pa.string())",
            ColumnType::Map => "pa.struct([])",
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
