//! The number of a month's requests, kept in a file, so that it survives restarts and is one for all
//! processes that count in the same folder.
//!
//! The file is one line of a fixed length: the month, and the number. It is read, raised and written under
//! a lock before a request is sent, so that a killed process has counted all that it sent.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use jiff::{Timestamp, civil::Date, tz::Offset};
use sha2::{Digest, Sha256};

use recording_host_model::{create_private_folder, hex, open_private_file};

/// The number is brought to the disk each time that so many requests were counted: after a power cut, as
/// many may be missing.
const SYNCED: u64 = 20;
/// How many digits of the digest of a credential stand in the name of its file.
const DIGITS: usize = 12;

/// Counts the requests of a month that are made with a credential.
#[derive(Clone, Debug)]
pub struct MonthlyCount {
    path: PathBuf,
}

/// The answer to somebody who wants to make a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It may be made, and is counted.
    Granted,
    /// The month holds all that it may, until then (ms since the epoch).
    Spent { until: u64 },
}

/// The count cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CountError {
    /// The system refuses it.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{}: this is no count of requests; remove it, and the month begins with none", .0.display())]
    Unreadable(PathBuf),
}

impl MonthlyCount {
    /// The count of a credential, which must not be a secret, in a folder.
    #[must_use]
    pub fn of(folder: &Path, credential: &str) -> Self {
        let digest = hex(&Sha256::digest(credential));
        let path = folder.join(format!("requests-{}.count", &digest[..DIGITS]));
        MonthlyCount { path }
    }

    /// The requests of the month that holds an instant (ms since the epoch).
    ///
    /// # Errors
    /// [`CountError`].
    pub fn look(&self, now: u64) -> Result<u64, CountError> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            opened => opened.map_err(|error| self.io(error))?,
        };
        file.lock_shared().map_err(|error| self.io(error))?;
        self.read(&mut file, first_of_month(now))
    }

    /// Counts a request, if the month holds fewer than `ceiling`.
    pub(crate) fn take(&self, now: u64, ceiling: u64) -> Result<Taken, CountError> {
        let month = first_of_month(now);
        let io = |error| self.io(error);
        if let Some(folder) = self.path.parent() {
            create_private_folder(folder).map_err(io)?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = open_private_file(&self.path, &mut options).map_err(io)?;
        // Let go of when the file is closed.
        file.lock().map_err(io)?;
        let requests = self.read(&mut file, month)?;
        if requests >= ceiling {
            let until = end_of(month);
            return Ok(Taken::Spent { until });
        }
        let requests = requests + 1;
        let line = line(month, requests);
        file.rewind().map_err(io)?;
        file.write_all(line.as_bytes()).map_err(io)?;
        if requests % SYNCED == 1 {
            file.sync_data().map_err(io)?;
        }
        Ok(Taken::Granted)
    }

    /// What a file says of a month; one that is new says nothing.
    fn read(&self, file: &mut File, month: Date) -> Result<u64, CountError> {
        let mut text = String::new();
        file.read_to_string(&mut text)
            .map_err(|error| self.io(error))?;
        if text.is_empty() {
            return Ok(0);
        }
        let parsed = text.trim_end().split_once(' ').and_then(|(of, number)| {
            let of: Date = format!("{of}-01").parse().ok()?;
            Some((of, number.parse::<u64>().ok()?))
        });
        match parsed {
            None => Err(CountError::Unreadable(self.path.clone())),
            Some((of, number)) if of == month => Ok(number),
            Some(_) => Ok(0),
        }
    }

    fn io(&self, source: io::Error) -> CountError {
        CountError::Io {
            path: self.path.clone(),
            source,
        }
    }
}

fn line(month: Date, requests: u64) -> String {
    format!("{} {requests:012}\n", month.strftime("%Y-%m"))
}

/// The first day of the month, in UTC, that holds an instant (ms since the epoch).
pub(crate) fn first_of_month(now: u64) -> Date {
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let now = Timestamp::from_millisecond(now).unwrap_or(Timestamp::MAX);
    Offset::UTC.to_datetime(now).date().first_of_month()
}

/// When the next month begins (ms since the epoch).
pub(crate) fn end_of(month: Date) -> u64 {
    let next = month.last_of_month().tomorrow().unwrap_or(Date::MAX);
    let next = Offset::UTC.to_timestamp(next.at(0, 0, 0, 0));
    next.map_or(u64::MAX, millisecond)
}

fn millisecond(at: Timestamp) -> u64 {
    u64::try_from(at.as_millisecond()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 31 December 2025, a second before midnight.
    const DECEMBER: u64 = 1_767_225_599_000;

    #[test]
    fn a_month_holds_its_ceiling_and_the_next_one_begins_with_none() {
        let folder = tempfile::tempdir().unwrap();
        let count = MonthlyCount::of(&folder.path().join("new"), "client");
        assert_eq!(count.look(DECEMBER).unwrap(), 0);
        for _ in 0..25 {
            assert_eq!(count.take(DECEMBER, 25).unwrap(), Taken::Granted);
        }
        let until = DECEMBER + 1000;
        assert_eq!(count.take(DECEMBER, 25).unwrap(), Taken::Spent { until });
        assert_eq!(count.look(DECEMBER).unwrap(), 25);
        assert_eq!(count.look(until).unwrap(), 0);
        assert_eq!(count.take(until, 25).unwrap(), Taken::Granted);
        assert_eq!(count.look(until).unwrap(), 1);
    }

    #[test]
    fn many_who_count_at_once_count_each_request_once() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let count = MonthlyCount::of(folder.path(), "client");
                    for _ in 0..50 {
                        count.take(DECEMBER, 1000).unwrap();
                    }
                });
            }
        });
        let count = MonthlyCount::of(folder.path(), "client");
        assert_eq!(count.look(DECEMBER).unwrap(), 400);
        let other = MonthlyCount::of(folder.path(), "another");
        assert_eq!(other.look(DECEMBER).unwrap(), 0);
    }

    #[test]
    fn what_is_no_count_is_not_taken_for_none() {
        let folder = tempfile::tempdir().unwrap();
        let count = MonthlyCount::of(folder.path(), "client");
        std::fs::write(&count.path, "many\n").unwrap();
        let refused = count.take(DECEMBER, 10).unwrap_err().to_string();
        assert!(refused.contains("remove it"), "{refused}");
    }
}
