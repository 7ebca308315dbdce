//! A file that can be read at any place without being held in memory.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

/// A file's bytes.
#[derive(Clone)]
pub(super) enum Content {
    /// In memory.
    Whole(Bytes),
    /// A header, then a pattern over and over.
    Loop {
        header: Bytes,
        pattern: Bytes,
        length: u64,
    },
    /// In an unnamed file.
    File { file: Arc<Mutex<File>>, length: u64 },
}

impl Content {
    /// Its length in bytes.
    pub(super) fn length(&self) -> u64 {
        match self {
            Content::Whole(bytes) => bytes.len() as u64,
            Content::Loop { length, .. } | Content::File { length, .. } => *length,
        }
    }

    /// Fills `buffer` from the place `at`; all of it must be inside.
    pub(super) fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        match self {
            Content::Whole(bytes) => {
                let at = at as usize;
                buffer.copy_from_slice(&bytes[at..at + buffer.len()]);
            }
            Content::Loop {
                header, pattern, ..
            } => {
                let mut at = at as usize;
                let mut rest = buffer;
                while !rest.is_empty() {
                    let source = match at.checked_sub(header.len()) {
                        None => &header[at..],
                        Some(place) => &pattern[place % pattern.len()..],
                    };
                    let count = source.len().min(rest.len());
                    rest[..count].copy_from_slice(&source[..count]);
                    rest = &mut rest[count..];
                    at += count;
                }
            }
            Content::File { file, .. } => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(at))?;
                file.read_exact(buffer)?;
            }
        }
        Ok(())
    }
}
