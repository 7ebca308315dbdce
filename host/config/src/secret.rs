//! Resolves `SECRET[backend.key]` in a configuration.

mod exec;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

/// Where secrets come from.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Backend {
    /// Environment variables, by name.
    Env {},
    /// Files in a directory, by file name; a line end at the end is left out.
    Directory {
        /// The directory.
        #[schemars(example = &"/run/secrets")]
        path: PathBuf,
    },
    /// A JSON file with one object of strings.
    File {
        /// The file.
        #[schemars(example = &"/etc/recording-host/secrets.json")]
        path: PathBuf,
    },
    /// The output of a command, without a line end at its end. No shell is involved.
    Exec {
        /// The program and its arguments; `{key}` in an argument stands for the key.
        #[schemars(length(min = 2), example = ["pass", "show", "genesys/{key}"])]
        command: Vec<String>,
        /// How long it may take, in seconds.
        #[serde(default = "patience")]
        timeout_seconds: u64,
    },
}

/// How long a command may take, in seconds, unless the configuration says otherwise.
fn patience() -> u64 {
    30
}

/// Why a secret is unavailable.
#[derive(Debug, thiserror::Error)]
#[error("{at}: {reason}")]
pub struct SecretError {
    /// The key of the configuration.
    pub at: String,
    /// The cause, without the secret.
    pub reason: String,
}

/// Resolves a value of the configuration, which is a secret itself or names one.
///
/// # Errors
/// Names the key and the backend if the secret is unavailable.
pub fn resolve(
    value: &str,
    at: &str,
    backends: &BTreeMap<String, Backend>,
) -> Result<SecretString, SecretError> {
    let fail = |reason: String| SecretError {
        at: at.to_owned(),
        reason,
    };
    let Some(reference) = value
        .strip_prefix("SECRET[")
        .and_then(|rest| rest.strip_suffix(']'))
    else {
        return Ok(SecretString::from(value.to_owned()));
    };
    let (backend, key) = reference
        .split_once('.')
        .ok_or_else(|| fail(format!("`{value}` is not of the form SECRET[backend.key]")))?;
    let backend = backends.get(backend).ok_or_else(|| {
        fail(format!(
            "there is no secret backend `{backend}`; add it under `secret:`"
        ))
    })?;
    let text = match backend {
        Backend::Env {} => std::env::var(key)
            .map_err(|_| fail(format!("the environment variable {key} is not set")))?,
        Backend::Directory { path } => {
            let safe = !key.is_empty() && !key.contains(['/', '\\']) && key != "..";
            let file = path.join(key);
            if !safe {
                return Err(fail(format!("`{key}` is not a file name")));
            }
            std::fs::read_to_string(&file)
                .map_err(|error| fail(format!("{}: {error}", file.display())))?
                .trim_end_matches(['\r', '\n'])
                .to_owned()
        }
        Backend::File { path } => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| fail(format!("{}: {error}", path.display())))?;
            let secrets: BTreeMap<String, String> = serde_json::from_str(&text).map_err(|_| {
                fail(format!(
                    "{} is not a JSON object of strings",
                    path.display()
                ))
            })?;
            secrets
                .get(key)
                .cloned()
                .ok_or_else(|| fail(format!("{} has no key `{key}`", path.display())))?
        }
        Backend::Exec {
            command,
            timeout_seconds,
        } => exec::run(command, key, Duration::from_secs(*timeout_seconds))
            .map_err(|error| fail(error.to_string()))?,
    };
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn a_secret_comes_from_its_backend_and_an_error_names_the_key() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "hush\n").unwrap();
        let backends = BTreeMap::from([(
            "dir".to_owned(),
            Backend::Directory {
                path: folder.path().to_owned(),
            },
        )]);
        let secret = resolve("SECRET[dir.token]", "a.b", &backends).unwrap();
        assert_eq!(secret.expose_secret(), "hush");
        let error = resolve("SECRET[dir.../x]", "a.b", &backends).unwrap_err();
        assert!(error.to_string().starts_with("a.b: "), "{error}");
        let error = resolve("SECRET[vault.x]", "a.b", &backends).unwrap_err();
        assert!(error.to_string().contains("no secret backend `vault`"));
    }
}
