//! Ogg with Opus, decoded by a component in a sandbox: its library has kernels with `unsafe`, and its input is
//! what anybody may attach to a conversation.
//!
//! An instance is one stream. It is given the bytes that it asks for, and nothing else.

use std::{
    io::{Read, Seek},
    sync::OnceLock,
};

use recording_host_sandbox::{
    CompilationCache, Limited, MemoryLimits, OPUS_DECODER, Sandbox, begin_call,
};
use wasmtime::{
    ResourceLimiter, Store,
    component::{Component, HasSelf, Linker},
};

use super::{
    TranscodeError,
    codec::{Decoder, supported},
    input::Input,
    ogg,
};

#[allow(missing_docs, unreachable_pub, clippy::all)]
mod bindings {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "opus-decoder",
        imports: { default: trappable },
    });
}

/// Memory that the decoder of a stream may use, in bytes.
const MEMORY: usize = 16 << 20;
/// The most bytes that the host copies out of one call: a second of samples and a packet have 220 KiB.
const RESULT: usize = 1 << 20;
/// The most bytes that it gets at once.
const MOST: usize = 64 << 10;

/// An Opus stream.
pub(super) struct Opus<R: 'static> {
    decoder: bindings::OpusDecoder,
    store: Store<Host<R>>,
    rate: u32,
    channels: u16,
}

/// What the instance has of the host.
struct Host<R> {
    input: Input<R>,
    limits: MemoryLimits,
}

impl<R> Limited for Host<R> {
    fn limits(&mut self) -> &mut dyn ResourceLimiter {
        &mut self.limits
    }
}

impl<R: Read> bindings::OpusDecoderImports for Host<R> {
    fn read(&mut self, most: u32) -> wasmtime::Result<Vec<u8>> {
        let mut bytes = vec![0; MOST.min(most as usize)];
        // The fault of a file is kept beside it, and comes before what becomes of the instance.
        let read = self.input.read(&mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

/// Returns true if a file begins like Ogg with Opus.
pub(super) fn is_opus(head: &[u8]) -> bool {
    head.starts_with(b"OggS") && head.windows(8).any(|part| part == b"OpusHead")
}

/// The sandbox, and the decoder compiled.
fn compiled() -> wasmtime::Result<&'static (Sandbox, Component)> {
    static COMPILED: OnceLock<(Sandbox, Component)> = OnceLock::new();
    if let Some(compiled) = COMPILED.get() {
        return Ok(compiled);
    }
    let sandbox = Sandbox::new()?;
    let cache = CompilationCache::of_user();
    let component = sandbox.compile(OPUS_DECODER, cache.as_ref())?;
    Ok(COMPILED.get_or_init(|| (sandbox, component)))
}

impl<R: Read + Seek + Send + 'static> Opus<R> {
    pub(super) fn new(mut input: Input<R>) -> Result<Self, TranscodeError> {
        // The identification and the comments.
        ogg::headers(&mut input, 2)?;
        input.rewind()?;
        let (decoder, mut store) = Self::instance(input).map_err(unusable)?;
        begin_call(&mut store);
        let begun = decoder.call_begin(&mut store).map_err(trapped)?;
        let format = begun.map_err(named)?;
        let channels = supported(format.rate, format.channels.into())?;
        Ok(Opus {
            decoder,
            store,
            rate: format.rate,
            channels,
        })
    }

    fn instance(input: Input<R>) -> wasmtime::Result<(bindings::OpusDecoder, Store<Host<R>>)> {
        let (sandbox, component) = compiled()?;
        let mut linker = Linker::new(sandbox.engine());
        bindings::OpusDecoder::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
        let limits = MemoryLimits::new(MEMORY);
        let mut store = sandbox.store(Host { input, limits }, RESULT);
        begin_call(&mut store);
        let decoder = bindings::OpusDecoder::instantiate(&mut store, component, &linker)?;
        Ok((decoder, store))
    }
}

impl<R: Read + Seek + Send + 'static> Decoder for Opus<R> {
    fn rate(&self) -> u32 {
        self.rate
    }

    fn channels(&self) -> u16 {
        self.channels
    }

    fn next(&mut self, block: &mut Vec<i16>) -> Result<bool, TranscodeError> {
        begin_call(&mut self.store);
        let next = self.decoder.call_next(&mut self.store).map_err(trapped)?;
        *block = next.map_err(named)?;
        match block.len() % usize::from(self.channels) {
            0 => Ok(!block.is_empty()),
            _ => Err(TranscodeError::Codec),
        }
    }
}

fn named(failure: bindings::Failure) -> TranscodeError {
    match failure {
        bindings::Failure::Damaged(reason) => TranscodeError::Damaged(reason),
        bindings::Failure::Unsupported(reason) => TranscodeError::Unsupported(reason),
        bindings::Failure::Codec => TranscodeError::Codec,
    }
}

/// The decoder failed or took more than it may: it costs this input.
fn trapped(_: wasmtime::Error) -> TranscodeError {
    TranscodeError::Codec
}

/// There is no sandbox to decode in: nothing is wrong with the input.
fn unusable(error: wasmtime::Error) -> TranscodeError {
    TranscodeError::Io(std::io::Error::other(format!(
        "the decoder of Opus cannot be set up: {error:#}"
    )))
}
