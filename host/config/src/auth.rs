//! The keys of a source's `auth`: an OAuth client, a user with a password, a secret, or an AWS identity.

use std::collections::BTreeMap;

use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;
use serde_json::Value;

#[cfg(feature = "s3")]
use super::sink::s3::CredentialKeys;
use super::{
    ConfigError, key, parse,
    sink::{Hidden, Secrets},
    source::no_user,
};
use crate::secret::Backend;
use recording_host_engine::run::Auth;
#[cfg(feature = "s3")]
use recording_host_engine::run::AwsAuth;
use recording_host_model::AuthScheme;
use recording_host_source::SourceComponent;

/// The keys that describe an OAuth client, a user, and a secret in a header.
const CLIENT: [&str; 3] = ["client_id", "client_secret", "token_url"];
const USER: [&str; 2] = ["username", "password"];
const SECRET: &str = "secret";

/// An OAuth client; the component never sees its credentials.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ClientKeys {
    /// The client's id.
    #[schemars(example = &"SECRET[env.GENESYS_CLIENT_ID]")]
    client_id: Hidden,
    /// The client's secret.
    #[schemars(example = &"SECRET[env.GENESYS_CLIENT_SECRET]")]
    client_secret: Hidden,
    /// The token endpoint; a built-in source knows its own, any other needs it.
    #[schemars(example = &"https://login.mypurecloud.ie/oauth/token")]
    token_url: Option<String>,
}

/// A user with a password (RFC 7617), for a component that asks for that; it never sees them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UserKeys {
    /// The user name.
    #[schemars(example = &"SECRET[env.RECORDER_USER]")]
    username: Hidden,
    /// The password.
    #[schemars(example = &"SECRET[env.RECORDER_PASSWORD]")]
    password: Hidden,
}

/// A secret for a header that the component names, such as an API key; it never sees it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SecretKeys {
    /// The secret.
    #[schemars(example = &"SECRET[env.RECORDER_API_KEY]")]
    secret: Hidden,
}

/// Keys of an AWS identity besides those of its credentials.
#[cfg(feature = "s3")]
#[derive(Deserialize, JsonSchema)]
struct SigningKeys {
    /// The region that requests are signed for; that of the default chain if left out.
    #[schemars(example = &"eu-west-1")]
    region: Option<String>,
    /// The service that requests are signed for; `s3` if left out.
    #[schemars(extend("default" = "s3"))]
    service: Option<String>,
}

/// The schemas of `auth`: for an OAuth client, for an AWS identity, for a user, and for a secret.
pub(super) fn schemas(generator: &mut SchemaGenerator) -> [Value; 4] {
    let client = ClientKeys::json_schema(generator).to_value();
    let user = UserKeys::json_schema(generator).to_value();
    let secret = SecretKeys::json_schema(generator).to_value();
    #[cfg(feature = "s3")]
    let aws = {
        let mut aws = CredentialKeys::json_schema(generator).to_value();
        let signing = SigningKeys::json_schema(generator).to_value();
        if let (Some(all), Some(more)) = (
            aws["properties"].as_object_mut(),
            signing["properties"].as_object(),
        ) {
            all.extend(more.clone());
        }
        aws["description"] =
            "An AWS identity; AWS' default chain if left out. The component never sees it.".into();
        aws
    };
    #[cfg(not(feature = "s3"))]
    let aws = serde_json::json!({ "type": "object" });
    [client, aws, user, secret]
}

/// Reads `auth` at `at`.
pub(super) fn auth(
    at: &str,
    value: Value,
    backends: &BTreeMap<String, Backend>,
) -> Result<Auth, ConfigError> {
    let secrets = Secrets { at, backends };
    let Value::Object(table) = value else {
        return Err(key(at, "must be a table of credentials"));
    };
    if CLIENT.iter().any(|name| table.contains_key(*name)) {
        let given: ClientKeys = parse(at, Value::Object(table))?;
        if let Some(url) = &given.token_url {
            token_url(url).map_err(|reason| key(format!("{at}.token_url"), reason))?;
        }
        return Ok(Auth::Client {
            id: secrets.get("client_id", &given.client_id)?,
            secret: secrets.get("client_secret", &given.client_secret)?,
            token_url: given.token_url,
        });
    }
    if USER.iter().any(|name| table.contains_key(*name)) {
        let given: UserKeys = parse(at, Value::Object(table))?;
        return Ok(Auth::Basic {
            username: secrets.get("username", &given.username)?,
            password: secrets.get("password", &given.password)?,
        });
    }
    if table.contains_key(SECRET) {
        let given: SecretKeys = parse(at, Value::Object(table))?;
        return Ok(Auth::Secret(secrets.get(SECRET, &given.secret)?));
    }
    aws(at, table, &secrets)
}

/// Refuses what is no URL that credentials may be sent to.
fn token_url(url: &str) -> Result<(), String> {
    no_user(url)?;
    match url::Url::parse(url) {
        Ok(parsed) if matches!(parsed.scheme(), "http" | "https") && parsed.has_host() => Ok(()),
        _ => Err("must be a URL such as https://login.example.com/oauth/token".to_owned()),
    }
}

/// Refuses credentials of another sort than the component of the source `name` needs.
pub(super) fn suits(
    name: &str,
    auth: Option<&Auth>,
    component: &SourceComponent,
) -> Result<(), ConfigError> {
    let at = name.to_owned();
    let described = component.describe();
    let described = described.map_err(|source| ConfigError::Component { at, source })?;
    let reason = match (described.auth, auth) {
        (AuthScheme::None, _) | (AuthScheme::AwsSigv4, None) => return Ok(()),
        (AuthScheme::Oauth2ClientCredentials, Some(Auth::Client { .. }))
        | (AuthScheme::Basic, Some(Auth::Basic { .. }))
        | (AuthScheme::Header(_), Some(Auth::Secret(_))) => return Ok(()),
        #[cfg(feature = "s3")]
        (AuthScheme::AwsSigv4, Some(Auth::Aws(_))) => return Ok(()),
        (AuthScheme::AwsSigv4, _) => {
            "this source needs AWS credentials: give `access_key_id` and `secret_access_key`, `profile`, or nothing for AWS' default chain".to_owned()
        }
        (AuthScheme::Oauth2ClientCredentials, _) => {
            "this source needs `client_id` and `client_secret`".to_owned()
        }
        (AuthScheme::Basic, _) => "this source needs `username` and `password`".to_owned(),
        (AuthScheme::Header(header), _) => {
            format!("this source needs `secret`, for the header `{}`", header.name)
        }
    };
    let missing = if auth.is_none() { "missing; " } else { "" };
    Err(key(
        format!("sources.{name}.auth"),
        format!("{missing}{reason}"),
    ))
}

#[cfg(feature = "s3")]
fn aws(
    at: &str,
    mut table: serde_json::Map<String, Value>,
    secrets: &Secrets<'_>,
) -> Result<Auth, ConfigError> {
    let signing = ["region", "service"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), table.remove(name)?)))
        .collect();
    let signing: SigningKeys = parse(at, Value::Object(signing))?;
    let credentials: CredentialKeys = parse(at, Value::Object(table))?;
    Ok(Auth::Aws(Box::new(AwsAuth {
        identity: credentials.identity(secrets, "")?,
        region: signing.region,
        service: signing.service.unwrap_or_else(|| "s3".to_owned()),
    })))
}

#[cfg(not(feature = "s3"))]
fn aws(
    at: &str,
    _table: serde_json::Map<String, Value>,
    _secrets: &Secrets<'_>,
) -> Result<Auth, ConfigError> {
    Err(key(
        at,
        "neither `client_id` nor `client_secret`; for AWS credentials build it with the feature `s3`",
    ))
}

#[cfg(all(test, feature = "s3"))]
mod tests {
    use serde_json::json;

    use super::*;
    use recording_host_sink_s3::Credentials;

    fn read(value: Value) -> Result<Auth, ConfigError> {
        auth("sources.calls.auth", value, &BTreeMap::new())
    }

    #[test]
    fn each_mistake_in_the_credentials_of_a_source_is_named_by_its_key() {
        for (value, message) in [
            (json!("me"), "sources.calls.auth: must be a table"),
            (
                json!({ "client_id": "a" }),
                "sources.calls.auth: missing field `client_secret`",
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
                "sources.calls.auth.region: is the number that stands there; it must be a text",
            ),
        ] {
            let error = read(value).unwrap_err().to_string();
            assert!(error.starts_with(message), "{message}: {error}");
        }
    }

    #[test]
    fn aws_credentials_are_keys_a_profile_or_the_chain_for_a_service_in_a_region() {
        let Auth::Aws(chain) = read(json!({})).unwrap() else {
            panic!("an empty `auth` is AWS' default chain");
        };
        assert!(matches!(chain.identity.source, Credentials::Chain));
        assert_eq!((chain.region, chain.service.as_str()), (None, "s3"));
        let given = json!({ "profile": "archive", "region": "eu-west-1", "service": "execute-api",
            "assume_role": { "role_arn": "arn:aws:iam::1:role/reader" } });
        let Auth::Aws(given) = read(given).unwrap() else {
            panic!("a profile is AWS'");
        };
        assert!(matches!(given.identity.source, Credentials::Profile(name) if name == "archive"));
        assert_eq!(given.identity.role.unwrap().session_name, "recording-host");
        assert_eq!(given.region.as_deref(), Some("eu-west-1"));
        assert_eq!(given.service, "execute-api");
    }
}
