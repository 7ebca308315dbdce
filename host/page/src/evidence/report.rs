//! The report: what was verified, when, by which version of the program, what was found, and how anybody can
//! check it. Its text is made once, as blocks, and rendered as HTML and as PDF.

mod blocks;
mod html;
mod pdf;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use jiff::Timestamp;
use recording_host_metadata::restore::Row;

use super::checked::{Checked, Verdict};

/// Conversations that the report lists at most.
pub(super) const CONVERSATIONS: usize = 300;
/// Files of a conversation that the report lists at most.
pub(super) const FILES: usize = 50;
/// Findings and notes that the report lists at most.
pub(super) const FINDINGS: usize = 300;

/// All that the report tells.
#[derive(Debug)]
pub(super) struct Report {
    made: Timestamp,
    archive: String,
    asked: String,
    /// Conversations of the package.
    pub(super) conversations: u64,
    /// Receipts of the package.
    pub(super) receipts: u64,
    /// Objects of the package.
    pub(super) files: u64,
    /// Their length in bytes.
    pub(super) bytes: u64,
    /// How many findings there are.
    pub(super) found: u64,
    /// The first of them.
    pub(super) findings: Vec<Finding>,
    notes: BTreeSet<String>,
    listed: BTreeMap<String, Conversation>,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    word: &'static str,
    at: String,
    reported: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.word, self.at, self.reported)
    }
}

/// A conversation, as far as the report lists it.
#[derive(Debug, Default)]
struct Conversation {
    attempts: Vec<Attempt>,
    /// The row of the highest attempt.
    row: Option<Row>,
    files: Vec<Listed>,
    /// How many files there are.
    count: usize,
}

/// What became of a conversation, as a receipt's line says.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) attempt: u32,
    pub(super) outcome: String,
    pub(super) reason: Option<String>,
    /// The receipt in the package.
    pub(super) receipt: String,
    /// The number of the line.
    pub(super) line: u64,
}

/// A file that was checked.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) path: String,
    pub(super) found: Option<Checked>,
    pub(super) verdict: Verdict,
}

impl Report {
    pub(super) fn new(made: Timestamp, archive: &str, asked: &str) -> Self {
        Report {
            made,
            archive: archive.to_owned(),
            asked: asked.to_owned(),
            conversations: 0,
            receipts: 0,
            files: 0,
            bytes: 0,
            found: 0,
            findings: Vec::new(),
            notes: BTreeSet::new(),
            listed: BTreeMap::new(),
        }
    }

    /// Adds something that is not as it should be.
    pub(super) fn finding(&mut self, word: &'static str, at: &str, reported: &str) {
        self.found += 1;
        if self.findings.len() < FINDINGS {
            self.findings.push(Finding {
                word,
                at: at.to_owned(),
                reported: reported.to_owned(),
            });
        }
    }

    /// Adds something that a reader should know.
    pub(super) fn note(&mut self, note: String) {
        if self.notes.len() < FINDINGS {
            self.notes.insert(note);
        }
    }

    fn conversation(&mut self, id: &str) -> Option<&mut Conversation> {
        if !self.listed.contains_key(id) && self.listed.len() >= CONVERSATIONS {
            return None;
        }
        Some(self.listed.entry(id.to_owned()).or_default())
    }

    /// Adds what a receipt says about a conversation, and one of its rows.
    pub(super) fn attempt(&mut self, id: &str, attempt: Attempt, row: Option<&Row>) {
        let Some(conversation) = self.conversation(id) else {
            return;
        };
        conversation.attempts.push(attempt);
        conversation
            .attempts
            .sort_by_key(|attempt| std::cmp::Reverse(attempt.attempt));
        let known = conversation.row.as_ref().map(|row| row.attempt);
        if let Some(row) = row
            && known.is_none_or(|known| known < row.attempt)
        {
            conversation.row = Some(row.clone());
        }
    }

    /// Adds a file of a conversation.
    pub(super) fn file(&mut self, id: &str, file: Listed) {
        let Some(conversation) = self.conversation(id) else {
            return;
        };
        conversation.count += 1;
        let known = conversation
            .files
            .iter()
            .any(|known| known.path == file.path);
        if !known && conversation.files.len() < FILES {
            conversation.files.push(file);
        }
    }

    /// The report as HTML and as PDF.
    pub(super) fn rendered(&self) -> (String, Vec<u8>) {
        let blocks = self.blocks();
        let title = blocks::TITLE;
        (
            html::html(title, &blocks),
            pdf::pdf(title, self.made, &blocks),
        )
    }
}
