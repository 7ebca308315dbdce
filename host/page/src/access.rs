//! The log of accesses: who searched, listened, verified and exported, and when. It lies outside of the archive.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use serde_json::json;

/// A file to which a line of JSON is appended for each access.
#[derive(Debug)]
pub struct AccessLog(Mutex<File>);

impl AccessLog {
    /// The log in a file, which is made if need be, readable by its owner alone.
    ///
    /// # Errors
    /// It cannot be opened for appending.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(AccessLog(Mutex::new(options.open(path)?)))
    }

    /// Appends that somebody has exported a conversation.
    ///
    /// # Errors
    /// The line cannot be written: then nothing may be exported.
    pub fn exported(&self, who: &str, conversation: &str) -> io::Result<()> {
        self.add(who, "export", Some(conversation))
    }

    /// Appends that somebody did something, with ids alone: what was sought is not written.
    pub(crate) fn add(
        &self,
        who: &str,
        action: &str,
        conversation: Option<&str>,
    ) -> io::Result<()> {
        let mut line = json!({ "at": Timestamp::now().to_string(), "who": who, "action": action });
        if let Some(conversation) = conversation {
            line["conversation_id"] = json!(conversation);
        }
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(format!("{line}\n").as_bytes())
    }
}
