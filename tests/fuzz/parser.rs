//! What is fuzzed: a parser of bytes from outside, with inputs to begin with and what damages them.

use crate::mutate::Rng;

/// The most memory that an input may take, in bytes.
pub(crate) const MEMORY: usize = 64 << 20;

/// A parser of bytes from outside.
pub(crate) struct Parser {
    /// Its name: that of its target, and of its folder in `tests/fuzz/corpus`.
    pub(crate) name: &'static str,
    /// Sound inputs, and what else to begin with.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
    /// Damages an input.
    pub(crate) mutate: fn(&mut Rng, &mut Vec<u8>),
    /// Makes the checksums of an input right again.
    pub(crate) mend: fn(&mut [u8]),
    /// Parses an input.
    pub(crate) feed: fn(&[u8]),
}

/// Mends nothing: there is no checksum in it.
pub(crate) fn unmended(_: &mut [u8]) {}

/// Inputs of one's own.
pub(crate) fn owned(inputs: &[&[u8]]) -> Vec<Vec<u8>> {
    inputs.iter().map(|input| input.to_vec()).collect()
}
