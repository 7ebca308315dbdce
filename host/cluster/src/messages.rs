//! Messages of a subject that are read in their order, found by what they say, and removed.

use std::time::Duration;

use async_nats::{
    HeaderMap,
    jetstream::{
        consumer::{DeliverPolicy, pull::OrderedConfig},
        message::StreamMessage,
        stream::{PurgeErrorKind, Stream},
    },
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::{ClusterError, Fleet, connection::Try};

/// Messages that are read at once, at most.
pub(super) const MOST: usize = 1000;
/// Bytes that are read at once, about.
const MOST_BYTES: usize = 16 << 20;
/// How long the next message is waited for that is known to be there.
const WAIT: Duration = Duration::from_secs(5);

/// A message that was read.
pub(super) struct Message {
    pub(super) sequence: u64,
    pub(super) headers: HeaderMap,
    pub(super) payload: Bytes,
}

impl Fleet {
    /// The messages of a subject from a sequence up to another one that was there, some of them at least; none if that
    /// one is no longer there, nor any after it.
    pub(super) async fn messages(
        &self,
        stream: &Stream<()>,
        subject: &str,
        from: u64,
        last: u64,
    ) -> Result<Vec<Message>, ClusterError> {
        let call = async || {
            // From here, and not from the next one after it: else what was removed would be waited for.
            let first = match self.try_first(stream, subject, from).await? {
                Try::Done(Some(first)) if first.sequence <= last => first.sequence,
                Try::Done(_) => return Ok(Try::Done(Vec::new())),
                Try::Passing(reason) => return Ok(Try::Passing(reason)),
            };
            let config = OrderedConfig {
                deliver_policy: DeliverPolicy::ByStartSequence {
                    start_sequence: first,
                },
                filter_subject: subject.to_owned(),
                ..OrderedConfig::default()
            };
            let consumer = match stream.create_consumer(config).await {
                Ok(consumer) => consumer,
                Err(error) => return Ok(Try::Passing(error.to_string())),
            };
            let mut messages = match consumer.messages().await {
                Ok(messages) => messages,
                Err(error) => return Ok(Try::Passing(error.to_string())),
            };
            let (mut read, mut bytes) = (Vec::new(), 0);
            while let Ok(Some(Ok(message))) = timeout(WAIT, messages.next()).await {
                let sequence = match message.info() {
                    Ok(info) => info.stream_sequence,
                    Err(error) => return Ok(Try::Passing(error.to_string())),
                };
                let message = message.message;
                bytes += message.payload.len();
                read.push(Message {
                    sequence,
                    headers: message.headers.unwrap_or_default(),
                    payload: message.payload,
                });
                if sequence >= last || read.len() >= MOST || bytes >= MOST_BYTES {
                    return Ok(Try::Done(read));
                }
            }
            self.unanswered().await;
            Ok(Try::Passing("the messages have ended too soon".to_owned()))
        };
        self.repeat(&format!("reading {subject}"), call).await
    }

    /// The first message of a subject from a sequence on, from the stream's leader.
    pub(super) async fn first(
        &self,
        stream: &Stream<()>,
        subject: &str,
        from: u64,
    ) -> Result<Option<StreamMessage>, ClusterError> {
        let what = format!("reading {subject}");
        self.repeat(&what, || self.try_first(stream, subject, from))
            .await
    }

    async fn try_first(
        &self,
        stream: &Stream<()>,
        subject: &str,
        from: u64,
    ) -> Result<Try<Option<StreamMessage>>, ClusterError> {
        let read = stream.get_first_raw_message_by_subject(subject, from.max(1));
        Ok(self.heed(read.await).await)
    }

    /// Removes the messages of a subject before a sequence, or all.
    pub(super) async fn remove(
        &self,
        stream: &Stream<()>,
        subject: &str,
        before: Option<u64>,
    ) -> Result<(), ClusterError> {
        let what = format!("removing messages at {subject}");
        let call = async || {
            let purge = stream.purge().filter(subject);
            let purged = match before {
                Some(before) => purge.sequence(before).await,
                None => purge.await,
            };
            match purged {
                Ok(_) => Ok(Try::Done(())),
                Err(error) => match error.kind() {
                    PurgeErrorKind::JetStream(it) if it.code() != 503 => {
                        Err(ClusterError::Refused {
                            what: what.clone(),
                            reason: error.to_string(),
                            code: it.error_code().0,
                        })
                    }
                    _ => {
                        self.unanswered().await;
                        Ok(Try::Passing(error.to_string()))
                    }
                },
            }
        };
        self.repeat(&what, call).await
    }

    /// The subjects in a stream that match one with wildcards.
    pub(super) async fn subjects(
        &self,
        stream: &Stream<()>,
        matching: &str,
    ) -> Result<Vec<String>, ClusterError> {
        let call = async || {
            let mut found = match stream.info_with_subjects(matching).await {
                Ok(found) => found,
                Err(error) => return Ok(Try::Passing(error.to_string())),
            };
            let mut subjects = Vec::new();
            while let Some(subject) = found.next().await {
                match subject {
                    Ok((subject, _)) => subjects.push(subject),
                    Err(error) => return Ok(Try::Passing(error.to_string())),
                }
            }
            Ok(Try::Done(subjects))
        };
        self.repeat(&format!("listing {matching}"), call).await
    }
}
