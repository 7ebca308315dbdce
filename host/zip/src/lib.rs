//! The contents of a zip, and the owners of its files.
//!
//! Archives come from outside and may be broken or hostile. They are spooled
//! to an unnamed file first, so that the central directory decides what is in
//! them, and it is compared with what is there. This module promises: nothing
//! panics or hangs on any input; nothing that an archive says becomes a path;
//! no entry counts as unpacked whose length or CRC is wrong; and no more is
//! unpacked than [`ZipLimits`] allow. Anything that cannot be unpacked is named, with a
//! code that stands in the rows.
//!
//! Why our own reader: no crate refuses overlapping entries, bounds what an
//! archive unpacks to, keeps entries of one name apart, and names those that
//! the directory hides.

mod directory;
mod fields;
mod index;
mod inflate;
mod json;
mod layout;
mod name;
mod spool;

use std::{fs::File, io};

use bytes::Bytes;

use directory::Header;
pub use index::{Listed, Owner, plain};
use inflate::Packed;

pub use name::Names;
pub use spool::{LONGEST, QUOTA, Room, Spool, SpoolError};

/// How much is read and handed on at once, in bytes.
const CHUNK: usize = 64 << 10;
/// The fault of an archive that names places beyond its end.
const SHORT: &str = "it is shorter than it says";

/// ZipLimits on the contents and the unpacked size of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZipLimits {
    /// Entries, folders among them.
    pub entries: u64,
    /// The length of the central directory, in bytes.
    pub directory: u64,
    /// The largest unpacked size of one entry, in bytes.
    pub entry: u64,
    /// The largest unpacked size of all entries together, in bytes.
    pub total: u64,
    /// How many times its packed length an entry, or the archive, may unpack to ...
    pub ratio: u64,
    /// ... beyond this many bytes: silence packs a thousandfold.
    pub slack: u64,
}

impl Default for ZipLimits {
    fn default() -> Self {
        ZipLimits {
            entries: 50_000,
            directory: 16 << 20,
            entry: 64 << 30,
            total: 256 << 30,
            ratio: 200,
            slack: 1 << 30,
        }
    }
}

impl ZipLimits {
    /// The limits that remain for the archives in an archive.
    #[must_use]
    pub fn after(self, archive: &Archive) -> Self {
        ZipLimits {
            entries: self.entries.saturating_sub(archive.count),
            total: self.total.saturating_sub(archive.total),
            ..self
        }
    }

    /// Returns true if so many packed bytes may unpack to so many.
    fn allow(&self, packed: u64, size: u64) -> bool {
        size <= packed.saturating_mul(self.ratio).saturating_add(self.slack)
    }
}

/// Why nothing of an archive can be unpacked; it is kept as it came.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is damaged, or no zip.
    #[error("the zip cannot be read: {0}")]
    Broken(String),
    /// It is more than [`ZipLimits`] allow.
    #[error("the zip is not unpacked: {0}")]
    TooMuch(String),
    /// The spooled file cannot be read.
    #[error("cannot read a spooled zip: {0}; check the disk of `data_dir`")]
    Io(io::Error),
}

impl From<io::Error> for ArchiveError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // It leads beyond its own end: nothing is wrong with the disk.
            io::ErrorKind::UnexpectedEof => ArchiveError::Broken(SHORT.to_owned()),
            _ => ArchiveError::Io(error),
        }
    }
}

impl ArchiveError {
    /// The short stable word for it in rows.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            ArchiveError::Broken(_) => "broken-archive",
            ArchiveError::TooMuch(_) => "archive-limit",
            ArchiveError::Io(_) => "spool",
        }
    }
}

/// Why an entry cannot be unpacked; the archive is kept for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// It needs a password.
    #[error("it is encrypted")]
    Encrypted,
    /// It is packed by a method other than stored (0) and deflated (8).
    #[error("it is packed by method {0}, which is not supported")]
    Method(u16),
    /// It is a symbolic link, which could lead anywhere.
    #[error("it is a symbolic link")]
    Link,
    /// It is a device, a pipe or a socket.
    #[error("it is not a file")]
    Special,
    /// It is more than [`ZipLimits`] allow.
    #[error("it unpacks to {0} bytes, more than a recording can be")]
    TooLarge(u64),
    /// It shares bytes with another one, as bombs do.
    #[error("it overlaps with another entry")]
    Overlap,
    /// The directory names it, but it is not there.
    #[error("the directory names it, but it is not there")]
    Absent,
    /// It contradicts itself, or its data are not those that were packed.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// It is sound, and not the recording that the index calls it.
    #[error("{0}")]
    NoRecording(String),
    /// The spooled file cannot be read.
    #[error("cannot read a spooled zip: {0}; check the disk of `data_dir`")]
    Spool(String),
}

impl From<io::Error> for EntryError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => EntryError::Damaged(SHORT.to_owned()),
            _ => EntryError::Spool(error.to_string()),
        }
    }
}

impl EntryError {
    /// The short stable word for it in rows.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            EntryError::Encrypted => "encrypted-entry",
            EntryError::Method(_) => "unsupported-method",
            EntryError::Link => "link-entry",
            EntryError::Special => "special-entry",
            EntryError::TooLarge(_) => "entry-limit",
            EntryError::Overlap => "overlapping-entry",
            EntryError::Absent => "absent-entry",
            EntryError::Damaged(_) => "damaged-entry",
            EntryError::NoRecording(_) => "not-a-recording",
            EntryError::Spool(_) => "spool",
        }
    }
}

/// A spooled archive.
#[derive(Debug)]
pub struct Archive {
    file: File,
    entries: Vec<ZipEntry>,
    hidden: Vec<String>,
    count: u64,
    total: u64,
}

/// A file in an archive.
#[derive(Debug)]
pub struct ZipEntry {
    /// The name in the archive, as it stands there: not safe for anything.
    pub name: String,
    /// The name made safe for an object key, and unlike that of every other entry.
    pub safe_name: String,
    /// The unpacked length in bytes, as the archive states it.
    pub size: u64,
    packed: u64,
    deflated: bool,
    crc: u32,
    /// Where its data begin.
    data: Result<u64, EntryError>,
}

impl Archive {
    /// Reads the directory of an archive and compares it with what is there.
    ///
    /// # Errors
    /// [`ArchiveError`] if nothing in it can be unpacked.
    pub fn open(file: File, limits: &ZipLimits) -> Result<Self, ArchiveError> {
        let length = file.metadata()?.len();
        let end = directory::find(&file, length)?;
        let headers = directory::read(&file, &end, limits)?;
        let layout = layout::layout(&file, length, &end, &headers)?;
        let count = headers.len() as u64;
        let mut total = 0_u64;
        let mut names = Names::default();
        let mut entries = Vec::new();
        for (header, data) in headers.into_iter().zip(layout.data) {
            if is_folder(&header) {
                continue;
            }
            let too_large = header.size > limits.entry || !limits.allow(header.packed, header.size);
            let data = match data {
                Ok(_) if too_large => Err(EntryError::TooLarge(header.size)),
                data => data,
            };
            if data.is_ok() {
                total = total.saturating_add(header.size);
            }
            entries.push(ZipEntry {
                safe_name: names.unique(&header.name),
                name: header.name,
                size: header.size,
                packed: header.packed,
                deflated: header.method == 8,
                crc: header.crc,
                data,
            });
        }
        if total > limits.total || !limits.allow(length, total) {
            return Err(ArchiveError::TooMuch(format!(
                "{length} bytes would unpack to {total}"
            )));
        }
        Ok(Archive {
            file,
            entries,
            hidden: layout.hidden,
            count,
            total,
        })
    }

    /// The files, in the order of the directory; folders are left out.
    #[must_use]
    pub fn entries(&self) -> &[ZipEntry] {
        &self.entries
    }

    /// The names of entries that are there, but not in the directory; a hundred at most.
    #[must_use]
    pub fn hidden(&self) -> &[String] {
        &self.hidden
    }

    /// Unpacks an entry, from a thread that may block, until `each` says that it takes no more.
    /// Returns whether it took all; then the length and the CRC are right.
    ///
    /// # Errors
    /// [`EntryError`]: what was handed on must not be used.
    pub fn unpack(
        &self,
        entry: &ZipEntry,
        each: impl FnMut(Bytes) -> bool,
    ) -> Result<bool, EntryError> {
        let packed = Packed {
            file: &self.file,
            start: entry.data.clone()?,
            length: entry.packed,
            deflated: entry.deflated,
            size: entry.size,
            crc: entry.crc,
        };
        packed.unpack(each)
    }
}

impl ZipEntry {
    /// Why the entry cannot be unpacked, as far as that is known without trying.
    #[must_use]
    pub fn refused(&self) -> Option<&EntryError> {
        self.data.as_ref().err()
    }
}

/// Returns true if an entry is a folder; one that has data is a file all the same.
fn is_folder(header: &Header) -> bool {
    header.size == 0 && header.name.ends_with(['/', '\\'])
}

#[cfg(unix)]
fn read_at(file: &File, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, at)
}

#[cfg(windows)]
fn read_at(file: &File, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, at)
}

fn read_exact(file: &File, at: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match read_at(file, at + filled as u64, &mut buffer[filled..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => filled += read,
        }
    }
    Ok(buffer)
}
