//! Messages that are stored only if what they follow is still the last: one, or several at once.

use std::future::Future;

use async_nats::{HeaderMap, RequestErrorKind};
use bytes::Bytes;
use serde::Deserialize;

use super::{ClusterError, Fleet};

/// The most messages that are stored at once; the servers take no more.
pub(super) const MOST_AT_ONCE: usize = 1000;
/// Room for a message's headers and subject in what the servers take.
const HEADERS: usize = 4096;

/// The header with the id of a write, by which a node knows its own.
pub(super) const WRITE: &str = "Recording-Host-Write";
const EXPECTED: &str = "Nats-Expected-Last-Subject-Sequence";
// The crate has no name for it.
const EXPECTED_OF: &str = "Nats-Expected-Last-Subject-Sequence-Subject";
const ROLLUP: &str = "Nats-Rollup";
const TTL: &str = "Nats-TTL";
const BATCH: &str = "Nats-Batch-Id";
const BATCH_SEQUENCE: &str = "Nats-Batch-Sequence";
const BATCH_COMMIT: &str = "Nats-Batch-Commit";

/// A message to store.
#[derive(Clone, Debug)]
pub(super) struct Put {
    pub(super) subject: String,
    pub(super) payload: Bytes,
    pub(super) headers: HeaderMap,
}

impl Put {
    /// A message without a condition.
    pub(super) fn new(subject: impl Into<String>, payload: impl Into<Bytes>) -> Self {
        Put {
            subject: subject.into(),
            payload: payload.into(),
            headers: HeaderMap::new(),
        }
    }

    /// Only if this is the sequence of the subject's last message; 0 if there is to be none.
    pub(super) fn after(mut self, sequence: u64) -> Self {
        self.headers.insert(EXPECTED, sequence.to_string());
        self
    }

    /// Only if this is the sequence of another subject's last message.
    pub(super) fn fenced(mut self, sequence: u64, subject: &str) -> Self {
        self.headers.insert(EXPECTED_OF, subject);
        self.after(sequence)
    }

    /// Takes the place of its subject's messages.
    pub(super) fn alone(mut self) -> Self {
        self.headers.insert(ROLLUP, "sub");
        self
    }

    /// Takes the place of its subject's messages, and is gone after as many seconds.
    pub(super) fn lasting(mut self, seconds: u64) -> Self {
        self.headers.insert(TTL, seconds.to_string());
        self.alone()
    }
}

/// The answer to what was to be stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// It is, the last message with this sequence.
    At(u64),
    /// It is not: what it was to follow is no longer the last.
    Stale,
    /// It is not: its subject has a message that must be taken first.
    Pending,
    /// It is not, and may be next time: why.
    Again(String),
    /// It may be, or may become so: why that is not known.
    Unclear(String),
}

/// A server's answer to a message that it was to store.
#[derive(Deserialize)]
struct Answer {
    error: Option<Failure>,
    #[serde(default)]
    seq: u64,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    code: u64,
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

impl Fleet {
    /// Stores a message; tried once.
    pub(super) async fn put(&self, put: Put) -> Result<Stored, ClusterError> {
        self.check_size(&put)?;
        let subject = put.subject.clone();
        let asked = self
            .client
            .request_with_headers(put.subject, put.headers, put.payload);
        self.answer(&subject, asked).await
    }

    /// Stores messages of one stream, all or none; tried once.
    pub(super) async fn put_all(&self, puts: Vec<Put>) -> Result<Stored, ClusterError> {
        let count = puts.len();
        if count > MOST_AT_ONCE {
            return Err(ClusterError::TooMany {
                count,
                most: MOST_AT_ONCE,
            });
        }
        for put in &puts {
            self.check_size(put)?;
        }
        let batch = new_id();
        for (number, mut put) in (1..).zip(puts) {
            if count == 1 {
                return self.put(put).await;
            }
            put.headers.insert(BATCH, batch.as_str());
            put.headers.insert(BATCH_SEQUENCE, number.to_string());
            if number == count {
                put.headers.insert(BATCH_COMMIT, "1");
                return self.put(put).await;
            }
            let sent = self
                .client
                .publish_with_headers(put.subject, put.headers, put.payload);
            if let Err(error) = sent.await {
                // The servers forget a batch that is never committed.
                return Ok(Stored::Again(error.to_string()));
            }
        }
        Ok(Stored::At(0))
    }

    fn check_size(&self, put: &Put) -> Result<(), ClusterError> {
        let most = self.client.server_info().max_payload;
        let bytes = put.payload.len();
        if bytes + HEADERS > most {
            let subject = put.subject.clone();
            return Err(ClusterError::TooLarge {
                subject,
                bytes,
                most,
            });
        }
        Ok(())
    }

    async fn answer<E>(
        &self,
        subject: &str,
        asked: impl Future<Output = Result<async_nats::Message, E>>,
    ) -> Result<Stored, ClusterError>
    where
        E: Into<async_nats::RequestError>,
    {
        let message = match asked.await {
            Ok(message) => message,
            Err(error) => {
                let error = error.into();
                self.unanswered().await;
                return Ok(match error.kind() {
                    // An election: nobody has taken the message.
                    RequestErrorKind::NoResponders => Stored::Again(error.to_string()),
                    _ => Stored::Unclear(error.to_string()),
                });
            }
        };
        self.answered();
        let answer: Answer =
            serde_json::from_slice(&message.payload).map_err(|error| ClusterError::Unreadable {
                what: format!("the answer to a message for {subject}"),
                reason: error.to_string(),
            })?;
        match answer.error {
            None => Ok(Stored::At(answer.seq)),
            Some(failure) => failure.read(subject),
        }
    }
}

impl Failure {
    /// The meaning of a refusal.
    fn read(self, subject: &str) -> Result<Stored, ClusterError> {
        let reason = self.description;
        Ok(match self.err_code {
            10071 => Stored::Stale,
            10077 if reason.contains("per subject") => Stored::Pending,
            10077 if reason.contains("maximum bytes") => {
                return Err(ClusterError::Full(subject.to_owned()));
            }
            // Another message of the subject is being stored; a batch has lost its beginning.
            10164 | 10176 => Stored::Again(reason),
            // No server leads, or it has too much to do.
            _ if self.code == 503 => Stored::Again(reason),
            code => {
                return Err(ClusterError::Refused {
                    what: format!("a message for {subject}"),
                    reason,
                    code,
                });
            }
        })
    }
}

/// Returns true if a message was stored by a write.
pub(super) fn is_of(headers: &HeaderMap, write: &str) -> bool {
    headers.get(WRITE).is_some_and(|it| it.as_str() == write)
}

/// An id that nobody else has: 32 hexadecimal digits.
pub(super) fn new_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}
