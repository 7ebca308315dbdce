//! Entity tags as S3 gives them: the MD5 of a file, or of an upload in parts something like it.

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{Mutex, PoisonError},
};

use md5::{Digest, Md5};

use super::{CHUNK, content::Content, hex};
use crate::rng::mix;

/// Files up to this size were uploaded in one part (bytes).
const PART: u64 = 64 << 20;
/// Up to this size a digest takes no longer than an answer (bytes).
const SMALL: u64 = 256 << 10;
/// Digests that are kept; one takes some 50 bytes.
const KEPT: usize = 16_384;

/// The digests of the files that were requested last.
#[derive(Default)]
pub(super) struct Tags {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    digests: HashMap<u64, [u8; 16]>,
    /// The oldest one first.
    order: VecDeque<u64>,
}

impl Tags {
    /// The tag of the file at a path, in quotes.
    pub(super) async fn of(&self, path: &str, content: &Content) -> io::Result<String> {
        let length = content.length();
        let key = key(path);
        if length > PART {
            let parts = length.div_ceil(PART);
            let (high, low) = (mix(key), mix(key ^ length));
            return Ok(format!("\"{high:016x}{low:016x}-{parts}\""));
        }
        if let Some(known) = self.known(key) {
            return Ok(format!("\"{}\"", hex(&known)));
        }
        let digest = if length <= SMALL {
            digest(content)?
        } else {
            let content = content.clone();
            tokio::task::spawn_blocking(move || digest(&content))
                .await
                .map_err(io::Error::other)??
        };
        self.keep(key, digest);
        Ok(format!("\"{}\"", hex(&digest)))
    }

    fn known(&self, key: u64) -> Option<[u8; 16]> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.digests.get(&key).copied()
    }

    fn keep(&self, key: u64, digest: [u8; 16]) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Kept { digests, order } = &mut *kept;
        if digests.insert(key, digest).is_none() {
            order.push_back(key);
        }
        if order.len() > KEPT
            && let Some(oldest) = order.pop_front()
        {
            digests.remove(&oldest);
        }
    }
}

fn key(path: &str) -> u64 {
    path.bytes().fold(0, |key, byte| mix(key ^ u64::from(byte)))
}

fn digest(content: &Content) -> io::Result<[u8; 16]> {
    let mut digest = Md5::new();
    let mut at = 0;
    while at < content.length() {
        let mut buffer = vec![0; (content.length() - at).min(CHUNK as u64) as usize];
        content.read(at, &mut buffer)?;
        digest.update(&buffer);
        at += buffer.len() as u64;
    }
    Ok(digest.finalize().into())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[tokio::test]
    async fn a_tag_is_the_md5_up_to_64_mib_and_that_of_parts_above() {
        let tags = Tags::default();
        let content = Content::Whole(Bytes::from_static(b"abc"));
        for _ in 0..2 {
            let tag = tags.of("/a", &content).await.unwrap();
            assert_eq!(tag, "\"900150983cd24fb0d6963f7d28e17f72\"");
        }
        let large = Content::Loop {
            header: Bytes::new(),
            pattern: Bytes::from_static(b"abc"),
            length: (64 << 20) * 2 + 1,
        };
        let tag = tags.of("/large", &large).await.unwrap();
        assert_eq!(tag.len(), 32 + "\"-3\"".len());
        assert!(tag.ends_with("-3\""), "{tag}");
        assert_eq!(tags.of("/large", &large).await.unwrap(), tag);
    }

    #[test]
    fn the_digests_that_are_kept_do_not_grow_without_end() {
        let tags = Tags::default();
        for key in 0..KEPT as u64 + 100 {
            tags.keep(key, [0; 16]);
        }
        assert_eq!(tags.kept.lock().unwrap().digests.len(), KEPT);
        assert!(tags.known(0).is_none() && tags.known(200).is_some());
    }
}
