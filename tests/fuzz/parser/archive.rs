//! Zips, and the index in them.

use std::{
    fs::File,
    io::{Cursor, Write},
};

use recording_host_model::{BundleIndex, IndexColumn, IndexField};
use recording_host_zip::{Archive, ZipLimits};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::audio::OPUS_FILES;
use crate::{
    mutate::{self, zip_entries},
    parser::Parser,
};

/// Zips.
pub(crate) const ZIP: Parser = Parser {
    name: "zip",
    seeds,
    mutate: mutate::mutate,
    mend: zip_entries,
    feed,
};

/// Archives with stored and deflated entries, and an index that lists them.
fn seeds() -> Vec<Vec<u8>> {
    let index = r#"[{"c":"c1","r":"r1","f":"a/1.ogg","t":"audio/ogg","x":"ü","l":["a","b"]},{"c":"c2","e":"gone"}]"#;
    let odd = r#"{"all":[{"c":7,"r":"r\ud83d","f":"./a\\1.ogg"},{"c":"x	y",}]}"#;
    [CompressionMethod::Stored, CompressionMethod::Deflated]
        .map(|method| {
            packed(
                method,
                &[
                    ("index.json", index.as_bytes()),
                    ("a/1.ogg", &OPUS_FILES[0][..300]),
                    ("../b\\2.ogg", b"words words words"),
                    ("A/1.OGG/odd.json", odd.as_bytes()),
                ],
            )
        })
        .into()
}

/// An archive of files.
pub(crate) fn packed(method: CompressionMethod, files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, content) in files {
        writer.start_file(*name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn feed(input: &[u8]) {
    let mut file: File = tempfile::tempfile().unwrap();
    file.write_all(input).unwrap();
    let Ok(archive) = Archive::open(file, &ZipLimits::default()) else {
        return;
    };
    for entry in archive.entries() {
        let unpacked = archive.unpack(entry, |_| true);
        assert!(unpacked.is_err() || entry.refused().is_none());
        assert!(!entry.safe_name.split('/').any(|part| part == ".."));
    }
    let _ = archive.listed(&BundleIndex {
        conversation_field: "c".to_owned(),
        recording_field: "r".to_owned(),
        file_field: "f".to_owned(),
        content_type_field: Some("t".to_owned()),
        error_field: Some("e".to_owned()),
        retryable_errors: Vec::new(),
        columns: vec![IndexField {
            name: "l".to_owned(),
            column: IndexColumn::Tag,
        }],
    });
}
