//! Sinks in Azure Blob Storage and Google Cloud Storage, by the crate `object_store`.

#[cfg(feature = "azure")]
pub mod azure_blob;
#[cfg(any(feature = "azure", feature = "gcs"))]
mod bucket;
#[cfg(any(feature = "azure", feature = "gcs"))]
mod connector;
#[cfg(feature = "gcs")]
pub mod gcs;

#[cfg(any(feature = "azure", feature = "gcs"))]
pub use bucket::{Bucket, Options, Retry};
