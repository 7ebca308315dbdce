//! Payloads of messages, compressed.

use bytes::Bytes;

use super::ClusterError;

/// How well: fast.
pub(super) const LEVEL: i32 = 3;
/// The most bytes of a payload before it is compressed.
const MOST: usize = 1 << 30;

pub(super) fn compressed(subject: &str, bytes: &[u8]) -> Result<Bytes, ClusterError> {
    if bytes.len() > MOST {
        return Err(ClusterError::TooLarge {
            subject: subject.to_owned(),
            bytes: bytes.len(),
            most: MOST,
        });
    }
    let packed = zstd::bulk::compress(bytes, LEVEL).map(Into::into);
    packed.map_err(|error| unreadable(subject, &error))
}

/// The payload of a message as it was before it was compressed.
pub(super) fn unpacked(subject: &str, payload: &[u8]) -> Result<Vec<u8>, ClusterError> {
    zstd::bulk::decompress(payload, MOST).map_err(|error| unreadable(subject, &error))
}

fn unreadable(subject: &str, error: &std::io::Error) -> ClusterError {
    ClusterError::Unreadable {
        what: format!("the message at {subject}"),
        reason: error.to_string(),
    }
}
