//! Keeps aside what came in the place of a recording, so that it is named and never taken for one.
//!
//! An artifact that is not what it claims to be is requested again, by the same link and by fresh ones.
//! If it stays so, it is downloaded once more, looked at from its first byte to its last, and put below
//! `aside/` in each sink that takes media.

use super::{
    AnnouncedContent, AttemptError, DeliveryReport, MediaLength, Name, ObjectTarget, SinkBinding,
    Transfer, TransferError, announced::HEAD, host, unpack::Spooled,
};
use crate::transfer::announced::Unfit;
use recording_host_model::{Artifact, ArtifactKey, KeyContext, MissingRecording};

/// Checks that all of a file came, `total` bytes, if only the file itself says where it ends.
pub(super) fn complete(length: &MediaLength, total: u64) -> Result<(), Unfit> {
    let reason = match length.claimed(total) {
        Some(length) => format!("the connection ended after {total} of {length} bytes"),
        None if length.is_unended() => {
            format!("the connection ended after {total} bytes, before the last page of the file")
        }
        None => return Ok(()),
    };
    Err(Unfit::not_a_recording(reason, length.extension()))
}

impl Spooled {
    /// Compares what came with what it claims to be.
    pub(super) fn examine(&self, announced: &AnnouncedContent) -> Result<(), Unfit> {
        announced.check(&self.first, self.first.len() < HEAD)?;
        match self.ends_with_connection {
            true => complete(&self.reported, self.size),
            false => Ok(()),
        }
    }
}

impl Transfer {
    /// Downloads an artifact once more that was not what it claims to be, by a link that is fresh. If it is
    /// still not, it is kept aside and [lost](recording_host_model::ArtifactContents::lost); else it is
    /// delivered.
    ///
    /// # Errors
    /// As [`deliver`](Self::deliver).
    pub async fn keep_aside(
        &self,
        artifact: &Artifact,
        bindings: &[&SinkBinding],
    ) -> Result<DeliveryReport, TransferError> {
        match self.aside(artifact, bindings).await? {
            Some(delivery) => Ok(delivery),
            None => self.deliver(artifact, bindings).await,
        }
    }

    /// Keeps an artifact aside; none if it is what it claims to be.
    async fn aside(
        &self,
        artifact: &Artifact,
        bindings: &[&SinkBinding],
    ) -> Result<Option<DeliveryReport>, AttemptError> {
        let (conversation, known) = self.whose(artifact).await?;
        let record = known.as_ref().and_then(|known| known.record.as_ref());
        let mut bindings = bindings.to_vec();
        bindings.retain(|binding| binding.route.takes_media(record));
        if bindings.is_empty() {
            return Ok(Some(DeliveryReport::default()));
        }
        let spooled = self.spooled(artifact, None).await?;
        let Err(unfit) = spooled.examine(&AnnouncedContent::of(artifact, record)) else {
            return Ok(None);
        };
        let mut delivery = DeliveryReport::default();
        let mut message = unfit.reason.clone();
        if spooled.size > 0
            && let Some(conversation) = &conversation
        {
            let target = target(artifact, conversation, &unfit);
            let sum = Some((spooled.size, spooled.sha256.clone()));
            let (file, size) = (spooled.file.try_clone().map_err(host)?, spooled.size);
            let stored = self.put_file(&bindings, &target, file, size, true).await?;
            delivery.note(&bindings, stored, &target, sum);
            for (_, object) in &mut delivery.contents.objects {
                object.aside = true;
            }
            // A sink that keeps what it has is in order, and has another file of this kind already.
            let refusals = delivery
                .failed
                .extract_if(.., |(_, error)| !error.retryable);
            let refusals: Vec<String> = refusals.map(|(_, error)| error.to_string()).collect();
            match refusals.first() {
                None => message += &format!("; it is kept as {}", target.keys(&bindings)),
                Some(refusal) => message += &format!("; it could not be kept: {refusal}"),
            }
        }
        delivery.contents.lost = Some(MissingRecording {
            conversation: conversation.unwrap_or_default(),
            code: unfit.code.to_owned(),
            message,
            retryable: true,
        });
        Ok(Some(delivery))
    }

    /// The conversation that an artifact is kept for, and what is known of it; of those in a bundle the
    /// first one.
    async fn whose(
        &self,
        artifact: &Artifact,
    ) -> Result<(Option<String>, Option<KeyContext>), TransferError> {
        let conversation = match &artifact.key {
            ArtifactKey::Recording(key) => Some(key.conversation.clone()),
            ArtifactKey::Bundle(_) => {
                let ids = self.ledger.in_bundle(&artifact.key).await.map_err(host)?;
                ids.into_iter().next()
            }
        };
        let known = match &conversation {
            Some(id) => Some(self.known(id).await?),
            None => None,
        };
        Ok((conversation, known))
    }
}

/// The object that what came becomes.
fn target(artifact: &Artifact, conversation: &str, unfit: &Unfit) -> ObjectTarget {
    let (recording, part, bundle) = match &artifact.key {
        ArtifactKey::Recording(key) => (&key.recording, key.part, false),
        ArtifactKey::Bundle(id) => (id, 0, true),
    };
    ObjectTarget {
        conversation: conversation.to_owned(),
        recording: recording.clone(),
        part,
        name: Name::Aside {
            extension: unfit.extension,
            bundle,
        },
        content_type: unfit.content_type().to_owned(),
        ..ObjectTarget::default()
    }
}
