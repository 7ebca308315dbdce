//! The parsers.

#[path = "../../parser/archive.rs"]
mod archive;
#[path = "../../parser/audio.rs"]
mod audio;
#[path = "../../parser/genesys_bucket.rs"]
mod genesys_bucket;
#[path = "../../parser/genesys_cloud.rs"]
mod genesys_cloud;
#[cfg(feature = "receipts")]
#[path = "../../parser/receipts.rs"]
mod receipts;
#[path = "../../parser/vendor.rs"]
mod vendor;

use crate::parser::Parser;

/// All of them.
pub(crate) const ALL: &[Parser] = &[
    archive::ZIP,
    audio::FLAC,
    audio::OPUS,
    audio::VORBIS,
    audio::WAV,
    genesys_bucket::GENESYS_BUCKET,
    genesys_cloud::GENESYS_CLOUD,
    #[cfg(feature = "receipts")]
    receipts::RECEIPTS,
];
