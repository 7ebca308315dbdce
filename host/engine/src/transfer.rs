//! Brings an artifact from its link to every sink: streamed, measured and hashed on the way.
//!
//! One download feeds all sinks. Nothing is held in memory but a few frames
//! and, for each sink, the part that is being collected.

mod announced;
mod aside;
mod error;
mod file_keys;
#[doc(hidden)]
pub mod fuzzed;
mod media_length;
mod media_type;
mod object_target;
mod sink_binding;
mod transcode;
mod unpack;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt, join_all};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tracing::{Instrument, info_span};

pub use announced::Unfit;
use announced::{AnnouncedContent, HEAD};
pub use error::TransferError;
use error::{AttemptError, host};
pub(crate) use file_keys::file_keys;
use media_length::MediaLength;
use media_type::{extension, is_zip};
use object_target::{Name, ObjectTarget};
pub use sink_binding::{ArchiveMode, SinkBinding};

use recording_host_http::{Download, Downloads};
use recording_host_model::{
    Artifact, ArtifactContents, ArtifactKey, Container, KeyContext, hex, printable,
};
use recording_host_sink::{Body, PutOptions, PutResult, SinkError};
use recording_host_state::Ledger;
use recording_host_zip::Spool;

/// Memory that objects on their way to sinks may take in all, in KiB.
const BUDGET: u32 = 48 << 10;
/// The most memory that one object on its way to one sink takes, in KiB.
const SHARE: u64 = 16 << 10;
/// How often a download is begun before its link is given up, or put off where nothing is wrong with it.
const TRIES: u32 = 4;
/// How often it is begun if what comes is not what it claims to be.
const UNFIT_TRIES: u32 = 2;
/// The MIME type of archives.
const ZIP: &str = "application/zip";

/// The result of delivering an artifact.
#[derive(Debug, Default)]
pub struct DeliveryReport {
    /// Its contents, and the objects in the sinks that took all of it.
    pub contents: ArtifactContents,
    /// The sinks that did not, by name.
    pub failed: Vec<(String, SinkError)>,
}

impl DeliveryReport {
    /// Notes what came of a put of `target` in each of `bindings`, which get no more once they fail.
    /// `whole` are the size and sha256 of what was put, unless no sink read it to the end.
    fn note(
        &mut self,
        bindings: &[&SinkBinding],
        stored: Vec<Result<PutResult, SinkError>>,
        target: &ObjectTarget,
        whole: Option<(u64, String)>,
    ) {
        for (binding, stored) in bindings.iter().zip(stored) {
            match (stored, &whole) {
                (Err(error), _) => self.failed.push((binding.name.clone(), error)),
                (Ok(stored), Some((size, sha256))) => {
                    let mut object = target.object(&binding.layout, *size, sha256);
                    object.etag = stored.etag;
                    if let Some(sealed) = stored.encrypted {
                        object.key = sealed.key;
                        object.stored = Some((sealed.size, sealed.sha256));
                    }
                    self.contents.objects.push((binding.name.clone(), object));
                }
                (Ok(_), None) => self.failed.push((
                    binding.name.clone(),
                    SinkError::new(
                        &binding.name,
                        &target.key(&binding.layout),
                        "it stopped reading and called it a success",
                    ),
                )),
            }
        }
    }

    /// Those of `bindings` that have not failed.
    fn sound<'a>(&self, bindings: &[&'a SinkBinding]) -> Vec<&'a SinkBinding> {
        let mut sound = bindings.to_vec();
        sound.retain(|binding| !self.has_failed(&binding.name));
        sound
    }

    fn has_failed(&self, sink: &str) -> bool {
        self.failed.iter().any(|(failed, _)| failed == sink)
    }
}

/// A download that has begun, and its first bytes.
struct Begun<'a> {
    download: Download<'a>,
    next: Option<Bytes>,
}

/// Delivers artifacts.
#[derive(Debug)]
pub struct Transfer {
    downloads: Downloads,
    ledger: Arc<dyn Ledger>,
    spool: Spool,
    /// Files made of recordings have room of their own, so that they never wait for downloads.
    transcodes: Spool,
    budget: Semaphore,
    /// The SHA-256 of downloads that were shorter than they say, by artifact.
    short: Mutex<HashMap<String, String>>,
}

impl Transfer {
    /// Delivers what `downloads` bring; archives are spooled in `spool`.
    #[must_use]
    pub fn new(downloads: Downloads, ledger: Arc<dyn Ledger>, spool: PathBuf) -> Self {
        Transfer {
            downloads,
            ledger,
            transcodes: Spool::new(spool.clone()),
            spool: Spool::new(spool),
            budget: Semaphore::new(BUDGET as usize),
            short: Mutex::default(),
        }
    }

    /// Delivers an artifact to some sinks. One that fails does not stop the others.
    ///
    /// # Errors
    /// [`TransferError`] says whether a fresh link may help.
    pub async fn deliver(
        &self,
        artifact: &Artifact,
        bindings: &[&SinkBinding],
    ) -> Result<DeliveryReport, TransferError> {
        let mut tried = 0;
        loop {
            tried += 1;
            let result = match &artifact.container {
                Container::Single => self.single(artifact, bindings).await,
                Container::Zip | Container::ZipBundle(_) => {
                    self.archive(artifact, bindings, None).await
                }
            };
            match result {
                Err(AttemptError::Retry(_)) if tried < TRIES => {
                    self.downloads.back_off(tried, None).await;
                }
                Err(AttemptError::Origin(_, asked)) if tried < TRIES => {
                    self.downloads.back_off(tried, asked).await;
                }
                Err(AttemptError::Unfit(_)) if tried < UNFIT_TRIES => {
                    self.downloads.back_off(tried, None).await;
                }
                Err(attempt) => return Err(attempt.into()),
                Ok(mut delivery) => {
                    // A sink that failed half-way gets all of it again.
                    let DeliveryReport { contents, failed } = &mut delivery;
                    contents
                        .objects
                        .retain(|(sink, _)| failed.iter().all(|(name, _)| name != sink));
                    return Ok(delivery);
                }
            }
        }
    }

    /// How often origins of media have asked for less so far.
    #[must_use]
    pub fn backpressure(&self) -> u64 {
        self.downloads.backpressure()
    }

    /// The room that is taken in the spool, and all there is, in bytes.
    pub(crate) fn spool_room(&self) -> (u64, u64) {
        let (one, other) = (self.spool.taken(), self.transcodes.taken());
        (one.0 + other.0, one.1 + other.1)
    }

    async fn single(
        &self,
        artifact: &Artifact,
        bindings: &[&SinkBinding],
    ) -> Result<DeliveryReport, AttemptError> {
        let ArtifactKey::Recording(key) = &artifact.key else {
            return Err(TransferError::item("no-index", unpack::NO_INDEX).into());
        };
        let known = self.known(&key.conversation).await?;
        let takes = |binding: &&&SinkBinding| binding.route.takes_media(known.record.as_ref());
        let wanting: Vec<&SinkBinding> = bindings.iter().filter(takes).copied().collect();
        if wanting.is_empty() {
            return Ok(DeliveryReport::default());
        }
        let target = |content_type: String| ObjectTarget {
            name: Name::Whole(extension(&content_type).to_owned()),
            content_type,
            ..ObjectTarget::of(key, &known)
        };
        let announced = AnnouncedContent::of(artifact, known.record.as_ref());
        let reported = artifact.content_type.as_deref();
        if let Some(kind) = reported.filter(|kind| transcode::wanted(&wanting, kind)) {
            let target = target(kind.to_owned());
            return self
                .transcoded(artifact, &announced, &wanting, &target, None)
                .await;
        }
        let mut download = self.downloads.begin(artifact).await?;
        let next = download.first(HEAD).await?;
        let first = next.as_deref().unwrap_or_default();
        announced.check(first, first.len() < HEAD)?;
        let reported = [artifact.content_type.clone(), download.content_type()];
        let content_type = media_type::decide(reported, first);
        if is_zip(&content_type) && artifact.content_type.as_deref() != Some(ZIP) {
            // The source did not know that it is an archive.
            let begun = Begun { download, next };
            return self.archive(artifact, bindings, Some(begun)).await;
        }
        let target = target(content_type);
        if transcode::wanted(&wanting, &target.content_type) {
            // The source did not know what it is.
            let begun = Some(Begun { download, next });
            return self
                .transcoded(artifact, &announced, &wanting, &target, begun)
                .await;
        }
        self.streamed(artifact, &wanting, &target, Begun { download, next })
            .await
    }

    /// Brings a download to each sink while it comes.
    async fn streamed(
        &self,
        artifact: &Artifact,
        wanting: &[&SinkBinding],
        target: &ObjectTarget,
        begun: Begun<'_>,
    ) -> Result<DeliveryReport, AttemptError> {
        let Begun {
            mut download,
            mut next,
        } = begun;
        let size = download.size();
        let _held = self.hold(size, wanting.len()).await;
        let (feeds, puts) = self.puts(wanting, target, size, false);
        let feeding = async {
            let mut digest = Sha256::new();
            let mut reported = MediaLength::of(next.as_deref().unwrap_or_default());
            let mut total = 0;
            while let Some(data) = next {
                digest.update(&data);
                reported.feed(&data);
                total += data.len() as u64;
                if !feed_all(&feeds, data).await {
                    // The sinks say why.
                    return Ok((None, None));
                }
                next = download.next().await?;
            }
            let sha256 = checked(artifact, size, total, digest)?;
            let note = match download.ends_with_connection() {
                true => aside::complete(&reported, total).map(|()| None)?,
                false => self.doubted(artifact, &reported, total, &sha256)?,
            };
            join_all(feeds.into_iter().map(recording_host_sink::BodySender::end)).await;
            Ok::<_, AttemptError>((Some((total, sha256)), note))
        };
        // Feeds that are dropped on an error make every sink drop what it has.
        let (fed, stored) = tokio::join!(feeding, join_all(puts));
        let (whole, note) = fed?;
        let mut delivery = DeliveryReport::default();
        delivery.note(wanting, stored, target, whole);
        for (_, object) in &mut delivery.contents.objects {
            object.note.clone_from(&note);
        }
        Ok(delivery)
    }

    /// The note on a file all of which came, as far as its server can tell, and that is shorter than it
    /// says itself. It is requested again: bytes that come twice alike are those that the origin has, and
    /// so much of the recording as there is.
    fn doubted(
        &self,
        artifact: &Artifact,
        length: &MediaLength,
        total: u64,
        sha256: &str,
    ) -> Result<Option<String>, AttemptError> {
        let Some(length) = length.claimed(total) else {
            return Ok(None);
        };
        let reason = format!("it claims a length of {length} bytes and has {total}");
        let key = artifact.key.to_text();
        let mut short = self.short.lock().unwrap_or_else(PoisonError::into_inner);
        if short.get(&key).is_some_and(|before| before == sha256) {
            short.remove(&key);
            return Ok(Some(format!("cut-short: {reason}")));
        }
        short.insert(key, sha256.to_owned());
        Err(AttemptError::retry(reason))
    }

    async fn known(&self, conversation: &str) -> Result<KeyContext, TransferError> {
        known(&*self.ledger, conversation).await
    }

    /// Begins a put in each sink; `replace` is that of [`PutOptions`].
    fn puts<'a>(
        &'a self,
        bindings: &[&'a SinkBinding],
        target: &'a ObjectTarget,
        size: Option<u64>,
        replace: bool,
    ) -> (
        Vec<recording_host_sink::BodySender>,
        Vec<BoxFuture<'a, Result<PutResult, SinkError>>>,
    ) {
        bindings
            .iter()
            .map(|&binding| {
                let (feed, body) = Body::channel();
                let info = PutOptions {
                    content_type: target.content_type.clone(),
                    size,
                    replace,
                    plaintext: false,
                };
                let key = target.key(&binding.layout);
                let put = async move { binding.sink.put(&key, info, body).await };
                let span = info_span!("put", sink = %binding.name);
                (feed, put.instrument(span).boxed())
            })
            .unzip()
    }

    /// Waits for memory for an object on its way to some sinks. All of it is taken at once, so
    /// that two objects can never wait for each other.
    async fn hold(
        &self,
        size: Option<u64>,
        sinks: usize,
    ) -> Option<tokio::sync::SemaphorePermit<'_>> {
        let share = size.map_or(SHARE, |size| (size >> 10).clamp(64, SHARE));
        let all = share.saturating_mul(sinks as u64).min(u64::from(BUDGET));
        self.budget.acquire_many(all as u32).await.ok()
    }
}

/// The queue's data on a conversation. Without it nobody knows where its files belong: a node that has lost a fetch has
/// none, and stores nothing more for it.
pub(crate) async fn known(
    ledger: &dyn Ledger,
    conversation: &str,
) -> Result<KeyContext, TransferError> {
    let known = ledger.known_one(conversation.to_owned()).await;
    known.map_err(host)?.ok_or_else(|| {
        TransferError::Link(format!(
            "the queue does not have the conversation {}",
            printable(conversation)
        ))
    })
}

/// Hands bytes to every sink that still reads; returns false if none does.
async fn feed_all(feeds: &[recording_host_sink::BodySender], data: Bytes) -> bool {
    if let [feed] = feeds {
        return feed.send(data).await.is_ok();
    }
    let sent = join_all(feeds.iter().map(|feed| feed.send(data.clone()))).await;
    sent.iter().any(Result::is_ok)
}

/// Compares what came with what was announced, and returns the digest.
fn checked(
    artifact: &Artifact,
    announced: Option<u64>,
    total: u64,
    digest: Sha256,
) -> Result<String, AttemptError> {
    // The server's word, and that of the source, which need not be the same.
    let reported = [announced, artifact.size];
    if let Some(announced) = reported
        .into_iter()
        .flatten()
        .find(|reported| *reported != total)
    {
        return Err(AttemptError::retry(format!(
            "{total} bytes came, {announced} were announced"
        )));
    }
    let sha256 = hex(&digest.finalize());
    match &artifact.sha256 {
        Some(expected) if !expected.eq_ignore_ascii_case(&sha256) => Err(AttemptError::retry(
            "the file's sha256 is not the one announced".to_owned(),
        )),
        _ => Ok(sha256),
    }
}
