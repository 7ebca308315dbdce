//! The keys of an AWS identity, which a source's requests are signed as.

use recording_host_engine::run::{AwsAuth, SourceAuth};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    ConfigError,
    parse::{parse, parts},
    sink::{Secrets, s3::CredentialKeys},
};

/// Keys of an AWS identity besides those of its credentials.
#[derive(Deserialize, JsonSchema)]
struct SigningKeys {
    /// The region that requests are signed for; that of the default chain if left out.
    #[schemars(example = &"eu-west-1")]
    region: Option<String>,
    /// The service that requests are signed for; `s3` if left out.
    #[schemars(extend("default" = "s3"))]
    service: Option<String>,
}

/// The schema of the keys.
pub(super) fn schema(generator: &mut SchemaGenerator) -> Value {
    let mut aws = CredentialKeys::json_schema(generator).to_value();
    let signing = SigningKeys::json_schema(generator).to_value();
    parts::join(&mut aws, &signing);
    aws["description"] =
        "An AWS identity; AWS' default chain if left out. The component never sees it.".into();
    aws
}

/// Reads the keys of an AWS identity.
pub(super) fn read(
    at: &str,
    mut table: Map<String, Value>,
    secrets: &Secrets<'_>,
) -> Result<SourceAuth, ConfigError> {
    let signing: SigningKeys = parts::take(at, &mut table)?;
    let credentials: CredentialKeys = parse(at, Value::Object(table))?;
    Ok(SourceAuth::Aws(Box::new(AwsAuth {
        identity: credentials.identity(secrets, "")?,
        region: signing.region,
        service: signing.service.unwrap_or_else(|| "s3".to_owned()),
    })))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use recording_host_engine::run::SourceAuth;
    use recording_host_sink_s3::Credentials;

    use crate::{ConfigError, auth::auth};

    fn read(value: Value) -> Result<SourceAuth, ConfigError> {
        auth("sources.calls.auth", value, &BTreeMap::new())
    }

    #[test]
    fn each_mistake_in_the_credentials_of_a_source_is_named_by_its_key() {
        for (value, message) in [
            (json!("me"), "sources.calls.auth: must be a table"),
            (
                json!({ "client_id": "a" }),
                "sources.calls.auth: the key `client_secret` is missing",
            ),
            (
                json!({ "client_id": "a", "client_secret": "b", "region": "x" }),
                "sources.calls.auth.region: unknown field",
            ),
            (
                json!({ "access_key_id": "a" }),
                "sources.calls.auth: `access_key_id` and `secret_access_key` go together",
            ),
            (
                json!({ "access_key_id": "a", "secret_access_key": "SECRET[v.x]" }),
                "sources.calls.auth.secret_access_key: there is no secret backend `v`",
            ),
            (
                json!({ "profile": "a", "acess_key_id": "b" }),
                "sources.calls.auth.acess_key_id: unknown field",
            ),
            (
                json!({ "region": 7 }),
                "sources.calls.auth.region: is a number (not shown); it must be a text",
            ),
        ] {
            let error = read(value).unwrap_err().to_string();
            assert!(error.starts_with(message), "{message}: {error}");
        }
    }

    #[test]
    fn aws_credentials_are_keys_a_profile_or_the_chain_for_a_service_in_a_region() {
        let SourceAuth::Aws(chain) = read(json!({})).unwrap() else {
            panic!("an empty `auth` is AWS' default chain");
        };
        assert!(matches!(chain.identity.source, Credentials::Chain));
        assert_eq!((chain.region, chain.service.as_str()), (None, "s3"));
        let given = json!({ "profile": "archive", "region": "eu-west-1", "service": "execute-api",
            "assume_role": { "role_arn": "arn:aws:iam::1:role/reader" } });
        let SourceAuth::Aws(given) = read(given).unwrap() else {
            panic!("a profile is AWS'");
        };
        assert!(matches!(given.identity.source, Credentials::Profile(name) if name == "archive"));
        assert_eq!(given.identity.role.unwrap().session_name, "recording-host");
        assert_eq!(given.region.as_deref(), Some("eu-west-1"));
        assert_eq!(given.service, "execute-api");
    }
}
