//! Recordings without a conversation: no batch and no bulk export has them until the vendor has
//! recovered them. They are counted, or handed over as conversations of their own, whose recordings
//! `recording` asks for one by one.

use std::ops::Range;

use recording_source_sdk::{
    Conversation, Event, Next, Note, Outcome, OutcomeResult, Send, SourceError, Split, Step,
    Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::{
    Memory,
    api::{self, recording},
    metadata::milliseconds,
    options::{Mode, Options},
};

/// What the ids of their conversations begin with; the recording's own follows.
const PREFIX: &str = "orphan-";

/// The recording that a conversation stands for, if it is that of an orphan.
pub(crate) fn recording_of(conversation: &str) -> Option<&str> {
    conversation.strip_prefix(PREFIX)
}

/// What the count remembers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Orphans {
    range: Range<Timestamp>,
    page: u32,
    counted: u64,
}

/// The split that counts the orphans of a range.
pub(crate) fn begin(name: &str, range: Range<Timestamp>) -> Split {
    let orphans = Orphans {
        range,
        page: 1,
        counted: 0,
    };
    Memory::Orphans(orphans).split(format!("{name}/orphans"))
}

impl Orphans {
    pub(crate) fn step(mut self, options: &Options, event: Event) -> Result<Step, SourceError> {
        let mut step = Step::then(Next::Done(Memory::Orphans(self.clone()).write()));
        match event {
            Event::Due => {}
            Event::Answer(answer) => {
                let listing: recording::Orphans = match api::success(answer)? {
                    Ok(response) => api::parse(&response)?,
                    Err(refusal) => return Err(refusal.into()),
                };
                let last =
                    listing.entities.is_empty() || self.page >= listing.page_count.unwrap_or(0);
                for orphan in listing.entities {
                    let made = orphan.created_time.as_deref().and_then(milliseconds);
                    let Some(made) = made.filter(|made| self.range.contains(made)) else {
                        continue;
                    };
                    self.counted += 1;
                    if options.export_orphans {
                        hand_over(orphan, made, options.mode, &mut step);
                    }
                }
                if last {
                    if self.counted > 0 && !options.export_orphans {
                        step.notes.push(Note::warning(format!(
                            "{} recordings made in this range have no conversation (orphans): they are not exported; recover them in Genesys Cloud and run again, or set `export_orphans: true`",
                            self.counted
                        )));
                    }
                    return Ok(step);
                }
                self.page += 1;
            }
            Event::Renew(_) => return Ok(step),
        }
        step.next = Next::Send(Send {
            request: recording::orphans(options, self.page),
            state: Memory::Orphans(self).write(),
        });
        Ok(step)
    }
}

/// Hands over an orphan as a conversation of its own.
fn hand_over(orphan: recording::Orphan, made: Timestamp, mode: Mode, step: &mut Step) {
    let Some(id) = api::id(orphan.id) else {
        let text = "a recording without a conversation is left out: its id is none";
        step.notes.push(Note::warning(text.to_owned()));
        return;
    };
    let id = format!("{PREFIX}{id}");
    let media = orphan.media_type.map(|word| match word.as_str() {
        "CALL" => "voice".to_owned(),
        _ => word.to_ascii_lowercase(),
    });
    let attributes = [
        ("orphan.status", orphan.orphan_status),
        ("orphan.provider_type", orphan.provider_type),
    ];
    let attributes = attributes.into_iter();
    if mode == Mode::MetadataOnly {
        step.outcomes.push(Outcome {
            conversation: id.clone(),
            result: OutcomeResult::Skipped("metadata only".to_owned()),
        });
    }
    step.conversations.push(Conversation {
        media_types: media.into_iter().collect(),
        attributes: attributes
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect(),
        ..Conversation::bare(id, made)
    });
}
