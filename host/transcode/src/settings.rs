//! The configuration of transcoding.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a sink wants recordings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TranscodeSettings {
    /// The format that is made.
    pub to: Form,
    /// The treatment of the channels.
    #[serde(default)]
    pub channels: Channels,
    /// The MIME types that are taken; all that can be, if left out.
    #[serde(default)]
    #[schemars(example = one_type())]
    pub when: Option<Vec<Media>>,
    /// The treatment of the original.
    #[serde(default)]
    pub original: Original,
}

/// An example of `when`.
fn one_type() -> [&'static str; 1] {
    ["audio/ogg"]
}

/// A format that can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// WAV with PCM of 16 bits.
    Wav,
    /// FLAC of 16 bits.
    Flac,
}

/// The treatment of channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Channels {
    /// All in one file, as they are.
    #[default]
    Keep,
    /// One channel, the mean of all.
    Mix,
    /// Each in a file of its own.
    Split,
}

/// The treatment of an original that was transcoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Original {
    /// It is delivered too.
    #[default]
    Keep,
    /// It is not.
    Drop,
}

/// A MIME type that can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
pub enum Media {
    /// `audio/ogg`, which some call `audio/opus`.
    #[serde(rename = "audio/ogg")]
    Ogg,
    /// `audio/wav`, by any of its names.
    #[serde(rename = "audio/wav")]
    Wav,
    /// `audio/flac`, which some call `audio/x-flac`.
    #[serde(rename = "audio/flac")]
    Flac,
}

impl Media {
    /// The variant for a MIME type, with or without parameters.
    fn of(content_type: &str) -> Option<Media> {
        let plain = content_type.split(';').next().unwrap_or_default().trim();
        Some(match plain.to_ascii_lowercase().as_str() {
            "audio/ogg" | "audio/opus" => Media::Ogg,
            "audio/wav" | "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => Media::Wav,
            "audio/flac" | "audio/x-flac" => Media::Flac,
            _ => return None,
        })
    }
}

impl TranscodeSettings {
    /// Returns true if files of this MIME type are to be transcoded.
    #[must_use]
    pub fn takes(&self, content_type: &str) -> bool {
        let when = self.when.as_ref();
        Media::of(content_type).is_some_and(|media| when.is_none_or(|all| all.contains(&media)))
    }
}

impl Form {
    /// The MIME type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Form::Wav => "audio/wav",
            Form::Flac => "audio/flac",
        }
    }

    /// The extension of its files.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Form::Wav => "wav",
            Form::Flac => "flac",
        }
    }
}
