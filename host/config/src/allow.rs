//! The key `allow` of a source: the origins that it may reach, and what for.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::{ConfigError, key, parse};
use recording_host_http::OriginAllowList;

/// Origins that may be reached. What the component wants and this does not cover is refused.
// `read` reads it, so that errors name the key; this is its schema.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "a schema alone")]
pub(super) enum AllowKeys {
    /// Origins for whatever the component wants of them; names with `*` for media alone.
    Any(
        #[schemars(example = ["https://api.mypurecloud.ie", "https://*.amazonaws.com"])]
        Vec<String>,
    ),
    /// Origins by what they are for.
    ByRole(RoleKeys),
}

/// Origins by what they are for.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RoleKeys {
    /// For requests with the source's credentials, and for access tokens; each in full.
    #[schemars(example = ["https://api.mypurecloud.ie", "https://login.mypurecloud.ie"])]
    api: Vec<String>,
    /// For downloads without credentials; `*.` stands for any name below a domain.
    #[schemars(example = ["https://*.amazonaws.com"])]
    media: Vec<String>,
}

/// Reads the value of `allow` at `at`.
pub(super) fn read(at: &str, value: Value) -> Result<OriginAllowList, ConfigError> {
    match value {
        Value::Array(_) => {
            let list: Vec<String> = parse(at, value)?;
            check(at, &list, true)?;
            Ok(OriginAllowList::Any(list))
        }
        Value::Object(_) => {
            let RoleKeys { api, media } = parse(at, value)?;
            check(&format!("{at}.api"), &api, false)?;
            check(&format!("{at}.media"), &media, true)?;
            Ok(OriginAllowList::ByRole { api, media })
        }
        _ => Err(key(
            at,
            "must be a list of origins, or a table with the lists `api` and `media`",
        )),
    }
}

/// Refuses what is no origin; without `pattern`, names with `*`, too.
fn check(at: &str, list: &[String], pattern: bool) -> Result<(), ConfigError> {
    for (index, text) in list.iter().enumerate() {
        let at = format!("{at}[{index}]");
        if text.contains('*') && !pattern {
            return Err(key(
                at,
                format!("`{text}`: credentials go to origins that are named in full, without `*`"),
            ));
        }
        if !is_origin(text) {
            // One with a user may hold a password.
            let shown = match text.contains('@') {
                true => "an origin has no user".to_owned(),
                false => format!("`{text}` is no origin"),
            };
            return Err(key(
                at,
                format!(
                    "{shown}; give scheme and host, such as https://api.example.com or, for media, https://*.example.com"
                ),
            ));
        }
    }
    Ok(())
}

fn is_origin(text: &str) -> bool {
    let plain = text.replacen("://*.", "://any.", 1);
    let Ok(url) = Url::parse(&plain) else {
        return false;
    };
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let nobody = url.username().is_empty() && url.password().is_none() && !plain.contains('@');
    matches!(url.scheme(), "http" | "https") && bare && nobody && !plain.contains('*')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn origins_are_given_by_role_or_for_all_roles_and_each_in_one_form() {
        let good = json!({ "api": ["https://a.example"], "media": ["https://*.b.example:8443"] });
        assert!(
            matches!(read("allow", good), Ok(OriginAllowList::ByRole { api, media })
            if api.len() == 1 && media.len() == 1)
        );
        assert!(
            read(
                "allow",
                json!(["http://127.0.0.1:80", "https://*.b.example/"])
            )
            .is_ok()
        );
        for (value, message) in [
            (json!("https://a.example"), "allow: must be a list"),
            (json!(["a.example"]), "allow[0]: `a.example` is no origin"),
            (
                json!(["https://a.example/path"]),
                "allow[0]: `https://a.example/path`",
            ),
            (
                json!(["https://u:hush@a.example"]),
                "allow[0]: an origin has no user",
            ),
            (
                json!(["https://a.*.example"]),
                "allow[0]: `https://a.*.example` is no",
            ),
            (
                json!({ "api": ["https://*.a.example"] }),
                "allow.api[0]: `https://*.a.example`: cred",
            ),
            (json!({ "apis": [] }), "allow.apis: unknown"),
        ] {
            let error = read("allow", value).unwrap_err().to_string();
            assert!(error.starts_with(message), "{message}: {error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }
}
