//! The parsers.

#[path = "../../parser/answers.rs"]
mod answers;
#[path = "../../parser/archive.rs"]
mod archive;
#[path = "../../parser/audio.rs"]
mod audio;
#[cfg(feature = "engine")]
#[path = "../../parser/configuration.rs"]
mod configuration;
#[path = "../../parser/encrypted.rs"]
mod encrypted;
#[path = "../../parser/genesys_bucket.rs"]
mod genesys_bucket;
#[path = "../../parser/genesys_cloud.rs"]
mod genesys_cloud;
#[path = "../../parser/http.rs"]
mod http;
#[cfg(feature = "engine")]
#[path = "../../parser/media.rs"]
mod media;
#[cfg(feature = "engine")]
#[path = "../../parser/page.rs"]
mod page;
#[cfg(feature = "engine")]
#[path = "../../parser/receipts.rs"]
mod receipts;
#[path = "../../parser/rows.rs"]
mod rows;
#[path = "../../parser/vendor.rs"]
mod vendor;

use crate::parser::Parser;

/// All of them.
pub(crate) const ALL: &[Parser] = &[
    answers::ANSWERS,
    archive::ZIP,
    audio::FLAC,
    OPUS,
    audio::VORBIS,
    audio::WAV,
    #[cfg(feature = "engine")]
    configuration::CONFIGURATION,
    encrypted::ENCRYPTED,
    genesys_bucket::GENESYS_BUCKET,
    genesys_cloud::GENESYS_CLOUD,
    http::HTTP,
    #[cfg(feature = "engine")]
    media::MEDIA,
    #[cfg(feature = "engine")]
    page::PAGE,
    #[cfg(feature = "engine")]
    receipts::RECEIPTS,
    rows::ROWS,
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
