//! The text of the report.

use recording_host_metadata::restore::{Named, Row};

use super::{CONVERSATIONS, Conversation, FILES, FINDINGS, Report};
use crate::{
    evidence::checked::Verdict,
    view::words::{bytes, number},
};

pub(super) const TITLE: &str = "Evidence from an archive of recordings";
/// The longest value that is shown, in characters.
const LONGEST: usize = 500;

/// A part of the report, as every form of it can show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Block {
    Heading(String),
    Subheading(String),
    Text(String),
    /// A sentence on which the reader relies: true if all is well.
    Verdict(bool, String),
    /// Names and values.
    Facts(Vec<(&'static str, String)>),
    /// Something to type.
    Command(String),
    /// A file: its path, and what was found.
    File(String, String, bool),
}

use Block::{Command, Facts, File, Heading, Subheading, Text};

impl Report {
    pub(super) fn blocks(&self) -> Vec<Block> {
        let mut blocks = self.summary();
        self.findings_to(&mut blocks);
        checks(&mut blocks);
        blocks.push(Heading("Conversations".to_owned()));
        for (id, conversation) in &self.listed {
            conversation.blocks(id, &mut blocks);
        }
        if self.conversations as usize > self.listed.len() {
            blocks.push(Text(format!(
                "Of {} conversations the first {CONVERSATIONS} are listed here. All are in rows.jsonl, all files in \
                 verification.jsonl.",
                number(self.conversations)
            )));
        }
        blocks
    }

    fn summary(&self) -> Vec<Block> {
        let verdict = match self.found {
            0 => format!(
                "All is as the receipts say: {} files were read again and hashed, and each is what its receipt says, \
                 byte for byte.",
                number(self.files)
            ),
            1 => "One thing is not as it should be; it is named below.".to_owned(),
            found => format!(
                "{} things are not as they should be; they are named below.",
                number(found)
            ),
        };
        vec![
            Block::Verdict(self.found == 0, verdict),
            Facts(vec![
                (
                    "Made",
                    self.made.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
                ),
                (
                    "By",
                    concat!("recording-host ", env!("CARGO_PKG_VERSION")).to_owned(),
                ),
                ("From the archive", cut(&self.archive)),
                ("Asked for", cut(&self.asked)),
                ("Conversations", number(self.conversations)),
                (
                    "Files",
                    format!("{}, {}", number(self.files), bytes(self.bytes)),
                ),
                ("Receipts", number(self.receipts)),
            ]),
        ]
    }

    fn findings_to(&self, blocks: &mut Vec<Block>) {
        blocks.push(Heading("Findings".to_owned()));
        if self.found == 0 {
            blocks.push(Text("None.".to_owned()));
        }
        for finding in &self.findings {
            blocks.push(Block::Verdict(false, cut(&finding.to_string())));
        }
        if self.found as usize > FINDINGS {
            blocks.push(Text(format!(
                "The first {FINDINGS} of {} are listed; verification.jsonl has a line for each file.",
                number(self.found)
            )));
        }
        blocks.extend(
            self.notes
                .iter()
                .map(|note| Text(format!("Note: {}", cut(note)))),
        );
    }
}

/// What was verified, how anybody can do the same, and what that does not prove.
fn checks(blocks: &mut Vec<Block>) {
    let text = |text: &str| Text(text.to_owned());
    let command = |text: &str| Command(text.to_owned());
    blocks.extend([
        Heading("What was verified".to_owned()),
        text("Every object that a receipt names for these conversations was read from the storage and hashed (SHA-256), and \
              compared with length and digest in the receipt. Of each receipt the lines were counted and hashed and compared \
              with its first line. Each file of rows was hashed as a whole and compared with its receipt, and the rows of these \
              conversations were compared with the receipt's lines: digests and outcomes."),
        Heading("How to check it without recording-host".to_owned()),
        text("Unpack the package and go to its folder. On a Mac write shasum -a 256 in place of sha256sum."),
        text("1. Nothing in the package was changed since it was made:"),
        command("sha256sum -c --quiet SHA256SUMS"),
        text("2. The files are what receipts and rows say. A file that was damaged or lost before the package was made fails here:"),
        command("sha256sum -c --quiet RECEIPT-SHA256SUMS"),
        text("3. The digests in RECEIPT-SHA256SUMS are those of the receipts: the line that is named below has them."),
        command("grep CONVERSATION archive/receipts/*/*.jsonl"),
        text("4. The receipt has all of its lines: this prints the entries_sha256 of its first line."),
        command("tail -n +2 RECEIPT | sha256sum"),
        text("rows.jsonl has what the source said about the conversations, a line for each file; row.schema.json describes it. \
              The rows are a part of a larger file, whose digest is in the first line of the receipt (metadata) and was compared \
              when this package was made; the storage operator can show that file."),
        Heading("What this does not prove".to_owned()),
        text("Receipts are not signed. That a receipt is the one that was written at the time is for the storage to show (object \
              lock, versions), or for whoever has an older copy of it or of its digest. Nor does the package prove when it was made: \
              note the SHA-256 of the zip when you receive it."),
    ]);
}

impl Conversation {
    fn blocks(&self, id: &str, blocks: &mut Vec<Block>) {
        blocks.push(Subheading(cut(id)));
        if let Some(row) = &self.row {
            blocks.push(Facts(facts(row)));
        }
        let several = self.attempts.len() > 1;
        for (at, attempt) in self.attempts.iter().enumerate() {
            let reason = attempt
                .reason
                .as_deref()
                .map(|reason| format!(" ({})", cut(reason)));
            let counts = match (several, at) {
                (true, 0) => " This is what counts.",
                (true, _) => " A later one counts, or it is of another export.",
                _ => "",
            };
            blocks.push(Text(format!(
                "Attempt {}: {}{}, by line {} of {}.{counts}",
                attempt.attempt,
                cut(&attempt.outcome),
                reason.unwrap_or_default(),
                attempt.line,
                cut(&attempt.receipt),
            )));
        }
        if self.files.is_empty() {
            blocks.push(Text("There is no file.".to_owned()));
        }
        for file in &self.files {
            let reported = match (&file.found, file.verdict) {
                (None, _) => "missing: it is not in the archive and not in this package".to_owned(),
                (Some(found), verdict) => format!(
                    "{}: {} bytes, SHA-256 {}",
                    match verdict {
                        Verdict::Good => "ok",
                        _ => "not what it should be",
                    },
                    number(found.size),
                    found.sha256
                ),
            };
            blocks.push(File(
                cut(&file.path),
                reported,
                file.verdict == Verdict::Good,
            ));
        }
        if self.files.len() == FILES {
            blocks.push(Text("Further files are in verification.jsonl.".to_owned()));
        }
    }
}

fn facts(row: &Row) -> Vec<(&'static str, String)> {
    let names = |list: &[Named]| {
        let each = list.iter().map(|one| match one.name.as_deref() {
            Some(name) if !name.is_empty() => name,
            _ => &one.id,
        });
        each.take(50).collect::<Vec<_>>().join(", ")
    };
    let facts = [
        ("Began (UTC)", row.start.clone()),
        ("Ended (UTC)", row.end.clone().unwrap_or_default()),
        ("Direction", row.direction.clone().unwrap_or_default()),
        ("From", row.ani.clone().unwrap_or_default()),
        ("To", row.dnis.clone().unwrap_or_default()),
        ("Agents", names(&row.agents)),
        ("Queues", names(&row.queues)),
        ("Wrap-up codes", names(&row.wrap_up_codes)),
        ("Reason", row.reason.clone().unwrap_or_default()),
    ];
    let reported = facts.into_iter().filter(|(_, value)| !value.is_empty());
    reported.map(|(name, value)| (name, cut(&value))).collect()
}

fn cut(text: &str) -> String {
    let mut short: String = text.chars().take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push_str("...");
    }
    short
}
