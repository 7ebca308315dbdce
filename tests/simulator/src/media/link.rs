//! Signed links: who has one may fetch one file, until it expires.

use sha2::{Digest, Sha256};

use super::hex;
use crate::http::Request;

/// Signs links, and knows those that it signed.
pub(super) struct Signer([u8; 32]);

/// Why a link does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Unsigned,
    Forged,
    Expired { at: u64 },
}

impl Signer {
    pub(super) fn new(seed: u64) -> Self {
        Signer(Sha256::digest(seed.to_le_bytes()).into())
    }

    /// The query that makes a path a link which works until `expires` (s since the epoch).
    pub(super) fn query(&self, path: &str, expires: u64) -> String {
        let signature = self.signature(path, expires);
        format!("Expires={expires}&Signature={signature}&Key-Pair-Id=SIMULATED")
    }

    fn signature(&self, path: &str, expires: u64) -> String {
        let mut digest = Sha256::new();
        digest.update(self.0);
        digest.update(format!("{path}\n{expires}"));
        hex(&digest.finalize())
    }

    /// Why the link of a request does not work at `now` (ms), if so.
    pub(super) fn wrong(&self, request: &Request, now: u64) -> Option<Wrong> {
        let (mut expires, mut signature) = (None, None);
        for pair in request.query.split('&') {
            match pair.split_once('=') {
                Some(("Expires", value)) => expires = value.parse::<u64>().ok(),
                Some(("Signature", value)) => signature = Some(value),
                _ => {}
            }
        }
        match (expires, signature) {
            (Some(expires), Some(signature)) => {
                if signature != self.signature(&request.path, expires) {
                    Some(Wrong::Forged)
                } else if now >= expires * 1000 {
                    Some(Wrong::Expired { at: expires * 1000 })
                } else {
                    None
                }
            }
            _ => Some(Wrong::Unsigned),
        }
    }
}
