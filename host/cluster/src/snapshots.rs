//! Snapshots of a queue, compressed and in parts, with a list of the newest two.
//!
//! The parts of a snapshot are the messages of a subject of its own. The list is one message, and is changed by
//! compare-and-set once all parts are stored: a reader finds the whole of what the list has. Parts that no list has,
//! since whoever stored them was stopped, are removed by the next one whose snapshot is newer than theirs.
//!
//! The servers' own object stores are not used: their list has no compare-and-set, a part that fails once fails the
//! snapshot, and what is read may come from a server that is behind.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    path::Path,
};

use async_nats::jetstream::stream::Stream;
use bytes::Bytes;
use recording_host_state::{QueueError, Snapshot};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use super::{
    ClusterError, Fleet,
    compression::LEVEL,
    connection::Try,
    messages::Message,
    publish::{Put, Stored, new_id},
    settings::token,
    streams::StreamUse,
};

/// The bytes of a part.
const PART: u64 = 512 << 10;
/// The header with the number of a part, from 1 on.
const PART_NUMBER: &str = "Recording-Host-Part";
/// The version of the list's format.
const VERSION: u32 = 1;
/// Snapshots that are kept: one may still be read while the next is stored.
const KEPT: usize = 2;
/// How often the newest snapshot is read until it is still there when that is done.
const TRIES: usize = 4;

/// The snapshots of an export's queue.
#[derive(Debug)]
pub(super) struct Snapshots {
    fleet: Fleet,
    stream: Stream<()>,
    export: String,
}

/// The newest snapshots, the newest first.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct List {
    v: u32,
    pub(super) snapshots: Vec<Kept>,
}

/// A snapshot that is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) number: u64,
    journal: String,
    /// What distinguishes its parts from those of others.
    id: String,
    /// The bytes of its file.
    bytes: u64,
    parts: u64,
    /// The sequence of its last part.
    last: u64,
}

impl Kept {
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            number: self.number,
            journal: self.journal.clone(),
        }
    }
}

impl Snapshots {
    pub(super) async fn new(fleet: &Fleet, export: &str) -> Result<Self, ClusterError> {
        Ok(Snapshots {
            stream: fleet.stream(StreamUse::Snapshots).await?,
            fleet: fleet.clone(),
            export: token(export),
        })
    }

    fn subject(&self, what: &str) -> String {
        StreamUse::Snapshots.subject(&self.fleet.settings, what)
    }

    fn list_subject(&self) -> String {
        self.subject(&format!("list.{}", self.export))
    }

    /// Of the parts of a snapshot; both may be wildcards.
    fn parts_subject(&self, number: &str, id: &str) -> String {
        self.subject(&format!("part.{}.{number}.{id}", self.export))
    }

    fn unreadable(&self, reason: String) -> ClusterError {
        ClusterError::Unreadable {
            what: format!("the snapshot at {}", self.list_subject()),
            reason,
        }
    }

    /// The list, and its sequence.
    async fn listed(&self) -> Result<(Vec<Kept>, u64), ClusterError> {
        let subject = self.list_subject();
        let Some(message) = self.fleet.last(&self.stream, &subject).await? else {
            return Ok((Vec::new(), 0));
        };
        let list: List = serde_json::from_slice(&message.payload)
            .map_err(|error| self.unreadable(error.to_string()))?;
        match list.v > VERSION {
            true => Err(ClusterError::OtherVersion {
                what: format!("the list of snapshots at {subject}"),
                version: list.v,
            }),
            false => Ok((list.snapshots, message.sequence)),
        }
    }

    pub(super) async fn newest(&self) -> Result<Option<Snapshot>, ClusterError> {
        let (list, _) = self.listed().await?;
        Ok(list.first().map(Kept::snapshot))
    }

    /// Stores a snapshot unless one is as new; returns the number up to which entries are needed by none.
    pub(super) async fn keep(
        &self,
        snapshot: &Snapshot,
        file: &Path,
    ) -> Result<Option<u64>, QueueError> {
        let newest = self.newest().await?;
        if !snapshot.follows(newest.as_ref())? {
            return Ok(None);
        }
        let id = new_id();
        let parts_subject = self.parts_subject(&snapshot.number.to_string(), &id);
        let listed = match self.store(snapshot, file, &id, &parts_subject).await {
            Ok(kept) => self.list(snapshot, &kept).await,
            Err(error) => Err(error.into()),
        };
        match listed {
            Ok(Some(list)) => {
                self.sweep(&list).await?;
                Ok(list.get(1).map(|it| it.number))
            }
            not_listed => {
                // Another time, if the servers are away: see above.
                let removed = self.fleet.remove(&self.stream, &parts_subject, None).await;
                not_listed?;
                removed?;
                Ok(None)
            }
        }
    }

    /// Stores the parts.
    async fn store(
        &self,
        snapshot: &Snapshot,
        file: &Path,
        id: &str,
        subject: &str,
    ) -> Result<Kept, ClusterError> {
        let failed = |error| unusable(file, &error);
        let opened = File::open(file).map_err(failed)?;
        let bytes = opened.metadata().map_err(failed)?.len();
        let mut packer = zstd::stream::read::Encoder::new(opened, LEVEL).map_err(failed)?;
        packer.include_checksum(true).map_err(failed)?;
        let (mut parts, mut last) = (0, 0);
        loop {
            let packed = spawn_blocking(move || {
                let mut part = Vec::with_capacity(PART as usize);
                let read = packer.by_ref().take(PART).read_to_end(&mut part);
                read.map(|_| (packer, part))
            });
            let part;
            (packer, part) = done(packed).await.map_err(failed)?;
            if part.is_empty() {
                break;
            }
            parts += 1;
            last = self.put_part(subject, parts, part.into()).await?;
        }
        Ok(Kept {
            number: snapshot.number,
            journal: snapshot.journal.clone(),
            id: id.to_owned(),
            bytes,
            parts,
            last,
        })
    }

    /// Stores a part; it may then be there more than once.
    async fn put_part(&self, subject: &str, part: u64, bytes: Bytes) -> Result<u64, ClusterError> {
        let call = async || {
            let mut put = Put::new(subject, bytes.clone());
            put.headers.insert(PART_NUMBER, part.to_string());
            match self.fleet.put(put).await? {
                Stored::At(sequence) => Ok(Try::Done(sequence)),
                other => Ok(Try::Passing(format!("{other:?}"))),
            }
        };
        self.fleet
            .repeat(&format!("storing at {subject}"), call)
            .await
    }

    /// Adds a snapshot to the list, which is returned, unless one is as new.
    async fn list(
        &self,
        snapshot: &Snapshot,
        kept: &Kept,
    ) -> Result<Option<Vec<Kept>>, QueueError> {
        let subject = self.list_subject();
        let call = async || {
            let (mut list, sequence) = self.listed().await?;
            // An answer that did not come.
            if list.iter().any(|it| it.id == kept.id) {
                return Ok(Try::Done(Ok(Some(list))));
            }
            match snapshot.follows(list.first().map(Kept::snapshot).as_ref()) {
                Ok(true) => {}
                Ok(false) => return Ok(Try::Done(Ok(None))),
                Err(error) => return Ok(Try::Done(Err(error))),
            }
            list.retain(|it| it.journal == kept.journal);
            list.insert(0, kept.clone());
            list.truncate(KEPT);
            let list = List {
                v: VERSION,
                snapshots: list,
            };
            let text = serde_json::to_vec(&list).map_err(|it| self.unreadable(it.to_string()))?;
            let put = Put::new(subject.as_str(), text).after(sequence).alone();
            match self.fleet.put(put).await? {
                Stored::At(_) => Ok(Try::Done(Ok(Some(list.snapshots)))),
                other => Ok(Try::Passing(format!("{other:?}"))),
            }
        };
        self.fleet
            .repeat(&format!("storing at {subject}"), call)
            .await?
    }

    /// Removes the parts of snapshots that are not on a list, and not newer than it.
    async fn sweep(&self, list: &[Kept]) -> Result<(), ClusterError> {
        let newest = list.first().map_or(0, |it| it.number);
        let all = self.parts_subject("*", "*");
        for subject in self.fleet.subjects(&self.stream, &all).await? {
            let mut tokens = subject.rsplit('.');
            let (id, number) = (tokens.next(), tokens.next());
            let number: u64 = number.and_then(|it| it.parse().ok()).unwrap_or(u64::MAX);
            let is_listed = list.iter().any(|it| Some(it.id.as_str()) == id);
            // One with a higher number is perhaps being stored by whoever leads now.
            if !is_listed && number <= newest {
                self.fleet.remove(&self.stream, &subject, None).await?;
            }
        }
        Ok(())
    }

    /// Writes the newest snapshot into a file.
    pub(super) async fn restore(&self, to: &Path) -> Result<Option<Snapshot>, ClusterError> {
        for _ in 0..TRIES {
            let (list, _) = self.listed().await?;
            let Some(newest) = list.first() else {
                return Ok(None);
            };
            if self.load(newest, to).await? {
                return Ok(Some(newest.snapshot()));
            }
        }
        Err(self.unreadable("parts of it are missing".to_owned()))
    }

    /// Writes a snapshot into a file; returns false if it is no longer there.
    async fn load(&self, kept: &Kept, to: &Path) -> Result<bool, ClusterError> {
        let failed = |error| unusable(to, &error);
        let subject = self.parts_subject(&kept.number.to_string(), &kept.id);
        let file = File::options().write(true).truncate(true).open(to);
        let file = file.map_err(failed)?;
        let mut unpacker = zstd::stream::write::Decoder::new(file).map_err(failed)?;
        let (mut from, mut part) = (0, 0);
        while part < kept.parts {
            let fleet = &self.fleet;
            let read = fleet.messages(&self.stream, &subject, from, kept.last);
            let (read, mut payloads) = (read.await?, Vec::new());
            if read.is_empty() {
                return Ok(false);
            }
            for message in read {
                from = message.sequence + 1;
                match self.part_number(&message)? {
                    it if it == part + 1 => payloads.push(message.payload),
                    // It was stored twice.
                    it if it <= part => continue,
                    _ => return Ok(false),
                }
                part += 1;
            }
            let unpacked = spawn_blocking(move || {
                for payload in payloads {
                    unpacker.write_all(&payload)?;
                }
                Ok(unpacker)
            });
            unpacker = done(unpacked).await.map_err(failed)?;
        }
        unpacker.flush().map_err(failed)?;
        let bytes = unpacker.into_inner().metadata().map_err(failed)?.len();
        match bytes == kept.bytes {
            true => Ok(true),
            false => {
                let expected = kept.bytes;
                let reason = format!("it has {bytes} bytes and not {expected}");
                Err(self.unreadable(reason))
            }
        }
    }

    fn part_number(&self, message: &Message) -> Result<u64, ClusterError> {
        let number = message.headers.get(PART_NUMBER);
        let number = number.and_then(|it| it.as_str().parse().ok());
        number.ok_or_else(|| self.unreadable("a part has no number".to_owned()))
    }
}

/// The result of what a thread has done that may block.
async fn done<T>(job: tokio::task::JoinHandle<std::io::Result<T>>) -> std::io::Result<T> {
    job.await.map_err(std::io::Error::other)?
}

fn unusable(path: &Path, error: &std::io::Error) -> ClusterError {
    ClusterError::Unreadable {
        what: path.display().to_string(),
        reason: error.to_string(),
    }
}
