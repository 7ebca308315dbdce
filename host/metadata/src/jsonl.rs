//! Rows as JSON Lines, compressed on the way if wanted.

use std::io::{self, BufWriter, Write};

use flate2::write::GzEncoder;
use serde::Serialize;

use super::Compression;

/// More costs several times the CPU for a few percent.
const ZSTD_LEVEL: i32 = 1;

/// Writes lines into `W`.
pub(super) struct Lines<W: Write> {
    into: Packed<W>,
}

enum Packed<W: Write> {
    Plain(BufWriter<W>),
    Gzip(BufWriter<GzEncoder<W>>),
    Zstd(BufWriter<zstd::stream::write::Encoder<'static, W>>),
}

impl<W: Write> Lines<W> {
    pub(super) fn new(compression: Compression, into: W) -> io::Result<Self> {
        let into = match compression {
            Compression::Gzip => {
                // Neither a name nor a time: the same rows are the same bytes.
                let packed = GzEncoder::new(into, flate2::Compression::fast());
                Packed::Gzip(BufWriter::new(packed))
            }
            Compression::Zstd => {
                let mut packed = zstd::stream::write::Encoder::new(into, ZSTD_LEVEL)?;
                packed.include_checksum(true)?;
                Packed::Zstd(BufWriter::new(packed))
            }
            // RowSettings refuse Snappy here.
            Compression::None | Compression::Snappy => Packed::Plain(BufWriter::new(into)),
        };
        Ok(Lines { into })
    }

    pub(super) fn write(&mut self, row: &impl Serialize) -> io::Result<()> {
        match &mut self.into {
            Packed::Plain(into) => line(into, row),
            Packed::Gzip(into) => line(into, row),
            Packed::Zstd(into) => line(into, row),
        }
    }

    pub(super) fn finish(self) -> io::Result<W> {
        match self.into {
            Packed::Plain(into) => whole(into),
            Packed::Gzip(into) => whole(into)?.finish(),
            Packed::Zstd(into) => whole(into)?.finish(),
        }
    }
}

fn line(into: &mut impl Write, row: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *into, row)?;
    into.write_all(b"\n")
}

fn whole<W: Write>(buffered: BufWriter<W>) -> io::Result<W> {
    buffered.into_inner().map_err(|error| error.into_error())
}
