//! Decodes Ogg with Opus as a component that has nothing but the bytes it asks for.
//!
//! The decoder's library has kernels with `unsafe` and one author, and its input is what anybody may
//! attach to a conversation. In the sandbox, whatever goes wrong costs that input alone.

mod stream;

use std::{
    cell::RefCell,
    io::{self, Read},
};

pub use stream::{Failure, Format, Stream};

#[allow(missing_docs, unreachable_pub, unsafe_code, clippy::all)]
mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "opus-decoder" });
}

/// How many samples a call returns at least, unless the stream ends: a second or more.
const ENOUGH: usize = 48_000;

/// The stream, as the host reads it for this instance.
struct Host;

impl Read for Host {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let bytes = bindings::read(most);
        let length = bytes.len().min(buffer.len());
        buffer[..length].copy_from_slice(&bytes[..length]);
        Ok(length)
    }
}

thread_local! {
    static STREAM: RefCell<Option<Stream<Host>>> = const { RefCell::new(None) };
}

struct Decoder;

impl bindings::Guest for Decoder {
    fn begin() -> Result<bindings::Format, bindings::Failure> {
        let stream = Stream::new(Host)?;
        let Format { rate, channels } = stream.format();
        STREAM.set(Some(stream));
        Ok(bindings::Format { rate, channels })
    }

    fn next() -> Result<Vec<i16>, bindings::Failure> {
        STREAM.with_borrow_mut(|stream| {
            let Some(stream) = stream else {
                return Err(bindings::Failure::Codec);
            };
            let mut samples = Vec::new();
            while samples.len() < ENOUGH && stream.next(&mut samples)? {}
            Ok(samples)
        })
    }
}

impl From<Failure> for bindings::Failure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Damaged(reason) => bindings::Failure::Damaged(reason),
            Failure::Unsupported(reason) => bindings::Failure::Unsupported(reason),
            Failure::Codec => bindings::Failure::Codec,
        }
    }
}

#[allow(unsafe_code)]
mod exported {
    use super::{Decoder, bindings};

    bindings::export!(Decoder with_types_in bindings);
}
