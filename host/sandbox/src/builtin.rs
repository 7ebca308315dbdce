//! The components that the program brings along.

/// The built-in sources, by the types by which configurations call them; the first one is the usual.
pub const BUILTIN: [(&str, &[u8]); 2] = [
    (
        "genesys_cloud",
        include_bytes!(concat!(env!("OUT_DIR"), "/genesys_cloud.wasm")),
    ),
    (
        "genesys_bucket",
        include_bytes!(concat!(env!("OUT_DIR"), "/genesys_bucket.wasm")),
    ),
];

/// The decoder of Ogg with Opus: the world `recording:opus-decoder`.
#[cfg(feature = "opus-decoder")]
pub const OPUS_DECODER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/opus_decoder.wasm"));
