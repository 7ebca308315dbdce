//! The metadata: rows about recordings, and the formats in which sinks get them.
//!
//! One row for each recording's file, and one for a conversation without any.
//! The same conversations give the same bytes, so that a file that is put again
//! after a crash replaces itself. `docs/metadata.md` has the schema.

mod jsonl;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(not(feature = "parquet"))]
#[path = "without_parquet.rs"]
mod parquet;
mod read;
pub mod restore;
mod row;
mod schema;
mod settings;

use std::io::{self, Write};

use recording_host_model::CompletedConversation;

pub use parquet::catalog;
pub use read::{KnownRow, read};
pub use schema::{Dialect, schema};
pub use settings::{Compression, RowFormat, RowSettings, RowSettingsError};

/// Writes rows into `W`, in the order in which conversations are given. Memory does not grow with
/// their number beyond one row group of Parquet.
pub struct Writer<W: Write + Send>(FileWriter<W>);

enum FileWriter<W: Write + Send> {
    Lines(Box<jsonl::Lines<W>>),
    Parquet(Box<parquet::RowTable<W>>),
}

impl<W: Write + Send> Writer<W> {
    /// A file of rows that begins now.
    ///
    /// # Errors
    /// The error of `into`.
    pub fn new(settings: RowSettings, into: W) -> io::Result<Self> {
        let compression = settings.compression();
        Ok(Writer(match settings.format() {
            RowFormat::Parquet => {
                FileWriter::Parquet(Box::new(parquet::RowTable::new(compression, into)?))
            }
            RowFormat::Jsonl => FileWriter::Lines(Box::new(jsonl::Lines::new(compression, into)?)),
        }))
    }

    /// Writes the rows of a conversation about its objects in a sink. Conversations come in the
    /// order of their ids.
    ///
    /// # Errors
    /// The error of the target.
    pub fn write(&mut self, conversation: &CompletedConversation, sink: &str) -> io::Result<()> {
        for row in row::rows(conversation, sink) {
            match &mut self.0 {
                FileWriter::Lines(lines) => lines.write(&row)?,
                FileWriter::Parquet(table) => table.write(&row)?,
            }
        }
        Ok(())
    }

    /// Completes the file and gives the target back.
    ///
    /// # Errors
    /// The error of the target.
    pub fn finish(self) -> io::Result<W> {
        match self.0 {
            FileWriter::Lines(lines) => lines.finish(),
            FileWriter::Parquet(table) => table.finish(),
        }
    }
}
