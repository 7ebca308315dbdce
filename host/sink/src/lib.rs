//! Where recordings end up.
//!
//! A sink keeps one promise: *a put is atomic, idempotent by key, and durable
//! when it returns*. A reader sees all of an object or nothing of it.

mod body_reader;
mod body_writer;
pub mod conformance;
mod decrypt;
pub mod deliveries;
#[cfg(feature = "encryption")]
pub mod encrypted;
#[cfg(feature = "encryption")]
pub mod encryption;
pub mod filesystem;
#[cfg(feature = "http")]
pub mod http;
pub mod named;
mod settings;
pub mod stdout;

use std::ops::Range;

use async_trait::async_trait;
pub use body_reader::{Aborted, BodyReader, Segments};
pub use body_writer::BodyWriter;
use bytes::Bytes;
pub use decrypt::{Decrypt, DecryptError};
use futures_util::stream::BoxStream;
pub use recording_host_model::Backpressure;
use recording_host_model::{Error, ErrorKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
pub use settings::{ObjectOptions, Retry};
use tokio::sync::mpsc;

/// The properties of an object that are known before it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutOptions {
    /// The MIME type.
    pub content_type: String,
    /// The length in bytes, if known beforehand.
    pub size: Option<u64>,
    /// True if another object of the same key may be replaced: for files that are written anew when
    /// more is known; false for media. An equal object is never an error.
    pub replace: bool,
    /// True if it may be read by the storage operator, so that a sink that encrypts leaves it
    /// as it is: for receipts alone, which hold ids, sizes and digests.
    pub plaintext: bool,
}

/// The object as a sink has stored it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutResult {
    /// The length in bytes.
    pub size: u64,
    /// The entity tag, if the sink has one: a later [`list`](Store::list) returns the same.
    pub etag: Option<String>,
    /// As which it is stored, if that is not what was put.
    pub encrypted: Option<EncryptedObject>,
}

/// An object as it is stored, where the sink has encrypted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptedObject {
    /// Its key.
    pub key: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
}

/// Why an object is not stored.
#[derive(Clone, Debug, thiserror::Error)]
#[error("sink {sink}, {key}: {reason}")]
pub struct SinkError {
    /// The sink, as the configuration or its type names it.
    pub sink: String,
    /// The object, or the place if it is about the whole sink.
    pub key: String,
    /// The cause and how to fix it.
    pub reason: String,
    /// True if a later attempt can succeed.
    pub retryable: bool,
    /// The object that was there and stays, if that is why: it concerns this object alone.
    pub different: Option<DifferentObject>,
}

impl PutResult {
    /// An object of so many bytes that is stored as it was put.
    #[must_use]
    pub fn new(size: u64) -> Self {
        PutResult {
            size,
            etag: None,
            encrypted: None,
        }
    }
}

impl From<SinkError> for Error {
    fn from(error: SinkError) -> Self {
        Error::new(ErrorKind::Sink, error.clone())
            .with_retryable(error.retryable)
            .with_context("sink", error.sink)
            .with_context("key", error.key)
    }
}

/// An object that stands in the way of a put: it is there under the same key, with other bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DifferentObject {
    /// Its key.
    pub key: String,
    /// True if it stays only because it may be of value, and not since the configuration wants that.
    pub replaceable: bool,
}

impl SinkError {
    /// An object that is not stored, and why; a later attempt cannot succeed.
    pub fn new(sink: &str, key: &str, reason: impl Into<String>) -> Self {
        SinkError {
            sink: sink.to_owned(),
            key: key.to_owned(),
            reason: reason.into(),
            retryable: false,
            different: None,
        }
    }

    /// The same; says whether a later attempt can succeed.
    #[must_use]
    pub fn with_retryable(self, retryable: bool) -> Self {
        SinkError { retryable, ..self }
    }

    /// The same, since a different object is there under this key.
    pub fn with_different(self, key: &str, overwrite: Overwrite, info: &PutOptions) -> Self {
        SinkError {
            different: Some(DifferentObject {
                key: key.to_owned(),
                replaceable: overwrite == Overwrite::Same && !info.replace,
            }),
            ..self
        }
    }
}

/// A sink's treatment of an object that is there already. An equal one is never an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Overwrite {
    /// A different object is never replaced, whatever [`PutOptions::replace`] says.
    Never,
    /// A different object is replaced if [`PutOptions::replace`] says so.
    #[default]
    Same,
    /// Any object is replaced, and none is looked at.
    Always,
}

impl Overwrite {
    /// Returns true if an object that is there stays.
    #[must_use]
    pub fn keeps(self, info: &PutOptions) -> bool {
        match self {
            Overwrite::Never => true,
            Overwrite::Same => !info.replace,
            Overwrite::Always => false,
        }
    }

    /// Why an object is not replaced by a different one, and how that would be allowed.
    #[must_use]
    pub fn refusal(self, there: u64, info: &PutOptions) -> String {
        let way = if info.replace { "same" } else { "always" };
        format!(
            "a different object of {there} bytes is there and stays; remove it, or set `overwrite: {way}`"
        )
    }
}

/// The findings of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// One line: what the sink is and what it can do. Empty if there is nothing to say.
    pub found: String,
}

/// The name of the object by which a sink tries a bucket out: one for each machine, so that two do
/// not meet, and always the same, so that what a killed program left is used again and removed.
pub fn probe_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .or_else(|| std::env::var("COMPUTERNAME").ok())
        .unwrap_or_default();
    let digest = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, host.trim().as_bytes());
    format!(".recording-host-probe-{digest:016x}")
}

/// A place for objects.
#[async_trait]
pub trait Sink: Send + Sync + std::fmt::Debug {
    /// By what name its errors call it, where nobody has given it one: its type.
    fn name(&self) -> &str {
        "sink"
    }

    /// Proves that objects can be written, and leaves nothing behind.
    ///
    /// # Errors
    /// Says what is missing and how to fix it.
    async fn check(&self) -> Result<Health, SinkError>;

    /// Writes an object. Either all of it is there, durably, when this returns, or nothing is;
    /// a body that breaks off leaves nothing. An equal object that is there already is a success;
    /// a different one is replaced if `info.replace` says so, and is an error otherwise, unless
    /// the sink cannot know or was told otherwise.
    ///
    /// # Errors
    /// Says whether a later attempt can succeed.
    async fn put(&self, key: &str, info: PutOptions, body: Body) -> Result<PutResult, SinkError>;

    /// Removes temporary files and unfinished uploads that interrupted runs left in this sink, and returns
    /// how many there were. Puts that are under way are left alone.
    ///
    /// # Errors
    /// Says whether a later attempt can succeed.
    async fn cleanup(&self) -> Result<u64, SinkError> {
        Ok(0)
    }

    /// How often the storage has asked for less since this sink was made: refused what came too fast
    /// (429, 503), or did not answer in time, even where a repeated request succeeded. A run puts
    /// fewer objects at once when that grows.
    fn backpressure(&self) -> u64 {
        0
    }

    /// Returns true if objects are encrypted before they are stored; reads then return the encrypted form.
    fn encrypts(&self) -> bool {
        false
    }

    /// The sink as something that can be read, if it can.
    fn store(&self) -> Option<&dyn Store> {
        None
    }
}

/// An object that a sink holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Its key.
    pub key: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its entity tag, if the sink has one.
    pub etag: Option<String>,
}

/// A sink whose objects can be listed and read.
#[async_trait]
pub trait Store: Sink {
    /// The objects whose keys begin with `prefix`, those of a day together, days in order.
    fn list(&self, prefix: &str) -> BoxStream<'_, Result<ObjectMeta, SinkError>>;

    /// An object's bytes, or none if there is no such object.
    ///
    /// # Errors
    /// Says whether a later attempt can succeed.
    async fn get(&self, key: &str) -> Result<Option<Body>, SinkError>;

    /// The bytes of an object in a range, as far as it has them, or none if there is no such object. Stores
    /// that can do so read nothing else; any other one reads from the object's beginning.
    ///
    /// # Errors
    /// As [`get`](Self::get). A range that is empty, or behind the object's end, may be one.
    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Option<Body>, SinkError> {
        Ok(self.get(key).await?.map(|body| body.range(range)))
    }

    /// Removes an object; that there is none is a success.
    ///
    /// # Errors
    /// Says whether a later attempt can succeed: it cannot where removing is not allowed.
    async fn delete(&self, key: &str) -> Result<(), SinkError>;
}

/// Further operations of every sink.
#[async_trait]
pub trait SinkExt: Sink {
    /// Writes an object that is in memory; its length need not be given.
    ///
    /// # Errors
    /// As [`put`](Sink::put).
    async fn put_bytes(
        &self,
        key: &str,
        info: PutOptions,
        data: Bytes,
    ) -> Result<PutResult, SinkError> {
        let info = PutOptions {
            size: Some(data.len() as u64),
            ..info
        };
        self.put(key, info, Body::whole(data)).await
    }
}

impl<S: Sink + ?Sized> SinkExt for S {}

/// Further operations of every store.
#[async_trait]
pub trait StoreExt: Store {
    /// All bytes of an object, which must fit into memory, or none if there is no such object.
    ///
    /// # Errors
    /// As [`get`](Store::get), and if reading breaks off.
    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, SinkError> {
        let Some(mut body) = self.get(key).await? else {
            return Ok(None);
        };
        let mut data = Vec::new();
        while let Some(frame) = body.next().await.map_err(|_| SinkError {
            sink: self.name().to_owned(),
            key: key.to_owned(),
            reason: "reading it was interrupted; read it again".into(),
            retryable: true,
            different: None,
        })? {
            data.extend_from_slice(&frame);
        }
        Ok(Some(data))
    }
}

impl<S: Store + ?Sized> StoreExt for S {}

enum Frame {
    Data(Bytes),
    End,
}

/// The bytes of an object on their way to a sink.
#[derive(Debug)]
pub struct Body {
    frames: mpsc::Receiver<Frame>,
    ended: bool,
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Frame::Data(data) => write!(f, "Data({} bytes)", data.len()),
            Frame::End => f.write_str("End"),
        }
    }
}

/// The other end of a [`Body`]; dropped before [`end`](BodySender::end), it breaks the body off.
#[derive(Debug)]
pub struct BodySender {
    frames: mpsc::Sender<Frame>,
}

/// The bytes of an object were interrupted; whoever fed them knows why.
#[derive(Debug, thiserror::Error)]
#[error("upload aborted: the download ended early")]
pub struct BodyAborted;

/// The sink has stopped reading; its `put` says why.
#[derive(Debug, thiserror::Error)]
#[error("the sink stopped reading")]
pub struct ReceiverClosed;

impl Body {
    /// A body and the end by which it is fed.
    #[must_use]
    pub fn channel() -> (BodySender, Body) {
        let (sender, receiver) = mpsc::channel(4);
        let body = Body {
            frames: receiver,
            ended: false,
        };
        (BodySender { frames: sender }, body)
    }

    /// A body that is in memory already.
    #[must_use]
    pub fn whole(bytes: Bytes) -> Body {
        let (sender, receiver) = mpsc::channel(2);
        // Two places, two frames: neither send can fail.
        let _ = sender.try_send(Frame::Data(bytes));
        let _ = sender.try_send(Frame::End);
        Body {
            frames: receiver,
            ended: false,
        }
    }

    /// The part of the body in a range.
    #[must_use]
    pub fn range(mut self, range: Range<u64>) -> Body {
        let (feed, body) = Body::channel();
        tokio::spawn(async move {
            let mut at = 0;
            while at < range.end {
                // A reader learns of a failure from the body that breaks off.
                let Ok(next) = self.next().await else { return };
                let Some(data) = next else { break };
                let length = data.len() as u64;
                let from = range.start.saturating_sub(at).min(length);
                let to = (range.end - at).min(length);
                at += length;
                // Both are at most the length of what is in memory.
                let wanted = data.slice(from as usize..to as usize);
                if !wanted.is_empty() && feed.send(wanted).await.is_err() {
                    return;
                }
            }
            feed.end().await;
        });
        body
    }

    /// The next bytes, or none at the end.
    ///
    /// # Errors
    /// [`BodyAborted`]: what came so far must not be stored.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BodyAborted> {
        if self.ended {
            return Ok(None);
        }
        let frame = self.frames.recv().await;
        self.arrived(frame)
    }

    /// [`next`](Self::next) from a thread that may block.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn next_blocking(&mut self) -> Result<Option<Bytes>, BodyAborted> {
        if self.ended {
            return Ok(None);
        }
        let frame = self.frames.blocking_recv();
        self.arrived(frame)
    }

    fn arrived(&mut self, frame: Option<Frame>) -> Result<Option<Bytes>, BodyAborted> {
        match frame {
            Some(Frame::Data(data)) => Ok(Some(data)),
            Some(Frame::End) => {
                self.ended = true;
                Ok(None)
            }
            None => Err(BodyAborted),
        }
    }
}

impl BodySender {
    /// Hands on some bytes; waits while the sink is busy.
    ///
    /// # Errors
    /// [`ReceiverClosed`] if the sink has given up.
    pub async fn send(&self, data: Bytes) -> Result<(), ReceiverClosed> {
        self.frames
            .send(Frame::Data(data))
            .await
            .map_err(|_| ReceiverClosed)
    }

    /// [`send`](Self::send) from a thread that may block.
    ///
    /// # Errors
    /// [`ReceiverClosed`] if the sink has given up.
    pub fn send_blocking(&self, data: Bytes) -> Result<(), ReceiverClosed> {
        self.frames
            .blocking_send(Frame::Data(data))
            .map_err(|_| ReceiverClosed)
    }

    /// Says that the object is complete and right.
    pub async fn end(self) {
        let _ = self.frames.send(Frame::End).await;
    }

    /// [`end`](Self::end) from a thread that may block.
    pub fn end_blocking(self) {
        let _ = self.frames.blocking_send(Frame::End);
    }
}
