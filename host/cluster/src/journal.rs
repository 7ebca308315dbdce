//! The journal of an export's ledger: the messages of one subject, each stored only if the one that the node knows is
//! still the last.
//!
//! An entry is compressed, and divided into parts where it is larger than a message may be: these are stored all or
//! none. A header has the entry's number. The first entries are removed once no snapshot that is kept needs them; the
//! last one always stays.

use std::{path::Path, time::Duration};

use async_nats::{HeaderMap, jetstream::stream::Stream};
use async_trait::async_trait;
use bytes::BytesMut;
use tokio::{sync::Mutex, time::Instant};

use recording_host_state::{Journal, QueueError, Snapshot};

use super::{
    ClusterError, Fleet,
    compression::{compressed, unpacked},
    connection::{Try, pause},
    messages::MOST,
    publish::{MOST_AT_ONCE, Put, Stored, WRITE, is_of, new_id},
    settings::token,
    snapshots::Snapshots,
    streams::StreamUse,
};

/// The bytes of a part, at most.
const PART: usize = 512 << 10;
/// How long answers are asked for again that contradict each other: an election among servers takes up to 6 s.
const LAG: Duration = Duration::from_secs(8);
/// The header with the number of an entry.
const ENTRY: &str = "Recording-Host-Entry";
/// The header that says that another part of the entry follows.
const MORE: &str = "Recording-Host-More";
/// The journal of an export, in a stream that all nodes of the fleet read.
#[derive(Debug)]
pub struct FleetJournal {
    fleet: Fleet,
    stream: Stream<()>,
    subject: String,
    snapshots: Snapshots,
    /// An entry, and the sequence of its last message.
    known: Mutex<Place>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    number: u64,
    sequence: u64,
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
            snapshots: Snapshots::new(fleet, export).await?,
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

    /// The sequence from which on there are the entries after a number, as far as they are not removed.
    async fn start(&self, after: u64, last: Place) -> Result<u64, ClusterError> {
        if after >= last.number {
            return Ok(last.sequence + 1);
        }
        // Entries up to the number begin before `end`, and all from `end` on are after it.
        let (mut begin, mut end) = (0, last.sequence);
        while end - begin > 1 {
            let middle = begin + (end - begin) / 2;
            let found = self.fleet.first(&self.stream, &self.subject, middle);
            match found.await? {
                Some(message) if self.number(&message.headers)? <= after => {
                    begin = message.sequence;
                }
                _ => end = middle,
            }
        }
        Ok(end)
    }

    /// Why an entry is not there: that it was removed with all before it, or that it is missing.
    async fn lack(&self, number: u64) -> QueueError {
        let first = match self.fleet.first(&self.stream, &self.subject, 0).await {
            Ok(Some(message)) => self.number(&message.headers),
            Ok(None) => Ok(0),
            Err(error) => Err(error),
        };
        match first {
            Ok(first) if first > number => QueueError::Cut,
            Ok(_) => self
                .unreadable(&format!("entry {number} is missing"))
                .into(),
            Err(error) => error.into(),
        }
    }

    /// Removes the entries up to a number, but not the last one: that says how many there were.
    async fn cut(&self, number: u64) -> Result<(), ClusterError> {
        let last = self.last_place().await?;
        let number = number.min(last.number.saturating_sub(1));
        let start = self.start(number, last).await?;
        self.fleet
            .remove(&self.stream, &self.subject, Some(start))
            .await
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

    /// The entries after a number. The inner error is what the servers' answers come to together, which one that has
    /// just begun to lead the stream, or leads it no longer, may have got wrong.
    async fn read(
        &self,
        known: &mut Place,
        after: u64,
    ) -> Result<Result<Vec<Vec<u8>>, QueueError>, QueueError> {
        let last = self.last_place().await?;
        if last.number < after {
            return Ok(Err(QueueError::Diverged));
        }
        let mut from = match known.number == after {
            true => known.sequence + 1,
            false => self.start(after, last).await?,
        };
        let (mut entries, mut entry, mut at) = (Vec::new(), BytesMut::new(), *known);
        while from <= last.sequence && entries.len() < MOST {
            let next = after + entries.len() as u64 + 1;
            let fleet = &self.fleet;
            let read = fleet.messages(&self.stream, &self.subject, from, last.sequence);
            let read = read.await?;
            if read.is_empty() {
                return Ok(Err(self.lack(next).await));
            }
            for part in read {
                from = part.sequence + 1;
                let number = self.number(&part.headers)?;
                let next = after + entries.len() as u64 + 1;
                if number != next {
                    return Ok(Err(self.lack(next).await));
                }
                entry.extend_from_slice(&part.payload);
                if part.headers.get(MORE).is_none() {
                    entries.push(unpacked(&self.subject, &entry.split())?);
                    at = Place {
                        number,
                        sequence: part.sequence,
                    };
                }
            }
        }
        *known = at;
        Ok(Ok(entries))
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
        let began = Instant::now();
        loop {
            match self.read(&mut known, after).await? {
                Err(error) if !matches!(error, QueueError::Cut) && began.elapsed() < LAG => {
                    pause().await;
                }
                entries => return entries,
            }
        }
    }

    async fn keep_snapshot(&self, snapshot: &Snapshot, file: &Path) -> Result<(), QueueError> {
        match self.snapshots.keep(snapshot, file).await? {
            Some(needed_by_none) if needed_by_none > 0 => Ok(self.cut(needed_by_none).await?),
            _ => Ok(()),
        }
    }

    async fn newest_snapshot(&self) -> Result<Option<Snapshot>, QueueError> {
        Ok(self.snapshots.newest().await?)
    }

    async fn restore_snapshot(&self, to: &Path) -> Result<Option<Snapshot>, QueueError> {
        Ok(self.snapshots.restore(to).await?)
    }
}
