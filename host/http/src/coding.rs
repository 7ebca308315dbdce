//! Content codings of answers (RFC 9110, section 8.4): gzip and deflate are read, others are refused.

use std::io::Read;

use flate2::read::{MultiGzDecoder, ZlibDecoder};

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
            "deflate" => Box::new(ZlibDecoder::new(&*body)),
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
    Ok(body)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

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
        assert_eq!(decoded("br", b"x".to_vec(), 9), Err(CodingError::Unknown));
        assert_eq!(decoded("gzip", b"x".to_vec(), 9), Err(CodingError::Broken));
        let bomb = gzip(&vec![0; 1 << 20]);
        assert_eq!(decoded("gzip", bomb, 1000), Err(CodingError::TooLarge));
    }
}
