//! The configuration of a sink, and the sink made from it.

#[cfg(feature = "sink-azure-blob")]
mod azure_blob;
mod bucket;
mod filesystem;
pub(super) mod former_name;
#[cfg(feature = "sink-gcs")]
mod gcs;
#[cfg(feature = "sink-http")]
mod http;
#[cfg(test)]
mod identity_tests;
mod name;
mod registry;
#[cfg(feature = "s3")]
pub(super) mod s3;
mod stdout;
#[cfg(test)]
mod tests;
mod unopened;
mod value;

use std::{collections::BTreeMap, sync::Arc};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use super::{ConfigError, key, parse};
use crate::{
    address,
    limits::check_wait,
    location::Location,
    parse::parts,
    secret::{self, Backend},
};
use recording_host_engine::{
    preview::SinkRules,
    privacy::Privacy,
    transfer::{ArchiveMode, SinkBinding},
};
use recording_host_model::{
    layout::Layout,
    route::{Condition, Content, Route},
};
use recording_host_sink::{
    Sink,
    encrypted::Encrypted,
    encryption::{RecipientError, Recipients},
};
use registry::SinkKeys;
use unopened::Unopened;

/// A sink whose keys are known to be right.
#[derive(Debug)]
pub(super) struct SinkConfig {
    /// Where it stands in the configuration.
    at: String,
    common: Common,
    keys: Box<dyn SinkKeys>,
    warnings: Vec<String>,
}

/// Keys that every sink has.
#[derive(Debug, Deserialize, JsonSchema)]
struct Common {
    /// The sources that it takes; all if left out.
    #[serde(default)]
    #[schemars(example = ["calls"])]
    inputs: Option<Vec<String>>,
    /// How it wants archives.
    #[serde(default)]
    zip: ArchiveMode,
    /// The form in which it wants recordings; as they were recorded if left out.
    #[serde(default)]
    transcode: Option<recording_host_transcode::TranscodeSettings>,
    /// How it wants rows.
    #[serde(default)]
    metadata: recording_host_metadata::RowSettings,
    /// Where the media lie: `days`, `flat`, or a table with `type` and what belongs to it.
    #[serde(default)]
    #[schemars(extend("default" = "days"))]
    layout: Layout,
    /// Which conversations it takes; all if left out.
    #[serde(default)]
    condition: Condition,
    /// The parts of these conversations that it takes.
    #[serde(default)]
    #[schemars(extend("default" = ["media", "metadata"]))]
    content: Content,
    /// For whom what it stores is encrypted; for nobody if left out.
    #[serde(default)]
    encrypt: Option<Encrypt>,
}

/// For whom objects are encrypted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Encrypt {
    /// Who may read them, each `age1...`, as `age-keygen` prints it; one of their identities suffices.
    #[schemars(
        with = "Vec<String>",
        length(min = 1),
        example = ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"]
    )]
    recipients: Given,
}

/// Recipients that are known to be right.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Vec<String>")]
struct Given(Recipients);

impl TryFrom<Vec<String>> for Given {
    type Error = RecipientError;

    fn try_from(texts: Vec<String>) -> Result<Self, RecipientError> {
        Recipients::parse(&texts).map(Given)
    }
}

/// The most attempts of a request.
const MOST_ATTEMPTS: usize = u32::MAX as usize;

/// A value that may be a secret: it is not shown.
#[derive(Clone, Deserialize, JsonSchema)]
pub(crate) struct Hidden(String);

impl Hidden {
    /// Returns true if it names a secret and is none itself.
    pub(crate) fn is_reference(&self) -> bool {
        self.0.starts_with("SECRET[")
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("...")
    }
}

/// Resolves the secrets below a path in the configuration.
pub(crate) struct Secrets<'a> {
    pub(crate) at: &'a str,
    pub(crate) backends: &'a BTreeMap<String, Backend>,
}

impl Secrets<'_> {
    pub(crate) fn get(&self, name: &str, value: &Hidden) -> Result<SecretString, ConfigError> {
        let at = format!("{}.{name}", self.at);
        Ok(secret::resolve(&value.0, &at, self.backends)?)
    }

    /// A secret that may be empty, as the password beside an API key that stands for the user.
    pub(crate) fn get_or_empty(
        &self,
        name: &str,
        value: &Hidden,
    ) -> Result<SecretString, ConfigError> {
        match value.0.is_empty() {
            true => Ok(SecretString::default()),
            false => self.get(name, value),
        }
    }

    fn optional(
        &self,
        name: &str,
        value: Option<&Hidden>,
    ) -> Result<Option<SecretString>, ConfigError> {
        value.map(|value| self.get(name, value)).transpose()
    }

    /// Returns false if a text stands in for each, so that nothing can be made of them.
    pub(crate) fn are_read(&self) -> bool {
        let mut backends = self.backends.values();
        !backends.any(|backend| matches!(backend, Backend::Unread))
    }

    /// Refuses what is no URL of a server.
    fn server(&self, name: &str, url: Option<&str>) -> Result<(), ConfigError> {
        match url.map(address::server) {
            Some(Err(reason)) => Err(self.error(name, reason)),
            _ => Ok(()),
        }
    }

    /// Refuses to try not even once, and a pause between two tries that is out of bounds.
    fn retry(&self, attempts: usize, max_backoff_seconds: u64) -> Result<(), ConfigError> {
        if attempts == 0 {
            let reason = "0 would send no request; give 1 for a single try";
            return Err(self.error("retry.attempts", reason));
        }
        if attempts > MOST_ATTEMPTS {
            let reason = format!("{attempts} is more than {MOST_ATTEMPTS}");
            return Err(self.error("retry.attempts", reason));
        }
        self.wait("retry.max_backoff_seconds", max_backoff_seconds, 0)
    }

    /// Refuses a wait that is out of bounds.
    fn wait(&self, name: &str, seconds: u64, least: u64) -> Result<(), ConfigError> {
        check_wait(&format!("{}.{name}", self.at), seconds, least)
    }

    /// An error about a key below the path.
    pub(crate) fn error(&self, name: &str, reason: impl ToString) -> ConfigError {
        let at = format!("{}.{name}", self.at);
        key(at.trim_end_matches('.'), reason)
    }
}

/// The types of sinks that are built in, with the schemas of their keys, and that of the keys that
/// all of them have.
pub(super) fn schemas(generator: &mut SchemaGenerator) -> (Schema, Vec<(&'static str, Schema)>) {
    let common = Common::json_schema(generator);
    (common, registry::schemas(generator))
}

impl SinkConfig {
    /// Reads the sink `name`.
    pub(super) fn new(name: &str, value: Value) -> Result<Self, ConfigError> {
        let at = format!("sinks.{name}");
        let Value::Object(mut table) = value else {
            return Err(key(at, "must be a table with a `type`"));
        };
        let common: Common = parts::take(&at, &mut table)?;
        if let Some((path, reason)) = common.condition.mistake() {
            return Err(key(format!("{at}.condition.{path}"), reason));
        }
        if common.transcode.is_some() && !cfg!(feature = "transcode") {
            let reason = "this build cannot transcode; build it with the feature `transcode`";
            return Err(key(format!("{at}.transcode"), reason));
        }
        let named = table.remove("type");
        if named.as_ref().is_some_and(|named| !named.is_string()) {
            return Err(key(format!("{at}.type"), "must be a text, such as s3"));
        }
        let named = named.as_ref().and_then(Value::as_str);
        let (keys, warnings) = registry::read(&at, named, table)?;
        if common.encrypt.is_some() {
            let wrong = |name: &str, reason: &str| Err(key(format!("{at}.{name}"), reason));
            if keys.prints() {
                return wrong(
                    "encrypt",
                    "`stdout` prints rows as they are; use another sink",
                );
            }
            if keys.keeps_different() {
                return wrong(
                    "overwrite",
                    "`never` does not go with `encrypt`: what is put again after an interruption has other bytes",
                );
            }
        }
        keys.check_location(&at)?;
        if let Some(bucket) = keys.bucket() {
            name::plain_name(&at, keys.location_key(), bucket)?;
        }
        Ok(SinkConfig {
            at,
            common,
            keys,
            warnings,
        })
    }

    /// Keys that are given by their former names.
    pub(super) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Where it stands in the configuration.
    pub(super) fn at(&self) -> &str {
        &self.at
    }

    /// The sources that it takes; none for all.
    pub(super) fn inputs(&self) -> Option<&[String]> {
        self.common.inputs.as_deref()
    }

    /// Returns true if it takes this source.
    pub(super) fn takes(&self, source: &str) -> bool {
        self.inputs()
            .is_none_or(|inputs| inputs.iter().any(|input| input == source))
    }

    /// The path in its condition, and the field that this looks at, if `privacy` takes the field out: it
    /// would never match, or within `none_of` always.
    pub(super) fn blind(&self, privacy: &Privacy) -> Option<(String, String)> {
        let mut fields = self.common.condition.fields().into_iter();
        fields.find(|(_, field)| privacy.hides(field))
    }

    /// The sink that was made of it, with what it takes, and how it wants that.
    pub(super) fn binding(&self, name: &str, sink: Arc<dyn Sink>) -> SinkBinding {
        let common = &self.common;
        SinkBinding {
            zip: common.zip,
            transcode: common.transcode.clone(),
            metadata: common.metadata,
            route: self.route(),
            layout: common.layout.clone(),
            ..SinkBinding::new(name, sink)
        }
    }

    /// How it treats conversations, without the sink itself.
    pub(super) fn rules(&self, name: &str) -> SinkRules {
        let common = &self.common;
        SinkRules {
            name: name.to_owned(),
            zip: common.zip,
            transcode: common.transcode.clone(),
            route: self.route(),
            layout: common.layout.clone(),
        }
    }

    fn route(&self) -> Route {
        Route {
            condition: self.common.condition.clone(),
            content: self.common.content,
        }
    }

    /// Where the media lie in it.
    pub(super) fn layout(&self) -> &Layout {
        &self.common.layout
    }

    /// Returns true if it writes to standard output.
    pub(super) fn prints(&self) -> bool {
        self.keys.prints()
    }

    /// The location of its objects. A URL that is a reference to a secret is given as that reference.
    pub(super) fn location(&self) -> Location {
        self.keys.location()
    }

    /// Its location with secrets in it looked up: it may be compared, and not shown.
    pub(super) fn revealed_location(
        &self,
        backends: &BTreeMap<String, Backend>,
    ) -> Result<Location, ConfigError> {
        self.keys.revealed_location(&self.secrets(backends))
    }

    /// Returns true if its location may be a secret.
    pub(super) fn may_be_secret(&self) -> bool {
        self.keys.may_be_secret()
    }

    /// The key that holds its location.
    pub(super) fn location_key(&self) -> &'static str {
        self.keys.location_key()
    }

    fn secrets<'a>(&'a self, backends: &'a BTreeMap<String, Backend>) -> Secrets<'a> {
        Secrets {
            at: &self.at,
            backends,
        }
    }

    /// Checks what can be checked offline.
    pub(super) fn validate(&self, backends: &BTreeMap<String, Backend>) -> Result<(), ConfigError> {
        self.keys.validate(&self.secrets(backends))
    }

    /// Makes the sink.
    pub(super) async fn sink(
        &self,
        backends: &BTreeMap<String, Backend>,
    ) -> Result<Arc<dyn Sink>, ConfigError> {
        let sink = self.keys.open(&self.secrets(backends)).await?;
        Ok(self.encrypted(sink))
    }

    /// A sink that stands for this one where nothing is stored or read.
    pub(super) fn unopened(&self) -> Arc<dyn Sink> {
        self.encrypted(Arc::new(Unopened))
    }

    fn encrypted(&self, sink: Arc<dyn Sink>) -> Arc<dyn Sink> {
        match &self.common.encrypt {
            None => sink,
            Some(encrypt) => Arc::new(Encrypted::new(sink, encrypt.recipients.0.clone())),
        }
    }
}
