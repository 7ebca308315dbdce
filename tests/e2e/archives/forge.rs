//! Writes zips, sound ones and such that lie in any field.

use std::io::Write;

pub(crate) use crc32fast::hash as crc;
use flate2::{Compression, write::DeflateEncoder};

/// An entry; each field is written as it stands.
#[derive(Clone)]
pub(crate) struct Forged {
    pub(crate) name: Vec<u8>,
    /// The name in the local header, if that is another.
    pub(crate) local_name: Option<Vec<u8>>,
    /// The packed bytes.
    pub(crate) data: Vec<u8>,
    pub(crate) method: u16,
    pub(crate) flags: u16,
    pub(crate) crc: u32,
    pub(crate) packed: u64,
    pub(crate) size: u64,
    /// CRC and sizes follow the data, and zeros stand in the local header.
    pub(crate) descriptor: bool,
    /// Sizes and place stand in the fields for large archives.
    pub(crate) zip64: bool,
    pub(crate) extra: Vec<u8>,
    /// The mode, for entries from Unix.
    pub(crate) mode: u32,
    /// The place that the directory gives instead of the true one.
    pub(crate) offset: Option<u64>,
    /// True if the directory lists it; `there` is true if it is there.
    pub(crate) listed: bool,
    pub(crate) there: bool,
}

/// An archive; each field is written as it stands.
#[derive(Clone, Default)]
pub(crate) struct Forge {
    pub(crate) before: Vec<u8>,
    /// True if places are counted from the start of the bytes in `before`.
    pub(crate) counted: bool,
    pub(crate) entries: Vec<Forged>,
    pub(crate) zip64: bool,
    pub(crate) comment: Vec<u8>,
    pub(crate) after: Vec<u8>,
    /// The values that the end record gives instead of the true ones.
    pub(crate) count: Option<u64>,
    pub(crate) directory: Option<u64>,
    pub(crate) place: Option<u64>,
    pub(crate) disk: u16,
}

pub(crate) fn deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

impl Forged {
    pub(crate) fn stored(name: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Self {
        let data = data.as_ref().to_vec();
        Forged {
            name: name.as_ref().to_vec(),
            local_name: None,
            method: 0,
            flags: 0,
            crc: crc(&data),
            packed: data.len() as u64,
            size: data.len() as u64,
            descriptor: false,
            zip64: false,
            extra: Vec::new(),
            mode: 0o100_644,
            offset: None,
            listed: true,
            there: true,
            data,
        }
    }

    pub(crate) fn deflated(name: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Self {
        let packed = deflate(data.as_ref());
        Forged {
            method: 8,
            packed: packed.len() as u64,
            data: packed,
            ..Forged::stored(name, data)
        }
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn local(&self) -> Vec<u8> {
        let name = self.local_name.as_ref().unwrap_or(&self.name);
        let flags = self.flags | if self.descriptor { 8 } else { 0 };
        let (crc, packed, size) = match self.descriptor {
            true => (0, 0, 0),
            false => (self.crc, self.packed, self.size),
        };
        let wide = if self.zip64 {
            zip64(&[size, packed])
        } else {
            Vec::new()
        };
        let mut out = b"PK\x03\x04".to_vec();
        for field in [20, flags, self.method, 0, 0x21] {
            out.extend(field.to_le_bytes());
        }
        out.extend(crc.to_le_bytes());
        for length in [packed, size] {
            out.extend(narrow(length, self.zip64).to_le_bytes());
        }
        out.extend((name.len() as u16).to_le_bytes());
        out.extend(((wide.len() + self.extra.len()) as u16).to_le_bytes());
        out.extend(name);
        out.extend(wide);
        out.extend(&self.extra);
        out.extend(&self.data);
        if self.descriptor {
            out.extend(b"PK\x07\x08");
            out.extend(self.crc.to_le_bytes());
            for length in [self.packed, self.size] {
                match self.zip64 {
                    true => out.extend(length.to_le_bytes()),
                    false => out.extend((length as u32).to_le_bytes()),
                }
            }
        }
        out
    }

    fn central(&self, offset: u64) -> Vec<u8> {
        let offset = self.offset.unwrap_or(offset);
        let flags = self.flags | if self.descriptor { 8 } else { 0 };
        let wide = match self.zip64 {
            true => zip64(&[self.size, self.packed, offset]),
            false => Vec::new(),
        };
        let mut out = b"PK\x01\x02".to_vec();
        for field in [3 << 8 | 45, 20, flags, self.method, 0, 0x21] {
            out.extend(field.to_le_bytes());
        }
        out.extend(self.crc.to_le_bytes());
        for length in [self.packed, self.size] {
            out.extend(narrow(length, self.zip64).to_le_bytes());
        }
        out.extend((self.name.len() as u16).to_le_bytes());
        out.extend(((wide.len() + self.extra.len()) as u16).to_le_bytes());
        out.extend([0; 6]);
        out.extend((self.mode << 16).to_le_bytes());
        out.extend(narrow(offset, self.zip64).to_le_bytes());
        out.extend(&self.name);
        out.extend(wide);
        out.extend(&self.extra);
        out
    }
}

impl Forge {
    pub(crate) fn of(entries: impl IntoIterator<Item = Forged>) -> Self {
        Forge {
            entries: entries.into_iter().collect(),
            ..Forge::default()
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = self.before.clone();
        let base = if self.counted { 0 } else { out.len() };
        let mut directory = Vec::new();
        let mut count = 0;
        for entry in &self.entries {
            if entry.listed {
                directory.extend(entry.central((out.len() - base) as u64));
                count += 1;
            }
            if entry.there {
                out.extend(entry.local());
            }
        }
        let place = self.place.unwrap_or((out.len() - base) as u64);
        let size = self.directory.unwrap_or(directory.len() as u64);
        let count = self.count.unwrap_or(count);
        out.extend(directory);
        if self.zip64 {
            let record = (out.len() - base) as u64;
            out.extend(b"PK\x06\x06");
            out.extend(44_u64.to_le_bytes());
            out.extend([45, 3, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            for field in [count, count, size, place] {
                out.extend(field.to_le_bytes());
            }
            out.extend(b"PK\x06\x07\0\0\0\0");
            out.extend(record.to_le_bytes());
            out.extend(1_u32.to_le_bytes());
        }
        out.extend(b"PK\x05\x06");
        let counts = if self.zip64 { u16::MAX } else { count as u16 };
        for field in [self.disk, self.disk, counts, counts] {
            out.extend(field.to_le_bytes());
        }
        out.extend(narrow(size, self.zip64).to_le_bytes());
        out.extend(narrow(place, self.zip64).to_le_bytes());
        out.extend((self.comment.len() as u16).to_le_bytes());
        out.extend(&self.comment);
        out.extend(&self.after);
        out
    }
}

fn narrow(value: u64, zip64: bool) -> u32 {
    if zip64 { u32::MAX } else { value as u32 }
}

fn zip64(fields: &[u64]) -> Vec<u8> {
    let mut out = vec![1, 0];
    out.extend((fields.len() as u16 * 8).to_le_bytes());
    for field in fields {
        out.extend(field.to_le_bytes());
    }
    out
}
