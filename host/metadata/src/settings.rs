//! How a sink wants its rows: the format and its compression, checked against each other.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A format of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RowFormat {
    /// JSON Lines: one object a line.
    #[default]
    Jsonl,
    /// Apache Parquet.
    Parquet,
}

/// A compression of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// None.
    None,
    /// Gzip: each tool reads it.
    Gzip,
    /// Zstandard: small and fast.
    Zstd,
    /// Snappy, in Parquet alone.
    Snappy,
}

/// The rows that a sink wants: JSON Lines without compression by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(try_from = "Raw")]
pub struct RowSettings {
    format: RowFormat,
    compression: Compression,
    compact: bool,
}

/// Why rows cannot be written so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowSettingsError {
    /// The format does not know the compression.
    #[error("metadata.compression: `snappy` is for `parquet` alone; use none, gzip or zstd")]
    Compression,
    /// This build cannot write Parquet.
    #[error("metadata.format: this build has no `parquet`; build it with the feature `parquet`")]
    Format,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Raw {
    /// The format.
    #[serde(default)]
    format: RowFormat,
    /// The compression; the format's usual one if left out: none for JSON Lines, zstd for Parquet.
    #[serde(default)]
    #[schemars(example = &"zstd")]
    compression: Option<Compression>,
    /// True if the small files of a day are joined once it is over.
    #[serde(default = "yes")]
    compact: bool,
}

fn yes() -> bool {
    true
}

impl TryFrom<Raw> for RowSettings {
    type Error = RowSettingsError;

    fn try_from(raw: Raw) -> Result<Self, RowSettingsError> {
        let settings = RowSettings::new(raw.format, raw.compression)?;
        Ok(RowSettings {
            compact: raw.compact,
            ..settings
        })
    }
}

impl Default for RowSettings {
    fn default() -> Self {
        RowSettings {
            format: RowFormat::Jsonl,
            compression: Compression::None,
            compact: true,
        }
    }
}

impl RowSettings {
    /// Rows in this format. Without a compression, it is the format's usual one: none for JSON
    /// Lines, zstd for Parquet.
    ///
    /// # Errors
    /// [`RowSettingsError`] says what does not go together.
    pub fn new(
        format: RowFormat,
        compression: Option<Compression>,
    ) -> Result<Self, RowSettingsError> {
        let compression = match (format, compression) {
            (RowFormat::Parquet, _) if !cfg!(feature = "parquet") => {
                return Err(RowSettingsError::Format);
            }
            (RowFormat::Jsonl, Some(Compression::Snappy)) => {
                return Err(RowSettingsError::Compression);
            }
            (_, Some(given)) => given,
            (RowFormat::Jsonl, None) => Compression::None,
            (RowFormat::Parquet, None) => Compression::Zstd,
        };
        Ok(RowSettings {
            format,
            compression,
            compact: true,
        })
    }

    /// The format.
    #[must_use]
    pub fn format(self) -> RowFormat {
        self.format
    }

    /// The compression.
    #[must_use]
    pub fn compression(self) -> Compression {
        self.compression
    }

    /// Returns true if the small files of a day are joined once it is over.
    #[must_use]
    pub fn compact(self) -> bool {
        self.compact
    }

    /// The ending of the names of files of rows, such as `jsonl.gz`.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match (self.format, self.compression) {
            (RowFormat::Parquet, _) => "parquet",
            (RowFormat::Jsonl, Compression::Gzip) => "jsonl.gz",
            (RowFormat::Jsonl, Compression::Zstd) => "jsonl.zst",
            (RowFormat::Jsonl, _) => "jsonl",
        }
    }

    /// The MIME type of files of rows.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match (self.format, self.compression) {
            (RowFormat::Parquet, _) => "application/vnd.apache.parquet",
            (RowFormat::Jsonl, Compression::Gzip) => "application/gzip",
            (RowFormat::Jsonl, Compression::Zstd) => "application/zstd",
            (RowFormat::Jsonl, _) => "application/x-ndjson",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parsed(value: serde_json::Value) -> Result<(RowFormat, Compression), String> {
        serde_json::from_value::<RowSettings>(value)
            .map(|settings| (settings.format(), settings.compression()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn each_format_has_its_usual_compression() {
        assert_eq!(parsed(json!({})), Ok((RowFormat::Jsonl, Compression::None)));
        let zstd = json!({ "compression": "zstd" });
        assert_eq!(parsed(zstd), Ok((RowFormat::Jsonl, Compression::Zstd)));
        let parquet = parsed(json!({ "format": "parquet" }));
        match cfg!(feature = "parquet") {
            true => assert_eq!(parquet, Ok((RowFormat::Parquet, Compression::Zstd))),
            false => assert!(parquet.unwrap_err().contains("feature `parquet`")),
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused_with_the_way_out() {
        let error = parsed(json!({ "compression": "snappy" })).unwrap_err();
        assert!(error.contains("metadata.compression"), "{error}");
        assert!(error.contains("use none, gzip or zstd"), "{error}");
        let error = parsed(json!({ "format": "orc" })).unwrap_err();
        assert!(error.contains("`jsonl` or `parquet`"), "{error}");
        let error = parsed(json!({ "level": 9 })).unwrap_err();
        assert!(error.contains("unknown field `level`"), "{error}");
    }
}
