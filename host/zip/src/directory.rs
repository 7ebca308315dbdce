//! The end record and the central directory of a zip.
//!
//! Structures and names of fields are those of PKWARE's APPNOTE 6.3.10, section 4.3.

use std::fs::File;

use super::{
    ArchiveError, ZipLimits,
    fields::{Fields, extra},
    name::decoded,
    read_exact,
};

/// The end record without its comment, and the longest comment.
const END: u64 = 22;
const COMMENT: u64 = 0xffff;
const LOCATOR: u64 = 20;
const END64: u64 = 56;
const ZIP64: u16 = 1;

/// Where a directory is.
#[derive(Debug)]
pub(super) struct End {
    entries: u64,
    /// The directory's place in the file, in bytes.
    pub(super) start: u64,
    size: u64,
    /// The length of the data before the archive, in bytes.
    base: u64,
    /// The end of the archive.
    pub(super) until: u64,
    /// True if the number of entries is whole, not modulo 65,536.
    exact: bool,
}

/// The directory's header of an entry.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) raw_name: Vec<u8>,
    pub(super) name: String,
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) crc: u32,
    pub(super) packed: u64,
    pub(super) size: u64,
    /// The place of the local header in the file.
    pub(super) offset: u64,
    /// The file's mode, if it was packed on Unix.
    pub(super) mode: Option<u32>,
}

fn broken(reason: impl Into<String>) -> ArchiveError {
    ArchiveError::Broken(reason.into())
}

/// Finds the directory: the last end record that fits to one. Data after it are ignored.
pub(super) fn find(file: &File, length: u64) -> Result<End, ArchiveError> {
    let from = length.saturating_sub(END + COMMENT);
    let tail = read_exact(file, from, (length - from) as usize)?;
    let mut reason = None;
    for at in (0..tail.len().saturating_sub(END as usize - 1)).rev() {
        if tail[at..].starts_with(b"PK\x05\x06") {
            match end(file, &tail[at..], from + at as u64) {
                Ok(end) => return Ok(end),
                Err(ArchiveError::Broken(why)) => reason = reason.or(Some(why)),
                Err(error) => return Err(error),
            }
        }
    }
    let none = "it has no end record: it is cut, or no zip";
    Err(broken(reason.unwrap_or_else(|| none.to_owned())))
}

/// Reads the end record that begins at `at`.
fn end(file: &File, record: &[u8], at: u64) -> Result<End, ArchiveError> {
    let cut = || broken("its end record is cut");
    let mut fields = Fields::of(record.get(4..).unwrap_or_default());
    let disks = [fields.u16(), fields.u16()];
    let counts = [fields.u16().ok_or_else(cut)?, fields.u16().ok_or_else(cut)?];
    let size = fields.u32().ok_or_else(cut)?;
    let offset = fields.u32().ok_or_else(cut)?;
    let comment = fields.u16().ok_or_else(cut)?;
    fields.bytes(comment.into()).ok_or_else(cut)?;
    let (mut entries, mut wide_size, mut wide_offset) =
        (u64::from(counts[1]), u64::from(size), u64::from(offset));
    let (mut directory_end, mut exact) = (at, false);
    let several = || broken("it is one part of an archive of several");
    if let Some((place, record)) = end64(file, at)? {
        let mut fields = Fields::of(record.get(16..).unwrap_or_default());
        if (fields.u32(), fields.u32()) != (Some(0), Some(0)) {
            return Err(several());
        }
        fields.u64();
        entries = fields.u64().ok_or_else(cut)?;
        wide_size = fields.u64().ok_or_else(cut)?;
        wide_offset = fields.u64().ok_or_else(cut)?;
        let agrees = |narrow: u64, all: u64, wide: u64| narrow == all || narrow == wide;
        if !agrees(counts[1].into(), 0xffff, entries)
            || !agrees(size.into(), 0xffff_ffff, wide_size)
            || !agrees(offset.into(), 0xffff_ffff, wide_offset)
        {
            return Err(broken("its two end records disagree"));
        }
        (directory_end, exact) = (place, true);
    } else if disks != [Some(0), Some(0)] || counts[0] != counts[1] {
        return Err(several());
    }
    let misplaced = || broken("its end record names a place where no directory is");
    let start = directory_end.checked_sub(wide_size).ok_or_else(misplaced)?;
    let base = start.checked_sub(wide_offset).ok_or_else(misplaced)?;
    if wide_size > 0 && (wide_size < 4 || read_exact(file, start, 4)? != b"PK\x01\x02") {
        return Err(misplaced());
    }
    Ok(End {
        entries,
        start,
        size: wide_size,
        base,
        until: at + END + u64::from(comment),
        exact,
    })
}

/// The zip64 end record that belongs to an end record at `at`, if there is one, and its place.
fn end64(file: &File, at: u64) -> Result<Option<(u64, Vec<u8>)>, ArchiveError> {
    let Some(locator_at) = at.checked_sub(LOCATOR) else {
        return Ok(None);
    };
    let locator = read_exact(file, locator_at, LOCATOR as usize)?;
    if !locator.starts_with(b"PK\x06\x07") {
        return Ok(None);
    }
    let mut fields = Fields::of(&locator[8..]);
    let named = fields.u64().unwrap_or(u64::MAX);
    // With something before the archive, the named place is wrong by that much.
    for place in [Some(named), locator_at.checked_sub(END64)] {
        let Some(place) = place.filter(|p| p.checked_add(END64).is_some_and(|e| e <= locator_at))
        else {
            continue;
        };
        let record = read_exact(file, place, END64 as usize)?;
        let length = Fields::of(&record[4..]).u64().unwrap_or(u64::MAX);
        let ends = length.checked_add(place + 12);
        if record.starts_with(b"PK\x06\x06") && ends == Some(locator_at) {
            return Ok(Some((place, record)));
        }
    }
    Err(broken("its zip64 end record is not where it should be"))
}

/// Reads the directory.
pub(super) fn read(
    file: &File,
    end: &End,
    limits: &ZipLimits,
) -> Result<Vec<Header>, ArchiveError> {
    if end.entries > limits.entries {
        let (count, most) = (end.entries, limits.entries);
        return Err(ArchiveError::TooMuch(format!(
            "it has {count} entries, at most {most} are read"
        )));
    }
    if end.size > limits.directory {
        let (size, most) = (end.size, limits.directory);
        return Err(ArchiveError::TooMuch(format!(
            "its directory has {size} bytes, at most {most} are read"
        )));
    }
    let data = read_exact(file, end.start, end.size as usize)?;
    let mut fields = Fields::of(&data);
    let mut headers = Vec::new();
    while !fields.is_empty() {
        match fields.u32() {
            Some(0x0201_4b50) => {}
            // A digital signature ends the directory.
            Some(0x0505_4b50) if !headers.is_empty() => break,
            _ => return Err(broken("its directory is damaged")),
        }
        let header = header(&mut fields, end.base)
            .ok_or_else(|| broken("a header in its directory is cut"))?;
        headers.push(header);
        if headers.len() as u64 > limits.entries {
            let most = limits.entries;
            return Err(ArchiveError::TooMuch(format!(
                "it has more than {most} entries"
            )));
        }
    }
    let count = headers.len() as u64;
    if count != end.entries && (end.exact || count & 0xffff != end.entries) {
        let reported = end.entries;
        return Err(broken(format!(
            "its end record says {reported} entries, but its directory has {count}"
        )));
    }
    Ok(headers)
}

/// Reads a header, after its signature; none if it is cut.
fn header(fields: &mut Fields<'_>, base: u64) -> Option<Header> {
    let made_by = fields.u16()?;
    fields.u16()?;
    let (flags, method) = (fields.u16()?, fields.u16()?);
    fields.u32()?;
    let crc = fields.u32()?;
    let (packed, size) = (fields.u32()?, fields.u32()?);
    let (name, extras, comment) = (fields.u16()?, fields.u16()?, fields.u16()?);
    fields.u32()?;
    let attributes = fields.u32()?;
    let offset = fields.u32()?;
    let raw_name = fields.bytes(name.into())?;
    let extras = fields.bytes(extras.into())?;
    fields.bytes(comment.into())?;
    let mut wide = Fields::of(extra(extras, ZIP64).unwrap_or_default());
    // A field that the extra data lacks keeps its number: no archive has that many bytes there.
    let mut value = |narrow: u32| match narrow {
        u32::MAX => wide.u64().unwrap_or(narrow.into()),
        narrow => narrow.into(),
    };
    let (size, packed, offset) = (value(size), value(packed), value(offset));
    Some(Header {
        raw_name: raw_name.to_vec(),
        name: decoded(raw_name, extras),
        flags,
        method,
        crc,
        packed,
        size,
        offset: offset.saturating_add(base),
        // 3 is Unix, 19 is macOS.
        mode: matches!(made_by >> 8, 3 | 19).then_some(attributes >> 16),
    })
}
