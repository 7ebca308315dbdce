//! Bodies that are not sent as they should be: cut, slow, or with a wrong byte.

use std::{io, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;

use crate::http::Body;

/// Pieces of a few bytes in which a slow body begins.
const PIECES: u32 = 10;
const PIECE: usize = 7;

/// How a body is sent; by default as it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shape {
    /// After this many bytes the connection breaks.
    pub(crate) cut: Option<u64>,
    /// After this many bytes the body ends.
    pub(crate) end: Option<u64>,
    /// The byte at this place is another one.
    pub(crate) flip: Option<u64>,
    /// The first bytes take this long (real time).
    pub(crate) slow_body: Option<Duration>,
}

struct Shaped {
    body: Body,
    rest: Bytes,
    at: u64,
    pieces: u32,
    shape: Shape,
}

impl Shape {
    /// The body, sent in this way.
    pub(crate) fn of(self, body: Body) -> Body {
        if self.cut.or(self.end).or(self.flip).is_none() && self.slow_body.is_none() {
            return body;
        }
        let shaped = Shaped {
            body,
            rest: Bytes::new(),
            at: 0,
            pieces: 0,
            shape: self,
        };
        let frames = stream::unfold(shaped, |mut shaped| async move {
            let next = shaped.next().await?;
            Some((next.map(Frame::data), shaped))
        });
        StreamBody::new(frames).boxed_unsync()
    }
}

impl Shaped {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        let last = self.shape.cut.or(self.shape.end);
        if last.is_some_and(|last| self.at >= last) {
            // The bytes sent before go out first: a pause lets them be flushed.
            tokio::time::sleep(Duration::from_millis(5)).await;
            return self
                .shape
                .cut
                .map(|_| Err(io::ErrorKind::UnexpectedEof.into()));
        }
        while self.rest.is_empty() {
            match self.body.frame().await? {
                Ok(frame) => self.rest = frame.into_data().unwrap_or_default(),
                Err(error) => return Some(Err(error)),
            }
        }
        let mut count = self.rest.len();
        if let Some(slow_body) = self.shape.slow_body.filter(|_| self.pieces < PIECES) {
            if self.pieces > 0 {
                tokio::time::sleep(slow_body / PIECES).await;
            }
            self.pieces += 1;
            count = count.min(PIECE);
        }
        if let Some(last) = last {
            count = count.min((last - self.at) as usize);
        }
        let mut data = self.rest.split_to(count);
        if let Some(place) = self.shape.flip
            && (self.at..self.at + count as u64).contains(&place)
        {
            let mut wrong = data.to_vec();
            wrong[(place - self.at) as usize] ^= 0x20;
            data = wrong.into();
        }
        self.at += count as u64;
        Some(Ok(data))
    }
}
