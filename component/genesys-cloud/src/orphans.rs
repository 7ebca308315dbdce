//! Recordings without a conversation: they are counted and named in the log, since no batch and no
//! bulk export has them until the vendor has recovered them.

use std::ops::Range;

use recording_source_sdk::{Event, Next, Note, Send, SourceError, Split, Step, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    Memory,
    api::{self, recording},
    metadata::milliseconds,
    options::Options,
};

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
                let made = listing.entities.iter();
                let made = made.filter_map(|one| milliseconds(one.created_time.as_deref()?));
                let inside = made.filter(|made| self.range.contains(made)).count();
                self.counted += inside as u64;
                let pages = listing.page_count.unwrap_or(0);
                if listing.entities.is_empty() || self.page >= pages {
                    if self.counted > 0 {
                        step.notes.push(Note::warning(format!(
                            "{} recordings made in this range have no conversation (orphans): they are not exported; recover them in Genesys Cloud, then run again",
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
