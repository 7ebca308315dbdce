//! Rows as Parquet: gathered into columns, a batch at a time, and written in row groups.
//!
//! The same rows give the same bytes. Memory holds the batch that is being
//! gathered and the encoded pages of one row group.

pub mod catalog;
mod columns;
mod list;
mod read;
mod restore;

use std::{
    io::{self, Write},
    panic::{self, AssertUnwindSafe},
    sync::Arc,
};

use ::parquet::{
    arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions},
    basic::{self, GzipLevel, ZstdLevel},
    errors::ParquetError,
    file::{
        metadata::SortingColumn,
        properties::{WriterProperties, WriterPropertiesBuilder},
    },
};
use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, DataType, Schema, TimeUnit};

pub(super) use columns::Rows;
pub(crate) use list::{Labels, Pairs, Texts, element, structs, taken};
pub(super) use read::known_rows;
pub(super) use restore::for_each_row;

use super::Compression;

/// Rows that are gathered before they are encoded: they are still in the cache then.
const BATCH: usize = 1024;
/// Rows in a row group, at most.
const ROW_GROUP_ROWS: usize = 64 << 10;
/// Encoded bytes in a row group, about.
const ROW_GROUP_BYTES: usize = 32 << 20;
/// More costs several times the CPU for a few percent.
const ZSTD_LEVEL: i32 = 1;
/// As with JSON Lines: fast rather than small.
const GZIP_LEVEL: u32 = 1;
/// Bytes of a dictionary; beyond that a column continues without.
const DICTIONARY_BYTES: usize = 256 << 10;
/// The false positives of a bloom filter.
const BLOOM_FPP: f64 = 0.01;

/// Gathers rows into columns.
pub(crate) trait Columns {
    /// A row.
    type Row<'a>;
    /// Columns whose values are looked for: they get bloom filters.
    const LOOKED_FOR: &'static [&'static str];
    /// Columns whose values are never the same: a dictionary of them is wasted.
    const UNIQUE: &'static [&'static str];

    /// The columns, those of the documented schema. The first one is sorted.
    fn schema() -> Schema;
    /// Adds a row.
    fn push(&mut self, row: &Self::Row<'_>) -> Result<(), ArrowError>;
    /// Takes what was gathered.
    fn take(&mut self, schema: &Arc<Schema>) -> Result<RecordBatch, ArrowError>;
}

/// A file of rows that is being written into `W`.
pub(super) type RowTable<W> = Table<Rows, W>;

/// A Parquet file that is being written into `W`.
pub(crate) struct Table<C, W: Write + Send> {
    columns: C,
    gathered: usize,
    schema: Arc<Schema>,
    into: ArrowWriter<W>,
}

impl<C: Columns + Default, W: Write + Send> Table<C, W> {
    pub(crate) fn new(compression: Compression, into: W) -> io::Result<Self> {
        let schema = Arc::new(C::schema());
        let options = ArrowWriterOptions::new()
            .with_properties(properties::<C>(compression).map_err(failed)?)
            .with_skip_arrow_metadata(true)
            .with_schema_root("row".to_owned());
        let into = ArrowWriter::try_new_with_options(into, Arc::clone(&schema), options);
        Ok(Table {
            columns: C::default(),
            gathered: 0,
            schema,
            into: into.map_err(failed)?,
        })
    }

    pub(crate) fn write(&mut self, row: &C::Row<'_>) -> io::Result<()> {
        self.columns.push(row).map_err(io::Error::other)?;
        self.gathered += 1;
        if self.gathered == BATCH {
            self.flush()?;
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.flush()?;
        self.into.into_inner().map_err(failed)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.gathered = 0;
        let batch = self.columns.take(&self.schema).map_err(io::Error::other)?;
        self.into.write(&batch).map_err(failed)
    }
}

fn properties<C: Columns>(compression: Compression) -> Result<WriterProperties, ParquetError> {
    let compression = match compression {
        Compression::None => basic::Compression::UNCOMPRESSED,
        Compression::Gzip => basic::Compression::GZIP(GzipLevel::try_new(GZIP_LEVEL)?),
        Compression::Zstd => basic::Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?),
        Compression::Snappy => basic::Compression::SNAPPY,
    };
    let sorted = SortingColumn {
        column_idx: 0,
        descending: false,
        nulls_first: false,
    };
    let mut builder: WriterPropertiesBuilder = WriterProperties::builder()
        .set_created_by(concat!("recording-host ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(compression)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_sorting_columns(Some(vec![sorted]));
    for column in C::UNIQUE {
        builder = builder.set_column_dictionary_enabled((*column).into(), false);
    }
    for column in C::LOOKED_FOR {
        // It is folded to what the row group needs.
        builder = builder
            .set_column_bloom_filter_fpp((*column).into(), BLOOM_FPP)
            .set_column_bloom_filter_max_ndv((*column).into(), ROW_GROUP_ROWS as u64);
    }
    Ok(builder.build())
}

/// The type of instants: ms since the epoch, UTC.
pub(crate) fn instant_type() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

/// A length, an instant or a duration, as Parquet's readers know numbers: all of them are far
/// below the limit.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A count of attempts, likewise.
pub(crate) fn small(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Runs what reads a file that may be damaged, on which the crate `parquet` may panic: that is an error of the file.
fn caught<T>(read: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    panic::catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        let reason = "it is damaged in a way that no reader of Parquet expects";
        Err(io::Error::new(io::ErrorKind::InvalidData, reason))
    })
}

/// The error of what is written into, if it was that; the caller knows its kinds.
pub(crate) fn failed(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(cause) => *cause,
            Err(cause) => io::Error::other(cause),
        },
        error => io::Error::other(error),
    }
}
