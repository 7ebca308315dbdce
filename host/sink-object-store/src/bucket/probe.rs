//! Finds out whether a bucket can be used: by an object that is put, read, and removed.

use bytes::Bytes;
use object_store::{Error, ObjectStoreExt};

use super::Bucket;
use recording_host_sink::{BodyReader, Health, PutOptions, Segments, SinkError, probe_name};

impl Bucket {
    /// Tries the bucket: an object is put, read, and removed.
    pub(super) async fn probe(&self) -> Result<Health, SinkError> {
        let name = probe_name();
        let path = self.path(&name)?;
        let info = PutOptions {
            content_type: "text/plain".into(),
            ..PutOptions::default()
        };
        let mut segments = Segments::default();
        segments.push(Bytes::from_static(
            b"recording-host checks that it can write here\n",
        ));
        self.put_whole(&name, &path, &info, segments.clone(), false)
            .await?;
        let read = self.read(&name, &path, None).await?;
        let read = read.ok_or_else(|| self.gone(&name))?;
        let same = BodyReader::new(read)
            .equals(&mut BodyReader::whole(segments))
            .await;
        let deleted = self.store.delete(&path).await;
        if same != Ok(true) {
            let reason = "what is read is not what was written; the server, or something before it, changes objects";
            return Err(self.failure(&name, reason, false));
        }
        match deleted {
            // An archive may well forbid deletion.
            Ok(()) | Err(Error::PermissionDenied { .. }) => Ok(Health {
                found: format!("{}: objects can be written and read", self.properties.url),
            }),
            Err(error) => Err(self.error(&name, &error)),
        }
    }
}
