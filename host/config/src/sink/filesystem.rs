//! The keys of a sink of type `filesystem`.

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use recording_host_sink::{
    Overwrite, Sink,
    filesystem::{Filesystem, FilesystemOptions},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{ConfigError, Secrets, registry::SinkKeys};
use crate::{
    location::Location,
    path::{check_folder, check_path},
};

/// Files in a folder.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FilesystemKeys {
    /// The folder; it is made if need be.
    #[schemars(example = &"/mnt/archive")]
    path: PathBuf,
    /// Permissions of files, whatever the umask is; 0640 less the umask if left out.
    #[serde(default)]
    #[schemars(example = &"0640")]
    mode: Option<Mode>,
    /// Permissions of folders that are made; 0777 less the umask if left out.
    #[serde(default)]
    #[schemars(example = &"0750")]
    directory_mode: Option<Mode>,
    /// How to treat an object that is there already.
    #[serde(default)]
    overwrite: Overwrite,
}

/// Permissions, in octal digits.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
struct Mode(u32);

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        u32::from_str_radix(&text, 8)
            .ok()
            .filter(|mode| *mode <= 0o7777)
            .map(Mode)
            .ok_or_else(|| format!("`{text}` is not of the form \"0640\""))
    }
}

#[async_trait]
impl SinkKeys for FilesystemKeys {
    fn location_key(&self) -> &'static str {
        "path"
    }

    fn location(&self) -> Location {
        Location::folder(&self.path)
    }

    fn check_location(&self, at: &str) -> Result<(), ConfigError> {
        check_path(&format!("{at}.path"), &self.path, "a folder")
    }

    fn validate(&self, secrets: &Secrets<'_>) -> Result<(), ConfigError> {
        check_folder(&self.path).map_err(|reason| secrets.error("path", reason))
    }

    fn keeps_different(&self) -> bool {
        self.overwrite == Overwrite::Never
    }

    async fn open(&self, _: &Secrets<'_>) -> Result<Arc<dyn Sink>, ConfigError> {
        let options = FilesystemOptions {
            mode: self.mode.map(|mode| mode.0),
            directory_mode: self.directory_mode.map(|mode| mode.0),
            overwrite: self.overwrite,
        };
        Ok(Arc::new(Filesystem::with(self.path.clone(), options)))
    }
}
