//! An object that must be there, as receipts describe it.

use super::finding::{ObjectKind, SegmentId};
use crate::receipt::{ObjectDigest, ReceiptObject};
use recording_host_sink::ObjectMeta;

#[derive(Clone, Default)]
pub(super) struct Expected {
    pub(super) key: String,
    pub(super) size: u64,
    pub(super) sha256: String,
    pub(super) etag: Option<String>,
    pub(super) conversation: Option<String>,
    pub(super) attempt: u32,
    pub(super) kind: ObjectKind,
    /// True if it is encrypted, so that each put of it has other bytes.
    pub(super) encrypted: bool,
    /// The segment whose receipt names it.
    pub(super) segment: Option<SegmentId>,
    /// Other claims of receipts about it, if it is encrypted.
    pub(super) others: Vec<ExpectedDigest>,
    /// The sha256 that rows give for what it decrypts to.
    pub(super) plain: Vec<String>,
}

/// A receipt's claim about an object.
#[derive(Clone)]
pub(super) struct ExpectedDigest {
    pub(super) size: u64,
    pub(super) sha256: String,
    pub(super) etag: Option<String>,
}

impl From<ObjectDigest> for Expected {
    fn from(digest: ObjectDigest) -> Self {
        Expected {
            key: digest.key,
            size: digest.size,
            sha256: digest.sha256,
            etag: digest.etag,
            ..Expected::default()
        }
    }
}

impl From<ReceiptObject> for Expected {
    fn from(object: ReceiptObject) -> Self {
        Expected {
            key: object.key,
            size: object.size,
            sha256: object.sha256,
            etag: object.etag,
            ..Expected::default()
        }
    }
}

impl Expected {
    /// All that receipts say of it.
    fn claims(&self) -> impl Iterator<Item = (u64, &str, Option<&str>)> {
        let own = (self.size, self.sha256.as_str(), self.etag.as_deref());
        let others = self.others.iter();
        std::iter::once(own)
            .chain(others.map(|it| (it.size, it.sha256.as_str(), it.etag.as_deref())))
    }

    /// Returns true if a receipt gives this length for it.
    pub(super) fn has_size(&self, found: u64) -> bool {
        self.claims().any(|(size, ..)| size == found)
    }

    /// Returns true if a receipt gives this sha256 for it.
    pub(super) fn has_sha256(&self, found: &str) -> bool {
        self.claims().any(|(_, sha256, _)| sha256 == found)
    }

    /// Returns true if a receipt gives this length and tag for it.
    pub(super) fn has_tag(&self, found: &ObjectMeta) -> bool {
        let tag = found.etag.as_deref();
        self.claims()
            .any(|(size, _, etag)| size == found.size && etag == tag)
    }
}
