//! Recordings without a conversation: no batch and no bulk export has them until the vendor has
//! recovered them. They are counted, or handed over as conversations of their own, whose recordings
//! `recording` requests one by one.

use std::ops::Range;

use recording_source_sdk::{
    Conversation, Event, Outcome, RequestError, SourceError, Split, SplitKind, Step, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::{
    api::{self, recording},
    options::{Mode, Options},
    page::only_metadata,
    paging::Paging,
};

/// The prefix of the ids of their conversations; the recording's own follows.
const PREFIX: &str = "orphan-";

/// The recording that a conversation stands for, if it is that of an orphan.
pub(crate) fn recording_of(conversation: &str) -> Option<&str> {
    conversation.strip_prefix(PREFIX)
}

/// The state of the count.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Orphans {
    range: Range<Timestamp>,
    #[serde(flatten)]
    paging: Paging,
    counted: u64,
    /// The number of recordings listed, in this range or not.
    #[serde(default, skip_serializing_if = "is_none")]
    listed: u64,
    /// True in the second pass, over those of which the vendor knows the conversation: they alone are
    /// listed without a limit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    known: bool,
}

/// The most recordings that the vendor lists if it is not asked for those whose conversation is known.
const CAP: u64 = 500;

fn is_none(count: &u64) -> bool {
    *count == 0
}

/// The split that counts the orphans of a range.
pub(crate) fn begin(name: &str, range: Range<Timestamp>) -> Split {
    let orphans = Orphans {
        range,
        paging: Paging::first(),
        counted: 0,
        listed: 0,
        known: false,
    };
    orphans.into_split(format!("{name}/orphans"))
}

impl Orphans {
    pub(crate) fn step(
        mut self,
        options: &Options,
        event: Event,
        _: Timestamp,
    ) -> Result<Step, SourceError> {
        let mut step = Step::then(self.done());
        match event {
            Event::Resume => {}
            Event::Response(Err(RequestError::TooLarge(limit))) => {
                if !self.paging.shrink(recording::ORPHANS) {
                    step.warn(format!(
                        "recording number {} without a conversation is left out: the data about it exceed {limit} bytes",
                        self.paging.offset(recording::ORPHANS) + 1
                    ));
                    self.paging.next(recording::ORPHANS);
                }
            }
            Event::Response(answer) => {
                let listing = match api::success(answer)? {
                    Ok(response) => recording::Orphans::read(&response)?,
                    Err(refusal) => return Err(refusal.into()),
                };
                if !self.read(listing, options, &mut step) {
                    self.paging.next(recording::ORPHANS);
                } else if self.listed >= CAP && !self.known {
                    self.known = true;
                    self.paging = Paging::first();
                } else {
                    self.conclude(options, &mut step);
                    return Ok(step);
                }
            }
            Event::Refresh(_) => return Ok(step),
        }
        let size = self.paging.size(recording::ORPHANS);
        step.next = self.send(recording::orphans(
            options,
            size,
            self.paging.page,
            self.known,
        ));
        Ok(step)
    }

    /// Processes a page; returns true if it was the last one.
    fn read(&mut self, listing: recording::Orphans, options: &Options, step: &mut Step) -> bool {
        let page = u64::from(self.paging.page);
        let none = listing.entities.is_empty() && listing.unusable == 0;
        self.listed += listing.entities.len() as u64 + listing.unusable;
        let last = none || page >= listing.page_count.unwrap_or(0);
        if listing.unusable > 0 {
            step.warn(format!(
                "{} recordings without a conversation are left out: the data about them cannot be read",
                listing.unusable
            ));
        }
        for orphan in listing.entities {
            // One without a creation time must not fall between two ranges.
            let made = orphan.created_time.unwrap_or(self.range.start);
            if !self.range.contains(&made) {
                continue;
            }
            // Those whose conversation is known may have been listed before.
            self.counted += u64::from(!self.known);
            if options.export_orphans {
                hand_over(orphan, made, options.mode, step);
            }
        }
        last
    }

    /// Warns of what is not exported, and of what is not even listed.
    fn conclude(&self, options: &Options, step: &mut Step) {
        if self.counted > 0 && !options.export_orphans {
            step.warn(format!(
                "{} recordings made in this range have no conversation (orphans): they are not exported; recover them in Genesys Cloud and run again, or set `export_orphans: true`",
                self.counted
            ));
        }
        if self.known {
            step.warn(format!(
                "the vendor lists no more than {CAP} recordings without a conversation, and as many there are: there may be more; recover or delete the listed ones in Genesys Cloud and run again"
            ));
        }
    }
}

/// Hands over an orphan as a conversation of its own.
fn hand_over(orphan: recording::Orphan, made: Timestamp, mode: Mode, step: &mut Step) {
    let Some(id) = api::id(orphan.id) else {
        let text = "a recording without a conversation is left out: it has an invalid id";
        step.warn(text.to_owned());
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
        step.outcomes.push(Outcome::new(&id, only_metadata()));
    }
    step.conversations.push(Conversation {
        media_types: media.into_iter().collect(),
        attributes: attributes
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect(),
        // Whatever it belonged to has ended.
        end: Some(made),
        ..Conversation::bare(id, made)
    });
}
