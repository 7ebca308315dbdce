//! Takes the content codings off a download: somebody on the way compresses though nobody asked for it, or
//! the file was stored so.

use std::io::Write;

use bytes::Bytes;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use reqwest::header::HeaderMap;

use super::DownloadError;
use crate::coding::is_zlib;
use recording_host_model::printable;

/// How much is decoded at once, in bytes: what comes of it is a thousand times as much at most.
const STEP: usize = 4 << 10;

/// Decodes what comes, in one coding.
pub(super) struct Decoder {
    coding: Coding,
    /// The bytes that have come and are not yet decoded.
    coded: Bytes,
}

enum Coding {
    /// Of any number of members.
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    /// In zlib's framing or without, as its first bytes will show.
    Deflate(Vec<u8>),
    /// In zlib's framing.
    Zlib(Box<ZlibDecoder<Vec<u8>>>),
    /// Without any framing, as some servers send it.
    Raw(Box<DeflateDecoder<Vec<u8>>>),
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.coding.name())
    }
}

impl Decoder {
    /// The decoder for an answer with these headers; none if it comes as it is.
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>, DownloadError> {
        let reported = headers.get_all("content-encoding").iter();
        let reported: Vec<String> = reported
            .filter_map(|value| Some(value.to_str().ok()?.to_ascii_lowercase()))
            .collect();
        let reported = reported.join(",");
        let codings = reported.split(',').map(str::trim);
        // Labels that are no codings: the framing of an upload to S3, which some servers keep, and a charset
        // or a mode of transfer that somebody took for one.
        let mut codings = codings.filter(|name| {
            !matches!(
                *name,
                "" | "identity" | "none" | "aws-chunked" | "utf-8" | "binary"
            )
        });
        let unreadable = || {
            DownloadError::retryable(format!(
                "the media server, or what is before it, sends the file with the content coding `{}`, which was not asked for and cannot be read",
                printable(&reported)
            ))
        };
        let coding = match codings.next() {
            None => return Ok(None),
            Some("gzip" | "x-gzip") => Coding::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
            Some("deflate") => Coding::Deflate(Vec::new()),
            Some(_) => return Err(unreadable()),
        };
        match codings.next() {
            None => Ok(Some(Decoder {
                coding,
                coded: Bytes::new(),
            })),
            Some(_) => Err(unreadable()),
        }
    }

    /// Takes the next bytes of the coded form; those before must have been decoded.
    pub(super) fn push(&mut self, coded: Bytes) {
        self.coded = coded;
    }

    /// The next bytes of the file; none if more of the coded form is needed.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, DownloadError> {
        while !self.coded.is_empty() {
            let step = self.coded.split_to(STEP.min(self.coded.len()));
            self.coding.write(&step).map_err(|_| self.coding.broken())?;
            let plain = self.coding.plain();
            if !plain.is_empty() {
                return Ok(Some(plain));
            }
        }
        Ok(None)
    }

    /// The last bytes of the file, whose coded form must be whole.
    pub(super) fn finish(&mut self) -> Result<Bytes, DownloadError> {
        let ended = match &mut self.coding {
            Coding::Gzip(decoder) => decoder.try_finish(),
            Coding::Zlib(decoder) => decoder.try_finish(),
            Coding::Raw(decoder) => decoder.try_finish(),
            Coding::Deflate(_) => return Err(self.coding.broken()),
        };
        ended.map_err(|_| self.coding.broken())?;
        Ok(self.coding.plain())
    }
}

impl Coding {
    fn name(&self) -> &'static str {
        match self {
            Coding::Gzip(_) => "gzip",
            Coding::Deflate(_) | Coding::Zlib(_) | Coding::Raw(_) => "deflate",
        }
    }

    /// Decodes the next bytes.
    fn write(&mut self, coded: &[u8]) -> std::io::Result<()> {
        match self {
            Coding::Gzip(decoder) => decoder.write_all(coded),
            Coding::Zlib(decoder) => decoder.write_all(coded),
            Coding::Raw(decoder) => decoder.write_all(coded),
            Coding::Deflate(begun) => {
                begun.extend_from_slice(coded);
                if begun.len() < 2 {
                    return Ok(());
                }
                let begun = std::mem::take(begun);
                *self = match is_zlib(&begun) {
                    true => Coding::Zlib(Box::new(ZlibDecoder::new(Vec::new()))),
                    false => Coding::Raw(Box::new(DeflateDecoder::new(Vec::new()))),
                };
                self.write(&begun)
            }
        }
    }

    /// Takes what has been decoded.
    fn plain(&mut self) -> Bytes {
        let plain = match self {
            Coding::Gzip(decoder) => decoder.get_mut(),
            Coding::Zlib(decoder) => decoder.get_mut(),
            Coding::Raw(decoder) => decoder.get_mut(),
            Coding::Deflate(_) => return Bytes::new(),
        };
        std::mem::take(plain).into()
    }

    fn broken(&self) -> DownloadError {
        DownloadError::retryable(format!(
            "the media server sends the file as `{}`, and what comes is not",
            self.name()
        ))
    }
}

#[cfg(test)]
mod tests {
    use flate2::{
        Compression,
        write::{DeflateEncoder, GzEncoder, ZlibEncoder},
    };

    use super::*;

    fn of(coding: &str) -> Result<Option<Decoder>, DownloadError> {
        let mut headers = HeaderMap::new();
        headers.insert("content-encoding", coding.parse().unwrap());
        Decoder::of(&headers)
    }

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn decoded(coded: &[u8], length: usize) -> Result<(Vec<u8>, usize), DownloadError> {
        decoded_as("GZIP", coded, length)
    }

    /// The file that comes of a coded form in pieces of this length, and the largest piece of it.
    fn decoded_as(
        coding: &str,
        coded: &[u8],
        length: usize,
    ) -> Result<(Vec<u8>, usize), DownloadError> {
        let mut decoder = of(coding)?.unwrap();
        let (mut found, mut largest) = (Vec::new(), 0);
        for piece in coded.chunks(length) {
            decoder.push(Bytes::copy_from_slice(piece));
            while let Some(data) = decoder.next()? {
                largest = largest.max(data.len());
                found.extend_from_slice(&data);
            }
        }
        found.extend_from_slice(&decoder.finish()?);
        assert!(decoder.finish()?.is_empty());
        Ok((found, largest))
    }

    #[test]
    fn a_coded_file_comes_out_as_it_is_in_whatever_pieces_it_comes() {
        let plain: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        let coded = gzip(&plain);
        for length in [1000, 7777, coded.len()] {
            assert!(decoded(&coded, length).unwrap().0 == plain, "{length}");
        }
        // However much comes of it, little is in memory at once.
        let coded = gzip(&vec![0; 80 << 20]);
        let (found, largest) = decoded(&coded, coded.len()).unwrap();
        assert_eq!(found.len(), 80 << 20);
        assert!(largest <= 8 << 20, "{largest}");
    }

    #[test]
    fn deflate_is_read_with_and_without_its_framing_and_to_its_end() {
        let plain: Vec<u8> = (0..20_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut framed = ZlibEncoder::new(Vec::new(), Compression::fast());
        framed.write_all(&plain).unwrap();
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::fast());
        raw.write_all(&plain).unwrap();
        for coded in [framed.finish().unwrap(), raw.finish().unwrap()] {
            for length in [1, 777, coded.len()] {
                let (found, _) = decoded_as("deflate", &coded, length).unwrap();
                assert!(found == plain, "{length}");
            }
            for cut in [0, 1, 2, 500, coded.len() - 1] {
                assert!(decoded_as("deflate", &coded[..cut], 777).is_err(), "{cut}");
            }
            let mut longer = coded.clone();
            longer.extend_from_slice(b"more");
            assert!(decoded_as("deflate", &longer, 777).is_err());
        }
        assert!(decoded_as("deflate", b"RIFF....WAVE", 777).is_err());
    }

    #[test]
    fn what_is_cut_spoiled_or_unknown_is_named_and_nothing_of_it_is_a_file() {
        let mut coded = gzip(b"a recording, or so it is told");
        assert!(decoded(&coded[..coded.len() - 6], 1000).is_err());
        let at = coded.len() - 6;
        coded[at] ^= 1;
        assert!(decoded(&coded, 1000).is_err());
        for coding in ["br", "gzip, gzip", "zstd"] {
            let error = of(coding).unwrap_err().to_string();
            assert!(error.contains(coding.split(',').next().unwrap()), "{error}");
        }
        for coding in ["identity", "aws-chunked", "", " Identity ", "UTF-8"] {
            assert!(of(coding).unwrap().is_none(), "{coding}");
        }
    }
}
