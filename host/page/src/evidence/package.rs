//! The zip: written by a thread of its own, in one pass, to whatever bytes can be written to.
//!
//! Files stand in the order in which they were added, and no time of the day is in it, so that equal files
//! make an equal zip.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
};

use bytes::Bytes;
use recording_host_model::hex;
use sha2::{Digest, Sha256};
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinHandle, spawn_blocking},
};
use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions, write::StreamWriter};

use super::checked::Checked;
use crate::PageError;

/// The name of the file of digests.
pub(super) const SUMS: &str = "SHA256SUMS";
/// Files of a package, at most: a zip's directory is in memory while it is written.
const MOST: u64 = 100_000;
/// Files that may become longer than this get the fields of a large file.
const LARGE: u64 = 1 << 30;

/// A zip on its way.
pub(super) struct Writing {
    to: mpsc::Sender<Command>,
    thread: JoinHandle<Result<Checked, PageError>>,
    files: u64,
}

/// How a file is written.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// As it is, of this length or about that; media are compressed already.
    Stored(u64),
    /// Compressed, of this length.
    Deflated(u64),
}

enum Command {
    Begin(String, Form),
    Data(Bytes),
    End(oneshot::Sender<Checked>),
    Copy(String, File),
}

impl Writing {
    /// Begins a zip.
    pub(super) fn to(into: impl Write + Send + 'static) -> io::Result<Self> {
        let sums = BufWriter::new(tempfile::tempfile()?);
        let (to, commands) = mpsc::channel(4);
        let thread = spawn_blocking(move || write(into, sums, commands));
        Ok(Writing {
            to,
            thread,
            files: 0,
        })
    }

    async fn send(&mut self, command: Command) -> Result<(), PageError> {
        // The thread has ended: `finish` says why.
        self.to.send(command).await.map_err(|_| stopped())
    }

    fn count(&mut self) -> Result<(), PageError> {
        self.files += 1;
        match self.files > MOST {
            true => Err(PageError::TooMany(MOST)),
            false => Ok(()),
        }
    }

    /// Begins a file; what is sent goes into it.
    pub(super) async fn begin(&mut self, path: &str, form: Form) -> Result<(), PageError> {
        self.count()?;
        self.send(Command::Begin(path.to_owned(), form)).await
    }

    /// Bytes of the file that was begun.
    pub(super) async fn data(&mut self, data: Bytes) -> Result<(), PageError> {
        self.send(Command::Data(data)).await
    }

    /// Ends the file that was begun.
    pub(super) async fn end(&mut self) -> Result<Checked, PageError> {
        let (reported, tells) = oneshot::channel();
        self.send(Command::End(reported)).await?;
        tells.await.map_err(|_| stopped())
    }

    /// A file that is in memory.
    pub(super) async fn whole(&mut self, path: &str, data: Bytes) -> Result<Checked, PageError> {
        self.begin(path, Form::Deflated(data.len() as u64)).await?;
        self.data(data).await?;
        self.end().await
    }

    /// A file that lies on the disk.
    pub(super) async fn copy(&mut self, path: &str, file: File) -> Result<(), PageError> {
        self.count()?;
        self.send(Command::Copy(path.to_owned(), file)).await
    }

    /// Ends the zip with the digests of its files; returns how many files it has, and its own length and digest.
    pub(super) async fn finish(self) -> Result<(u64, Checked), PageError> {
        drop(self.to);
        Ok((self.files + 1, self.thread.await??))
    }

    /// The reason for which the thread has ended early, or `other`.
    pub(super) async fn failure(self, other: PageError) -> PageError {
        let PageError::Io(error) = &other else {
            // Nothing more of the zip is written.
            self.thread.abort();
            return other;
        };
        if error.kind() != io::ErrorKind::BrokenPipe {
            return other;
        }
        drop(self.to);
        match self.thread.await {
            Ok(Err(error)) => error,
            _ => other,
        }
    }
}

fn stopped() -> PageError {
    io::Error::new(io::ErrorKind::BrokenPipe, "writing the package has ended").into()
}

/// Counts and hashes what passes.
struct Hashing<W> {
    into: W,
    digest: Sha256,
    size: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let length = self.into.write(data)?;
        self.digest.update(&data[..length]);
        self.size += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}

/// The thread's work.
struct Zip<W: Write> {
    zip: ZipWriter<StreamWriter<Hashing<W>>>,
    sums: BufWriter<File>,
    /// The file that is being written.
    path: String,
    digest: Sha256,
    size: u64,
}

fn write(
    into: impl Write,
    sums: BufWriter<File>,
    mut commands: mpsc::Receiver<Command>,
) -> Result<Checked, PageError> {
    let into = Hashing {
        into,
        digest: Sha256::new(),
        size: 0,
    };
    let mut zip = Zip {
        zip: ZipWriter::new_stream(into),
        sums,
        path: String::new(),
        digest: Sha256::new(),
        size: 0,
    };
    while let Some(command) = commands.blocking_recv() {
        match command {
            Command::Begin(path, form) => zip.begin(path, form)?,
            Command::Data(data) => zip.data(&data)?,
            Command::End(reported) => {
                // Who has gone does not want to know.
                let _ = reported.send(zip.end()?);
            }
            Command::Copy(path, mut file) => {
                let size = file.seek(SeekFrom::End(0))?;
                zip.begin(path, Form::Deflated(size))?;
                file.seek(SeekFrom::Start(0))?;
                zip.copy(&mut BufReader::new(file))?;
                zip.end()?;
            }
        }
    }
    zip.finish()
}

impl<W: Write> Zip<W> {
    fn begin(&mut self, path: String, form: Form) -> Result<(), PageError> {
        let (method, size) = match form {
            Form::Stored(size) => (CompressionMethod::Stored, size),
            Form::Deflated(size) => (CompressionMethod::Deflated, size),
        };
        let options = SimpleFileOptions::default()
            .compression_method(method)
            .last_modified_time(DateTime::default())
            .unix_permissions(0o644)
            .large_file(size >= LARGE);
        self.zip.start_file(&path, options)?;
        (self.path, self.digest, self.size) = (path, Sha256::new(), 0);
        Ok(())
    }

    fn data(&mut self, data: &[u8]) -> Result<(), PageError> {
        self.digest.update(data);
        self.size += data.len() as u64;
        Ok(self.zip.write_all(data)?)
    }

    fn copy(&mut self, from: &mut impl BufRead) -> Result<(), PageError> {
        loop {
            let data = from.fill_buf()?;
            if data.is_empty() {
                return Ok(());
            }
            let length = data.len();
            self.digest.update(data);
            self.size += length as u64;
            self.zip.write_all(data)?;
            from.consume(length);
        }
    }

    fn end(&mut self) -> Result<Checked, PageError> {
        let sha256 = hex(&std::mem::take(&mut self.digest).finalize());
        writeln!(self.sums, "{sha256}  {}", self.path)?;
        Ok(Checked {
            size: self.size,
            sha256,
        })
    }

    fn finish(mut self) -> Result<Checked, PageError> {
        let mut sums = self
            .sums
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        sums.seek(SeekFrom::Start(0))?;
        let options = SimpleFileOptions::default()
            .last_modified_time(DateTime::default())
            .unix_permissions(0o644);
        self.zip.start_file(SUMS, options)?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            match sums.read(&mut buffer)? {
                0 => break,
                length => self.zip.write_all(&buffer[..length])?,
            }
        }
        let mut hashing = self.zip.finish()?.into_inner();
        hashing.flush()?;
        Ok(Checked {
            size: hashing.size,
            sha256: hex(&hashing.digest.finalize()),
        })
    }
}
