//! The keys of a sink's configuration that decide which object stands under which key.
//!
//! They have the names that a configuration has for them and nothing of the program's types, so that no
//! renaming changes them. A key with its default is left out: an export whose default is spelled out is
//! the same export.

use serde_json::{Map, Value, json};

use crate::transfer::{ArchiveMode, SinkBinding};
use recording_host_transcode::{Channels, Form, Media, Original, TranscodeSettings};

impl SinkBinding {
    /// The keys that change which object stands under which key, by their names in a configuration,
    /// sorted: `zip`, `layout`, `transcode`, and `encrypt`, which is only whether there is one.
    /// Defaults are left out. The text of this value is the same for the same objects in every
    /// version of the program.
    #[must_use]
    pub fn identity(&self) -> Value {
        let mut keys = Map::new();
        if self.sink.encrypts() {
            keys.insert("encrypt".to_owned(), true.into());
        }
        if let Some(layout) = self.layout.identity() {
            keys.insert("layout".to_owned(), layout);
        }
        if let Some(settings) = &self.transcode {
            keys.insert("transcode".to_owned(), transcode(settings));
        }
        match self.zip {
            ArchiveMode::Unpack => {}
            ArchiveMode::Keep => _ = keys.insert("zip".to_owned(), "keep".into()),
            ArchiveMode::Both => _ = keys.insert("zip".to_owned(), "both".into()),
        }
        keys.into()
    }
}

fn transcode(settings: &TranscodeSettings) -> Value {
    let mut keys = Map::new();
    match settings.channels {
        Channels::Keep => {}
        Channels::Mix => _ = keys.insert("channels".to_owned(), "mix".into()),
        Channels::Split => _ = keys.insert("channels".to_owned(), "split".into()),
    }
    match settings.original {
        Original::Keep => {}
        Original::Drop => _ = keys.insert("original".to_owned(), "drop".into()),
    }
    let form = match settings.to {
        Form::Wav => "wav",
        Form::Flac => "flac",
    };
    keys.insert("to".to_owned(), form.into());
    if let Some(when) = &settings.when {
        let media = |media: &Media| match media {
            Media::Ogg => "audio/ogg",
            Media::Wav => "audio/wav",
            Media::Flac => "audio/flac",
        };
        // In which order they are named changes nothing.
        let mut names: Vec<&str> = when.iter().map(media).collect();
        names.sort_unstable();
        names.dedup();
        keys.insert("when".to_owned(), json!(names));
    }
    keys.into()
}
