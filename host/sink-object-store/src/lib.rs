//! Sinks in Azure Blob Storage and Google Cloud Storage, by the crate `object_store`.

// With neither there is nothing to speak with.
#![cfg(any(feature = "azure", feature = "gcs"))]

#[cfg(feature = "azure")]
pub mod azure_blob;
mod bucket;
mod connector;
#[cfg(feature = "gcs")]
pub mod gcs;

pub use bucket::Bucket;
