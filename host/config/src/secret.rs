//! Resolves `SECRET[backend.key]` in a configuration.

mod exec;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

use crate::file;
pub use exec::on_slow_secret;

/// Where secrets come from.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schemars(tag = "type")]
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
    /// Secrets that a command does not need: a text stands in for each.
    #[serde(skip)]
    Unread,
}

impl Backend {
    /// The same, whose commands may take no longer than `limit`.
    pub(crate) fn within(mut self, limit: Duration) -> Self {
        if let Backend::Exec {
            timeout_seconds, ..
        } = &mut self
        {
            *timeout_seconds = limit.as_secs().min(*timeout_seconds);
        }
        self
    }
}

/// The text that stands in for a secret that is not read; long enough for a key.
const STAND_IN: &str = "this secret was not read, since nothing is done with it here";

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
        return literal(value).map_err(fail);
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
        Backend::Unread => STAND_IN.to_owned(),
        Backend::Env {} => std::env::var(key)
            .map_err(|_| fail(format!("the environment variable {key} is not set")))?,
        Backend::Directory { path } => {
            let safe = !key.is_empty() && !key.contains(['/', '\\']) && key != "..";
            let file = path.join(key);
            if !safe {
                return Err(fail(format!("`{key}` is not a file name")));
            }
            file::text(&file).map_err(|reason| fail(unread(&file, &reason)))?
        }
        Backend::File { path } => {
            let text = file::text(path).map_err(|reason| fail(unread(path, &reason)))?;
            let json = text.strip_prefix(MARK).unwrap_or(&text);
            let secrets: BTreeMap<String, String> = serde_json::from_str(json).map_err(|_| {
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
    match bare(&text) {
        "" => Err(fail(format!(
            "{value} is empty; put the secret where its backend looks for it"
        ))),
        text => Ok(SecretString::from(text.to_owned())),
    }
}

/// A secret that stands in the configuration itself.
fn literal(value: &str) -> Result<SecretString, String> {
    if is_near_reference(value) {
        return Err(
            "looks like a secret reference but is not one; write SECRET[backend.key] as the whole value, and the backend under `secret:`"
                .to_owned(),
        );
    }
    if value.is_empty() {
        return Err(
            "is empty; give a value, best as SECRET[backend.key] with the backend under `secret:`"
                .to_owned(),
        );
    }
    Ok(SecretString::from(value.to_owned()))
}

/// Why a file of secrets is not read.
fn unread(file: &Path, reason: &str) -> String {
    format!("{}: {reason}", file.display())
}

/// The mark that some editors put before a text (a byte order mark).
const MARK: char = '\u{feff}';

/// A secret without the mark before it and the line end after it, whichever system wrote that.
fn bare(text: &str) -> &str {
    let text = text.strip_prefix(MARK).unwrap_or(text);
    let ends = ["\r\n", "\n", "\r"].into_iter();
    let mut without = ends.filter_map(|end| text.strip_suffix(end));
    without.next().unwrap_or(text)
}

/// Returns true if a value is written as references to secrets are elsewhere: nobody's secret looks so.
fn is_near_reference(value: &str) -> bool {
    let value = value.trim();
    let upper = value.to_ascii_uppercase();
    let called = upper
        .strip_prefix("SECRET")
        .is_some_and(|rest| rest.starts_with(['[', '(', '{', '<']));
    let wrapped = |open: &str, close: char| value.starts_with(open) && value.ends_with(close);
    called
        || upper.contains("SECRET[")
        || value.contains("SECRET(")
        || value.contains("SECRET{")
        || wrapped("${", '}')
        || wrapped("$(", ')')
        || wrapped("{{", '}')
        || holds(value, "${", "}", is_name)
        || holds(value, "$(", ")", |inner| !inner.is_empty())
        || holds(value, "{{", "}}", is_name)
        || wrapped("%", '%') && value.len() > 2
}

/// Returns true if a text has what is wanted between `open` and the next `close`.
fn holds(text: &str, open: &str, close: &str, wanted: impl Fn(&str) -> bool) -> bool {
    let mut pieces = text.split(open).skip(1);
    pieces.any(|rest| {
        rest.split_once(close)
            .is_some_and(|(inner, _)| wanted(inner))
    })
}

/// Returns true for a name of a variable, with what shells and templates put behind one.
fn is_name(text: &str) -> bool {
    let text = text.trim();
    let part = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn one_line_end_of_any_system_and_a_mark_are_no_part_of_a_secret() {
        for (written, secret) in [
            ("hush", "hush"),
            ("hush\n", "hush"),
            ("hush\r\n", "hush"),
            ("hush\r", "hush"),
            ("hush\n\n", "hush\n"),
            ("\u{feff}hush\r\n", "hush"),
            (" hush ", " hush "),
        ] {
            assert_eq!(bare(written), secret);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.json");
        std::fs::write(&path, "\u{feff}{\"token\": \"hush\\r\", \"none\": \"\\n\"}").unwrap();
        let backends = BTreeMap::from([("file".to_owned(), Backend::File { path })]);
        let secret = resolve("SECRET[file.token]", "a.b", &backends).unwrap();
        assert_eq!(secret.expose_secret(), "hush");
        let error = resolve("SECRET[file.none]", "a.b", &backends).unwrap_err();
        assert!(error.to_string().contains("is empty"), "{error}");
    }

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
        for near in [
            "${SECRETV}",
            "SECRET(env.x)",
            "secret[env.x]",
            " SECRET[env.x]",
            "SECRET[env.x",
            "SECRET{x}",
            "{{ x }}",
            "%X%",
            "Bearer SECRET[env.x]",
            "Bearer SECRET(env.x)",
            "Bearer SECRET{x}",
            "Bearer ${TOKEN}",
            "${a}:${b:-c.d}!",
            "Bearer $(pass x)",
            "Bearer {{ env.TOKEN }}",
        ] {
            let error = resolve(near, "a.b", &backends).unwrap_err();
            assert!(
                error.to_string().contains("SECRET[backend.key]"),
                "{near}: {error}"
            );
        }
        for plain in [
            "hush",
            "$ecret",
            "100%",
            "secretive",
            "a{b}",
            "pa$$w0rd",
            "$x$y",
            "a${",
            "${}x",
            "a$(",
            "{{}}x",
            "${4}x",
            "Bearer x%41",
        ] {
            assert!(resolve(plain, "a.b", &backends).is_ok(), "{plain}");
        }
        let error = resolve("", "a.b", &backends).unwrap_err().to_string();
        assert!(error.starts_with("a.b: is empty; give"), "{error}");
        std::fs::write(folder.path().join("void"), "\n").unwrap();
        let error = resolve("SECRET[dir.void]", "a.b", &backends).unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("a.b: SECRET[dir.void] is empty; put"),
            "{error}"
        );
        let error = resolve("SECRET[vault.x]", "a.b", &backends).unwrap_err();
        assert!(error.to_string().contains("no secret backend `vault`"));
    }
}
