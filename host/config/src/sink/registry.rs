//! The types of sinks that a configuration can name. Each has a module of its own, which says what is
//! particular to it by [`SinkKeys`], and a line in [`TYPES`]: reading, the schema, `generate`, validation
//! and what a message suggests come from there. CONTRIBUTING.md says how to add one.

use std::sync::Arc;

use async_trait::async_trait;
use recording_host_sink::Sink;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{ConfigError, Secrets, former_name::FormerName, key, parse};
use crate::location::Location;

/// The keys of one type of sinks, and what is made of them.
///
/// Its description in the schema is the type's doc comment, that of each key the field's.
#[async_trait]
pub(super) trait SinkKeys: std::fmt::Debug + Send + Sync {
    /// The key that says where its objects lie.
    fn location_key(&self) -> &'static str;

    /// Where its objects lie. A URL that is a reference to a secret is given as that reference.
    fn location(&self) -> Location;

    /// Its location with secrets in it looked up: it may be compared, and not shown.
    ///
    /// # Errors
    /// A secret that is not there.
    fn revealed_location(&self, _secrets: &Secrets<'_>) -> Result<Location, ConfigError> {
        Ok(self.location())
    }

    /// Returns true if its location may be a secret.
    fn may_be_secret(&self) -> bool {
        false
    }

    /// Returns true if it writes to standard output.
    fn prints(&self) -> bool {
        false
    }

    /// Returns true if it never replaces a different object, also not one of this program's own.
    fn keeps_different(&self) -> bool {
        false
    }

    /// The value of [`location_key`](Self::location_key) if that is the name of a bucket, or of whatever a server calls
    /// one.
    fn bucket(&self) -> Option<&str> {
        None
    }

    /// Refuses names that name nothing, or something else than a name; `at` is the sink's path in
    /// the configuration.
    ///
    /// # Errors
    /// The key whose name is wrong.
    fn check_location(&self, _at: &str) -> Result<(), ConfigError> {
        Ok(())
    }

    /// Checks what can be checked offline.
    ///
    /// # Errors
    /// The key whose value is wrong, or the secret that is not there.
    fn validate(&self, _secrets: &Secrets<'_>) -> Result<(), ConfigError> {
        Ok(())
    }

    /// Makes the sink.
    ///
    /// # Errors
    /// As [`validate`](Self::validate), and what the sink itself refuses.
    async fn open(&self, secrets: &Secrets<'_>) -> Result<Arc<dyn Sink>, ConfigError>;
}

/// The keys of a type of sinks whose table several types read, each its own keys.
pub(super) trait SinkParts: SinkKeys + Sized {
    /// The schema of all keys.
    fn schema(generator: &mut SchemaGenerator) -> Schema;

    /// Reads the keys of a sink that stands at `at` in the configuration; `known` are the schemas of all.
    ///
    /// # Errors
    /// The key that is unknown, missing, or of a wrong type.
    fn read(
        at: &str,
        table: Map<String, Value>,
        known: &Map<String, Value>,
    ) -> Result<Self, ConfigError>;
}

/// A type of sinks.
pub(super) struct SinkType {
    /// The value of `type`.
    name: &'static str,
    /// The feature of the build that it is there by; empty if it always is.
    feature: &'static str,
    /// The reader of its keys; none if this build does not include it.
    built: Option<Built>,
}

#[derive(Clone, Copy)]
struct Built {
    schema: fn(&mut SchemaGenerator) -> Schema,
    read: Read,
}

/// Reads the keys of a sink that stands at this path in the configuration; the schemas of all that it may have
/// come with them.
type Read =
    fn(&str, Map<String, Value>, &Map<String, Value>) -> Result<Box<dyn SinkKeys>, ConfigError>;

impl Built {
    const fn of<K: SinkKeys + DeserializeOwned + JsonSchema + 'static>() -> Self {
        Built {
            schema: K::json_schema,
            read: |at, keys, _| Ok(Box::new(parse::<K>(at, Value::Object(keys))?)),
        }
    }

    const fn of_parts<K: SinkParts + 'static>() -> Self {
        Built {
            schema: K::schema,
            read: |at, keys, known| Ok(Box::new(K::read(at, keys, known)?)),
        }
    }
}

/// A line of the registry; without the feature, the type of its keys need not be there.
macro_rules! sink {
    ($name:literal, $built:expr) => {
        SinkType {
            name: $name,
            feature: "",
            built: Some($built),
        }
    };
    ($name:literal, $built:expr, $feature:tt) => {
        SinkType {
            name: $name,
            feature: $feature,
            #[cfg(feature = $feature)]
            built: Some($built),
            #[cfg(not(feature = $feature))]
            built: None,
        }
    };
}

/// All types, in the order in which they are listed.
const TYPES: &[SinkType] = &[
    sink!(
        "s3",
        Built::of_parts::<super::bucket::BucketSink<super::s3::S3Keys>>(),
        "s3"
    ),
    sink!(
        "filesystem",
        Built::of::<super::filesystem::FilesystemKeys>()
    ),
    sink!(
        "gcs",
        Built::of_parts::<super::bucket::BucketSink<super::gcs::GcsKeys>>(),
        "sink-gcs"
    ),
    sink!(
        "azure_blob",
        Built::of_parts::<super::bucket::BucketSink<super::azure_blob::AzureKeys>>(),
        "sink-azure-blob"
    ),
    sink!(
        "http",
        Built::of_parts::<super::http::HttpSink>(),
        "sink-http"
    ),
    sink!("stdout", Built::of::<super::stdout::StdoutKeys>()),
];

/// The types that this build has, each with the schema of its keys.
pub(super) fn schemas(generator: &mut SchemaGenerator) -> Vec<(&'static str, Schema)> {
    let built = TYPES.iter().filter_map(|one| Some((one.name, one.built?)));
    built
        .map(|(name, built)| (name, (built.schema)(generator)))
        .collect()
}

/// Reads the keys of a sink of the type `name`, with warnings about those that are given by a former name; `at` is the
/// sink's path in the configuration.
pub(super) fn read(
    at: &str,
    name: Option<&str>,
    mut keys: Map<String, Value>,
) -> Result<(Box<dyn SinkKeys>, Vec<String>), ConfigError> {
    let wrong = |reason: String| key(format!("{at}.type"), reason);
    let Some(name) = name else {
        return Err(wrong(format!("missing; use {}", known())));
    };
    let Some(found) = TYPES.iter().find(|one| one.name == name) else {
        return Err(wrong(format!("`{name}` is not known; use {}", known())));
    };
    let Some(built) = found.built else {
        return Err(wrong(format!(
            "this build has no `{name}`; build it with the feature `{}`",
            found.feature
        )));
    };
    let schema = (built.schema)(&mut SchemaGenerator::default()).to_value();
    let none = Map::new();
    let known = schema["properties"].as_object().unwrap_or(&none);
    let former = FormerName::replace(at, known, &mut keys)?;
    let read = (built.read)(at, keys, known).map_err(|error| {
        former
            .iter()
            .fold(error, |error, name| name.named_as_given(at, error))
    });
    Ok((read?, former.iter().map(|name| name.warning(at)).collect()))
}

/// The names of all types, in the form of a sentence.
fn known() -> String {
    let names: Vec<&str> = TYPES.iter().map(|one| one.name).collect();
    let (last, others) = names.split_last().unwrap_or((&"", &[]));
    format!("{} or {last}", others.join(", "))
}
