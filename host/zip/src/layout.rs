//! Compares what the directory of a zip says with what is there.
//!
//! Entries that overlap, that are not where the directory says, or that their
//! own header describes otherwise are refused; those that the directory hides are found.

use std::{fs::File, io};

use super::{
    CHUNK, EntryError,
    directory::{End, Header},
    fields::{Fields, extra},
    name::decoded,
    read_exact,
};

/// A local header without its name.
const LOCAL: u64 = 30;
/// How many hidden entries are named.
const HIDDEN: usize = 100;
/// How many names are read to find them: each may have 64 KiB and be none.
const TRIES: usize = 10_000;
/// The flag that says that sizes and CRC follow the data.
const DESCRIPTOR: u16 = 1 << 3;
/// Flags of encryption: of the data, strong, and of the headers.
const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;
const AES: u16 = 99;

/// Where an entry is, in bytes from the start of the file.
#[derive(Clone, Copy, Debug)]
struct Range {
    start: u64,
    end: u64,
    entry: usize,
}

/// The places of data in an archive.
pub(super) struct ZipLayout {
    /// For each header, where its data begin, or why it cannot be unpacked.
    pub(super) data: Vec<Result<u64, EntryError>>,
    /// The names of entries that the directory hides.
    pub(super) hidden: Vec<String>,
}

pub(super) fn layout(
    file: &File,
    length: u64,
    end: &End,
    headers: &[Header],
) -> io::Result<ZipLayout> {
    let mut data = Vec::with_capacity(headers.len());
    let mut ranges = Vec::with_capacity(headers.len());
    for (entry, header) in headers.iter().enumerate() {
        let place = local(file, header, end.start)?;
        if let Ok(start) | Err((Some(start), _)) = place {
            let until = start.saturating_add(header.packed).min(end.start);
            ranges.push(Range {
                start: header.offset,
                end: until,
                entry,
            });
        }
        data.push(match place {
            Ok(start) => refused(header).map_or(Ok(start), Err),
            Err((_, error)) => Err(error),
        });
    }
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut furthest: Option<Range> = None;
    let mut free = Vec::new();
    let mut used = 0;
    for range in ranges {
        match furthest {
            Some(other) if range.start < other.end => {
                data[range.entry] = Err(EntryError::Overlap);
                data[other.entry] = Err(EntryError::Overlap);
            }
            _ if range.start > used => free.push((used, range.start)),
            _ => {}
        }
        used = used.max(range.end);
        if furthest.is_none_or(|other| range.end > other.end) {
            furthest = Some(range);
        }
    }
    free.push((used, end.start));
    free.push((end.until, length));
    let (mut hidden, mut tries) = (Vec::new(), TRIES);
    for (from, until) in free {
        search(file, from, until, &mut tries, &mut hidden)?;
    }
    if tries == 0 {
        hidden.push(format!("(and {TRIES} places that look like an entry)"));
    }
    Ok(ZipLayout { data, hidden })
}

/// Why an entry is not unpacked even if it is sound.
fn refused(header: &Header) -> Option<EntryError> {
    match header.mode.map(|mode| mode & 0o170_000) {
        Some(0o120_000) => return Some(EntryError::Link),
        Some(0o010_000 | 0o020_000 | 0o060_000 | 0o140_000) => return Some(EntryError::Special),
        _ => {}
    }
    if header.flags & ENCRYPTED != 0 || header.method == AES {
        return Some(EntryError::Encrypted);
    }
    match header.method {
        0 if header.packed != header.size => Some(EntryError::Damaged(
            "it is stored, but its two sizes differ".to_owned(),
        )),
        0 | 8 => None,
        method => Some(EntryError::Method(method)),
    }
}

/// Where an entry's data begin, or, as far as that is known, why they are not to be trusted.
type Local = Result<u64, (Option<u64>, EntryError)>;

/// Compares the header before an entry's data with that in the directory.
fn local(file: &File, header: &Header, limit: u64) -> io::Result<Local> {
    let room = |from: u64, length: u64| from.checked_add(length).is_some_and(|to| to <= limit);
    if !room(header.offset, LOCAL) {
        return Ok(Err((None, EntryError::Absent)));
    }
    let fixed = read_exact(file, header.offset, LOCAL as usize)?;
    let Some(local) = Fixed::of(&fixed) else {
        return Ok(Err((None, EntryError::Absent)));
    };
    let start = header.offset + LOCAL + local.name + local.extras;
    if start > limit {
        return Ok(Err((None, EntryError::Absent)));
    }
    let differs = |what: &str| {
        let reason = format!("its own header and the directory differ in its {what}");
        Ok(Err((Some(start), EntryError::Damaged(reason))))
    };
    let name_at = header.offset + LOCAL;
    // What cannot be the name is not even read: all entries may point at the same one.
    if local.name != header.raw_name.len() as u64
        || read_exact(file, name_at, local.name as usize)? != header.raw_name
    {
        return differs("name");
    }
    if local.method != header.method {
        return differs("method");
    }
    if (local.flags ^ header.flags) & ENCRYPTED != 0 {
        return differs("encryption");
    }
    let extras = match [local.size, local.packed].contains(&u32::MAX) {
        true => read_exact(file, name_at + local.name, local.extras as usize)?,
        false => Vec::new(),
    };
    let mut wide = Fields::of(extra(&extras, 1).unwrap_or_default());
    let mut value = |narrow: u32| match narrow {
        u32::MAX => wide.u64().unwrap_or(narrow.into()),
        narrow => narrow.into(),
    };
    let (size, packed) = (value(local.size), value(local.packed));
    let follows = (local.flags | header.flags) & DESCRIPTOR != 0;
    // Where they follow the data, zeros stand before them, mostly.
    if !(follows && local.crc == 0 || local.crc == header.crc) {
        return differs("CRC");
    }
    let agrees = |one: u64, other: u64| one == other || follows && (one == 0 || one == 0xffff_ffff);
    if !agrees(size, header.size) || !agrees(packed, header.packed) {
        return differs("size");
    }
    if !room(start, header.packed) {
        let reason = "its data would reach beyond the archive's".to_owned();
        return Ok(Err((Some(start), EntryError::Damaged(reason))));
    }
    Ok(Ok(start))
}

/// The fixed part of a local header.
struct Fixed {
    version: u16,
    flags: u16,
    method: u16,
    crc: u32,
    packed: u32,
    size: u32,
    name: u64,
    extras: u64,
}

impl Fixed {
    /// None if it is no local header.
    fn of(data: &[u8]) -> Option<Self> {
        let mut fields = Fields::of(data.strip_prefix(b"PK\x03\x04")?);
        let (version, flags, method) = (fields.u16()?, fields.u16()?, fields.u16()?);
        fields.u32()?;
        Some(Fixed {
            version,
            flags,
            method,
            crc: fields.u32()?,
            packed: fields.u32()?,
            size: fields.u32()?,
            name: fields.u16()?.into(),
            extras: fields.u16()?.into(),
        })
    }
}

/// Looks for entries where the directory knows of none.
fn search(
    file: &File,
    from: u64,
    until: u64,
    tries: &mut usize,
    hidden: &mut Vec<String>,
) -> io::Result<()> {
    let mut at = from;
    while at.saturating_add(LOCAL) <= until && hidden.len() < HIDDEN && *tries > 0 {
        let length = (until - at).min(CHUNK as u64);
        let data = read_exact(file, at, length as usize)?;
        for (place, window) in data.windows(LOCAL as usize).enumerate() {
            let Some(local) = Fixed::of(window) else {
                continue;
            };
            let name_at = at + place as u64 + LOCAL;
            // By chance the four bytes stand anywhere; a header also has to make sense.
            let known = matches!(local.method, 0..=20 | 93..=99);
            let fits = local.name > 0 && name_at + local.name <= until;
            if local.version & 0xff <= 63 && known && fits && hidden.len() < HIDDEN && *tries > 0 {
                *tries -= 1;
                let name = read_exact(file, name_at, local.name as usize)?;
                if !name.iter().any(u8::is_ascii_control) {
                    hidden.push(decoded(&name, &[]));
                }
            }
        }
        // A header may begin in the last bytes of this chunk.
        at += length - (LOCAL - 1);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use crate::{Archive, ZipLimits};

    #[test]
    fn headers_without_end_that_name_nothing_take_no_time_without_end() {
        // Each is followed by 64 KiB that might be its name: 65 GB to read, from 30 MB.
        let mut header = b"PK\x03\x04\x14\0".to_vec();
        header.resize(26, 0);
        header.extend([0xff, 0xff, 0, 0]);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&header.repeat(1_000_000)).unwrap();
        file.write_all(b"PK\x05\x06").unwrap();
        file.write_all(&[0; 18]).unwrap();
        let archive = Archive::open(file, &ZipLimits::default()).unwrap();
        // Not all was looked at, and that is told.
        assert_eq!(
            archive.hidden(),
            ["(and 10000 places that look like an entry)"]
        );
    }
}
