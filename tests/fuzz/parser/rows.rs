//! Files of rows, as `verify`, `repair` and the page read them back from an archive.
//!
//! An input is a byte that chooses the ending of the file's name, and the file.

use std::{
    io::{self, Read, Write},
    sync::Arc,
};

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, bufread::MultiGzDecoder, write::GzEncoder};
use recording_host_metadata::{
    Compression, RowFormat, RowSettings, Writer, read,
    restore::{Restored, Row, for_each_line},
};
use recording_host_model::{
    CompletedConversation, ConversationRecord, IndexMetadata, Object, Outcome,
};

use super::vendor;
use crate::{
    mutate::{self, Rng},
    parser::Parser,
};

/// Rows in each format.
pub(crate) const ROWS: Parser = Parser {
    name: "rows",
    seeds,
    mutate,
    mend,
    feed,
};

/// The endings by which a format is known.
const ENDINGS: [&str; 4] = [".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet"];
const GZIP: u8 = 1;
const ZSTD: u8 = 2;
const PARQUET: u8 = 3;
const SINK: &str = "lake";
/// 2026-01-05T09:00:00Z.
const START: u64 = 1_767_603_600_000;
/// More rows than this are not read of an input: a few bytes of Parquet repeat a row a billion times.
const MOST: usize = 20_000;
/// Errors of a whole file that come one after the other.
const ENDLESS: usize = 100;
/// How much is taken out of a packed file to be damaged, in bytes.
const UNPACKED: u64 = 1 << 20;

/// What the writer makes of conversations in each format and compression.
fn seeds() -> Vec<Vec<u8>> {
    let ways = [
        (0, RowFormat::Jsonl, Compression::None),
        (GZIP, RowFormat::Jsonl, Compression::Gzip),
        (ZSTD, RowFormat::Jsonl, Compression::Zstd),
        (PARQUET, RowFormat::Parquet, Compression::None),
        (PARQUET, RowFormat::Parquet, Compression::Gzip),
        (PARQUET, RowFormat::Parquet, Compression::Zstd),
        (PARQUET, RowFormat::Parquet, Compression::Snappy),
    ];
    ways.map(|(ending, format, compression)| {
        let settings = RowSettings::new(format, Some(compression)).unwrap();
        let mut writer = Writer::new(settings, vec![ending]).unwrap();
        for conversation in conversations() {
            writer.write(&conversation, SINK).unwrap();
        }
        writer.finish().unwrap()
    })
    .into()
}

/// One with all there can be in rows, and one with next to nothing.
fn conversations() -> [CompletedConversation; 2] {
    let text = |text: &str| text.to_owned();
    let parties = || {
        [
            ("a1".to_owned(), Some("Ann".to_owned())),
            ("a2".to_owned(), None),
        ]
    };
    let full = ConversationRecord {
        start: START,
        end: Some(START + 60_000),
        direction: Some(text("inbound")),
        ani: Some(text("tel:+4930123")),
        dnis: Some(text("tel:+4940456")),
        agents: parties().into(),
        queues: parties().into(),
        wrap_up_codes: parties().into(),
        tags: vec![text("late"), text("ü")],
        divisions: vec![text("d1")],
        division_names: vec![text("Sales")],
        media_types: vec![text("voice")],
        recorded: true,
        attributes: [(text("language"), text("de")), (text("x"), text("\"y\""))].into(),
        ..ConversationRecord::default()
    };
    let missing = vec![(text("archived"), text("restore it"))];
    [
        completed("c1", full, Outcome::Partial { missing }, &["r1", "r2"]),
        completed(
            "c2",
            ConversationRecord::default(),
            Outcome::NoRecording,
            &[],
        ),
    ]
}

fn completed(
    id: &str,
    record: ConversationRecord,
    outcome: Outcome,
    recordings: &[&str],
) -> CompletedConversation {
    let object = |recording: &&str| {
        let others = [("score".to_owned(), recording.to_string())].into();
        Object {
            conversation: id.to_owned(),
            recording: recording.to_string(),
            key: format!("recordings/{id}/{recording}.ogg"),
            member: (*recording == "r2").then(|| "a/r2.ogg".to_owned()),
            content_type: "audio/ogg".to_owned(),
            size: 4321,
            sha256: "0f".repeat(32),
            etag: None,
            stored: None,
            note: None,
            aside: false,
            file: "0/".to_owned(),
            index_metadata: Some(Arc::new(IndexMetadata {
                known: Vec::new(),
                others,
            })),
        }
    };
    CompletedConversation {
        id: id.to_owned(),
        record,
        outcome,
        attempt: 1,
        revision: None,
        objects: [(SINK.to_owned(), recordings.iter().map(object).collect())].into(),
        lost_in: Default::default(),
    }
}

/// Damages the lines in a packed file, the footer of a Parquet file, or any bytes.
fn mutate(rng: &mut Rng, input: &mut Vec<u8>) {
    let Some((ending, file)) = input.split_first() else {
        return;
    };
    let ending = ending % ENDINGS.len() as u8;
    let mut file = file.to_vec();
    match (ending, rng.below(3)) {
        (_, 0) => mutate::mutate(rng, &mut file),
        (GZIP | ZSTD, _) => match unpacked(ending, &file) {
            Ok(mut lines) => {
                vendor::mutate(rng, &mut lines);
                file = packed(ending, &lines);
            }
            Err(_) => mutate::mutate(rng, &mut file),
        },
        (PARQUET, _) => mutate_footer(rng, &mut file),
        _ => vendor::mutate(rng, &mut file),
    }
    input.truncate(1);
    input.extend(file);
}

/// Damages the footer of a Parquet file, whose length stands behind it, and keeps that right.
fn mutate_footer(rng: &mut Rng, file: &mut Vec<u8>) {
    let found = file.last_chunk::<8>().and_then(|[a, b, c, d, ..]| {
        let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        file.len().checked_sub(length.checked_add(8)?)
    });
    let Some(begin) = found else {
        return mutate::mutate(rng, file);
    };
    let mut footer = file[begin..file.len() - 8].to_vec();
    mutate::mutate(rng, &mut footer);
    file.truncate(begin);
    file.extend(&footer);
    file.extend((footer.len() as u32).to_le_bytes());
    file.extend(b"PAR1");
}

/// The first bytes of what a file is packed of.
fn unpacked(ending: u8, file: &[u8]) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    match ending {
        GZIP => MultiGzDecoder::new(file)
            .take(UNPACKED)
            .read_to_end(&mut lines)?,
        _ => zstd::stream::read::Decoder::with_buffer(file)?
            .take(UNPACKED)
            .read_to_end(&mut lines)?,
    };
    Ok(lines)
}

fn packed(ending: u8, lines: &[u8]) -> Vec<u8> {
    if ending == ZSTD {
        return zstd::stream::encode_all(lines, 1).unwrap();
    }
    let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(lines).unwrap();
    packed.finish().unwrap()
}

/// Makes the checksum of a gzip file of one member right (RFC 1952, 2.3.1), and has a Zstandard frame say that
/// it has none (RFC 8878, 3.1.1.1.1).
fn mend(input: &mut [u8]) {
    match input {
        [GZIP, head @ .., _, _, _, _, _, _, _, _] if head.len() > 10 => {
            // The writer's header has neither a name nor anything else.
            let mut lines = Vec::with_capacity(UNPACKED as usize);
            let mut inflate = Decompress::new(false);
            let _ = inflate.decompress_vec(&head[10..], &mut lines, FlushDecompress::Finish);
            let trailer = input.len() - 8;
            input[trailer..trailer + 4].copy_from_slice(&crc32fast::hash(&lines).to_le_bytes());
            input[trailer + 4..].copy_from_slice(&(lines.len() as u32).to_le_bytes());
        }
        [ZSTD, 0x28, 0xb5, 0x2f, 0xfd, descriptor, ..] => *descriptor &= !4,
        _ => {}
    }
}

fn feed(input: &[u8]) {
    let Some((ending, file)) = input.split_first() else {
        return;
    };
    let key = ENDINGS[usize::from(*ending) % ENDINGS.len()];
    known(key, Bytes::copy_from_slice(file));
    let mut kept = Vec::new();
    let _ = for_each_line(key, Bytes::copy_from_slice(file), &mut |row, line| {
        let again: Row = serde_json::from_str(&line).expect("a row's line can be read");
        assert!(again == row, "a line says what its row does: {line}");
        if kept.len() < 100 {
            kept.push(row);
        }
    });
    let _ = Restored::of(&kept);
}

/// Reads rows as a proof does, which goes on after an error.
fn known(key: &str, file: Bytes) {
    let Ok(rows) = read(key, file) else {
        return;
    };
    let mut errors = 0;
    for row in rows.take(MOST) {
        errors = match row {
            Err(error) if !is_of_a_line(&error) => errors + 1,
            _ => 0,
        };
        assert!(errors < ENDLESS, "the same error comes again and again");
    }
}

/// Returns true if an error is about one line, after which others may follow.
fn is_of_a_line(error: &io::Error) -> bool {
    // Text that is not UTF-8 has no cause.
    let cause = error.get_ref();
    cause.is_none_or(|cause| cause.is::<serde_json::Error>())
}
