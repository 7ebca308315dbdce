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
    use std::{
        convert::Infallible,
        io::{self, Write},
        marker::PhantomData,
    };

    use recording_host_model::CompletedConversation;

    use crate::Compression;

    /// A segment's part of the catalog, of which there is none.
    pub struct CatalogWriter<W> {
        none: Infallible,
        into: PhantomData<W>,
    }

    impl<W: Write + Send> CatalogWriter<W> {
        /// Begins nothing.
        ///
        /// # Errors
        /// Always: this build has no Parquet.
        pub fn new(_: &str, _: i64, _: Compression, _: W) -> io::Result<Self> {
            super::absent()
        }

        /// Writes nothing.
        ///
        /// # Errors
        /// None.
        pub fn write(&mut self, _: &CompletedConversation, _: &str) -> io::Result<()> {
            match self.none {}
        }

        /// Completes nothing.
        ///
        /// # Errors
        /// None.
        pub fn finish(self) -> io::Result<W> {
            match self.none {}
        }
    }
}
