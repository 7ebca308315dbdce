//! Reads rows of every format, without this product's own code.

use std::io::Read;

use bytes::Bytes;
use parquet::{
    file::{
        properties::ReaderProperties,
        reader::{FileReader, SerializedFileReader},
        serialized_reader::ReadOptionsBuilder,
    },
    record::Field,
};
use serde_json::{Value, json};

use super::Files;
use crate::support::with_nulls;

/// A value of Parquet, as JSON Lines has it.
fn json_of(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Int(number) => json!(number),
        Field::Long(number) => json!(number),
        Field::Str(text) => json!(text),
        Field::TimestampMillis(ms) => {
            let at = jiff::Timestamp::from_millisecond(*ms).unwrap();
            json!(format!("{at:.3}"))
        }
        Field::Group(row) => {
            let columns = row.get_column_iter();
            Value::Object(
                columns
                    .map(|(name, of)| (name.clone(), json_of(of)))
                    .collect(),
            )
        }
        Field::ListInternal(list) => list.elements().iter().map(json_of).collect(),
        Field::MapInternal(map) => {
            let entries = map.entries().iter().map(|(key, value)| {
                let Field::Str(key) = key else {
                    panic!("{key:?}")
                };
                (key.clone(), json_of(value))
            });
            Value::Object(entries.collect())
        }
        other => panic!("a type that is not in the schema: {other:?}"),
    }
}

/// A file of Parquet, with its bloom filters.
pub(super) fn opened(file: &[u8]) -> SerializedFileReader<Bytes> {
    let bloom = ReaderProperties::builder().set_read_bloom_filter(true);
    let options = ReadOptionsBuilder::new().with_reader_properties(bloom.build());
    SerializedFileReader::new_with_options(Bytes::copy_from_slice(file), options.build()).unwrap()
}

fn parquet_rows(file: &[u8]) -> Vec<Value> {
    let reader = opened(file);
    let rows = reader.get_row_iter(None).unwrap();
    rows.map(|row| {
        let row = row.unwrap();
        let columns = row.get_column_iter();
        Value::Object(
            columns
                .map(|(name, of)| (name.clone(), json_of(of)))
                .collect(),
        )
    })
    .collect()
}

/// The rows of the files below `prefix`, whatever their format.
pub(super) fn read(files: &Files, prefix: &str) -> Vec<Value> {
    let mut found = Vec::new();
    for (key, file) in files.iter().filter(|(key, _)| key.starts_with(prefix)) {
        let text = match key.rsplit_once('.').unwrap().1 {
            "parquet" => {
                found.extend(parquet_rows(file));
                continue;
            }
            "gz" => {
                let mut text = String::new();
                let mut packed = flate2::read::GzDecoder::new(&file[..]);
                packed.read_to_string(&mut text).unwrap();
                text
            }
            "zst" => String::from_utf8(zstd::decode_all(&file[..]).unwrap()).unwrap(),
            _ => String::from_utf8(file.clone()).unwrap(),
        };
        let lines = text.lines();
        found.extend(lines.map(|line| with_nulls(serde_json::from_str(line).unwrap())));
    }
    found
}
