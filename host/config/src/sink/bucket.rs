//! Sinks that store objects in a bucket, or whatever a service calls one: all that their types have in common.
//!
//! The keys of such a type belong to three types: the settings of the sink's crate, [`ObjectOptions`], and a
//! [`BucketKeys`], whose values are secrets or have to be converted.

use std::{borrow::Cow, sync::Arc};

use async_trait::async_trait;
use recording_host_sink::{ObjectOptions, Overwrite, Sink, SinkError};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{
    ConfigError, Secrets, key,
    registry::{SinkKeys, SinkParts},
    value,
};
use crate::{
    location::Location,
    parse::{parse, parts},
};

/// Where a bucket is.
pub(super) struct BucketLocation<'a> {
    /// Its name.
    pub(super) bucket: &'a str,
    /// The URL of its server as it is given.
    pub(super) endpoint: Option<&'a str>,
    /// The URL of its server: one for all names of the same name space.
    pub(super) server: Cow<'a, str>,
}

/// The keys of one type of these sinks that are secrets or have to be converted, and all that is particular to the
/// type.
#[async_trait]
pub(super) trait BucketKeys:
    std::fmt::Debug + DeserializeOwned + JsonSchema + Send + Sync + 'static
{
    /// The settings of the sink's crate; its fields are keys, but for those that are filled in by
    /// [`settings`](Self::settings).
    type Settings: std::fmt::Debug + DeserializeOwned + JsonSchema + Send + Sync + 'static;

    /// The kind of its locations.
    const KIND: &'static str;

    /// The key that names the bucket.
    const LOCATION_KEY: &'static str = "bucket";

    /// The keys of [`ObjectOptions`] that the service has no use for.
    const LACKS: &'static [&'static str] = &[];

    /// Where the bucket is.
    fn bucket_location(settings: &Self::Settings) -> BucketLocation<'_>;

    /// As [`SinkKeys::check_location`].
    ///
    /// # Errors
    /// As there.
    fn check_location(_settings: &Self::Settings, _at: &str) -> Result<(), ConfigError> {
        Ok(())
    }

    /// The settings, checked, and with all that they are to have.
    ///
    /// # Errors
    /// The key whose value is wrong, or the secret that is not there.
    fn settings(
        &self,
        given: &Self::Settings,
        objects: &ObjectOptions,
        secrets: &Secrets<'_>,
    ) -> Result<Self::Settings, ConfigError>;

    /// Makes the sink.
    ///
    /// # Errors
    /// What the sink refuses.
    async fn open(settings: Self::Settings) -> Result<Arc<dyn Sink>, SinkError>;
}

/// All keys of a sink that stores objects in a bucket.
#[derive(Debug)]
pub(super) struct BucketSink<K: BucketKeys> {
    given: K::Settings,
    objects: ObjectOptions,
    keys: K,
}

impl<K: BucketKeys> SinkParts for BucketSink<K> {
    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let mut all = K::json_schema(generator).to_value();
        let mut objects = ObjectOptions::json_schema(generator).to_value();
        if let Some(keys) = objects["properties"].as_object_mut() {
            keys.retain(|name, _| !K::LACKS.contains(&name.as_str()));
        }
        parts::join(&mut all, &K::Settings::json_schema(generator).to_value());
        parts::join(&mut all, &objects);
        Schema::try_from(all).unwrap_or_default()
    }

    fn read(
        at: &str,
        mut table: Map<String, Value>,
        known: &Map<String, Value>,
    ) -> Result<Self, ConfigError> {
        parts::refuse_others(at, &table, known)?;
        Ok(BucketSink {
            given: parts::take(at, &mut table)?,
            objects: parts::take(at, &mut table)?,
            keys: parse(at, Value::Object(table))?,
        })
    }
}

impl<K: BucketKeys> BucketSink<K> {
    fn settings(&self, secrets: &Secrets<'_>) -> Result<K::Settings, ConfigError> {
        secrets.server("endpoint", K::bucket_location(&self.given).endpoint)?;
        value::objects(&self.objects).map_err(|(at, reason)| secrets.error(&at, reason))?;
        self.keys.settings(&self.given, &self.objects, secrets)
    }
}

#[async_trait]
impl<K: BucketKeys> SinkKeys for BucketSink<K> {
    fn location_key(&self) -> &'static str {
        K::LOCATION_KEY
    }

    fn location(&self) -> Location {
        let bucket_location = K::bucket_location(&self.given);
        Location::bucket(
            K::KIND,
            &bucket_location.server,
            bucket_location.bucket,
            &self.objects.prefix,
        )
    }

    fn bucket(&self) -> Option<&str> {
        Some(K::bucket_location(&self.given).bucket)
    }

    fn check_location(&self, at: &str) -> Result<(), ConfigError> {
        K::check_location(&self.given, at)
    }

    fn keeps_different(&self) -> bool {
        self.objects.overwrite == Overwrite::Never
    }

    fn validate(&self, secrets: &Secrets<'_>) -> Result<(), ConfigError> {
        self.settings(secrets).map(drop)
    }

    async fn open(&self, secrets: &Secrets<'_>) -> Result<Arc<dyn Sink>, ConfigError> {
        let opened = K::open(self.settings(secrets)?).await;
        opened.map_err(|error| key(secrets.at, error.reason))
    }
}
