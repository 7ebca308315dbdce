//! Compares the rows of a segment with its receipt, conversation by conversation.

use std::collections::HashMap;

use super::finding::Difference;
use crate::receipt::{ReceiptEntry, ReceiptObject};
use recording_host_metadata::KnownRow;
use recording_host_model::Outcome;

/// Something that rows contradict, or lack.
pub(super) struct Contradiction {
    pub(super) difference: Difference,
    pub(super) conversation: String,
    pub(super) detail: String,
}

/// The lines of a receipt, to be compared with rows.
pub(super) struct Comparison {
    /// True if the receipt is about what is stored and the rows about what that decrypts to.
    encrypted: bool,
    /// True if the rows describe objects in another sink.
    elsewhere: bool,
    reported: HashMap<String, LineAndRows>,
}

/// A line about a conversation, and what was seen of its rows.
struct LineAndRows {
    line: u64,
    attempt: u32,
    outcome: Outcome,
    word: String,
    objects: Vec<(ReceiptObject, bool)>,
    rows: usize,
    contradicted: bool,
}

impl Comparison {
    pub(super) fn new(encrypted: bool, elsewhere: bool) -> Self {
        Comparison {
            encrypted,
            elsewhere,
            reported: HashMap::new(),
        }
    }

    /// Adds a line; the number of an earlier line about the same conversation, if there is one.
    pub(super) fn add(&mut self, line: u64, entry: &ReceiptEntry) -> Option<u64> {
        if let Some(before) = self.reported.get(&entry.conversation_id) {
            return Some(before.line);
        }
        let reported = LineAndRows {
            line,
            attempt: entry.attempt,
            outcome: entry.outcome(),
            word: entry.outcome.clone(),
            objects: entry.objects.iter().map(|it| (it.clone(), false)).collect(),
            rows: 0,
            contradicted: false,
        };
        self.reported
            .insert(entry.conversation_id.clone(), reported);
        None
    }

    /// Compares a row; what it contradicts.
    pub(super) fn row(&mut self, row: &KnownRow) -> Vec<Contradiction> {
        let contradiction = |difference, detail| Contradiction {
            difference,
            conversation: row.conversation_id.clone(),
            detail,
        };
        let Some(reported) = self.reported.get_mut(&row.conversation_id) else {
            let detail = "there are rows of a conversation of which the receipt says nothing";
            return vec![contradiction(Difference::Rows, detail.to_owned())];
        };
        reported.rows += 1;
        let mut found = Vec::new();
        if !reported.contradicted
            && let Some(detail) = reported.unlike(row)
        {
            reported.contradicted = true;
            found.push(contradiction(Difference::Outcome, detail));
        }
        // Of what another sink has, this one proves nothing.
        let (Some(key), false) = (&row.object_key, self.elsewhere) else {
            return found;
        };
        let member = |object: &ReceiptObject| {
            self.encrypted || object.member.as_ref() == row.archive_member.as_ref()
        };
        let mut objects = reported.objects.iter_mut();
        let object = objects.find(|(object, seen)| !seen && object.key == *key && member(object));
        match object {
            Some((object, seen)) if same(object, row, self.encrypted) => *seen = true,
            _ => {
                let detail = format!("line {}: it contradicts the row of {key}", reported.line);
                found.push(contradiction(Difference::Receipt, detail));
            }
        }
        if reported.contradicted || self.encrypted {
            return found;
        }
        let noted =
            |(object, _): &(ReceiptObject, bool)| object.key == *key && object.note == row.reason;
        if matches!(reported.outcome, Outcome::Stored) && !reported.objects.iter().any(noted) {
            reported.contradicted = true;
            let detail = format!(
                "line {}: another note than in the row of {key}",
                reported.line
            );
            found.push(contradiction(Difference::Outcome, detail));
        }
        found
    }

    /// Everything that the rows lack, once all of them were compared.
    pub(super) fn rest(self) -> Vec<Contradiction> {
        let mut reported: Vec<(String, LineAndRows)> = self.reported.into_iter().collect();
        reported.sort_by_key(|(_, reported)| reported.line);
        let elsewhere = self.elsewhere;
        let each = reported.into_iter().flat_map(|(conversation, reported)| {
            let lacking = reported.lacking(elsewhere).into_iter();
            lacking.map(move |(difference, detail)| Contradiction {
                difference,
                conversation: conversation.clone(),
                detail,
            })
        });
        each.collect()
    }
}

/// Returns true if a row is about this object.
fn same(object: &ReceiptObject, row: &KnownRow, encrypted: bool) -> bool {
    let recording = row.recording_id.as_deref().unwrap_or_default() == object.recording;
    let bytes = row.sha256.as_ref() == Some(&object.sha256);
    let size = row.size_bytes == Some(object.size);
    recording && (encrypted || (bytes && size))
}

impl LineAndRows {
    /// How attempt, outcome and reasons differ from those in a row, if they do.
    fn unlike(&self, row: &KnownRow) -> Option<String> {
        let line = self.line;
        if row.outcome != self.word {
            return Some(format!(
                "line {line}: it says {}, and the row says {}",
                self.word, row.outcome
            ));
        }
        if row.attempt != self.attempt {
            return Some(format!(
                "line {line}: it is of attempt {}, and the row of attempt {}",
                self.attempt, row.attempt
            ));
        }
        let reason = row.reason.as_deref().unwrap_or_default();
        let agrees = match &self.outcome {
            Outcome::Skipped { reason: reported } => reported == reason,
            outcome => gives(reason, &outcome.losses()),
        };
        (!agrees).then(|| format!("line {line}: it gives another reason than the row: {reason}"))
    }

    fn lacking(&self, elsewhere: bool) -> Vec<(Difference, String)> {
        let line = self.line;
        let wanted = self.objects.len().max(1);
        if self.rows == 0 {
            return vec![(Difference::Rows, format!("line {line}: it has no row"))];
        }
        if elsewhere {
            return Vec::new();
        }
        let mut lacking = Vec::new();
        if self.rows > wanted {
            let rows = self.rows;
            lacking.push((
                Difference::Rows,
                format!("line {line}: it has {rows} rows, {wanted} expected"),
            ));
        }
        for (object, seen) in &self.objects {
            let key = &object.key;
            match (seen, self.rows < wanted) {
                (true, _) => {}
                (false, true) => {
                    lacking.push((Difference::Rows, format!("line {line}: {key} has no row")));
                }
                (false, false) => lacking.push((
                    Difference::Receipt,
                    format!("line {line}: {key} has no row that agrees with it"),
                )),
            }
        }
        lacking
    }
}

/// Returns true if the reason in a row gives these codes and messages, in this order. Messages are left
/// out of a receipt where objects are encrypted; a row may say more than its receipt.
fn gives(reason: &str, losses: &[(String, String)]) -> bool {
    let mut rest = reason;
    losses.iter().all(|(code, message)| {
        let wanted = match message.as_str() {
            "" => code.clone(),
            message => format!("{code}: {message}"),
        };
        let found = rest.find(&wanted);
        rest = found.map_or("", |at| &rest[at + wanted.len()..]);
        found.is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_gives_the_codes_of_its_receipt_in_their_order() {
        let losses = |list: &[(&str, &str)]| -> Vec<(String, String)> {
            let owned = |(code, message): &(&str, &str)| ((*code).into(), (*message).into());
            list.iter().map(owned).collect()
        };
        let reason = "archived: restore it; download: refused; not-transcoded: no audio";
        assert!(gives(
            reason,
            &losses(&[("archived", "restore it"), ("download", "refused")])
        ));
        assert!(gives(
            reason,
            &losses(&[("archived", ""), ("download", "")])
        ));
        assert!(!gives(
            reason,
            &losses(&[("download", ""), ("archived", "")])
        ));
        assert!(!gives(reason, &losses(&[("archived", "lost")])));
        assert!(!gives("", &losses(&[("archived", "")])));
        assert!(gives("", &[]));
    }
}
