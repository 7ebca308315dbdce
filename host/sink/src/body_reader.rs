//! Reads the bytes of an object in pieces, without joining what arrived apart.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Body, BodyAborted};

/// Bytes in the segments in which they arrived.
#[derive(Clone, Debug, Default)]
pub struct Segments {
    list: Vec<Bytes>,
    len: usize,
}

impl Segments {
    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns true if there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The segments in order.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.list.iter()
    }

    /// Adds a segment at the end.
    pub fn push(&mut self, data: Bytes) {
        if !data.is_empty() {
            self.len += data.len();
            self.list.push(data);
        }
    }
}

impl IntoIterator for Segments {
    type Item = Bytes;
    type IntoIter = std::vec::IntoIter<Bytes>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

/// Which of two objects was interrupted while it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aborted {
    /// The object itself.
    Own,
    /// The one that it is compared with.
    Other,
}

/// The rest of an object, to be taken piece by piece.
#[derive(Debug)]
pub struct BodyReader {
    ahead: VecDeque<Bytes>,
    body: Body,
}

impl BodyReader {
    /// Reads a body.
    #[must_use]
    pub fn new(body: Body) -> Self {
        BodyReader {
            ahead: VecDeque::new(),
            body,
        }
    }

    /// Reads what is in memory already.
    #[must_use]
    pub fn whole(segments: Segments) -> Self {
        let mut cut = BodyReader::new(Body::whole(Bytes::new()));
        cut.give_back(segments);
        cut
    }

    async fn frame(&mut self) -> Result<Option<Bytes>, BodyAborted> {
        match self.ahead.pop_front() {
            Some(data) => Ok(Some(data)),
            None => self.body.next().await,
        }
    }

    /// The next bytes as they come, or none at the end.
    ///
    /// # Errors
    /// [`BodyAborted`]: what came so far must not be stored.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BodyAborted> {
        while let Some(data) = self.frame().await? {
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// The next `size` bytes; fewer only if the object ends there.
    ///
    /// # Errors
    /// [`BodyAborted`]: what came so far must not be stored.
    pub async fn take(&mut self, size: usize) -> Result<Segments, BodyAborted> {
        self.take_seen(size, |_| ()).await
    }

    /// [`take`](Self::take), and shows what it takes while that is in the processor's cache.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub async fn take_seen(
        &mut self,
        size: usize,
        mut see: impl FnMut(&[u8]),
    ) -> Result<Segments, BodyAborted> {
        let mut taken = Segments::default();
        while taken.len < size {
            let Some(mut data) = self.next().await? else {
                break;
            };
            let room = size - taken.len;
            if data.len() > room {
                self.ahead.push_front(data.split_off(room));
            }
            see(&data);
            taken.push(data);
        }
        Ok(taken)
    }

    /// Returns true if all has been taken. Waits until that is known, and so proves that the object did
    /// not break off.
    ///
    /// # Errors
    /// [`BodyAborted`]: what came so far must not be stored.
    pub async fn at_end(&mut self) -> Result<bool, BodyAborted> {
        match self.next().await? {
            Some(data) => {
                self.ahead.push_front(data);
                Ok(false)
            }
            None => Ok(true),
        }
    }

    /// Returns true if this and another object have the same bytes; reads both side by side.
    ///
    /// # Errors
    /// Says which of them was interrupted.
    pub async fn equals(&mut self, other: &mut BodyReader) -> Result<bool, Aborted> {
        loop {
            let (own, others) = tokio::join!(self.next(), other.next());
            let own = own.map_err(|_| Aborted::Own)?;
            match (own, others.map_err(|_| Aborted::Other)?) {
                (None, None) => return Ok(true),
                (Some(mut own), Some(mut others)) => {
                    let length = own.len().min(others.len());
                    if own.split_to(length) != others.split_to(length) {
                        return Ok(false);
                    }
                    self.ahead.push_front(own);
                    other.ahead.push_front(others);
                }
                // No frame is empty: one of them is longer.
                _ => return Ok(false),
            }
        }
    }

    /// Puts back what was taken last.
    pub fn give_back(&mut self, segments: Segments) {
        for data in segments.list.into_iter().rev() {
            self.ahead.push_front(data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(segments: &Segments) -> Vec<u8> {
        segments.iter().flat_map(|data| data.to_vec()).collect()
    }

    #[tokio::test]
    async fn a_body_is_cut_where_asked_and_a_broken_one_is_not_taken_for_whole() {
        let (feed, body) = Body::channel();
        tokio::spawn(async move {
            for piece in ["abc", "", "defgh", "i"] {
                feed.send(Bytes::from_static(piece.as_bytes()))
                    .await
                    .unwrap();
            }
            drop(feed);
        });
        let mut cut = BodyReader::new(body);
        let first = cut.take(4).await.unwrap();
        assert_eq!(joined(&first), b"abcd");
        cut.give_back(first);
        assert_eq!(joined(&cut.take(6).await.unwrap()), b"abcdef");
        assert!(!cut.at_end().await.unwrap());
        assert_eq!(joined(&cut.take(2).await.unwrap()), b"gh");
        assert!(cut.take(2).await.is_err());
    }

    #[tokio::test]
    async fn objects_are_equal_however_they_were_cut() {
        for (other, equal) in [
            ("abcd", true),
            ("abcx", false),
            ("abc", false),
            ("abcde", false),
        ] {
            let mut segments = Segments::default();
            segments.push(Bytes::from_static(b"a"));
            segments.push(Bytes::from_static(b"bcd"));
            let mut other = BodyReader::new(Body::whole(Bytes::from_static(other.as_bytes())));
            assert_eq!(
                BodyReader::whole(segments).equals(&mut other).await,
                Ok(equal)
            );
        }
    }

    #[tokio::test]
    async fn an_object_ends_where_its_bytes_end() {
        let mut cut = BodyReader::new(Body::whole(Bytes::from_static(b"abcd")));
        assert_eq!(cut.take(4).await.unwrap().len(), 4);
        assert!(cut.at_end().await.unwrap());
        assert!(cut.take(4).await.unwrap().is_empty());
    }
}
