//! Stands in for Parquet in a build without it: settings refuse the format, and files in it are not read.

use std::{convert::Infallible, io, io::Write, marker::PhantomData};

use bytes::Bytes;

use super::{Compression, read, restore, row::Row};

fn absent<T>() -> io::Result<T> {
    let reason = "this build has no `parquet`; build it with the feature `parquet`";
    Err(io::Error::other(reason))
}

/// A file of rows, of which there is none.
pub(super) struct RowTable<W> {
    none: Infallible,
    into: PhantomData<W>,
}

impl<W: Write + Send> RowTable<W> {
    pub(super) fn new(_: Compression, _: W) -> io::Result<Self> {
        absent()
    }

    pub(super) fn write(&mut self, _: &Row<'_>) -> io::Result<()> {
        match self.none {}
    }

    pub(super) fn finish(self) -> io::Result<W> {
        match self.none {}
    }
}

pub(super) fn known_rows(_: Bytes) -> io::Result<read::Rows> {
    absent()
}

pub(super) fn for_each_row(_: Bytes, _: &mut dyn FnMut(restore::Row)) -> io::Result<()> {
    absent()
}

/// The catalog, which is there as Parquet alone.
pub mod catalog {
    use std::io::{self, Write};

    use recording_host_model::Segment;

    use crate::Compression;

    /// Writes nothing.
    ///
    /// # Errors
    /// Always: this build has no Parquet.
    pub fn write(
        _export: &str,
        _segment: &Segment,
        _sink: &str,
        _compression: Compression,
        _into: impl Write + Send,
    ) -> io::Result<()> {
        super::absent()
    }
}
