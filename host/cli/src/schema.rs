//! `schema`: prints the JSON Schema of the configuration, or the types of rows for other tools.

use clap::{Args, ValueEnum};
use recording_host_config as config;
use recording_host_metadata::{Dialect, RowFormat, schema};

use super::Done;

/// The tool that is to read rows.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Tool {
    /// JSON Schema of a line of JSON Lines.
    JsonSchema,
    /// SQL of a view of DuckDB.
    Duckdb,
    /// DDL of an external table of Athena.
    Athena,
    /// DDL of a table of Trino's Hive connector.
    Trino,
    /// Python: a schema for polars.scan_ndjson.
    Polars,
    /// Python: a schema for pyarrow.dataset.
    Pyarrow,
}

/// The format of rows.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Rows {
    /// JSON Lines.
    Jsonl,
    /// Apache Parquet.
    Parquet,
}

#[derive(Debug, Args)]
pub(super) struct Schema {
    /// Print the types of the rows in `metadata/` in the form that this tool takes.
    #[arg(long, value_enum, value_name = "TOOL")]
    rows: Option<Tool>,
    /// The format of the rows, for SQL.
    #[arg(long, value_enum, default_value = "parquet", requires = "rows")]
    format: Rows,
    /// Where the sink is, for SQL, such as s3://bucket/prefix or a folder.
    #[arg(
        long,
        value_name = "URL",
        default_value = "s3://BUCKET/PREFIX",
        requires = "rows"
    )]
    location: String,
}

impl Schema {
    pub(super) fn run(self) -> anyhow::Result<Done> {
        let dialect = match self.rows {
            None => {
                println!("{:#}", config::schema()?);
                return Ok(Done::All);
            }
            Some(Tool::JsonSchema) => Dialect::JsonSchema,
            Some(Tool::Duckdb) => Dialect::DuckDb,
            Some(Tool::Athena) => Dialect::Athena,
            Some(Tool::Trino) => Dialect::Trino,
            Some(Tool::Polars) => Dialect::Polars,
            Some(Tool::Pyarrow) => Dialect::PyArrow,
        };
        let format = match self.format {
            Rows::Jsonl => RowFormat::Jsonl,
            Rows::Parquet => RowFormat::Parquet,
        };
        print!("{}", schema(dialect, format, &self.location));
        Ok(Done::All)
    }
}
