//! The tables of the queue, and how a queue of an earlier version becomes one of this version.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use recording_host_model::open_private_file;
use rusqlite::Connection;

use super::life_cycle::stage;

/// The version that this program reads and writes, as `user_version` has it.
pub(super) const VERSION: i64 = 4;

// The stages of a conversation are those of `life_cycle`. `due` is when it is to be fetched, and once
// that has begun, when that was. `revision` is how much there was of it at the source when it was fetched,
// and `newer_revision` how much there was by the time it was under way. `together` is how many conversations one
// fetch may hold that this one is in, where an earlier fetch with more of them failed. `reported` says
// that a run that came to its end has named its loss. Conversations lie in the order in which they were
// found, and not of their ids, so that what is completed and filed together lies together. `wanting` are
// sinks that lack a conversation which others have: it is brought to these alone, as a `further` attempt
// where they have had it before. `live` says that it had not ended when it was found. `replaced` are
// segments whose files are to be removed from sinks, once these have another one, and `stale_segment` those
// that a compactable conversation was taken out of again, whose files report what is no longer so. `backlog` is
// what some sinks have and others lack, and what waits, `pending`, for sinks that are away and alone want
// it. `filing` are the sinks that a segment is to be filed in, with the bytes of its receipt once these
// are fixed. `record` has what a conversation's rows will say, apart from the conversation: it is long, goes
// once that is filed, and leaves whole pages to those that come. An object with `aside` was kept although it is not what it claims to be; `file` is its part
// and, in an archive, its name. `announced` is how many artifacts the source said that there are.
// `search` are the ranges that were searched, `source_count` how many conversations the source counted in
// a range, `sink` the sinks that the export has known, `alike` what another export proves that this one
// has not found yet, `voided` segments whose files are wrong and give way once their conversations are
// filed anew, `meta` texts about the queue itself, and the sha256 of rows by segment and sink. The words
// of `counted` are `conversations`, `artifacts`, `objects`, `bytes`, `groups`, `finds`, `searching`,
// `watermark`, `ready`, `search-again`, and `outcome:` with the outcome's word.
const SCHEMA: &str = concat!("
CREATE TABLE split (
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, version INTEGER NOT NULL, state BLOB NOT NULL,
  status TEXT NOT NULL, due INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX split_open ON split(due) WHERE status = 'open';
CREATE TABLE conversation (
  id TEXT PRIMARY KEY NOT NULL, day TEXT NOT NULL, start INTEGER NOT NULL, ended INTEGER,
  recorded INTEGER NOT NULL, record INTEGER, outcome TEXT, retryable INTEGER NOT NULL DEFAULT 0,
  bundle TEXT, status TEXT NOT NULL, segment INTEGER, fetch TEXT, due INTEGER NOT NULL,
  attempt INTEGER NOT NULL, objects INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0,
  lost INTEGER NOT NULL DEFAULT 0, revision INTEGER, newer_revision INTEGER, together INTEGER,
  reported INTEGER NOT NULL DEFAULT 0, live INTEGER NOT NULL DEFAULT 0, announced INTEGER);
CREATE INDEX conversation_wanted ON conversation(due, id)
  WHERE ", stage!(Wanted), ";
CREATE INDEX conversation_fetching ON conversation(fetch)
  WHERE ", stage!(Fetching), ";
CREATE INDEX conversation_ready ON conversation(id)
  WHERE ", stage!(Reported), ";
CREATE INDEX conversation_completed ON conversation(day) WHERE ", stage!(Completed), ";
CREATE INDEX conversation_sealed ON conversation(segment) WHERE ", stage!(Sealed), ";
CREATE INDEX conversation_compactable ON conversation(day, segment) WHERE ", stage!(Compactable), ";
CREATE INDEX conversation_newer ON conversation(segment) WHERE newer_revision IS NOT NULL;
CREATE INDEX conversation_losses ON conversation(id) WHERE lost = 1;
CREATE INDEX conversation_live ON conversation(start) WHERE live = 1;
CREATE INDEX conversation_bundle ON conversation(bundle) WHERE bundle IS NOT NULL;
CREATE TABLE record (number INTEGER PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE artifact (
  key TEXT PRIMARY KEY, conversation TEXT, split TEXT NOT NULL, status TEXT NOT NULL,
  code TEXT, message TEXT, retryable INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE INDEX artifact_conversation ON artifact(conversation);
CREATE INDEX artifact_pending ON artifact(split) WHERE status = 'pending';
CREATE TABLE object (
  sink TEXT NOT NULL, key TEXT NOT NULL, member TEXT NOT NULL, conversation TEXT NOT NULL,
  recording TEXT NOT NULL, content_type TEXT NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL,
  etag TEXT, stored_size INTEGER, stored_sha256 TEXT, index_metadata TEXT, note TEXT, aside INTEGER NOT NULL DEFAULT 0,
  file TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (sink, key, member, conversation)) WITHOUT ROWID;
CREATE INDEX object_conversation ON object(conversation);
CREATE TABLE backlog (
  sink TEXT NOT NULL, artifact TEXT NOT NULL, split TEXT NOT NULL, conversation TEXT,
  code TEXT, message TEXT, PRIMARY KEY (sink, artifact)) WITHOUT ROWID;
CREATE INDEX backlog_conversation ON backlog(conversation);
CREATE INDEX backlog_artifact ON backlog(artifact);
CREATE TABLE filing (segment INTEGER NOT NULL, sink TEXT NOT NULL, receipt BLOB,
  PRIMARY KEY (segment, sink)) WITHOUT ROWID;
CREATE TABLE replaced (segment INTEGER NOT NULL, sink TEXT NOT NULL, by INTEGER NOT NULL,
  PRIMARY KEY (segment, sink)) WITHOUT ROWID;
CREATE INDEX replaced_by ON replaced(by);
CREATE TABLE stale_segment (segment INTEGER PRIMARY KEY, day TEXT NOT NULL);
CREATE TABLE name (id TEXT PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE segment (number INTEGER PRIMARY KEY, day TEXT NOT NULL);
CREATE TABLE earlier (conversation TEXT PRIMARY KEY, attempt INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE counted (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
");

/// The additions of version 2 to version 1, by the names of version 3.
const ADDED: &str = "
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE search (number INTEGER PRIMARY KEY, start INTEGER NOT NULL, until INTEGER NOT NULL,
  begun INTEGER NOT NULL, done INTEGER);
CREATE TABLE source_count (start INTEGER NOT NULL, until INTEGER NOT NULL, conversations INTEGER NOT NULL,
  at INTEGER NOT NULL, PRIMARY KEY (start, until)) WITHOUT ROWID;
CREATE TABLE sink (name TEXT PRIMARY KEY, identity TEXT NOT NULL, takes TEXT NOT NULL, marker TEXT,
  lapsed INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE wanting (conversation TEXT NOT NULL, sink TEXT NOT NULL, further INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (conversation, sink)) WITHOUT ROWID;
CREATE INDEX wanting_sink ON wanting(sink);
CREATE TABLE voided (segment INTEGER NOT NULL, sink TEXT NOT NULL, day TEXT NOT NULL,
  PRIMARY KEY (segment, sink)) WITHOUT ROWID;
CREATE TABLE alike (conversation TEXT PRIMARY KEY, day TEXT NOT NULL, outcome TEXT NOT NULL,
  attempt INTEGER NOT NULL, objects INTEGER NOT NULL, bytes INTEGER NOT NULL, revision INTEGER) WITHOUT ROWID;
";

/// From version 1 to version 2, besides what is added, by the names of version 3.
const FROM_1: &str = concat!(
    "
ALTER TABLE conversation ADD COLUMN together INTEGER;
ALTER TABLE conversation ADD COLUMN reported INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversation ADD COLUMN live INTEGER NOT NULL DEFAULT 0;
ALTER TABLE object ADD COLUMN aside INTEGER NOT NULL DEFAULT 0;
ALTER TABLE object ADD COLUMN file TEXT NOT NULL DEFAULT '';
ALTER TABLE conversation ADD COLUMN announced INTEGER;
ALTER TABLE filing ADD COLUMN receipt BLOB;
CREATE INDEX conversation_live ON conversation(start) WHERE live = 1;
UPDATE conversation SET reported = 1 WHERE lost = 1 AND ",
    stage!(InEverySink),
    ";
"
);

/// From the names of versions 1 and 2 to those of version 3, but for the table that version 1 had not yet.
const RENAMED: &str = concat!(
    "
DROP INDEX IF EXISTS conversation_settled;
DROP INDEX IF EXISTS conversation_closing;
DROP INDEX IF EXISTS conversation_kept;
UPDATE conversation SET ",
    stage!(Completed),
    " WHERE status = 'settled';
UPDATE conversation SET ",
    stage!(Sealed),
    " WHERE status = 'closing';
UPDATE conversation SET ",
    stage!(Compactable),
    " WHERE status = 'kept';
CREATE INDEX conversation_completed ON conversation(day, id) WHERE ",
    stage!(Completed),
    ";
CREATE INDEX conversation_sealed ON conversation(segment) WHERE ",
    stage!(Sealed),
    ";
CREATE INDEX conversation_compactable ON conversation(day, segment) WHERE ",
    stage!(Compactable),
    ";
DROP INDEX conversation_grown;
DROP INDEX owed_conversation;
DROP INDEX owed_artifact;
ALTER TABLE conversation RENAME COLUMN passing TO retryable;
ALTER TABLE conversation RENAME COLUMN extent TO revision;
ALTER TABLE conversation RENAME COLUMN grown TO newer_revision;
ALTER TABLE artifact RENAME COLUMN passing TO retryable;
ALTER TABLE object RENAME COLUMN told TO index_metadata;
ALTER TABLE owed RENAME TO backlog;
ALTER TABLE outdated RENAME TO stale_segment;
CREATE INDEX conversation_newer ON conversation(segment) WHERE newer_revision IS NOT NULL;
CREATE INDEX backlog_conversation ON backlog(conversation);
CREATE INDEX backlog_artifact ON backlog(artifact);
"
);

/// From version 3 to version 4.
const APART: &str = concat!(
    "
CREATE TABLE record (number INTEGER PRIMARY KEY, text TEXT NOT NULL);
INSERT INTO record SELECT rowid, record FROM conversation WHERE record IS NOT NULL;
ALTER TABLE conversation RENAME COLUMN record TO text;
ALTER TABLE conversation ADD COLUMN record INTEGER;
UPDATE conversation SET record = rowid WHERE text IS NOT NULL;
ALTER TABLE conversation DROP COLUMN text;
DROP INDEX conversation_completed;
CREATE INDEX conversation_completed ON conversation(day) WHERE ",
    stage!(Completed),
    ";
"
);

/// The state of a database: new, or of which version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// Nothing is in it yet.
    New,
    /// This program's.
    Current,
    /// An earlier one, which can be brought up to date.
    Earlier(i64),
    /// A later one, or no queue at all.
    Unknown(i64),
}

/// The version of a database.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<Version> {
    let (number, empty) = connection.query_row(
        "SELECT user_version, NOT EXISTS (SELECT 1 FROM sqlite_master) FROM pragma_user_version",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(match (number, empty) {
        (_, true) => Version::New,
        (VERSION, false) => Version::Current,
        (1..VERSION, false) => Version::Earlier(number),
        (other, false) => Version::Unknown(other),
    })
}

/// Makes the tables of a new database, all or none.
pub(super) fn create(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    transaction.execute_batch(ADDED)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// Brings a database of an earlier version up to date, all or nothing, after a copy of it has been
/// made beside it.
pub(super) fn migrate(connection: &mut Connection, path: &Path, from: i64) -> rusqlite::Result<()> {
    let copy = copy_of(path, from);
    if !copy.exists() {
        // Made under another name first: a copy that was not finished is no copy.
        let unfinished = copy.with_extension("part");
        let _ = std::fs::remove_file(&unfinished);
        // It has the personal data that the queue has.
        let private = open_private_file(&unfinished, File::options().append(true).create(true));
        private.map_err(|error| cannot_open(&unfinished, &error))?;
        connection.execute("VACUUM INTO ?1", [unfinished.display().to_string()])?;
        std::fs::rename(&unfinished, &copy).map_err(|error| cannot_open(&copy, &error))?;
    }
    let transaction = connection.transaction()?;
    if from < 3 {
        transaction.execute_batch(RENAMED)?;
    }
    match from {
        1 => {
            transaction.execute_batch(FROM_1)?;
            transaction.execute_batch(ADDED)?;
        }
        2 => transaction.execute_batch("ALTER TABLE alike RENAME COLUMN extent TO revision")?,
        _ => {}
    }
    transaction.execute_batch(APART)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// Has a database give free pages back, which one of an earlier version does from its first `VACUUM` on: conversations
/// that were filed have left most of their pages empty. Where there is no room for it, that is tried the next time.
pub(super) fn shrink(connection: &Connection) -> rusqlite::Result<()> {
    use rusqlite::ErrorCode::{DiskFull, SystemIoFailure};
    let mode: i64 = connection.pragma_query_value(None, "auto_vacuum", |row| row.get(0))?;
    if mode != 0 {
        return Ok(());
    }
    match connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; VACUUM") {
        Err(error) if matches!(error.sqlite_error_code(), Some(DiskFull | SystemIoFailure)) => {
            Ok(())
        }
        result => result,
    }
}

/// A file that cannot be made, as SQLite says it.
fn cannot_open(path: &Path, error: &std::io::Error) -> rusqlite::Error {
    let reason = format!("{}: {error}", path.display());
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
    rusqlite::Error::SqliteFailure(code, Some(reason))
}

/// Where the copy of a queue lies that was brought up to date.
fn copy_of(path: &Path, version: i64) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".v{version}"));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests;
