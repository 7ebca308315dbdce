//! The journal of an export's ledger: the messages of one subject, each stored only if the one that the node knows is
//! still the last.
//!
//! An entry is compressed, and divided into parts where it is larger than a message may be: these are stored all or
//! none. A header has the entry's number.

use async_nats::{
    HeaderMap,
    jetstream::{
        consumer::{DeliverPolicy, pull::OrderedConfig},
        stream::Stream,
    },
};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::{
    sync::Mutex,
    time::{Duration, timeout},
};

use recording_host_state::{Journal, QueueError};

use super::{
    ClusterError, Fleet,
    compression::{compressed, unpacked},
    connection::Try,
    publish::{MOST_AT_ONCE, Put, Stored, WRITE, is_of, new_id},
    settings::token,
    streams::StreamUse,
};

/// The bytes of a part, at most.
const PART: usize = 512 << 10;
/// The header with the number of an entry.
const ENTRY: &str = "Recording-Host-Entry";
/// The header that says that another part of the entry follows.
const MORE: &str = "Recording-Host-More";
/// Entries that are read at once, at most.
const MOST: usize = 1000;
/// How long the next message is waited for that is known to be there.
const WAIT: Duration = Duration::from_secs(5);

/// The journal of an export, in a stream that all nodes of the fleet read.
#[derive(Debug)]
pub struct FleetJournal {
    fleet: Fleet,
    stream: Stream<()>,
    subject: String,
    /// An entry, and the sequence of its last message.
    known: Mutex<Place>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    number: u64,
    sequence: u64,
}

/// A message: an entry, or a part of it.
struct Part {
    sequence: u64,
    headers: HeaderMap,
    payload: Bytes,
}

impl FleetJournal {
    /// That of an export.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn new(fleet: &Fleet, export: &str) -> Result<Self, ClusterError> {
        Ok(FleetJournal {
            stream: fleet.stream(StreamUse::Journal).await?,
            subject: StreamUse::Journal.subject(&fleet.settings, &token(export)),
            fleet: fleet.clone(),
            known: Mutex::default(),
        })
    }

    /// The last entry.
    async fn last_place(&self) -> Result<Place, ClusterError> {
        match self.fleet.last(&self.stream, &self.subject).await? {
            Some(message) => Ok(Place {
                number: self.number(&message.headers)?,
                sequence: message.sequence,
            }),
            None => Ok(Place::default()),
        }
    }

    fn number(&self, headers: &HeaderMap) -> Result<u64, ClusterError> {
        let number = headers.get(ENTRY).and_then(|it| it.as_str().parse().ok());
        number.ok_or_else(|| self.unreadable("it has no number"))
    }

    /// Checks that no entry is missing between two.
    fn follows(&self, before: u64, number: u64) -> Result<(), ClusterError> {
        match number == before + 1 {
            true => Ok(()),
            false => {
                let reason = format!("entry {number} follows entry {before}");
                Err(self.unreadable(&reason))
            }
        }
    }

    fn unreadable(&self, reason: &str) -> ClusterError {
        ClusterError::Unreadable {
            what: format!("a message at {}", self.subject),
            reason: reason.to_owned(),
        }
    }

    /// Stores an entry after a place; returns its own, or none if another entry is there.
    async fn put(&self, after: Place, entry: &[u8]) -> Result<Option<Place>, ClusterError> {
        let (write, number) = (new_id(), after.number + 1);
        let payload = compressed(&self.subject, entry)?;
        let parts = payload.chunks(PART).map(|part| payload.slice_ref(part));
        let parts: Vec<_> = parts.collect();
        if parts.len() > MOST_AT_ONCE {
            return Err(ClusterError::TooLarge {
                subject: self.subject.clone(),
                bytes: payload.len(),
                most: MOST_AT_ONCE * PART,
            });
        }
        let count = parts.len();
        let call = async || {
            let messages = parts.iter().enumerate().map(|(part, bytes)| {
                let mut put = Put::new(self.subject.clone(), bytes.clone());
                if part == 0 {
                    put = put.after(after.sequence);
                }
                put.headers.insert(WRITE, write.as_str());
                put.headers.insert(ENTRY, number.to_string());
                if part + 1 < count {
                    put.headers.insert(MORE, "1");
                }
                put
            });
            match self.fleet.put_all(messages.collect()).await? {
                Stored::At(sequence) => Ok(Try::Done(Some(Place { number, sequence }))),
                Stored::Stale => {
                    let there = self.fleet.last(&self.stream, &self.subject).await?;
                    // An answer that did not come.
                    let ours = there.filter(|it| is_of(&it.headers, &write));
                    Ok(Try::Done(ours.map(|it| Place {
                        number,
                        sequence: it.sequence,
                    })))
                }
                other => Ok(Try::Passing(format!("{other:?}"))),
            }
        };
        let what = format!("storing at {}", self.subject);
        self.fleet.repeat(&what, call).await
    }

    /// The messages after a sequence up to another one that is there, some of them at least.
    async fn read(&self, after: u64, last: u64) -> Result<Vec<Part>, ClusterError> {
        let call = async || {
            let config = OrderedConfig {
                deliver_policy: DeliverPolicy::ByStartSequence {
                    start_sequence: after + 1,
                },
                filter_subject: self.subject.clone(),
                ..OrderedConfig::default()
            };
            let consumer = match self.stream.create_consumer(config).await {
                Ok(consumer) => consumer,
                Err(error) => return Ok(Try::Passing(error.to_string())),
            };
            let mut messages = match consumer.messages().await {
                Ok(messages) => messages,
                Err(error) => return Ok(Try::Passing(error.to_string())),
            };
            let mut read = Vec::new();
            while let Ok(Some(Ok(message))) = timeout(WAIT, messages.next()).await {
                let sequence = match message.info() {
                    Ok(info) => info.stream_sequence,
                    Err(error) => return Ok(Try::Passing(error.to_string())),
                };
                let message = message.message;
                read.push(Part {
                    sequence,
                    headers: message.headers.unwrap_or_default(),
                    payload: message.payload,
                });
                if sequence >= last || read.len() >= MOST {
                    return Ok(Try::Done(read));
                }
            }
            self.fleet.unanswered().await;
            Ok(Try::Passing("the messages have ended too soon".to_owned()))
        };
        let what = format!("reading {}", self.subject);
        self.fleet.repeat(&what, call).await
    }
}

#[async_trait]
impl Journal for FleetJournal {
    async fn append(&self, number: u64, entry: &[u8]) -> Result<(), QueueError> {
        let mut known = self.known.lock().await;
        if known.number + 1 != number {
            *known = self.last_place().await?;
        }
        if known.number + 1 != number {
            return Err(QueueError::NotLeading);
        }
        match self.put(*known, entry).await? {
            Some(place) => *known = place,
            None => return Err(QueueError::NotLeading),
        }
        Ok(())
    }

    async fn last(&self) -> Result<u64, QueueError> {
        Ok(self.last_place().await?.number)
    }

    async fn entries(&self, after: u64) -> Result<Vec<Vec<u8>>, QueueError> {
        let mut known = self.known.lock().await;
        let last = self.last_place().await?;
        // Where an entry lies that was not read before is not known.
        let mut at = match known.number <= after {
            true => *known,
            false => Place::default(),
        };
        let (mut entries, mut entry) = (Vec::new(), BytesMut::new());
        let mut from = at.sequence;
        while from < last.sequence && entries.len() < MOST {
            for part in self.read(from, last.sequence).await? {
                from = part.sequence;
                entry.extend_from_slice(&part.payload);
                if part.headers.get(MORE).is_some() {
                    continue;
                }
                let (number, bytes) = (self.number(&part.headers)?, entry.split());
                if number > after {
                    self.follows(after + entries.len() as u64, number)?;
                    entries.push(unpacked(&self.subject, &bytes)?);
                }
                at = Place {
                    number,
                    sequence: part.sequence,
                };
            }
        }
        *known = at;
        Ok(entries)
    }
}
