//! Names of buckets and containers.

use super::{ConfigError, key};

/// Refuses a name of a bucket or container that names nothing, or something else than one; `at` is
/// the sink's path in the configuration.
pub(super) fn plain_name(at: &str, name: &str, value: &str) -> Result<(), ConfigError> {
    let wrong = |reason: String| Err(key(format!("{at}.{name}"), reason));
    // The name of an access point of Amazon S3 is an ARN, which has slashes.
    let arn = value.starts_with("arn:");
    if value.trim().is_empty() {
        return wrong(format!("is empty; name the {name}"));
    }
    if value.contains("://") || (value.contains('/') && !arn) {
        return wrong(format!(
            "`{value}` is not the name of a {name}: give the name alone, a folder in it as `prefix`, and a server as `endpoint`"
        ));
    }
    Ok(())
}
