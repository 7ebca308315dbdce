//! Brings an artifact from its link to every sink: streamed, measured and hashed on the way.
//!
//! One download feeds all sinks. Nothing is held in memory but a few frames
//! and, for each sink, the part that is being collected.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Seek, Write},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use sha2::{Digest, Sha256};
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::{
    archive::{Archive, ArchiveError, Entry, Listed, is_index, safe},
    clock::Clock,
    grant::{Allow, passing, redacted},
    queue::{Contents, Object, Queue, day},
    sandbox::{Artifact, ArtifactKey, Container, hex},
    sink::{Body, ObjectInfo, Sink, SinkError},
};

/// Memory that objects on their way to sinks may take in all, in KiB.
const BUDGET: u32 = 48 << 10;
/// What one object on its way to one sink takes at most, in KiB.
const SHARE: u64 = 16 << 10;
/// How often a download is begun before its link counts as useless.
const TRIES: u32 = 4;
/// How long a server may keep silent.
const SILENCE: Duration = Duration::from_secs(60);

/// How a sink wants archives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Zip {
    /// Each file in it an object of its own.
    #[default]
    Unpack,
    /// As it was delivered.
    Keep,
}

/// A sink and how it wants archives.
#[derive(Clone, Debug)]
pub struct Output {
    /// The sink's name in the configuration.
    pub name: String,
    /// The sink.
    pub sink: Arc<dyn Sink>,
    /// How it wants archives.
    pub zip: Zip,
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
    /// A sink did not take it.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The host's own folder or queue failed.
    #[error("{0}")]
    Host(String),
}

/// Delivers artifacts.
#[derive(Debug)]
pub struct Transfer {
    client: reqwest::Client,
    allow: Allow,
    outputs: Vec<Output>,
    queue: Queue,
    spool: PathBuf,
    clock: Clock,
    budget: Semaphore,
}

/// A file that is being delivered: what the rows will say of it.
#[derive(Clone, Debug)]
struct Target {
    conversation: String,
    recording: String,
    key: String,
    content_type: String,
}

impl Transfer {
    /// Delivers from the origins of `allow` to `outputs`; archives are spooled in `spool`.
    #[must_use]
    pub fn new(
        client: reqwest::Client,
        allow: Allow,
        outputs: Vec<Output>,
        queue: Queue,
        spool: PathBuf,
        clock: Clock,
    ) -> Self {
        Transfer {
            client,
            allow,
            outputs,
            queue,
            spool,
            clock,
            budget: Semaphore::new(BUDGET as usize),
        }
    }

    /// Delivers an artifact to every sink and returns what was in it.
    ///
    /// # Errors
    /// [`TransferError`] says whether a fresh link may help.
    pub async fn deliver(&self, artifact: &Artifact) -> Result<Contents, TransferError> {
        let mut tried = 0;
        loop {
            tried += 1;
            let result = match &artifact.container {
                Container::Single => self.single(artifact).await,
                Container::Zip | Container::ZipBundle(_) => self.archive(artifact).await,
            };
            match result {
                Err(Attempt::Again(reason)) if tried < TRIES => {
                    let _ = reason;
                    self.clock.sleep(Duration::from_millis(300 << tried)).await;
                }
                Err(Attempt::Again(reason)) => return Err(TransferError::Link(reason)),
                Err(Attempt::Never(error)) => return Err(error),
                Ok(contents) => return Ok(contents),
            }
        }
    }

    async fn open(&self, artifact: &Artifact) -> Result<reqwest::Response, Attempt> {
        let url = self
            .allow
            .media(&artifact.fetch.url)
            .map_err(TransferError::from)?;
        if artifact.fetch.authenticated {
            return Err(TransferError::Host(
                "downloads with the run's credentials are not supported".to_owned(),
            )
            .into());
        }
        let mut request = self.client.get(url);
        for (name, value) in &artifact.fetch.headers {
            request = request.header(name, value);
        }
        let response = tokio::time::timeout(SILENCE, request.send())
            .await
            .map_err(|_| Attempt::Again("the media server did not answer".to_owned()))?
            .map_err(|error| Attempt::Again(redacted(&error)))?;
        let status = response.status();
        if status == reqwest::StatusCode::OK {
            Ok(response)
        } else if passing(status) {
            Err(Attempt::Again(format!(
                "the media server answered {status}"
            )))
        } else {
            Err(TransferError::Link(format!("the media server answered {status}")).into())
        }
    }

    async fn single(&self, artifact: &Artifact) -> Result<Contents, Attempt> {
        let ArtifactKey::Recording(key) = &artifact.key else {
            return Err(TransferError::Host("a single file has no owner".to_owned()).into());
        };
        let mut response = self.open(artifact).await?;
        let content_type = artifact
            .content_type
            .clone()
            .or_else(|| header(&response, "content-type"))
            .unwrap_or_else(|| "application/octet-stream".to_owned());
        let starts = self
            .queue
            .starts(vec![key.conversation.clone()])
            .await
            .map_err(host)?;
        let start = starts.get(&key.conversation).copied().unwrap_or_default();
        let target = Target {
            conversation: key.conversation.clone(),
            recording: key.recording.clone(),
            key: format!(
                "{}.{}",
                stem(start, &key.conversation, &key.recording, key.part),
                extension(&content_type)
            ),
            content_type,
        };
        let size = response.content_length().or(artifact.size);
        let outputs: Vec<&Output> = self.outputs.iter().collect();
        let _held = self.hold(size, outputs.len()).await;
        let (feeds, puts) = self.puts(&outputs, &target, size);
        let download = async {
            let mut digest = Sha256::new();
            let mut total = 0;
            loop {
                let chunk = tokio::time::timeout(SILENCE, response.chunk())
                    .await
                    .map_err(|_| Attempt::Again("the media server fell silent".to_owned()))?
                    .map_err(|error| Attempt::Again(redacted(&error)))?;
                let Some(chunk) = chunk else { break };
                digest.update(&chunk);
                total += chunk.len() as u64;
                let sent = join_all(feeds.iter().map(|feed| feed.send(chunk.clone()))).await;
                if sent.iter().all(Result::is_err) {
                    break;
                }
            }
            let sha256 = checked(artifact, size, total, digest)?;
            join_all(feeds.into_iter().map(super::sink::Feed::end)).await;
            Ok::<_, Attempt>((total, sha256))
        };
        // Feeds that are dropped on an error make every sink drop what it has.
        let (downloaded, stored) = tokio::join!(download, join_all(puts));
        let mut sink_error = None;
        for result in stored {
            if let Err(error) = result {
                sink_error.get_or_insert(error);
            }
        }
        let (size, sha256) = match (downloaded, sink_error) {
            (Err(Attempt::Again(reason)), Some(error)) if error.reason.contains("broke off") => {
                return Err(Attempt::Again(reason));
            }
            (_, Some(error)) => return Err(error.into()),
            (Err(error), None) => return Err(error),
            (Ok(done), None) => done,
        };
        Ok(Contents {
            objects: outputs
                .iter()
                .map(|output| (output.name.clone(), target.object(size, &sha256)))
                .collect(),
            missing: Vec::new(),
        })
    }

    async fn archive(&self, artifact: &Artifact) -> Result<Contents, Attempt> {
        let (file, size, sha256) = self.spool(artifact).await?;
        let mut objects = Vec::new();
        let keep: Vec<&Output> = self.with_zip(Zip::Keep);
        let unpack: Vec<&Output> = self.with_zip(Zip::Unpack);
        let copy = file.try_clone().map_err(host)?;
        let opened = spawn_blocking(move || {
            let mut archive = Archive::open(copy)?;
            let entries = archive.entries()?;
            Ok::<_, ArchiveError>((archive, entries))
        })
        .await
        .map_err(host)?;
        let bundle = matches!(artifact.container, Container::ZipBundle(_));
        let (archive, entries) = match opened {
            Ok((archive, entries)) => (Some(archive), entries),
            // A broken zip of one recording is kept as it came; a bundle must be had anew.
            Err(error) if bundle => return Err(TransferError::Link(error.to_string()).into()),
            Err(_) => (None, Vec::new()),
        };
        let (archive, targets, missing) = self.targets(artifact, archive, &entries).await?;
        let whole = self.whole(artifact).await?;
        let damaged = archive.is_none();
        let wanting: Vec<&Output> = if damaged {
            keep.iter().chain(&unpack).copied().collect()
        } else {
            keep
        };
        if !wanting.is_empty() {
            self.put_file(&wanting, &whole, file, size).await?;
            for output in &wanting {
                let name = &output.name;
                if bundle {
                    // One object for many conversations: each row names its file in it.
                    objects.extend(targets.iter().map(|(entry, target)| {
                        let mut object = whole.object(size, &sha256);
                        object.conversation.clone_from(&target.conversation);
                        object.recording.clone_from(&target.recording);
                        object.member = Some(entry.name.clone());
                        (name.clone(), object)
                    }));
                } else {
                    objects.push((name.clone(), whole.object(size, &sha256)));
                }
            }
        }
        if let Some(mut archive) = archive
            && !unpack.is_empty()
        {
            for (entry, target) in targets {
                let mut nested = None;
                if bundle && target.content_type == "application/zip" {
                    (archive, nested) = self.nested(archive, &entry).await?;
                }
                let mut stored = Vec::new();
                if let Some((mut inner, entries)) = nested {
                    let stem = target.key.trim_end_matches(".zip");
                    for entry in entries {
                        let target = Target {
                            key: format!("{stem}/{}", entry.safe_name),
                            content_type: content_type(&entry.name).to_owned(),
                            ..target.clone()
                        };
                        let (back, object) = self.put_entry(&unpack, inner, entry, &target).await?;
                        inner = back;
                        stored.push(object);
                    }
                } else {
                    let (back, object) = self.put_entry(&unpack, archive, entry, &target).await?;
                    archive = back;
                    stored.push(object);
                }
                for output in &unpack {
                    let named = stored
                        .iter()
                        .map(|object| (output.name.clone(), object.clone()));
                    objects.extend(named);
                }
            }
        }
        Ok(Contents { objects, missing })
    }

    fn with_zip(&self, zip: Zip) -> Vec<&Output> {
        self.outputs
            .iter()
            .filter(|output| output.zip == zip)
            .collect()
    }

    /// Downloads an archive into an unnamed file.
    async fn spool(&self, artifact: &Artifact) -> Result<(File, u64, String), Attempt> {
        let mut response = self.open(artifact).await?;
        let announced = response.content_length().or(artifact.size);
        let folder = self.spool.clone();
        let mut file = spawn_blocking(move || crate::archive::spool(&folder))
            .await
            .map_err(host)?
            .map_err(host)?;
        let mut digest = Sha256::new();
        let mut total = 0;
        loop {
            let chunk = tokio::time::timeout(SILENCE, response.chunk())
                .await
                .map_err(|_| Attempt::Again("the media server fell silent".to_owned()))?
                .map_err(|error| Attempt::Again(redacted(&error)))?;
            let Some(chunk) = chunk else { break };
            digest.update(&chunk);
            total += chunk.len() as u64;
            file = spawn_blocking(move || file.write_all(&chunk).map(|()| file))
                .await
                .map_err(host)?
                .map_err(host)?;
        }
        let sha256 = checked(artifact, announced, total, digest)?;
        file.rewind().map_err(host)?;
        Ok((file, total, sha256))
    }

    /// The object that an archive is when it is kept.
    async fn whole(&self, artifact: &Artifact) -> Result<Target, Attempt> {
        let (conversation, recording, stem) = match &artifact.key {
            ArtifactKey::Bundle(id) => (
                String::new(),
                String::new(),
                format!("bundles/{}", safe(id)),
            ),
            ArtifactKey::Recording(key) => {
                let id = key.conversation.clone();
                let starts = self.queue.starts(vec![id.clone()]).await.map_err(host)?;
                let start = starts.get(&id).copied().unwrap_or_default();
                let stem = stem(start, &id, &key.recording, key.part);
                (id, key.recording.clone(), stem)
            }
        };
        Ok(Target {
            conversation,
            recording,
            key: format!("{stem}.zip"),
            content_type: "application/zip".to_owned(),
        })
    }

    /// Which object each file of an archive becomes, and what its index says is missing.
    async fn targets(
        &self,
        artifact: &Artifact,
        archive: Option<Archive>,
        entries: &[Entry],
    ) -> Result<(Option<Archive>, Vec<(Entry, Target)>, Vec<Missing>), Attempt> {
        let Some(mut archive) = archive else {
            return Ok((None, Vec::new(), Vec::new()));
        };
        match (&artifact.key, &artifact.container) {
            (ArtifactKey::Bundle(_), Container::ZipBundle(index)) => {
                let (index, list) = (index.clone(), entries.to_vec());
                let (archive, listed) = spawn_blocking(move || {
                    let listed = archive.listed(&list, &index)?;
                    Ok::<_, ArchiveError>((archive, listed))
                })
                .await
                .map_err(host)?
                .map_err(|error| TransferError::Link(error.to_string()))?;
                let ids = listed
                    .owners
                    .values()
                    .map(|owner| owner.conversation.clone())
                    .collect();
                let starts = self.queue.starts(ids).await.map_err(host)?;
                let targets = bundle_targets(entries, &listed, &starts);
                let missing = listed
                    .missing
                    .into_iter()
                    .map(|(conversation, reason)| {
                        (conversation, "not-in-bundle".to_owned(), reason)
                    })
                    .collect();
                Ok((Some(archive), targets, missing))
            }
            (ArtifactKey::Recording(key), _) => {
                let id = vec![key.conversation.clone()];
                let starts = self.queue.starts(id).await.map_err(host)?;
                let start = starts.get(&key.conversation).copied().unwrap_or_default();
                let stem = stem(start, &key.conversation, &key.recording, key.part);
                let targets = entries.iter().map(|entry| {
                    let target = Target {
                        conversation: key.conversation.clone(),
                        recording: key.recording.clone(),
                        key: format!("{stem}/{}", entry.safe_name),
                        content_type: content_type(&entry.name).to_owned(),
                    };
                    (entry.clone(), target)
                });
                Ok((Some(archive), targets.collect(), Vec::new()))
            }
            (ArtifactKey::Bundle(_), _) => Ok((Some(archive), Vec::new(), Vec::new())),
        }
    }

    async fn put_file(
        &self,
        outputs: &[&Output],
        target: &Target,
        mut file: File,
        size: u64,
    ) -> Result<(), Attempt> {
        let _held = self.hold(Some(size), outputs.len()).await;
        let (feeds, puts) = self.puts(outputs, target, Some(size));
        let reader = spawn_blocking(move || -> io::Result<_> {
            use std::io::Read;
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
            join_all(feeds.into_iter().map(super::sink::Feed::end)).await;
            Ok::<_, TransferError>(())
        };
        let (read, stored) = tokio::join!(read, join_all(puts));
        for result in stored {
            result?;
        }
        Ok(read?)
    }

    async fn put_entry(
        &self,
        outputs: &[&Output],
        mut archive: Archive,
        entry: Entry,
        target: &Target,
    ) -> Result<(Archive, Object), Attempt> {
        let size = entry.size;
        let _held = self.hold(Some(size), outputs.len()).await;
        let (feeds, puts) = self.puts(outputs, target, Some(size));
        let unpacker = spawn_blocking(move || {
            let mut digest = Sha256::new();
            archive.unpack(&entry, |data| {
                digest.update(&data);
                feed_all(&feeds, &data)
            })?;
            Ok::<_, ArchiveError>((archive, feeds, hex(&digest.finalize())))
        });
        let unpack = async {
            let (archive, feeds, sha256) = unpacker
                .await
                .map_err(host)?
                .map_err(|error| TransferError::Link(error.to_string()))?;
            join_all(feeds.into_iter().map(super::sink::Feed::end)).await;
            Ok::<_, TransferError>((archive, sha256))
        };
        let (unpacked, stored) = tokio::join!(unpack, join_all(puts));
        let (archive, sha256) = unpacked?;
        for result in stored {
            result?;
        }
        Ok((archive, target.object(size, &sha256)))
    }

    /// Opens a zip inside a bundle, such as that of a chat; none if it is damaged.
    async fn nested(
        &self,
        mut archive: Archive,
        entry: &Entry,
    ) -> Result<(Archive, Option<(Archive, Vec<Entry>)>), Attempt> {
        let (folder, entry) = (self.spool.clone(), entry.clone());
        let opened = spawn_blocking(move || -> Result<_, TransferError> {
            let mut file = crate::archive::spool(&folder).map_err(host)?;
            let mut written = Ok(());
            archive
                .unpack(&entry, |data| {
                    written = file.write_all(&data);
                    written.is_ok()
                })
                .map_err(|error| TransferError::Link(error.to_string()))?;
            written.map_err(host)?;
            let inner = Archive::open(file).and_then(|mut inner| {
                let entries = inner.entries()?;
                Ok((inner, entries))
            });
            Ok((archive, inner.ok()))
        });
        Ok(opened.await.map_err(host)??)
    }

    /// Begins a put in each sink.
    fn puts<'a>(
        &self,
        outputs: &[&'a Output],
        target: &'a Target,
        size: Option<u64>,
    ) -> (
        Vec<crate::sink::Feed>,
        Vec<impl Future<Output = Result<(), SinkError>> + use<'a>>,
    ) {
        outputs
            .iter()
            .map(|output| {
                let (feed, body) = Body::channel();
                let info = ObjectInfo {
                    content_type: target.content_type.clone(),
                    size,
                };
                let sink = &output.sink;
                let put = async move { sink.put(&target.key, info, body).await.map(|_| ()) };
                (feed, put)
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

/// A recording that is not in a bundle: conversation, code, message.
type Missing = (String, String, String);

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

/// The caller keeps the recording in the queue if the sink stays away.
impl From<SinkError> for Attempt {
    fn from(error: SinkError) -> Self {
        Attempt::Never(TransferError::Sink(error))
    }
}

fn host(error: impl std::fmt::Display) -> TransferError {
    TransferError::Host(error.to_string())
}

fn header(response: &reqwest::Response, name: &str) -> Option<String> {
    Some(response.headers().get(name)?.to_str().ok()?.to_owned())
}

fn feed_all(feeds: &[crate::sink::Feed], data: &Bytes) -> bool {
    let mut open = false;
    for feed in feeds {
        open |= feed.send_blocking(data.clone()).is_ok();
    }
    open
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

fn bundle_targets(
    entries: &[Entry],
    listed: &Listed,
    starts: &BTreeMap<String, u64>,
) -> Vec<(Entry, Target)> {
    let mut parts = BTreeMap::<(String, String), u32>::new();
    let mut targets = Vec::new();
    for entry in entries {
        let Some(owner) = listed.owners.get(&entry.name) else {
            continue;
        };
        if is_index(entry) && owner.content_type.is_none() {
            continue;
        }
        let content_type = owner
            .content_type
            .clone()
            .unwrap_or_else(|| content_type(&entry.name).to_owned());
        let id = (owner.conversation.clone(), owner.recording.clone());
        let part = parts.entry(id).or_default();
        let start = starts.get(&owner.conversation).copied().unwrap_or_default();
        let stem = stem(start, &owner.conversation, &owner.recording, *part);
        *part += 1;
        targets.push((
            entry.clone(),
            Target {
                conversation: owner.conversation.clone(),
                recording: owner.recording.clone(),
                key: format!("{stem}.{}", extension(&content_type)),
                content_type,
            },
        ));
    }
    targets
}

impl Target {
    fn object(&self, size: u64, sha256: &str) -> Object {
        Object {
            conversation: self.conversation.clone(),
            recording: self.recording.clone(),
            key: self.key.clone(),
            member: None,
            content_type: self.content_type.clone(),
            size,
            sha256: sha256.to_owned(),
        }
    }
}

/// `recordings/{yyyy}/{mm}/{dd}/{conversation}/{recording}[.{part}]`
fn stem(start: u64, conversation: &str, recording: &str, part: u32) -> String {
    let part = if part == 0 {
        String::new()
    } else {
        format!(".{part}")
    };
    format!(
        "recordings/{}/{}/{}{part}",
        day(start).replace('-', "/"),
        safe(conversation),
        safe(recording)
    )
}

const TYPES: &[(&str, &str)] = &[
    ("audio/ogg", "ogg"),
    ("audio/opus", "opus"),
    ("audio/wav", "wav"),
    ("audio/x-wav", "wav"),
    ("audio/wave", "wav"),
    ("audio/vnd.wave", "wav"),
    ("audio/mpeg", "mp3"),
    ("audio/mp3", "mp3"),
    ("audio/webm", "webm"),
    ("video/webm", "webm"),
    ("video/mp4", "mp4"),
    ("application/zip", "zip"),
    ("application/json", "json"),
    ("message/rfc822", "eml"),
    ("text/plain", "txt"),
    ("text/html", "html"),
];

/// The extension for a MIME type.
fn extension(content_type: &str) -> &'static str {
    let plain = content_type.split(';').next().unwrap_or_default().trim();
    TYPES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(plain))
        .map_or("bin", |(_, extension)| extension)
}

/// The MIME type for a file name.
fn content_type(name: &str) -> &'static str {
    let extension = name.rsplit('.').next().unwrap_or_default();
    TYPES
        .iter()
        .find(|(_, known)| known.eq_ignore_ascii_case(extension))
        .map_or("application/octet-stream", |(name, _)| name)
}
