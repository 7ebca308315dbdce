//! Takes the content codings off a download: somebody on the way compresses though nobody asked for it, or
//! the file was stored so.

use std::io::Write;

use bytes::Bytes;
use flate2::write::{MultiGzDecoder, ZlibDecoder};
use reqwest::header::HeaderMap;

use super::DownloadError;
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
    /// In zlib's framing.
    Deflate(Box<ZlibDecoder<Vec<u8>>>),
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.coding.name())
    }
}

impl Decoder {
    /// The decoder for an answer with these headers; none if it comes as it is.
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>, DownloadError> {
        let told = headers.get_all("content-encoding").iter();
        let told: Vec<String> = told
            .filter_map(|value| Some(value.to_str().ok()?.to_ascii_lowercase()))
            .collect();
        let told = told.join(",");
        let codings = told.split(',').map(str::trim);
        // The last is the framing of an upload to S3, which some servers keep as a label.
        let mut codings = codings.filter(|name| !matches!(*name, "" | "identity" | "aws-chunked"));
        let unreadable = || {
            DownloadError::retryable(format!(
                "the media server, or what is before it, sends the file with the content coding `{}`, which was not asked for and cannot be read",
                printable(&told)
            ))
        };
        let coding = match codings.next() {
            None => return Ok(None),
            Some("gzip" | "x-gzip") => Coding::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
            Some("deflate") => Coding::Deflate(Box::new(ZlibDecoder::new(Vec::new()))),
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
            let written = match &mut self.coding {
                Coding::Gzip(decoder) => decoder.write_all(&step),
                Coding::Deflate(decoder) => decoder.write_all(&step),
            };
            written.map_err(|_| self.coding.broken())?;
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
            Coding::Deflate(decoder) => decoder.try_finish(),
        };
        ended.map_err(|_| self.coding.broken())?;
        Ok(self.coding.plain())
    }
}

impl Coding {
    fn name(&self) -> &'static str {
        match self {
            Coding::Gzip(_) => "gzip",
            Coding::Deflate(_) => "deflate",
        }
    }

    /// Takes what has been decoded.
    fn plain(&mut self) -> Bytes {
        let plain = match self {
            Coding::Gzip(decoder) => decoder.get_mut(),
            Coding::Deflate(decoder) => decoder.get_mut(),
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
    use flate2::{Compression, write::GzEncoder};

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

    /// The file that comes of a coded form in pieces of this length, and the largest piece of it.
    fn decoded(coded: &[u8], length: usize) -> Result<(Vec<u8>, usize), DownloadError> {
        let mut decoder = of("GZIP")?.unwrap();
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
        for coding in ["identity", "aws-chunked", "", " Identity "] {
            assert!(of(coding).unwrap().is_none(), "{coding}");
        }
    }
}
