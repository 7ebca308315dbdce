//! Archives that are kept as they are delivered.

use std::{
    fs::File,
    io::{self, Read, Seek},
};

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::task::spawn_blocking;

use super::{Spooled, feed_all, plan};
use crate::transfer::{
    AttemptError, DeliveryReport, Name, ObjectTarget, SinkBinding, Transfer, TransferError, ZIP,
    host,
};
use recording_host_model::{Artifact, ArtifactKey};
use recording_host_sink::{BodySender, PutResult, SinkError};

impl Transfer {
    /// Brings an archive as it is to sinks, as an object of each conversation that has something in it.
    pub(super) async fn keep(
        &self,
        bindings: &[&SinkBinding],
        whole: &ObjectTarget,
        spooled: &Spooled,
        plan: &plan::UnpackPlan,
        delivery: &mut DeliveryReport,
    ) -> Result<(), AttemptError> {
        let file = spooled.file.try_clone().map_err(host)?;
        let put = self.put_file(bindings, whole, file, spooled.size, false);
        let stored = put.await?;
        let mut kept = DeliveryReport::default();
        let sum = (spooled.size, spooled.sha256.clone());
        kept.note(bindings, stored, whole, Some(sum));
        for (sink, object) in kept.contents.objects {
            let binding = bindings.iter().find(|binding| binding.name == sink);
            let takes = |holder: &&plan::Holder| {
                binding.is_some_and(|binding| plan.takes(binding, &holder.conversation))
            };
            for holder in plan.holders.iter().filter(takes) {
                let mut object = object.clone();
                object.conversation.clone_from(&holder.conversation);
                object.recording.clone_from(&holder.recording);
                object.member.clone_from(&holder.member);
                object.index_metadata.clone_from(&holder.index_metadata);
                delivery.contents.objects.push((sink.clone(), object));
            }
        }
        delivery.failed.extend(kept.failed);
        Ok(())
    }

    /// The object that an archive is when it is kept.
    pub(super) async fn whole(&self, artifact: &Artifact) -> Result<ObjectTarget, AttemptError> {
        let target = match &artifact.key {
            ArtifactKey::Bundle(id) => ObjectTarget {
                name: Name::Bundle(id.clone()),
                ..ObjectTarget::default()
            },
            ArtifactKey::Recording(key) => ObjectTarget {
                name: Name::Whole("zip".to_owned()),
                ..ObjectTarget::of(key, &self.known(&key.conversation).await?)
            },
        };
        Ok(ObjectTarget {
            content_type: ZIP.to_owned(),
            ..target
        })
    }

    /// Puts a spooled file; `replace` is that of [`PutOptions`](recording_host_sink::PutOptions).
    pub(in crate::transfer) async fn put_file(
        &self,
        bindings: &[&SinkBinding],
        target: &ObjectTarget,
        mut file: File,
        size: u64,
        replace: bool,
    ) -> Result<Vec<Result<PutResult, SinkError>>, AttemptError> {
        let _held = self.hold(Some(size), bindings.len()).await;
        let (feeds, puts) = self.puts(bindings, target, Some(size), replace);
        let reader = spawn_blocking(move || -> io::Result<_> {
            file.rewind()?;
            loop {
                let mut buffer = vec![0; 64 << 10];
                let length = file.read(&mut buffer)?;
                buffer.truncate(length);
                if length == 0 || !feed_all(&feeds, &Bytes::from(buffer)) {
                    return Ok(feeds);
                }
            }
        });
        let read = async {
            let feeds = reader.await.map_err(host)?.map_err(host)?;
            join_all(feeds.into_iter().map(BodySender::end)).await;
            Ok::<_, TransferError>(())
        };
        let (read, stored) = tokio::join!(read, join_all(puts));
        read?;
        Ok(stored)
    }
}
