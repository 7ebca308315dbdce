//! The keys of a source's `auth`: an OAuth client, a user with a password, a secret, or an AWS identity.

#[cfg(feature = "s3")]
mod aws;
#[cfg(not(feature = "s3"))]
#[path = "auth/without_aws.rs"]
mod aws;

use std::collections::BTreeMap;

use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;
use serde_json::Value;

use super::{
    ConfigError, key, parse,
    sink::{Hidden, Secrets},
    source::no_user,
};
use crate::secret::Backend;
use recording_host_engine::run::SourceAuth;
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

/// The schemas of `auth`: for an OAuth client, for an AWS identity, for a user, and for a secret.
pub(super) fn schemas(generator: &mut SchemaGenerator) -> [Value; 4] {
    let client = ClientKeys::json_schema(generator).to_value();
    let user = UserKeys::json_schema(generator).to_value();
    let secret = SecretKeys::json_schema(generator).to_value();
    let aws = aws::schema(generator);
    [client, aws, user, secret]
}

/// Reads `auth` at `at`.
pub(super) fn auth(
    at: &str,
    value: Value,
    backends: &BTreeMap<String, Backend>,
) -> Result<SourceAuth, ConfigError> {
    let secrets = Secrets { at, backends };
    let Value::Object(table) = value else {
        return Err(key(at, "must be a table of credentials"));
    };
    if CLIENT.iter().any(|name| table.contains_key(*name)) {
        let given: ClientKeys = parse(at, Value::Object(table))?;
        if let Some(url) = &given.token_url {
            token_url(url).map_err(|reason| key(format!("{at}.token_url"), reason))?;
        }
        return Ok(SourceAuth::Client {
            id: secrets.get("client_id", &given.client_id)?,
            secret: secrets.get("client_secret", &given.client_secret)?,
            token_url: given.token_url,
        });
    }
    if USER.iter().any(|name| table.contains_key(*name)) {
        let given: UserKeys = parse(at, Value::Object(table))?;
        return Ok(SourceAuth::Basic {
            username: secrets.get("username", &given.username)?,
            password: secrets.get_or_empty("password", &given.password)?,
        });
    }
    if table.contains_key(SECRET) {
        let given: SecretKeys = parse(at, Value::Object(table))?;
        return Ok(SourceAuth::Secret(secrets.get(SECRET, &given.secret)?));
    }
    aws::read(at, table, &secrets)
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
    auth: Option<&SourceAuth>,
    component: &SourceComponent,
) -> Result<(), ConfigError> {
    let at = name.to_owned();
    let described = component.describe();
    let described = described.map_err(|source| ConfigError::Component { at, source })?;
    let reason = match (described.auth, auth) {
        (AuthScheme::None, _) | (AuthScheme::AwsSigv4, None) => return Ok(()),
        (AuthScheme::Oauth2ClientCredentials, Some(SourceAuth::Client { .. }))
        | (AuthScheme::Basic, Some(SourceAuth::Basic { .. }))
        | (AuthScheme::Header(_), Some(SourceAuth::Secret(_))) => return Ok(()),
        (AuthScheme::AwsSigv4, Some(SourceAuth::Aws(_))) => return Ok(()),
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
