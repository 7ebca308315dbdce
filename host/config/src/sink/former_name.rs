//! Keys of sinks that had another name, by which they still work. The schema of a key says its former name.

use serde_json::{Map, Value};

use super::{ConfigError, key};

/// The keyword of a key's schema that says its former name.
pub(crate) const KEYWORD: &str = "x-renamed-from";

/// A key that is given by its former name.
#[derive(Debug)]
pub(super) struct FormerName {
    was: String,
    now: String,
}

impl FormerName {
    /// Gives the keys of a sink the names that they have now. `properties` are the schemas of all its keys; `at` is its
    /// path in the configuration.
    pub(super) fn replace(
        at: &str,
        properties: &Map<String, Value>,
        table: &mut Map<String, Value>,
    ) -> Result<Vec<Self>, ConfigError> {
        let mut replaced = Vec::new();
        for (now, schema) in properties {
            let Some(was) = schema[KEYWORD].as_str() else {
                continue;
            };
            let Some(value) = table.remove(was) else {
                continue;
            };
            if table.insert(now.clone(), value).is_some() {
                let reason = format!(
                    "is the former name of `{now}`, which is given, too; leave this one out"
                );
                return Err(key(format!("{at}.{was}"), reason));
            }
            replaced.push(FormerName {
                was: was.to_owned(),
                now: now.clone(),
            });
        }
        Ok(replaced)
    }

    /// The warning about it.
    pub(super) fn warning(&self, at: &str) -> String {
        let FormerName { was, now } = self;
        format!("{at}.{was}: this key is called `{now}` now; the former name still works")
    }

    /// An error about this key is one about the name that is given.
    pub(super) fn named_as_given(&self, sink: &str, error: ConfigError) -> ConfigError {
        match error {
            ConfigError::Key { at, reason } if at == format!("{sink}.{}", self.now) => {
                key(format!("{sink}.{}", self.was), reason)
            }
            error => error,
        }
    }
}
