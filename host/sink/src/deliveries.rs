//! Objects as a stream that an embedder takes them from and acknowledges one by one.
//!
//! ```
//! # use recording_host_sink::{Sink, SinkExt, PutOptions, deliveries::deliveries};
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let (sink, mut deliveries) = deliveries("mine");
//! // A pipeline gets the sink; here an object is put by hand.
//! let put = tokio::spawn(async move {
//!     sink.put_bytes("receipts/a.jsonl", PutOptions::default(), "{}".into()).await
//! });
//! while let Some(mut delivery) = deliveries.next().await {
//!     let mut bytes = Vec::new();
//!     while let Some(frame) = delivery.body().next().await.unwrap() {
//!         bytes.extend_from_slice(&frame);
//!     }
//!     // Where it is kept is the embedder's; once that is durable, it says so.
//!     assert_eq!((delivery.key(), bytes.as_slice()), ("receipts/a.jsonl", b"{}".as_slice()));
//!     delivery.acknowledge();
//! #   break;
//! }
//! assert_eq!(put.await.unwrap().unwrap().size, 2);
//! # });
//! ```
//!
//! The run counts an object as stored when its delivery is acknowledged, not before: one that is
//! refused, or dropped without a word, comes again under the same key. So does one that was
//! acknowledged just before a crash; an embedder that keeps objects by their keys keeps each once.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::{mpsc, oneshot};

use super::{Body, BodyAborted, Health, PutOptions, PutResult, Sink, SinkError};

/// A sink, and the stream of what is put into it. `name` is the sink's in messages.
#[must_use]
pub fn deliveries(name: &str) -> (DeliverySink, Deliveries) {
    // One at a time is handed on: who takes none holds the run up, not memory.
    let (sender, receiver) = mpsc::channel(1);
    let sink = DeliverySink {
        name: name.to_owned(),
        sender,
    };
    (sink, Deliveries { receiver })
}

/// The sink whose objects come out as [`Deliveries`].
#[derive(Clone, Debug)]
pub struct DeliverySink {
    name: String,
    sender: mpsc::Sender<Delivery>,
}

/// The objects that are put into a [`DeliverySink`]; it ends when the sink is gone.
#[derive(Debug)]
pub struct Deliveries {
    receiver: mpsc::Receiver<Delivery>,
}

impl Deliveries {
    /// The next object, or none when there can be no more. Several can be under way at once.
    pub async fn next(&mut self) -> Option<Delivery> {
        self.receiver.recv().await
    }
}

impl Stream for Deliveries {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.receiver.poll_recv(context)
    }
}

/// An object that waits to be kept and acknowledged.
#[derive(Debug)]
pub struct Delivery {
    key: String,
    options: PutOptions,
    body: CountedBody,
    answer: oneshot::Sender<Result<u64, (String, bool)>>,
}

/// The bytes of a delivery, counted as they are read.
#[derive(Debug)]
pub struct CountedBody {
    body: Body,
    read: u64,
    is_read: bool,
}

impl CountedBody {
    /// The next bytes, or none at the end.
    ///
    /// # Errors
    /// [`BodyAborted`]: the object comes again.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BodyAborted> {
        let frame = self.body.next().await?;
        match &frame {
            Some(bytes) => self.read += bytes.len() as u64,
            None => self.is_read = true,
        }
        Ok(frame)
    }
}

impl Delivery {
    /// Its key, the same whenever it comes.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The properties known of it beforehand.
    #[must_use]
    pub fn options(&self) -> &PutOptions {
        &self.options
    }

    /// Its bytes.
    pub fn body(&mut self) -> &mut CountedBody {
        &mut self.body
    }

    /// Says that it is durable. One whose bytes were not read to their end is refused instead, since
    /// nobody can have it.
    pub fn acknowledge(self) {
        let answer = match self.body.is_read {
            true => Ok(self.body.read),
            false => Err(("it was acknowledged before it was read".to_owned(), false)),
        };
        // The run may have been stopped meanwhile: then it comes again.
        let _ = self.answer.send(answer);
    }

    /// Says why it is not kept, and whether a later attempt may succeed; else the sink is given up.
    pub fn refuse(self, reason: impl Into<String>, retryable: bool) {
        let _ = self.answer.send(Err((reason.into(), retryable)));
    }
}

#[async_trait]
impl Sink for DeliverySink {
    fn name(&self) -> &str {
        &self.name
    }

    async fn check(&self) -> Result<Health, SinkError> {
        match self.sender.is_closed() {
            true => Err(self.gone("")),
            false => Ok(Health::default()),
        }
    }

    async fn put(
        &self,
        key: &str,
        options: PutOptions,
        body: Body,
    ) -> Result<PutResult, SinkError> {
        let (answer, answered) = oneshot::channel();
        let delivery = Delivery {
            key: key.to_owned(),
            options,
            body: CountedBody {
                body,
                read: 0,
                is_read: false,
            },
            answer,
        };
        if self.sender.send(delivery).await.is_err() {
            return Err(self.gone(key));
        }
        match answered.await {
            Ok(Ok(size)) => Ok(PutResult::new(size)),
            Ok(Err((reason, retryable))) => {
                Err(SinkError::new(&self.name, key, reason).with_retryable(retryable))
            }
            Err(_) => {
                let reason = "its delivery was dropped without an acknowledgement";
                Err(SinkError::new(&self.name, key, reason).with_retryable(true))
            }
        }
    }
}

impl DeliverySink {
    fn gone(&self, key: &str) -> SinkError {
        SinkError::new(&self.name, key, "nobody takes its deliveries any more")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SinkExt;

    /// Puts an object, while a delivery is dealt with in some way.
    async fn put(deal: impl AsyncFn(Delivery)) -> Result<PutResult, SinkError> {
        let (sink, mut deliveries) = deliveries("mine");
        let dealing = async {
            if let Some(delivery) = deliveries.next().await {
                deal(delivery).await;
            }
        };
        let put = sink.put_bytes("a", PutOptions::default(), Bytes::from_static(b"abc"));
        tokio::join!(put, dealing).0
    }

    #[tokio::test]
    async fn an_object_is_stored_once_it_is_acknowledged_and_only_then() {
        let stored = put(async |mut delivery: Delivery| {
            while delivery.body().next().await.unwrap().is_some() {}
            delivery.acknowledge();
        });
        assert_eq!(stored.await.unwrap(), PutResult::new(3));
        let unread = put(async |delivery: Delivery| delivery.acknowledge()).await;
        assert!(!unread.unwrap_err().retryable);
        let dropped = put(async |delivery: Delivery| drop(delivery)).await;
        assert!(dropped.unwrap_err().retryable);
        let refused = put(async |delivery: Delivery| delivery.refuse("full", false)).await;
        let refused = refused.unwrap_err();
        assert_eq!(
            (refused.to_string().as_str(), refused.retryable),
            ("sink mine, a: full", false)
        );
    }

    #[tokio::test]
    async fn a_sink_whose_stream_is_gone_says_so() {
        let (sink, deliveries) = deliveries("mine");
        sink.check().await.unwrap();
        drop(deliveries);
        sink.check().await.unwrap_err();
        let put = sink.put_bytes("a", PutOptions::default(), Bytes::new());
        assert!(!put.await.unwrap_err().retryable);
    }
}
