//! Where each type of sink puts its objects, from its keys.

use std::collections::BTreeMap;

use super::{
    super::{ConfigError, key, place::Place},
    Kind, SinkConfig,
};
use crate::secret::Backend;

impl SinkConfig {
    /// The place of its objects. A URL that is a reference to a secret is told as that reference.
    pub(crate) fn place(&self) -> Place {
        match &self.kind {
            Kind::Filesystem(given) => Place::folder(&given.path),
            Kind::Stdout => Place::named("stdout", ""),
            #[cfg(feature = "s3")]
            Kind::S3(given) => given.place(),
            #[cfg(feature = "sink-gcs")]
            Kind::Gcs(given) => given.place(),
            #[cfg(feature = "sink-azure-blob")]
            Kind::AzureBlob(given) => given.place(),
            #[cfg(feature = "sink-http")]
            Kind::Http(given) => given.place(),
        }
    }

    /// Its place with secrets in it looked up: it may be compared, and not shown.
    pub(crate) fn revealed_place(
        &self,
        backends: &BTreeMap<String, Backend>,
    ) -> Result<Place, ConfigError> {
        #[cfg(feature = "sink-http")]
        if let Kind::Http(given) = &self.kind {
            return given.revealed_place(&super::Secrets {
                at: &self.at,
                backends,
            });
        }
        let _ = backends;
        Ok(self.place())
    }

    /// Whether its place may be a secret.
    pub(crate) fn may_be_secret(&self) -> bool {
        #[cfg(feature = "sink-http")]
        if matches!(self.kind, Kind::Http(_)) {
            return true;
        }
        false
    }

    /// The key that tells its place.
    pub(crate) fn place_key(&self) -> &'static str {
        match &self.kind {
            Kind::Filesystem(_) => "path",
            Kind::Stdout => "type",
            #[cfg(feature = "s3")]
            Kind::S3(_) => "bucket",
            #[cfg(feature = "sink-gcs")]
            Kind::Gcs(_) => "bucket",
            #[cfg(feature = "sink-azure-blob")]
            Kind::AzureBlob(_) => "container",
            #[cfg(feature = "sink-http")]
            Kind::Http(_) => "url",
        }
    }

    /// Refuses names that name nothing, or something else than a name.
    pub(super) fn check_place(&self) -> Result<(), ConfigError> {
        let wrong = |name: &str, reason: String| Err(key(format!("{}.{name}", self.at), reason));
        let name = self.place_key();
        let named: Option<&str> = match &self.kind {
            Kind::Filesystem(given) if given.path.as_os_str().is_empty() => {
                return wrong(
                    name,
                    "is empty; name a folder, such as `/mnt/archive`".to_owned(),
                );
            }
            Kind::Filesystem(_) | Kind::Stdout => None,
            #[cfg(feature = "s3")]
            Kind::S3(given) => Some(given.bucket()),
            #[cfg(feature = "sink-gcs")]
            Kind::Gcs(given) => Some(given.bucket()),
            #[cfg(feature = "sink-azure-blob")]
            Kind::AzureBlob(given) => {
                if given.account().is_empty() {
                    return wrong("account", "is empty; name the storage account".to_owned());
                }
                Some(given.container())
            }
            #[cfg(feature = "sink-http")]
            Kind::Http(_) => None,
        };
        let Some(named) = named else {
            return Ok(());
        };
        // The name of an access point of Amazon S3 is an ARN, which has slashes.
        let arn = named.starts_with("arn:");
        if named.trim().is_empty() {
            return wrong(name, format!("is empty; name the {name}"));
        }
        if named.contains("://") || (named.contains('/') && !arn) {
            return wrong(
                name,
                format!(
                    "`{named}` is not the name of a {name}: give the name alone, a folder in it as `prefix`, and a server as `endpoint`"
                ),
            );
        }
        Ok(())
    }
}
