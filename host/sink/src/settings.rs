//! Settings that several sinks share: each is described here once, and the keys of a configuration are made of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Overwrite;

/// The names and properties of objects in a bucket, whoever's it is.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectOptions {
    /// The prefix of all keys. Give one in a bucket that others use, too.
    #[serde(default)]
    #[schemars(example = &"genesys")]
    pub prefix: String,
    /// Tags of each object.
    #[serde(default)]
    #[schemars(example = BTreeMap::from([("retention", "7y")]))]
    pub tags: BTreeMap<String, String>,
    /// User metadata of each object, printable ASCII.
    #[serde(default)]
    #[schemars(example = BTreeMap::from([("department", "claims")]))]
    pub object_metadata: BTreeMap<String, String>,
    /// The content encoding that objects are labeled with.
    #[schemars(example = &"identity")]
    pub content_encoding: Option<String>,
    /// How to treat an object that is there already.
    #[serde(default)]
    pub overwrite: Overwrite,
}

/// Declares how requests to a sink are repeated: the keys that every client has, after those that one has alone.
/// A flattened field would accept unknown keys, and not say which of its keys is wrong.
#[doc(hidden)]
#[macro_export]
macro_rules! retry_settings {
    (
        $(#[$about:meta])*
        $settings:ident { $($(#[$about_own:meta])* $own:ident: $type:ty,)* }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $settings {
            $($(#[$about_own])* pub $own: $type,)*
            /// Attempts in all.
            pub attempts: usize,
            /// The longest pause between two, in seconds.
            pub max_backoff_seconds: u64,
        }

        impl Default for $settings {
            fn default() -> Self {
                $settings {
                    $($own: Default::default(),)*
                    attempts: 6,
                    max_backoff_seconds: 20,
                }
            }
        }
    };
}

retry_settings! {
    /// How requests are repeated.
    Retry {}
}
