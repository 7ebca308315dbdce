//! The file that is decoded, its own faults kept apart from those of its content.
//!
//! A decoder reports a place that cannot be in the file, or an end that comes too early, as an error of
//! input, like a disk that cannot be read. Only this reader knows which of both it was.

use std::{
    io::{self, Read, Seek, SeekFrom},
    sync::{Arc, Mutex, PoisonError},
};

use super::TranscodeError;

/// A file of which the length is known.
pub(super) struct Input<R> {
    file: R,
    at: u64,
    length: u64,
    fault: Fault,
}

/// The error that the file itself had, if any.
#[derive(Clone, Default)]
pub(super) struct Fault(Arc<Mutex<Option<io::Error>>>);

impl Fault {
    /// Keeps the error, and passes on one of its kind.
    fn keep(&self, error: io::Error) -> io::Error {
        let kind = error.kind();
        if kind != io::ErrorKind::Interrupted {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
        kind.into()
    }

    /// A decoder's result: the file's own error comes before whatever the decoder made of it, and an error
    /// of input that the file did not have is damage.
    pub(super) fn judge<T>(&self, result: Result<T, TranscodeError>) -> Result<T, TranscodeError> {
        let fault = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (fault, result) {
            (Some(fault), _) => Err(TranscodeError::Io(fault)),
            (None, Err(TranscodeError::Io(error))) => {
                Err(TranscodeError::Damaged(error.to_string()))
            }
            (None, result) => result,
        }
    }
}

impl<R: Read + Seek> Input<R> {
    pub(super) fn new(mut file: R) -> io::Result<Self> {
        let length = file.seek(SeekFrom::End(0))?;
        file.rewind()?;
        Ok(Input {
            file,
            at: 0,
            length,
            fault: Fault::default(),
        })
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn fault(&self) -> Fault {
        self.fault.clone()
    }
}

/// Fills `bytes` with what comes next, which is a part of a header.
pub(super) fn exact(input: &mut impl Read, bytes: &mut [u8]) -> Result<(), TranscodeError> {
    input.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => TranscodeError::Damaged("its header is cut off".to_owned()),
        _ => error.into(),
    })
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer);
        let read = read.map_err(|error| self.fault.keep(error))?;
        self.at += read as u64;
        Ok(read)
    }
}

impl<R: Seek> Seek for Input<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (base, offset) = match to {
            SeekFrom::Start(at) => (at, 0),
            SeekFrom::Current(offset) => (self.at, offset),
            SeekFrom::End(offset) => (self.length, offset),
        };
        let at = base.checked_add_signed(offset);
        let Some(at) = at.filter(|at| *at <= self.length) else {
            let reason = "it refers to a place outside of the file";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        };
        let sought = self.file.seek(SeekFrom::Start(at));
        self.at = sought.map_err(|error| self.fault.keep(error))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken;

    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }

    impl Seek for Broken {
        fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
            Ok(1000)
        }
    }

    #[test]
    fn a_fault_of_the_file_is_told_from_one_of_its_content() {
        let mut sound = Input::new(io::Cursor::new(vec![0; 100])).unwrap();
        for to in [
            SeekFrom::Start(101),
            SeekFrom::Current(-1),
            SeekFrom::End(1),
        ] {
            let sought = sound.seek(to).map_err(TranscodeError::Io);
            let judged = sound.fault().judge(sought);
            assert!(matches!(judged, Err(TranscodeError::Damaged(_))), "{to:?}");
        }
        assert_eq!(sound.seek(SeekFrom::End(-1)).unwrap(), 99);
        let mut broken = Input::new(Broken).unwrap();
        let _ = broken.read(&mut [0]);
        // A decoder may have taken it for damage, or for the end.
        for result in [Ok(()), Err(TranscodeError::Empty)] {
            let fault = broken.fault();
            let _ = broken.read(&mut [0]);
            let judged = fault.judge(result).unwrap_err();
            assert_eq!(judged.to_string(), "the disk is gone");
        }
    }
}
