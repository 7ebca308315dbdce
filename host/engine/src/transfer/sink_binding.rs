//! A sink of an export: what it takes, and how it wants that.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use recording_host_model::{layout::Layout, route::Route};
use recording_host_sink::{Sink, named::Named};

/// How a sink wants archives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ArchiveMode {
    /// Each file in it an object of its own.
    #[default]
    Unpack,
    /// As it was delivered.
    Keep,
    /// Both.
    Both,
}

/// A sink, what it takes, and how it wants that.
#[derive(Clone, Debug)]
pub struct SinkBinding {
    /// The sink's name in the configuration.
    pub name: String,
    /// The sink.
    pub sink: Arc<dyn Sink>,
    /// How it wants archives.
    pub zip: ArchiveMode,
    /// How it wants recordings, if not as they are.
    pub transcode: Option<recording_host_transcode::TranscodeSettings>,
    /// How it wants rows.
    pub metadata: recording_host_metadata::RowSettings,
    /// The selection of conversations and content that it takes.
    pub route: Route,
    /// Where the media lie in it.
    pub layout: Layout,
    /// A text that distinguishes it from other sinks where it cannot be read, such as its URL; none if
    /// nothing does.
    pub location: Option<String>,
}

impl SinkBinding {
    /// A sink that takes everything, in the ways that are the default; its errors carry this name.
    #[must_use]
    pub fn new(name: &str, sink: Arc<dyn Sink>) -> Self {
        SinkBinding {
            name: name.to_owned(),
            sink: Arc::new(Named::new(name, sink)),
            zip: ArchiveMode::default(),
            transcode: None,
            metadata: recording_host_metadata::RowSettings::default(),
            route: Route::default(),
            layout: Layout::default(),
            location: None,
        }
    }
}
