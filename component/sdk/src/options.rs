//! A source's options: read strictly, every mistake named by its option.

use std::ops::RangeInclusive;

use serde::de::DeserializeOwned;

use crate::{OptionError, SourceError};

/// Options that the host takes out before a source sees them: they are suggested, too.
const OF_THE_HOST: [&str; 1] = ["interval"];
/// How alike two names must be to be taken for one another, from 0 to 1 (Jaro-Winkler).
const ALIKE: f64 = 0.8;

/// Reads the options, a JSON object.
///
/// An unknown option, or an unknown value of one that has few, is reported with the nearest name.
///
/// # Errors
/// [`SourceError::Options`] with the path of what cannot be read.
pub fn read<T: DeserializeOwned>(json: &str) -> Result<T, SourceError> {
    let mut json = serde_json::Deserializer::from_str(json);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner().to_string();
        // The user did not write the options as this text: a position in it says nothing.
        let message = inner
            .split_once(" at line ")
            .map_or(inner.as_str(), |(message, _)| message);
        let message = suggested(message).unwrap_or_else(|| message.to_owned());
        wrong(if path == "." { "" } else { &path }, &message)
    })
}

/// Serde's message about an unknown name, in the user's words and with the nearest known one.
fn suggested(message: &str) -> Option<String> {
    let (what, rest, more): (_, _, &[&str]) = match message.strip_prefix("unknown field ") {
        Some(rest) => ("option", rest, &OF_THE_HOST),
        None => ("value", message.strip_prefix("unknown variant ")?, &[]),
    };
    // "`name`, expected one of `a`, `b`": every second piece is a name.
    let mut names = rest.split('`').skip(1).step_by(2);
    let unknown = names.next()?;
    let known: Vec<&str> = names.chain(more.iter().copied()).collect();
    Some(match nearest(unknown, &known) {
        Some(near) => format!("unknown {what} `{unknown}`, did you mean `{near}`?"),
        None => format!("unknown {what} `{unknown}`; known are {}", known.join(", ")),
    })
}

/// The known name that is most like this one, if any is.
#[must_use]
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let name = name.to_lowercase().replace('-', "_");
    let likeness = |known: &&'a str| (strsim::jaro_winkler(&name, known), *known);
    let likely = known
        .iter()
        .map(likeness)
        .filter(|(alike, _)| *alike >= ALIKE);
    likely
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, known)| known)
}

/// A number, or its default if there is none.
///
/// # Errors
/// [`SourceError::Options`] if it is not within the range.
pub fn within(
    path: &str,
    value: Option<u32>,
    default: u32,
    range: RangeInclusive<u32>,
) -> Result<u32, SourceError> {
    let value = value.unwrap_or(default);
    if range.contains(&value) {
        return Ok(value);
    }
    let (least, most) = (range.start(), range.end());
    let message = format!("{value} is not within {least} and {most}");
    Err(wrong(path, &message))
}

/// A length of time that is given in seconds, in milliseconds, or its default if there is none.
///
/// ```
/// use recording_source_sdk::options::seconds;
///
/// assert_eq!(seconds("poll_seconds", None, 5, 1..=600).unwrap(), 5_000);
/// assert!(seconds("poll_seconds", Some(0), 5, 1..=600).is_err());
/// ```
///
/// # Errors
/// [`SourceError::Options`] if it is not within the range.
pub fn seconds(
    path: &str,
    value: Option<u32>,
    default: u32,
    range: RangeInclusive<u32>,
) -> Result<u64, SourceError> {
    within(path, value, default, range).map(|seconds| u64::from(seconds) * 1000)
}

/// Returns true if a text is not empty and has only ASCII letters, digits, and the characters in
/// `more`: such a text needs no escaping in a URL if they do not.
///
/// ```
/// use recording_source_sdk::options::is_plain;
///
/// assert!(is_plain("0f7f1a2b-3c4d", "-_."));
/// assert!(!is_plain("../x", "-_.") && !is_plain("", "-_."));
/// ```
#[must_use]
pub fn is_plain(text: &str, more: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
    !text.is_empty() && text.chars().all(plain)
}

/// An error about the option at `path`.
#[must_use]
pub fn wrong(path: &str, message: &str) -> SourceError {
    SourceError::Options(OptionError {
        path: path.to_owned(),
        message: message.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        #[serde(rename = "bucket")]
        _bucket: String,
        #[serde(rename = "mode", default)]
        _mode: Mode,
    }

    #[derive(Debug, Default, serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Mode {
        #[default]
        Recordings,
        MetadataOnly,
    }

    #[test]
    fn a_typo_is_an_unknown_name_with_the_nearest_one_and_never_a_missing_one() {
        for (json, path, message) in [
            (
                r#"{"buckett":"x"}"#,
                "buckett",
                "unknown option `buckett`, did you mean `bucket`?",
            ),
            (
                r#"{"intervall":"x"}"#,
                "intervall",
                "unknown option `intervall`, did you mean `interval`?",
            ),
            (
                r#"{"Bucket":"x"}"#,
                "Bucket",
                "unknown option `Bucket`, did you mean `bucket`?",
            ),
            (
                r#"{"xyz":1}"#,
                "xyz",
                "unknown option `xyz`; known are bucket, mode, interval",
            ),
            (
                r#"{"bucket":"x","mode":"metadata-only"}"#,
                "mode",
                "unknown value `metadata-only`, did you mean `metadata_only`?",
            ),
            (
                r#"{"bucket":"x","mode":"all"}"#,
                "mode",
                "unknown value `all`; known are recordings, metadata_only",
            ),
            ("{}", "", "missing field `bucket`"),
        ] {
            match read::<Example>(json) {
                Err(SourceError::Options(error)) => {
                    assert_eq!(
                        (error.path.as_str(), error.message.as_str()),
                        (path, message)
                    );
                }
                other => panic!("{json}: {other:?}"),
            }
        }
    }
}
