//! Reads what must be there: receipts, and the rows that must agree with them.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{Check, Difference, one, sealed, whole};
use crate::{
    encryption::SUFFIX,
    receipt::{by_day, sibling},
    sandbox::hex,
    sink::{Found, SinkError},
};

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    replaces: Vec<i64>,
    metadata: Option<Expected>,
    catalog: Option<Expected>,
    media_in: Option<String>,
    #[serde(default)]
    encryption: Option<String>,
}

#[derive(Deserialize)]
struct Receipt {
    conversation_id: String,
    objects: Vec<Expected>,
    #[serde(default)]
    sidecars: Vec<Expected>,
    #[serde(default = "first")]
    attempt: u32,
}

/// Receipts that do not tell the attempt are those of the first one.
fn first() -> u32 {
    1
}

#[derive(Clone, Deserialize)]
pub(super) struct Expected {
    pub(super) key: String,
    pub(super) size: u64,
    pub(super) sha256: String,
    #[serde(default)]
    pub(super) etag: Option<String>,
    #[serde(skip)]
    pub(super) conversation: Option<String>,
    #[serde(skip)]
    pub(super) attempt: u32,
    /// Whether it is a recording, and not a file of metadata.
    #[serde(skip)]
    pub(super) media: bool,
    /// Whether it is encrypted, so that each put of it has other bytes.
    #[serde(skip)]
    pub(super) encrypted: bool,
    /// What else receipts say of it, if it is encrypted.
    #[serde(skip)]
    pub(super) others: Vec<Claim>,
    /// The sha256 that rows tell of what it decrypts to.
    #[serde(skip)]
    pub(super) plain: Vec<String>,
}

/// What a receipt says of an object.
#[derive(Clone)]
pub(super) struct Claim {
    pub(super) size: u64,
    pub(super) sha256: String,
    pub(super) etag: Option<String>,
}

impl Expected {
    /// All that receipts say of it.
    fn claims(&self) -> impl Iterator<Item = (u64, &str, Option<&str>)> {
        let own = (self.size, self.sha256.as_str(), self.etag.as_deref());
        let others = self.others.iter();
        std::iter::once(own)
            .chain(others.map(|it| (it.size, it.sha256.as_str(), it.etag.as_deref())))
    }

    /// Whether a receipt says this length of it.
    pub(super) fn has_size(&self, found: u64) -> bool {
        self.claims().any(|(size, ..)| size == found)
    }

    /// Whether a receipt says this sha256 of it.
    pub(super) fn has_sha256(&self, found: &str) -> bool {
        self.claims().any(|(_, sha256, _)| sha256 == found)
    }

    /// Whether a receipt says this length and tag of it.
    pub(super) fn has_tag(&self, found: &Found) -> bool {
        let tag = found.etag.as_deref();
        self.claims()
            .any(|(size, _, etag)| size == found.size && etag == tag)
    }
}

impl Check<'_> {
    /// Reads the receipts of a day. A run that is under way may replace some meanwhile: then what has
    /// come is read, too.
    pub(super) async fn day(
        &mut self,
        folder: &str,
        mut keys: Vec<String>,
    ) -> Result<(), SinkError> {
        let mut conversations = HashSet::new();
        let mut seen = HashSet::new();
        loop {
            let mut sound = true;
            keys.retain(|key| seen.insert(key.clone()));
            for key in &keys {
                if !self.is_void(key) {
                    sound &= self.receipt(key, &mut conversations).await?;
                }
            }
            if sound || keys.is_empty() {
                break;
            }
            let listed = by_day(self.store, folder).await?;
            keys = listed.into_values().flatten().collect();
        }
        // What is void and still there.
        for key in seen {
            if self.is_void(&key)
                && let Some(found) = one(self.store, &key).await?
            {
                self.surplus(key, found.size);
            }
        }
        self.report.conversations += conversations.len() as u64;
        Ok(())
    }

    /// Reads a receipt and its rows; says whether all of it is there.
    async fn receipt(
        &mut self,
        key: &str,
        conversations: &mut HashSet<String>,
    ) -> Result<bool, SinkError> {
        let itself = Expected {
            key: key.to_owned(),
            size: 0,
            sha256: String::new(),
            etag: None,
            conversation: None,
            attempt: 0,
            media: false,
            encrypted: false,
            others: Vec::new(),
            plain: Vec::new(),
        };
        let Some(bytes) = whole(self.store, key).await? else {
            return Ok(false);
        };
        // Bytes that are no UTF-8 cannot be right and are replaced.
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.lines();
        let head: Head = match lines.next().map(serde_json::from_str) {
            Some(Ok(head)) => head,
            _ => {
                let detail = "its first line is not that of a receipt".to_owned();
                self.find(Difference::Receipt, &itself, detail);
                return Ok(true);
            }
        };
        self.report.receipts += 1;
        let void = head.replaces.iter();
        self.replaced
            .extend(void.filter_map(|number| sibling(key, *number)));
        let encrypted = head.encryption.is_some();
        let mut proven = HashMap::new();
        let mut expected = Vec::new();
        for (number, line) in lines.enumerate() {
            let Ok(receipt) = serde_json::from_str::<Receipt>(line) else {
                let detail = format!("line {} cannot be read", number + 2);
                self.find(Difference::Receipt, &itself, detail);
                continue;
            };
            let conversation = receipt.conversation_id;
            for mut object in receipt.objects {
                let owner = (conversation.clone(), object.key.clone());
                proven.insert(owner, (object.sha256.clone(), false));
                object.conversation = Some(conversation.clone());
                object.attempt = receipt.attempt;
                object.media = true;
                object.encrypted = encrypted;
                expected.push(object);
            }
            for mut sidecar in receipt.sidecars {
                sidecar.conversation = Some(conversation.clone());
                sidecar.attempt = receipt.attempt;
                sidecar.encrypted = encrypted;
                expected.push(sidecar);
            }
            conversations.insert(conversation);
        }
        self.ledger.expect(expected).await?;
        let mut sound = true;
        if let Some(catalog) = &head.catalog {
            self.catalog.remove(&catalog.key);
            sound = self.proven(catalog).await?.is_some();
        }
        let Some(metadata) = &head.metadata else {
            return Ok(sound);
        };
        self.rows.remove(&metadata.key);
        let Some((rows, right)) = self.proven(metadata).await? else {
            return Ok(false);
        };
        let (key, rows) = if encrypted {
            if self.identities.is_empty() {
                self.report.unread += 1;
                return Ok(sound);
            }
            match sealed::rows(&self.identities, &rows) {
                Ok(plain) => (metadata.key.trim_end_matches(SUFFIX), plain),
                Err(error) => {
                    if right {
                        let detail = format!("its rows cannot be read: {error}");
                        self.find(Difference::Receipt, metadata, detail);
                    }
                    return Ok(sound);
                }
            }
        } else {
            (metadata.key.as_str(), rows)
        };
        let rows = match crate::metadata::read(key, rows) {
            Ok(rows) => rows,
            Err(error) => Box::new(std::iter::once(Err(error))),
        };
        let mut plain = Vec::new();
        for row in rows {
            let row = match row {
                Ok(row) => row,
                Err(error) => {
                    // Of a file that was changed that is known already.
                    if right {
                        let detail = format!("its rows cannot be read: {error}");
                        self.find(Difference::Receipt, metadata, detail);
                    }
                    continue;
                }
            };
            // Of what another sink has, this one proves nothing.
            let (Some(object), None) = (row.object_key, &head.media_in) else {
                continue;
            };
            let known = proven.get_mut(&(row.conversation_id, object.clone()));
            match known {
                // The receipt is about what is stored, the row about what that decrypts to.
                Some((_, seen)) if encrypted => {
                    *seen = true;
                    plain.extend(row.sha256.map(|sha256| (object, sha256)));
                }
                Some((sha256, seen)) if row.sha256.as_ref() == Some(sha256) => *seen = true,
                _ => {
                    let detail = format!("it contradicts the row of {object}");
                    self.find(Difference::Receipt, &itself, detail);
                }
            }
        }
        self.ledger.decrypted(plain).await?;
        for ((_, object), (_, seen)) in proven {
            if !seen {
                let detail = format!("{object} has no row that agrees with it");
                self.find(Difference::Receipt, &itself, detail);
            }
        }
        Ok(sound)
    }

    /// A file that belongs to a receipt, and whether it is the one that the receipt names.
    async fn proven(&mut self, expected: &Expected) -> Result<Option<(Bytes, bool)>, SinkError> {
        let Some(file) = whole(self.store, &expected.key).await? else {
            let detail = "the file is not there".to_owned();
            self.find(Difference::Missing, expected, detail);
            return Ok(None);
        };
        let right = hex(&Sha256::digest(&file)) == expected.sha256;
        if !right {
            let detail = format!(
                "the file is not the one in the receipt: {} bytes, {} expected",
                file.len(),
                expected.size
            );
            self.find(Difference::Content, expected, detail);
        }
        Ok(Some((file, right)))
    }
}
