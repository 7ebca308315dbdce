//! A source's options: read strictly, every mistake named by its option.

use std::ops::RangeInclusive;

use serde::de::DeserializeOwned;

use crate::{OptionError, SourceError};

/// Reads the options, a JSON object.
///
/// # Errors
/// [`SourceError::Options`] with the path of what cannot be read.
pub fn read<T: DeserializeOwned>(json: &str) -> Result<T, SourceError> {
    let mut json = serde_json::Deserializer::from_str(json);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner().to_string();
        // The options are no text of the user's: where in it something stands says nothing.
        let message = inner
            .split_once(" at line ")
            .map_or(inner.as_str(), |(message, _)| message);
        wrong(if path == "." { "" } else { &path }, message)
    })
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

/// An error about the option at `path`.
#[must_use]
pub fn wrong(path: &str, message: &str) -> SourceError {
    SourceError::Options(OptionError {
        path: path.to_owned(),
        message: message.to_owned(),
    })
}
