//! The components that the program brings along.

/// The built-in component for Genesys Cloud.
pub const GENESYS_CLOUD: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/genesys_cloud.wasm"));

/// The built-in component for buckets that Genesys Cloud pushes to.
pub const GENESYS_BUCKET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/genesys_bucket.wasm"));

/// The built-in components, by the types by which configurations call them.
pub const BUILTIN: [(&str, &[u8]); 2] = [
    ("genesys_cloud", GENESYS_CLOUD),
    ("genesys_bucket", GENESYS_BUCKET),
];
