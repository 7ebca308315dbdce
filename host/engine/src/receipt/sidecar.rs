//! The files of metadata that lie beside the objects of a segment, where the sink's layout has such.
//!
//! They are made of what is completed alone, so that each is the same whenever it is put.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};

use super::{ObjectDigest, replaced};
use crate::transfer::SinkBinding;
use recording_host_model::{CompletedConversation, ENCRYPTED_SUFFIX, Segment, hex, layout};
use recording_host_sink::{PutOptions, SinkError, SinkExt};

/// How many are put at once.
const AT_ONCE: usize = 32;

/// The files beside the objects of a segment in a sink.
pub(super) struct Sidecars<'a> {
    binding: &'a SinkBinding,
    /// Those that are there, by key.
    before: BTreeMap<String, ObjectDigest>,
}

impl<'a> Sidecars<'a> {
    /// Those of a segment, if the sink's layout has any.
    pub(super) async fn of(
        export: &str,
        segment: &Segment,
        binding: &'a SinkBinding,
    ) -> Result<Option<Self>, SinkError> {
        if !binding.layout.has_sidecars() {
            return Ok(None);
        }
        let before = match binding.sink.store() {
            Some(store) => replaced::sidecars(store, export, segment, &binding.name).await?,
            None => BTreeMap::new(),
        };
        Ok(Some(Sidecars { binding, before }))
    }

    /// Puts those of some conversations that are not there yet, and returns the digest of each, by the key of the object
    /// that it is about.
    pub(super) async fn put(
        &self,
        conversations: &[CompletedConversation],
    ) -> Result<BTreeMap<String, ObjectDigest>, SinkError> {
        let binding = self.binding;
        let of_each = conversations.iter().flat_map(|completed| {
            let objects = completed.objects_in(&binding.name).iter();
            // An object that is kept aside is no recording.
            let objects = objects.filter(|object| !object.aside);
            objects.filter_map(move |object| {
                let (key, bytes) = layout::sidecar(completed, object)?;
                Some((object.key.clone(), key, bytes))
            })
        });
        // Collected: a stream that borrows is not provably `Send`, and then neither is the run.
        let of_each: Vec<(String, String, Vec<u8>)> = of_each.collect();
        stream::iter(of_each)
            .map(|(object, key, bytes)| async move {
                let (size, sha256) = (bytes.len() as u64, hex(&Sha256::digest(&bytes)));
                // An encrypted one says nothing of what is in it, but that is what a replaced segment knew.
                let there = self
                    .before
                    .get(&key)
                    .filter(|digest| digest.sha256 == sha256);
                let there = there.or_else(|| self.before.get(&format!("{key}{ENCRYPTED_SUFFIX}")));
                if let Some(digest) = there {
                    return Ok((object, digest.clone()));
                }
                let info = PutOptions {
                    content_type: "application/json".to_owned(),
                    size: None,
                    // A later attempt may know more of the conversation.
                    replace: true,
                    plaintext: false,
                };
                let stored = binding.sink.put_bytes(&key, info, bytes.into()).await?;
                Ok((object, ObjectDigest::of(key, size, sha256, stored)))
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }
}
