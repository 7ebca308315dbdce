//! Unpacks the data of an entry: never more than announced, checked by their CRC.

use std::fs::File;

use bytes::Bytes;
use crc32fast::Hasher;
use flate2::{Decompress, FlushDecompress, Status};

use super::{CHUNK, EntryError, read_at};

/// Packed data in a file.
pub(super) struct Packed<'a> {
    pub(super) file: &'a File,
    /// Where they begin, and how long they are.
    pub(super) start: u64,
    pub(super) length: u64,
    /// True if they are deflated, or else stored.
    pub(super) deflated: bool,
    /// The length of what is in them, and its CRC-32.
    pub(super) size: u64,
    pub(super) crc: u32,
}

fn damaged(reason: &str) -> EntryError {
    EntryError::Damaged(reason.to_owned())
}

impl Packed<'_> {
    /// Hands on what is in the data, until `each` says that it takes no more. Returns true if it took all.
    pub(super) fn unpack(
        mut self,
        mut each: impl FnMut(Bytes) -> bool,
    ) -> Result<bool, EntryError> {
        let mut crc = Hasher::new();
        let mut left = self.size;
        let mut inflate = self.deflated.then(Inflate::new);
        loop {
            let most = left.min(CHUNK as u64) as usize;
            let buffer = match &mut inflate {
                Some(inflate) => inflate.next(&mut self, most)?,
                None => self.next(most)?,
            };
            if buffer.is_empty() {
                break;
            }
            left = left
                .checked_sub(buffer.len() as u64)
                .ok_or_else(|| damaged("it unpacks to more than announced"))?;
            crc.update(&buffer);
            if !each(Bytes::from(buffer)) {
                return Ok(false);
            }
        }
        if let Some(inflate) = &mut inflate {
            inflate.finish(&mut self)?;
        }
        if left > 0 {
            return Err(damaged("its data end early"));
        }
        if self.length > 0 {
            return Err(damaged("something follows its data"));
        }
        if crc.finalize() != self.crc {
            return Err(damaged("its CRC is wrong"));
        }
        Ok(true)
    }

    /// As many of the packed bytes; less at their end.
    fn next(&mut self, most: usize) -> Result<Vec<u8>, EntryError> {
        let mut buffer = vec![0; most];
        let read = self.read(&mut buffer)?;
        buffer.truncate(read);
        Ok(buffer)
    }

    /// Reads the next packed bytes; none at their end.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, EntryError> {
        let length = self.length.min(buffer.len() as u64) as usize;
        let read = read_at(self.file, self.start, &mut buffer[..length])?;
        self.start += read as u64;
        self.length -= read as u64;
        Ok(read)
    }
}

struct Inflate {
    state: Decompress,
    input: Vec<u8>,
    from: usize,
    to: usize,
    done: bool,
}

impl Inflate {
    fn new() -> Self {
        Inflate {
            state: Decompress::new(false),
            input: vec![0; CHUNK],
            from: 0,
            to: 0,
            done: false,
        }
    }

    /// About as many of the unpacked bytes; less only at the end.
    fn next(&mut self, packed: &mut Packed<'_>, most: usize) -> Result<Vec<u8>, EntryError> {
        let mut buffer = Vec::with_capacity(most);
        while buffer.len() < most && !self.done {
            self.step(packed, &mut buffer)?;
        }
        Ok(buffer)
    }

    /// Finds the end of the data where all of what was announced is unpacked.
    fn finish(&mut self, packed: &mut Packed<'_>) -> Result<(), EntryError> {
        let mut beyond = Vec::with_capacity(1);
        while !self.done {
            self.step(packed, &mut beyond)?;
            if !beyond.is_empty() {
                return Err(damaged("it unpacks to more than announced"));
            }
        }
        if self.from < self.to {
            return Err(damaged("something follows its data"));
        }
        Ok(())
    }

    /// Inflates into the room that a buffer has.
    fn step(&mut self, packed: &mut Packed<'_>, buffer: &mut Vec<u8>) -> Result<(), EntryError> {
        if self.from == self.to {
            self.to = packed.read(&mut self.input)?;
            self.from = 0;
        }
        let before = (self.state.total_in(), self.state.total_out());
        let input = &self.input[self.from..self.to];
        let status = self
            .state
            .decompress_vec(input, buffer, FlushDecompress::None)
            .map_err(|_| damaged("its data cannot be inflated"))?;
        let used = self.state.total_in() - before.0;
        self.from += used as usize;
        self.done = status == Status::StreamEnd;
        if !self.done && used == 0 && self.state.total_out() == before.1 {
            return Err(damaged("its data end early"));
        }
        Ok(())
    }
}
