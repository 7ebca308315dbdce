//! Names of buckets and containers.

use super::{ConfigError, key};

/// Refuses a name of a bucket or container that names nothing, or something else than one; `at` is
/// the sink's path in the configuration.
pub(super) fn plain_name(at: &str, name: &str, value: &str) -> Result<(), ConfigError> {
    let wrong = |reason: String| Err(key(format!("{at}.{name}"), reason));
    if value.trim().is_empty() {
        return wrong(format!("is empty; name the {name}"));
    }
    if let Some(bucket) = value.strip_prefix("arn:") {
        let parts: Vec<&str> = bucket.splitn(5, ':').collect();
        return match parts[..] {
            [_, "s3", "", "", bucket] => wrong(format!(
                "`{value}` is the ARN of a {name}: give its name alone, `{bucket}`"
            )),
            // One of several regions names none.
            [_, _, _, account, access]
                if access.contains("accesspoint")
                    && !account.is_empty()
                    && !value.contains(char::is_whitespace) =>
            {
                Ok(())
            }
            _ => wrong(format!(
                "`{value}` is no ARN of an access point, which is of the form arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME; give the name of a {name}, or that"
            )),
        };
    }
    if value.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return wrong(format!(
            "`{value}` holds white space, which no name of a {name} has; give the name alone"
        ));
    }
    if value.contains("://") || value.contains('/') {
        return wrong(format!(
            "`{value}` is not the name of a {name}: give the name alone, a folder in it as `prefix`, and a server as `endpoint`"
        ));
    }
    Ok(())
}
