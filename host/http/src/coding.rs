//! Content codings of answers (RFC 9110, section 8.4): gzip and deflate are read, others are refused.

use std::io::Read;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

/// The codings that are asked for.
pub(super) const ACCEPTED: &str = "gzip, deflate";

/// Why a body cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CodingError {
    /// It is coded in a way that was not asked for.
    Unknown,
    /// It is not what its coding says.
    Broken,
    /// It is larger than this when it is decoded.
    TooLarge,
}

/// Returns true if data that is called `deflate` begins with the framing of zlib (RFC 1950, section 2.2).
pub(super) fn is_zlib(data: &[u8]) -> bool {
    match data {
        [method, flags, ..] => {
            method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31)
        }
        _ => true,
    }
}

/// The body behind the codings that `content_encoding` lists, in the order in which they were applied;
/// it has `most` bytes at most.
pub(super) fn decoded(
    content_encoding: &str,
    body: Vec<u8>,
    most: u64,
) -> Result<Vec<u8>, CodingError> {
    let mut body = body;
    for coding in content_encoding.rsplit(',') {
        let read: Box<dyn Read> = match coding.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => continue,
            // An answer without content may be called coded, as one to HEAD or with status 304 is.
            _ if body.is_empty() => continue,
            "gzip" | "x-gzip" => Box::new(MultiGzDecoder::new(&*body)),
            "deflate" if is_zlib(&body) => Box::new(ZlibDecoder::new(&*body)),
            // Some servers leave out the framing that the standard asks for.
            "deflate" => Box::new(DeflateDecoder::new(&*body)),
            _ => return Err(CodingError::Unknown),
        };
        let mut plain = Vec::new();
        read.take(most + 1)
            .read_to_end(&mut plain)
            .map_err(|_| CodingError::Broken)?;
        if plain.len() as u64 > most {
            return Err(CodingError::TooLarge);
        }
        body = plain;
    }
    // It may have grown by doubling, and is kept for as long as the step that it is for waits.
    body.shrink_to_fit();
    Ok(body)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{
        Compression,
        write::{GzEncoder, ZlibEncoder},
    };

    use super::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_body_is_read_behind_its_codings_up_to_a_size() {
        let body = gzip(b"hello");
        assert_eq!(decoded("gzip", body.clone(), 5).unwrap(), b"hello");
        assert_eq!(decoded(" X-GZIP ", body.clone(), 9).unwrap(), b"hello");
        let twice = gzip(&body);
        assert_eq!(decoded("gzip, gzip", twice, 99).unwrap(), b"hello");
        assert_eq!(decoded("identity", b"x".to_vec(), 9).unwrap(), b"x");
        assert_eq!(decoded("gzip", Vec::new(), 9).unwrap(), b"");
        let raw = b"\xcb\x48\xcd\xc9\xc9\x07\x00".to_vec();
        assert_eq!(decoded("deflate", raw, 5).unwrap(), b"hello");
        let mut framed = ZlibEncoder::new(Vec::new(), Compression::fast());
        framed.write_all(b"hello").unwrap();
        let framed = framed.finish().unwrap();
        assert_eq!(decoded("deflate", framed, 5).unwrap(), b"hello");
        assert_eq!(decoded("br", b"x".to_vec(), 9), Err(CodingError::Unknown));
        assert_eq!(decoded("gzip", b"x".to_vec(), 9), Err(CodingError::Broken));
        let bomb = gzip(&vec![0; 1 << 20]);
        assert_eq!(decoded("gzip", bomb, 1000), Err(CodingError::TooLarge));
    }
}
