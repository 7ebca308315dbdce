//! Brings an artifact from its link to every sink: streamed, measured and hashed on the way.
//!
//! One download feeds all sinks. Nothing is held in memory but a few frames
//! and, for each sink, the part that is being collected.

mod download;
mod length;
mod name;
mod target;
mod transcoded;
mod unpack;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt, join_all};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use download::Download;
pub(crate) use length::length;
use name::extension;
use target::{Name, Target};

use crate::{
    archive::Spool,
    clock::Clock,
    grant::{Allow, Login},
    layout::Layout,
    metadata,
    pushback::Pushback,
    queue::{Contents, Known, Queue},
    route::Route,
    sandbox::{Artifact, ArtifactKey, Container, hex},
    sink::{Body, ObjectInfo, Sink, SinkError, Stored},
    transcode,
};

/// Memory that objects on their way to sinks may take in all, in KiB.
const BUDGET: u32 = 48 << 10;
/// What one object on its way to one sink takes at most, in KiB.
const SHARE: u64 = 16 << 10;
/// How often a download is begun before its link counts as useless.
const TRIES: u32 = 4;
/// The MIME type of archives.
const ZIP: &str = "application/zip";
/// How long a server may keep silent.
const SILENCE: Duration = Duration::from_secs(60);

/// How a sink wants archives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Zip {
    /// Each file in it an object of its own.
    #[default]
    Unpack,
    /// As it was delivered.
    Keep,
    /// Both.
    Both,
}

/// A sink, what it takes, and how it wants that.
#[derive(Clone, Debug)]
pub struct Output {
    /// The sink's name in the configuration.
    pub name: String,
    /// The sink.
    pub sink: Arc<dyn Sink>,
    /// How it wants archives.
    pub zip: Zip,
    /// How it wants recordings, if not as they are.
    pub transcode: Option<transcode::Settings>,
    /// How it wants rows.
    pub metadata: metadata::Settings,
    /// What it takes.
    pub route: Route,
    /// Where the media lie in it.
    pub layout: Layout,
    /// What tells it from other sinks where it cannot be read, such as its URL; none if nothing does.
    pub place: Option<String>,
}

impl Output {
    /// A sink that takes everything, in the ways that are the default.
    #[must_use]
    pub fn new(name: &str, sink: Arc<dyn Sink>) -> Self {
        Output {
            name: name.to_owned(),
            sink,
            zip: Zip::default(),
            transcode: None,
            metadata: metadata::Settings::default(),
            route: Route::default(),
            layout: Layout::default(),
            place: None,
        }
    }
}

/// Why an artifact was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The link does not work, or works no longer: a fresh one may.
    #[error("{0}")]
    Link(String),
    /// The link leads somewhere that the run may not go to.
    #[error(transparent)]
    Refused(#[from] crate::grant::AllowError),
    /// The host's own folder or queue failed.
    #[error("{0}")]
    Host(String),
}

/// What came of an artifact.
#[derive(Debug, Default)]
pub struct Delivery {
    /// What was in it, and the objects in the sinks that took all of it.
    pub contents: Contents,
    /// The sinks that did not, by name.
    pub failed: Vec<(String, SinkError)>,
}

impl Delivery {
    /// Notes what came of a put of `target` in each of `outputs`, which get no more once they fail.
    /// `whole` are the size and sha256 of what was put, unless no sink read it to the end.
    fn note(
        &mut self,
        outputs: &[&Output],
        stored: Vec<Result<Stored, SinkError>>,
        target: &Target,
        whole: Option<(u64, String)>,
    ) -> Result<(), TransferError> {
        for (output, stored) in outputs.iter().zip(stored) {
            match (stored, &whole) {
                (Err(error), _) => self.failed.push((output.name.clone(), error)),
                (Ok(stored), Some((size, sha256))) => {
                    let mut object = target.object(&output.layout, *size, sha256);
                    object.etag = stored.etag;
                    if let Some(sealed) = stored.sealed {
                        object.key = sealed.key;
                        object.stored = Some((sealed.size, sealed.sha256));
                    }
                    self.contents.objects.push((output.name.clone(), object));
                }
                (Ok(_), None) => {
                    return Err(host("a sink stopped reading and called it a success"));
                }
            }
        }
        Ok(())
    }

    /// Those of `outputs` that have not failed.
    fn sound<'a>(&self, outputs: &[&'a Output]) -> Vec<&'a Output> {
        let mut sound = outputs.to_vec();
        sound.retain(|output| !self.has_failed(&output.name));
        sound
    }

    fn has_failed(&self, sink: &str) -> bool {
        self.failed.iter().any(|(failed, _)| failed == sink)
    }
}

/// Delivers artifacts.
#[derive(Debug)]
pub struct Transfer {
    client: reqwest::Client,
    allow: Allow,
    login: Arc<Login>,
    queue: Queue,
    spool: Spool,
    /// What is made of recordings has room of its own, so that it never waits for downloads.
    transcodes: Spool,
    clock: Clock,
    budget: Semaphore,
    /// What origins of media ask for.
    pushback: Pushback,
    /// The MD5 of downloads that did not agree with their entity tags, by artifact.
    doubtful: Mutex<HashMap<String, [u8; 16]>>,
}

impl Transfer {
    /// Delivers from the origins of `allow`; archives are spooled in `spool`.
    #[must_use]
    pub fn new(
        client: reqwest::Client,
        allow: Allow,
        queue: Queue,
        spool: PathBuf,
        clock: Clock,
    ) -> Self {
        Transfer {
            client,
            allow,
            login: Arc::new(Login::None),
            queue,
            transcodes: Spool::new(spool.clone()),
            spool: Spool::new(spool),
            clock,
            budget: Semaphore::new(BUDGET as usize),
            pushback: Pushback::default(),
            doubtful: Mutex::default(),
        }
    }

    /// Makes downloads that need the source's credentials as `login`; only origins that its requests
    /// may reach get them.
    #[must_use]
    pub fn login(mut self, login: Arc<Login>) -> Self {
        self.login = login;
        self
    }

    /// Delivers an artifact to some sinks. One that fails does not stop the others.
    ///
    /// # Errors
    /// [`TransferError`] says whether a fresh link may help.
    pub async fn deliver(
        &self,
        artifact: &Artifact,
        outputs: &[&Output],
    ) -> Result<Delivery, TransferError> {
        let mut tried = 0;
        loop {
            tried += 1;
            let result = match &artifact.container {
                Container::Single => self.single(artifact, outputs).await,
                Container::Zip | Container::ZipBundle(_) => self.archive(artifact, outputs).await,
            };
            match result {
                Err(Attempt::Again(_)) if tried < TRIES => {
                    self.pause(tried).await;
                }
                Err(Attempt::Again(reason)) => return Err(TransferError::Link(reason)),
                Err(Attempt::Never(error)) => return Err(error),
                Ok(mut delivery) => {
                    // A sink that failed half-way gets all of it again.
                    let Delivery { contents, failed } = &mut delivery;
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
    pub fn pushed_back(&self) -> u64 {
        self.pushback.count()
    }

    /// Waits before try number `tried + 1`.
    async fn pause(&self, tried: u32) {
        self.clock.sleep(Duration::from_millis(300 << tried)).await;
    }

    async fn single(&self, artifact: &Artifact, outputs: &[&Output]) -> Result<Delivery, Attempt> {
        let ArtifactKey::Recording(key) = &artifact.key else {
            return Err(TransferError::Host("a single file has no owner".to_owned()).into());
        };
        let known = self.known(&key.conversation).await?;
        let takes = |output: &&&Output| output.route.takes_media(known.record.as_ref());
        let wanting: Vec<&Output> = outputs.iter().filter(takes).copied().collect();
        if wanting.is_empty() {
            return Ok(Delivery::default());
        }
        let target = |content_type: String| Target {
            name: Name::Whole(extension(&content_type).to_owned()),
            content_type,
            ..Target::of(key, &known)
        };
        let told = artifact.content_type.as_deref();
        if let Some(kind) = told.filter(|kind| transcoded::wanted(&wanting, kind)) {
            let target = target(kind.to_owned());
            return self.transcoded(artifact, &wanting, &target).await;
        }
        let mut download = Download::begin(self, artifact).await?;
        let mut next = download.next().await?;
        let told = [artifact.content_type.clone(), download.content_type()];
        let content_type = name::settle(told, next.as_deref().unwrap_or_default());
        if content_type == ZIP && artifact.content_type.as_deref() != Some(ZIP) {
            // The source did not know that it is an archive.
            return self.archive(artifact, outputs).await;
        }
        let target = target(content_type);
        if transcoded::wanted(&wanting, &target.content_type) {
            // The source did not know what it is.
            drop(download);
            return self.transcoded(artifact, &wanting, &target).await;
        }
        let size = download.size;
        let _held = self.hold(size, wanting.len()).await;
        let (feeds, puts) = self.puts(&wanting, &target, size, false);
        let feeding = async {
            let mut digest = Sha256::new();
            let mut total = 0;
            while let Some(data) = next {
                digest.update(&data);
                total += data.len() as u64;
                let sent = join_all(feeds.iter().map(|feed| feed.send(data.clone()))).await;
                if sent.iter().all(Result::is_err) {
                    // The sinks say why.
                    return Ok(None);
                }
                next = download.next().await?;
            }
            let sha256 = checked(artifact, size, total, digest)?;
            join_all(feeds.into_iter().map(super::sink::Feed::end)).await;
            Ok::<_, Attempt>(Some((total, sha256)))
        };
        // Feeds that are dropped on an error make every sink drop what it has.
        let (fed, stored) = tokio::join!(feeding, join_all(puts));
        let mut delivery = Delivery::default();
        delivery.note(&wanting, stored, &target, fed?)?;
        Ok(delivery)
    }

    /// What the queue knows of a conversation.
    async fn known(&self, conversation: &str) -> Result<Known, TransferError> {
        let mut known = self
            .queue
            .known(vec![conversation.to_owned()])
            .await
            .map_err(host)?;
        Ok(known.remove(conversation).unwrap_or_default())
    }

    /// Begins a put in each sink; `replace` is that of [`ObjectInfo`].
    fn puts<'a>(
        &'a self,
        outputs: &[&'a Output],
        target: &'a Target,
        size: Option<u64>,
        replace: bool,
    ) -> (
        Vec<crate::sink::Feed>,
        Vec<BoxFuture<'a, Result<Stored, SinkError>>>,
    ) {
        outputs
            .iter()
            .map(|&output| {
                let (feed, body) = Body::channel();
                let info = ObjectInfo {
                    content_type: target.content_type.clone(),
                    size,
                    replace,
                    clear: false,
                };
                let key = target.key(&output.layout);
                let put = async move { output.sink.put(&key, info, body).await };
                (feed, put.boxed())
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

/// How an attempt ended.
enum Attempt {
    /// Another attempt with the same link may succeed.
    Again(String),
    /// It cannot.
    Never(TransferError),
}

impl From<TransferError> for Attempt {
    fn from(error: TransferError) -> Self {
        Attempt::Never(error)
    }
}

fn host(error: impl std::fmt::Display) -> TransferError {
    TransferError::Host(error.to_string())
}

/// Compares what came with what was announced, and returns the digest.
fn checked(
    artifact: &Artifact,
    announced: Option<u64>,
    total: u64,
    digest: Sha256,
) -> Result<String, Attempt> {
    if announced.is_some_and(|announced| announced != total) {
        return Err(Attempt::Again(format!(
            "{total} bytes came, {} were announced",
            announced.unwrap_or_default()
        )));
    }
    let sha256 = hex(&digest.finalize());
    match &artifact.sha256 {
        Some(expected) if !expected.eq_ignore_ascii_case(&sha256) => Err(Attempt::Again(
            "the file's sha256 is not the one announced".to_owned(),
        )),
        _ => Ok(sha256),
    }
}
