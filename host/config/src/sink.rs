//! What a configuration says about a sink, and the sink made from it.

#[cfg(any(feature = "sink-azure-blob", feature = "sink-gcs"))]
mod bucket;
#[cfg(feature = "sink-http")]
mod http;
#[cfg(test)]
mod identity_tests;
mod place;
#[cfg(feature = "s3")]
pub(super) mod s3;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{ConfigError, key, parse};
use crate::secret::{self, Backend};
use recording_host_engine::{
    privacy::Privacy,
    transfer::{Output, Zip},
};
use recording_host_model::{
    layout::Layout,
    route::{Condition, Content, Route},
};
use recording_host_sink::{
    Overwrite, Sink,
    encrypted::Encrypted,
    encryption::{RecipientError, Recipients},
    filesystem::{Filesystem, Options},
    stdout::Stdout,
};

/// The types of sinks.
const TYPES: &str = "filesystem, s3, gcs, azure_blob, http or stdout";

/// The types that are there by a feature of the build, with its name.
const FEATURES: [(&str, &str); 4] = [
    ("s3", "s3"),
    ("gcs", "sink-gcs"),
    ("azure_blob", "sink-azure-blob"),
    ("http", "sink-http"),
];

/// A sink whose keys are known to be right.
#[derive(Debug)]
pub(super) struct SinkConfig {
    /// Where it stands in the configuration.
    at: String,
    common: Common,
    kind: Kind,
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
    zip: Zip,
    /// The form in which it wants recordings; as they were recorded if left out.
    #[serde(default)]
    transcode: Option<recording_host_transcode::Settings>,
    /// How it wants rows.
    #[serde(default)]
    metadata: recording_host_metadata::Settings,
    /// Where the media lie: `days`, `flat`, or a table with `type` and what belongs to it.
    #[serde(default)]
    #[schemars(extend("default" = "days"))]
    layout: Layout,
    /// Which conversations it takes; all if left out.
    #[serde(default)]
    condition: Condition,
    /// What of them it takes.
    #[serde(default)]
    #[schemars(extend("default" = ["media", "metadata"]))]
    content: Content,
    /// For whom what it stores is encrypted; for nobody if left out.
    #[serde(default)]
    encrypt: Option<Encrypt>,
}

/// The names of the keys in [`Common`].
const COMMON: [&str; 8] = [
    "inputs",
    "zip",
    "transcode",
    "metadata",
    "layout",
    "condition",
    "content",
    "encrypt",
];

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

#[derive(Debug)]
enum Kind {
    Filesystem(FilesystemKeys),
    #[cfg(feature = "s3")]
    S3(Box<s3::Keys>),
    #[cfg(feature = "sink-gcs")]
    Gcs(Box<bucket::GcsKeys>),
    #[cfg(feature = "sink-azure-blob")]
    AzureBlob(Box<bucket::AzureBlobKeys>),
    #[cfg(feature = "sink-http")]
    Http(Box<http::Keys>),
    Stdout,
}

/// Files in a folder.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FilesystemKeys {
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
    /// What is done about an object that is there already.
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

/// One line of JSON for each object on standard output.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoKeys {}

/// A value that may be a secret: it is not shown.
#[derive(Clone, Deserialize, JsonSchema)]
pub(super) struct Hidden(String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("...")
    }
}

/// Resolves the secrets below a place in the configuration.
pub(super) struct Secrets<'a> {
    pub(super) at: &'a str,
    pub(super) backends: &'a BTreeMap<String, Backend>,
}

impl Secrets<'_> {
    pub(super) fn get(&self, name: &str, value: &Hidden) -> Result<SecretString, ConfigError> {
        let at = format!("{}.{name}", self.at);
        Ok(secret::resolve(&value.0, &at, self.backends)?)
    }

    fn optional(
        &self,
        name: &str,
        value: Option<&Hidden>,
    ) -> Result<Option<SecretString>, ConfigError> {
        value.map(|value| self.get(name, value)).transpose()
    }

    /// An error about a key below the place.
    fn error(&self, name: &str, reason: impl ToString) -> ConfigError {
        let at = format!("{}.{name}", self.at);
        key(at.trim_end_matches('.'), reason)
    }
}

/// The types of sinks that are built in, with the schemas of their keys, and that of the keys that
/// all of them have.
pub(super) fn schemas(generator: &mut SchemaGenerator) -> (Schema, Vec<(&'static str, Schema)>) {
    let common = Common::json_schema(generator);
    let types = vec![
        #[cfg(feature = "s3")]
        ("s3", s3::Keys::json_schema(generator)),
        ("filesystem", FilesystemKeys::json_schema(generator)),
        #[cfg(feature = "sink-gcs")]
        ("gcs", bucket::GcsKeys::json_schema(generator)),
        #[cfg(feature = "sink-azure-blob")]
        ("azure_blob", bucket::AzureBlobKeys::json_schema(generator)),
        #[cfg(feature = "sink-http")]
        ("http", http::Keys::json_schema(generator)),
        ("stdout", NoKeys::json_schema(generator)),
    ];
    (common, types)
}

impl SinkConfig {
    /// Reads the sink `name`.
    pub(super) fn new(name: &str, value: Value) -> Result<Self, ConfigError> {
        let at = format!("sinks.{name}");
        let Value::Object(mut table) = value else {
            return Err(key(at, "must be a table with a `type`"));
        };
        let common: Map<String, Value> = COMMON
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), table.remove(*name)?)))
            .collect();
        let common: Common = parse(&at, Value::Object(common))?;
        if common.transcode.is_some() && !cfg!(feature = "transcode") {
            let reason = "this build cannot transcode; build it with the feature `transcode`";
            return Err(key(format!("{at}.transcode"), reason));
        }
        let named = table.remove("type");
        if common.encrypt.is_some() {
            let wrong = |name: &str, reason: &str| Err(key(format!("{at}.{name}"), reason));
            if named.as_ref().is_some_and(|name| name == "stdout") {
                return wrong(
                    "encrypt",
                    "`stdout` prints rows as they are; use another sink",
                );
            }
            if table.get("overwrite").is_some_and(|given| given == "never") {
                return wrong(
                    "overwrite",
                    "`never` does not go with `encrypt`: what is put again after an interruption has other bytes",
                );
            }
        }
        let rest = Value::Object(table);
        let kind = match named.as_ref().and_then(Value::as_str) {
            Some("filesystem") => Kind::Filesystem(parse(&at, rest)?),
            Some("stdout") => parse(&at, rest).map(|NoKeys {}| Kind::Stdout)?,
            #[cfg(feature = "s3")]
            Some("s3") => Kind::S3(parse(&at, rest)?),
            #[cfg(feature = "sink-gcs")]
            Some("gcs") => Kind::Gcs(parse(&at, rest)?),
            #[cfg(feature = "sink-azure-blob")]
            Some("azure_blob") => Kind::AzureBlob(parse(&at, rest)?),
            #[cfg(feature = "sink-http")]
            Some("http") => Kind::Http(parse(&at, rest)?),
            // Known, and not built in.
            Some(name) if FEATURES.iter().any(|(known, _)| *known == name) => {
                return Err(left_out(&at, name));
            }
            Some(other) => {
                let reason = format!("`{other}` is not known; use {TYPES}");
                return Err(key(format!("{at}.type"), reason));
            }
            None => return Err(key(format!("{at}.type"), format!("missing; use {TYPES}"))),
        };
        let sink = SinkConfig { at, common, kind };
        sink.check_place()?;
        Ok(sink)
    }

    /// Where it stands in the configuration.
    pub(super) fn at(&self) -> &str {
        &self.at
    }

    /// The sources that it takes; none for all.
    pub(super) fn inputs(&self) -> Option<&[String]> {
        self.common.inputs.as_deref()
    }

    /// Whether it takes this source.
    pub(super) fn takes(&self, source: &str) -> bool {
        self.inputs()
            .is_none_or(|inputs| inputs.iter().any(|input| input == source))
    }

    /// A field that its condition asks for and that `privacy` takes out, so that it would never match.
    pub(super) fn blind(&self, privacy: &Privacy) -> Option<&'static str> {
        let condition = &self.common.condition;
        [
            ("queues", &condition.queues),
            ("divisions", &condition.divisions),
        ]
        .into_iter()
        .find(|(field, wanted)| !wanted.is_empty() && privacy.hides(field))
        .map(|(field, _)| field)
    }

    /// The sink that was made of it, with what it takes, and how it wants that.
    pub(super) fn output(&self, name: &str, sink: Arc<dyn Sink>) -> Output {
        let common = &self.common;
        Output {
            zip: common.zip,
            transcode: common.transcode.clone(),
            metadata: common.metadata,
            route: Route {
                condition: common.condition.clone(),
                content: common.content,
            },
            layout: common.layout.clone(),
            ..Output::new(name, sink)
        }
    }

    /// Where the media lie in it.
    pub(super) fn layout(&self) -> &Layout {
        &self.common.layout
    }

    /// Whether it writes to standard output.
    pub(super) fn prints(&self) -> bool {
        matches!(self.kind, Kind::Stdout)
    }

    /// Checks what can be checked offline.
    pub(super) fn validate(&self, secrets: &BTreeMap<String, Backend>) -> Result<(), ConfigError> {
        let secrets = Secrets {
            at: &self.at,
            backends: secrets,
        };
        match &self.kind {
            Kind::Filesystem(_) | Kind::Stdout => Ok(()),
            #[cfg(feature = "s3")]
            Kind::S3(given) => given.settings(&secrets).map(|_| ()),
            #[cfg(feature = "sink-gcs")]
            Kind::Gcs(given) => given.settings(&secrets).map(|_| ()),
            #[cfg(feature = "sink-azure-blob")]
            Kind::AzureBlob(given) => given.settings(&secrets).map(|_| ()),
            #[cfg(feature = "sink-http")]
            Kind::Http(given) => given.settings(&secrets).map(|_| ()),
        }
    }

    /// Makes the sink.
    pub(super) async fn sink(
        &self,
        secrets: &BTreeMap<String, Backend>,
    ) -> Result<Arc<dyn Sink>, ConfigError> {
        let secrets = Secrets {
            at: &self.at,
            backends: secrets,
        };
        #[cfg(any(
            feature = "sink-azure-blob",
            feature = "sink-gcs",
            feature = "sink-http"
        ))]
        let wrong = |error: recording_host_sink::SinkError| key(&self.at, error.reason);
        let sink: Arc<dyn Sink> = match &self.kind {
            Kind::Filesystem(given) => Arc::new(Filesystem::with(
                given.path.clone(),
                Options {
                    mode: given.mode.map(|mode| mode.0),
                    directory_mode: given.directory_mode.map(|mode| mode.0),
                    overwrite: given.overwrite,
                },
            )),
            Kind::Stdout => Arc::new(Stdout::default()),
            #[cfg(feature = "s3")]
            Kind::S3(given) => {
                Arc::new(recording_host_sink_s3::S3::new(given.settings(&secrets)?).await)
            }
            #[cfg(feature = "sink-gcs")]
            Kind::Gcs(given) => {
                let settings = given.settings(&secrets)?;
                Arc::new(recording_host_sink_object_store::gcs::open(settings).map_err(wrong)?)
            }
            #[cfg(feature = "sink-azure-blob")]
            Kind::AzureBlob(given) => {
                let settings = given.settings(&secrets)?;
                Arc::new(
                    recording_host_sink_object_store::azure_blob::open(settings).map_err(wrong)?,
                )
            }
            #[cfg(feature = "sink-http")]
            Kind::Http(given) => {
                let settings = given.settings(&secrets)?;
                Arc::new(recording_host_sink::http::Http::new(settings).map_err(wrong)?)
            }
        };
        Ok(match &self.common.encrypt {
            None => sink,
            Some(encrypt) => Arc::new(Encrypted::new(sink, encrypt.recipients.0.clone())),
        })
    }
}

fn left_out(at: &str, name: &str) -> ConfigError {
    let feature = FEATURES.iter().find(|(known, _)| *known == name);
    let feature = feature.map_or(name, |(_, feature)| feature);
    key(
        format!("{at}.type"),
        format!("this build has no `{name}`; build it with the feature `{feature}`"),
    )
}
