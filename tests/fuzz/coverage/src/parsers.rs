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
    OPUS,
    audio::VORBIS,
    audio::WAV,
    genesys_bucket::GENESYS_BUCKET,
    genesys_cloud::GENESYS_CLOUD,
    #[cfg(feature = "receipts")]
    receipts::RECEIPTS,
];

/// Ogg with Opus: the program decodes it in the sandbox, where nothing tells which lines an input reaches. Here
/// it goes to the decoder itself, too, which may panic: there that is a trap, and costs the input.
const OPUS: Parser = Parser {
    feed: |input| {
        (audio::OPUS.feed)(input);
        let _ = std::panic::catch_unwind(|| {
            let mut samples = Vec::new();
            if let Ok(mut stream) = opus_decoder::Stream::new(input) {
                while stream.next(&mut samples).is_ok_and(|more| more) {
                    samples.clear();
                }
            }
        });
    },
    ..audio::OPUS
};
