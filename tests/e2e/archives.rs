//! An archive cannot hurt: whatever is in it, what is sound is unpacked and the rest is named.

#[path = "archives/delivery.rs"]
mod delivery;
#[path = "archives/forge.rs"]
mod forge;
#[path = "archives/index_metadata.rs"]
mod index_metadata;
#[path = "archives/odd.rs"]
mod odd;
#[path = "archives/transcoded.rs"]
mod transcoded;
#[path = "archives/unpacked.rs"]
mod unpacked;

use std::{collections::BTreeMap, fs::File, io::Write, process::Command};

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use recording_host_zip::{Archive, ArchiveError, EntryError, ZipLimits};

use forge::{Forge, Forged, crc, deflate};

const SOUND: &[u8] = b"RIFF and so on, RIFF and so on, RIFF and so on";

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn open(bytes: &[u8]) -> Result<Archive, ArchiveError> {
    Archive::open(file(bytes), &ZipLimits::default())
}

/// The unpacked bytes of each entry, or why it does not unpack, by its safe name.
fn unpacked(bytes: &[u8]) -> BTreeMap<String, Result<Vec<u8>, EntryError>> {
    let archive = open(bytes).unwrap();
    let entries = archive.entries().iter();
    let all = entries.map(|entry| (entry.safe_name.clone(), unpack(&archive, entry)));
    all.collect()
}

fn unpack(archive: &Archive, entry: &recording_host_zip::ZipEntry) -> Result<Vec<u8>, EntryError> {
    let mut data = Vec::new();
    let all = archive.unpack(entry, |more| {
        data.extend_from_slice(&more);
        true
    });
    assert!(data.len() as u64 <= entry.size, "more than announced");
    all.map(|all| {
        assert!(all);
        data
    })
}

/// Fails unless the archive has one entry that cannot be unpacked, beside a sound one.
fn refused(entry: Forged) -> EntryError {
    let bytes = Forge::of([Forged::deflated("sound.wav", SOUND), entry]).bytes();
    let archive = open(&bytes).unwrap();
    let [sound, other] = archive.entries() else {
        panic!("{archive:?}");
    };
    assert_eq!(unpack(&archive, sound).unwrap(), SOUND);
    unpack(&archive, other).unwrap_err()
}

fn broken(bytes: &[u8]) -> String {
    match open(bytes) {
        Err(ArchiveError::Broken(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn zips_of_every_sound_kind_are_unpacked() {
    let long = SOUND.repeat(10_000);
    for zip64 in [false, true] {
        for descriptor in [false, true] {
            let wide = |entry: Forged| {
                entry.with(|entry| (entry.zip64, entry.descriptor) = (zip64, descriptor))
            };
            let mut forge = Forge::of([
                wide(Forged::stored("folder/", "")),
                wide(Forged::stored("stored.wav", &long)),
                wide(Forged::deflated("deflated.wav", &long)),
                wide(Forged::stored("empty", "")),
                wide(Forged::deflated("empty-deflated", "")),
            ]);
            forge.zip64 = zip64;
            for (before, counted) in [("", false), ("#!/bin/sh", false), ("#!/bin/sh", true)] {
                for (comment, after) in [("", ""), ("a comment", ""), ("PK\x05\x06", "\n\n")] {
                    (forge.before, forge.counted) = (before.into(), counted);
                    (forge.comment, forge.after) = (comment.into(), after.into());
                    let found = unpacked(&forge.bytes());
                    let lengths = found.values().map(|data| data.as_ref().unwrap().len());
                    assert_eq!(lengths.collect::<Vec<_>>(), [long.len(), 0, 0, long.len()]);
                    assert_eq!(found["stored.wav"].as_ref().unwrap(), &long);
                    assert_eq!(found["deflated.wav"].as_ref().unwrap(), &long);
                    assert!(open(&forge.bytes()).unwrap().hidden().is_empty());
                }
            }
        }
    }
}

#[test]
fn zips_of_other_writers_are_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.zip");
    let script = "
import sys, zipfile, io
class Pipe(io.RawIOBase):
    def __init__(self, f): self.f = f
    def writable(self): return True
    def write(self, b): return self.f.write(b)
with open(sys.argv[1], 'wb') as f, zipfile.ZipFile(Pipe(f), 'w', zipfile.ZIP_DEFLATED) as z:
    with z.open('wide.wav', 'w', force_zip64=True) as e: e.write(b'sound' * 100000)
    z.writestr('gr\\u00fc\\u00dfe.txt', 'text')
    z.writestr(zipfile.ZipInfo('stored.bin'), b'\\0' * 70000)
    z.mkdir('folder')
";
    let made = Command::new("python3")
        .args(["-c", script])
        .arg(&path)
        .status();
    assert!(made.unwrap().success());
    let found = unpacked(&std::fs::read(&path).unwrap());
    assert_eq!(found.len(), 3);
    assert_eq!(
        found["wide.wav"].as_ref().unwrap(),
        &b"sound".repeat(100_000)
    );
    assert_eq!(found["grüße.txt"].as_ref().unwrap(), b"text");
    assert_eq!(found["stored.bin"].as_ref().unwrap(), &vec![0; 70_000]);

    let mut zip = zip::ZipWriter::new(tempfile::tempfile().unwrap());
    let options = zip::write::SimpleFileOptions::default().large_file(true);
    zip.start_file("x/y.wav", options).unwrap();
    zip.write_all(SOUND).unwrap();
    let archive = Archive::open(zip.finish().unwrap(), &ZipLimits::default()).unwrap();
    let [entry] = archive.entries() else {
        panic!("{archive:?}");
    };
    assert_eq!(unpack(&archive, entry).unwrap(), SOUND);
}

#[test]
fn duplicates_are_all_unpacked_and_told_apart() {
    let names = ["a/x.wav", "a/x.wav", "b/X.wav", "../x.wav", "x-2.wav"];
    let entries = names.map(|name| Forged::stored(name, name));
    let archive = open(&Forge::of(entries).bytes()).unwrap();
    let safe: Vec<_> = archive.entries().iter().map(|e| &*e.safe_name).collect();
    assert_eq!(
        safe,
        ["x.wav", "x-2.wav", "X-3.wav", "x-4.wav", "x-2-2.wav"]
    );
    for (entry, name) in archive.entries().iter().zip(names) {
        assert_eq!(unpack(&archive, entry).unwrap(), name.as_bytes());
    }
}

#[test]
fn no_name_becomes_a_path() {
    let names: [&[u8]; 12] = [
        b"../../etc/passwd",
        b"/etc/passwd",
        b"C:\\windows\\system32",
        b"c:x",
        b"\\\\server\\share",
        b"..",
        b"a\0b",
        b"\x1b[2J\r\n",
        b"aux.wav",
        b"gr\x81\xe1e.wav",
        "x\u{202e}vaw.exe".as_bytes(),
        &[b'x'; 60_000],
    ];
    let bytes = Forge::of(names.map(|name| Forged::stored(name, name))).bytes();
    let archive = open(&bytes).unwrap();
    assert_eq!(archive.entries().len(), names.len());
    for (entry, name) in archive.entries().iter().zip(names) {
        let safe = &entry.safe_name;
        let tame = |c: char| c.is_alphanumeric() || "._-".contains(c);
        assert!(safe.chars().all(tame) && safe.len() < 200, "{safe}");
        assert!(!safe.starts_with('.') && !safe.ends_with('.') && !safe.is_empty());
        assert_eq!(unpack(&archive, entry).unwrap(), name);
    }
    assert_eq!(archive.entries()[8].safe_name, "_aux.wav");
    assert_eq!(archive.entries()[9].safe_name, "grüße.wav");
}

#[test]
fn what_cannot_be_unpacked_is_refused_and_the_rest_is_not() {
    let sound = || Forged::deflated("other.wav", SOUND);
    for flag in [1, 1 << 6, 1 << 13] {
        let entry = sound().with(|entry| entry.flags = flag);
        assert_eq!(refused(entry), EntryError::Encrypted);
    }
    let aes = sound().with(|entry| entry.method = 99);
    assert_eq!(refused(aes), EntryError::Encrypted);
    for method in [1, 9, 12, 14, 93, 1000] {
        let entry = sound().with(|entry| entry.method = method);
        assert_eq!(refused(entry), EntryError::Method(method));
    }
    let link = Forged::stored("link", "/etc/passwd").with(|entry| entry.mode = 0o120_777);
    assert_eq!(refused(link), EntryError::Link);
    for mode in [0o010_000, 0o020_000, 0o060_000, 0o140_000] {
        let entry = sound().with(|entry| entry.mode = mode);
        assert_eq!(refused(entry), EntryError::Special);
    }
}

#[test]
fn an_entry_that_lies_is_refused() {
    let damaged = |entry: Forged, about: &str| match refused(entry) {
        EntryError::Damaged(reason) => assert!(reason.contains(about), "{reason}"),
        other => panic!("{other:?}"),
    };
    let noise: Vec<u8> = (0..200_000_u32)
        .flat_map(|i| crc(&i.to_le_bytes()).to_le_bytes())
        .collect();
    for entry in [
        Forged::deflated("x", &noise),
        Forged::stored("x", &noise),
        Forged::stored("x", ""),
    ] {
        damaged(entry.clone().with(|e| e.crc ^= 1), "CRC");
        let stored = entry.method == 0;
        damaged(
            entry.clone().with(|e| e.size += 1),
            if stored { "sizes differ" } else { "end early" },
        );
        damaged(
            entry.clone().with(|e| e.local_name = Some(b"y".to_vec())),
            "name",
        );
    }
    let deflated = Forged::deflated("x", &noise);
    damaged(
        deflated.clone().with(|e| e.size -= 1),
        "more than announced",
    );
    damaged(deflated.clone().with(|e| e.size = 0), "more than announced");
    damaged(deflated.clone().with(|e| e.packed -= 5), "end early");
    damaged(deflated.clone().with(|e| e.data.truncate(50)), "beyond");
    damaged(
        deflated.clone().with(|e| {
            e.data.extend(b"more");
            e.packed += 4;
        }),
        "follows",
    );
    damaged(deflated.clone().with(|e| e.data[0] = 0xff), "inflated");
    // The data descriptor's flag hides no other CRC.
    damaged(deflated.with(|e| (e.crc, e.descriptor) = (7, true)), "CRC");
}

#[test]
fn entries_that_the_directory_hides_or_invents_are_named() {
    let hide = |name: &str| Forged::deflated(name, SOUND).with(|entry| entry.listed = false);
    let sound = |name: &str| Forged::deflated(name, SOUND);
    let mut forge = Forge::of([hide("a"), sound("b"), hide("c"), sound("d"), hide("e")]);
    forge.before = Forge::of([sound("f")]).bytes();
    let archive = open(&forge.bytes()).unwrap();
    assert_eq!(archive.hidden(), ["f", "a", "c", "e"]);
    forge.after =
        b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0gwhat follows".to_vec();
    assert_eq!(
        open(&forge.bytes()).unwrap().hidden(),
        ["f", "a", "c", "e", "g"]
    );
    let absent = sound("x").with(|entry| entry.there = false);
    assert_eq!(refused(absent), EntryError::Absent);
    let elsewhere = sound("x").with(|entry| entry.offset = Some(3));
    assert_eq!(refused(elsewhere), EntryError::Absent);
    let far = sound("x").with(|entry| (entry.offset, entry.zip64) = (Some(u64::MAX - 5), true));
    assert_eq!(refused(far), EntryError::Absent);
}

#[test]
fn a_wrong_directory_is_no_directory() {
    let sound = Forge::of([Forged::deflated("a", SOUND), Forged::stored("b", SOUND)]);
    assert_eq!(unpacked(&sound.bytes()).len(), 2);
    for zip64 in [false, true] {
        let wrong = |change: fn(&mut Forge)| {
            let mut forge = sound.clone();
            forge.zip64 = zip64;
            change(&mut forge);
            broken(&forge.bytes())
        };
        assert!(wrong(|f| f.count = Some(3)).contains("3 entries"));
        assert!(wrong(|f| f.count = Some(1)).contains("1 entries"));
        assert!(wrong(|f| f.directory = Some(10)).contains("no directory"));
        assert!(wrong(|f| f.directory = Some(1 << 31)).contains("no directory"));
        assert!(wrong(|f| f.place = Some(1 << 31)).contains("no directory"));
    }
    let mut parts = sound.clone();
    parts.disk = 1;
    assert!(broken(&parts.bytes()).contains("one part"));
    assert!(broken(b"<html>an error page</html>").contains("no zip"));
    assert!(broken(b"").contains("no zip"));
    assert_eq!(unpacked(&Forge::default().bytes()).len(), 0);
}

#[test]
fn a_cut_archive_is_broken_wherever_it_is_cut() {
    for zip64 in [false, true] {
        let mut forge = Forge::of([
            Forged::deflated("a.wav", SOUND),
            Forged::stored("b.wav", SOUND).with(|entry| entry.descriptor = true),
        ]);
        (forge.zip64, forge.comment) = (zip64, b"comment".to_vec());
        let bytes = forge.bytes();
        for length in 0..bytes.len() {
            assert!(
                matches!(open(&bytes[..length]), Err(ArchiveError::Broken(_))),
                "{length}"
            );
        }
    }
}

#[test]
fn bombs_do_not_go_off() {
    // Long: one scenario, told in its order.
    let zeros = vec![0; 8 << 20];
    let bomb = Forged::deflated("bomb", &zeros);
    let small = ZipLimits {
        slack: 1 << 20,
        ..ZipLimits::default()
    };
    let bytes = Forge::of([bomb.clone()]).bytes();
    let archive = Archive::open(file(&bytes), &small).unwrap();
    let refused = archive.entries()[0].refused();
    assert_eq!(refused, Some(&EntryError::TooLarge(8 << 20)));
    // Silence within reason is none.
    assert_eq!(unpacked(&bytes)["bomb"].as_ref().unwrap(), &zeros);
    // The same bytes for many entries: all of them overlap.
    let shared = Forge::of((0..100).map(|number| {
        bomb.clone().with(|entry| {
            entry.offset = Some(0);
            entry.there = number == 0;
        })
    }));
    let all = unpacked(&shared.bytes());
    assert!(
        all.values().all(|one| *one == Err(EntryError::Overlap)),
        "{all:?}"
    );
    // An entry within the data of another.
    let inner = Forge::of([Forged::stored("in", SOUND)]).bytes();
    let quoted = Forge::of([
        Forged::stored("out", &inner),
        Forged::stored("in", SOUND).with(|e| (e.there, e.offset) = (false, Some(33))),
    ]);
    let all = unpacked(&quoted.bytes());
    assert!(
        all.values().all(|one| *one == Err(EntryError::Overlap)),
        "{all:?}"
    );
    // Together more than the archive may unpack to.
    let many = Forge::of((0..20).map(|_| bomb.clone())).bytes();
    let limits = ZipLimits {
        total: 100 << 20,
        ..ZipLimits::default()
    };
    assert!(matches!(
        Archive::open(file(&many), &limits),
        Err(ArchiveError::TooMuch(_))
    ));
    let total = ZipLimits {
        ratio: 1,
        slack: 16 << 20,
        ..ZipLimits::default()
    };
    assert!(matches!(
        Archive::open(file(&many), &total),
        Err(ArchiveError::TooMuch(_))
    ));
    // More entries, or a longer directory, than is read.
    let most = ZipLimits::default().entries as usize;
    let crowd = Forge::of((0..=most).map(|_| Forged::stored("", "")));
    assert!(matches!(
        open(&crowd.bytes()),
        Err(ArchiveError::TooMuch(_))
    ));
    let mut modulo = crowd.clone();
    modulo.count = Some(0);
    assert!(matches!(
        open(&modulo.bytes()),
        Err(ArchiveError::TooMuch(_))
    ));
    let names = Forge::of((0..300).map(|_| Forged::stored(vec![b'x'; 60_000], "")));
    assert!(matches!(
        open(&names.bytes()),
        Err(ArchiveError::TooMuch(_))
    ));
}

#[test]
fn thousands_of_equal_names_are_told_apart_in_no_time() {
    let crowd = Forge::of((0..40_000).map(|_| Forged::stored("x.wav", "")));
    let began = std::time::Instant::now();
    let archive = open(&crowd.bytes()).unwrap();
    let names: std::collections::BTreeSet<_> = archive
        .entries()
        .iter()
        .map(|entry| &entry.safe_name)
        .collect();
    assert_eq!(names.len(), 40_000);
    assert!(began.elapsed().as_secs() < 20);
}

/// Whatever happens to its bytes: no panic, no hang, and no entry that is not one of those packed.
#[test]
fn a_damaged_archive_yields_what_was_packed_or_nothing() {
    let noise: Vec<u8> = (0..300_u32)
        .flat_map(|i| crc(&i.to_le_bytes()).to_le_bytes())
        .collect();
    let contents = [SOUND.to_vec(), SOUND.repeat(50), noise, Vec::new()];
    let mut forge = Forge::of([
        Forged::deflated("a.wav", &contents[0]),
        Forged::deflated("b.wav", &contents[1]).with(|e| e.descriptor = true),
        Forged::stored("c.wav", &contents[2]).with(|e| e.zip64 = true),
        Forged::deflated("d.wav", &contents[2]),
        Forged::stored("e/", ""),
    ]);
    let mut whole = 0;
    for seed in 0..6000_u64 {
        let mut random = SmallRng::seed_from_u64(seed);
        forge.zip64 = seed % 2 == 0;
        let mut bytes = forge.bytes();
        let length = bytes.len();
        // Directory and end record are short: half of the damage is done there.
        let from = if seed % 4 < 2 { length - 400 } else { 0 };
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(from..length);
            match random.random_range(0..4) {
                0 => bytes[at] ^= 1 << random.random_range(0..8),
                1 => bytes[at] = random.random(),
                2 => bytes[at] = *[0, 0xff].get(usize::from(random.random::<bool>())).unwrap(),
                _ => {
                    let other = random.random_range(0..length);
                    bytes.swap(at, other);
                }
            }
        }
        if seed % 5 == 0 {
            bytes.truncate(random.random_range(0..length));
        }
        let Ok(archive) = open(&bytes) else {
            continue;
        };
        for entry in archive.entries() {
            if let Ok(data) = unpack(&archive, entry) {
                assert!(contents.contains(&data), "seed {seed}: {}", entry.name);
                whole += 1;
            }
        }
    }
    assert!(whole > 3000, "{whole}: too few to prove anything");
    assert!(deflate(&contents[1]).len() < contents[1].len());
}
