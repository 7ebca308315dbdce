//! A request's body made of segments: sent as they are, and again if the request is repeated.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use recording_host_sink::Segments;

struct Sending {
    segments: std::vec::IntoIter<Bytes>,
    left: u64,
}

impl Body for Sending {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.segments.next();
        self.left -= next.as_ref().map_or(0, |data| data.len() as u64);
        Poll::Ready(next.map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// The segments as a body; cloning `Bytes` copies nothing.
pub(super) fn stream(segments: Segments) -> ByteStream {
    if segments.is_empty() {
        return ByteStream::from_static(b"");
    }
    ByteStream::new(SdkBody::retryable(move || {
        SdkBody::from_body_1_x(Sending {
            left: segments.len() as u64,
            segments: segments.clone().into_iter(),
        })
    }))
}
