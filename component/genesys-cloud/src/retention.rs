//! The retention search: every recording that is kept, whatever the analytics say, and then the
//! conversations that they belong to.

use std::{collections::BTreeMap, ops::Range};

use recording_source_sdk::{
    Conversation, Event, Next, RequestError, RequestResult, SourceError, Split, SplitKind, Step,
    Timestamp, time::DAY,
};
use serde::{Deserialize, Serialize};

use crate::{
    api::{self, analytics, recording},
    names::Names,
    options::Options,
    page,
};

/// The number of conversations in one request.
const TOGETHER: usize = 100;
/// The longest time after its start at which a conversation may be recorded: younger recordings are
/// not listed.
const LATEST: u64 = 31 * DAY;

/// The state of the search.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Retention {
    range: Range<Timestamp>,
    /// Where the next page begins; none after the last one.
    cursor: Option<String>,
    /// True if there is a next page.
    more: bool,
    /// Conversations of the page, with the time of their first recording on it.
    found: BTreeMap<String, Timestamp>,
    /// The number of conversations in one request.
    together: usize,
    /// Recordings on a page.
    #[serde(default = "largest")]
    size: u32,
    names: Names,
}

fn largest() -> u32 {
    recording::RETAINED
}

/// The initial split of the search.
pub(crate) fn begin(name: &str, range: Range<Timestamp>) -> Split {
    let retention = Retention {
        range,
        cursor: None,
        more: true,
        found: BTreeMap::new(),
        together: TOGETHER,
        size: largest(),
        names: Names::default(),
    };
    retention.into_split(format!("{name}/retention"))
}

impl Retention {
    fn next(&self, options: &Options, now: Timestamp) -> Next {
        let request = match self.names.ask(options) {
            Some(request) => request,
            None if !self.found.is_empty() => analytics::details(options, &self.together()),
            None if self.more => {
                let days = now.saturating_sub(self.range.end + LATEST) / DAY;
                recording::retention(options, days, self.size, self.cursor.as_deref())
            }
            None => return self.done(),
        };
        self.send(request)
    }

    fn together(&self) -> Vec<String> {
        self.found.keys().take(self.together).cloned().collect()
    }

    pub(crate) fn step(
        mut self,
        options: &Options,
        event: Event,
        now: Timestamp,
    ) -> Result<Step, SourceError> {
        let mut step = Step::then(self.done());
        match event {
            Event::Resume => {}
            Event::Response(answer) if self.names.is_asking() => {
                self.names.answered(options, answer, &mut step)?;
            }
            Event::Response(answer) if !self.found.is_empty() => {
                self.described(answer, options, now, &mut step)?;
            }
            Event::Response(answer) => self.listed(answer, &mut step)?,
            // A search hands over no artifacts.
            Event::Refresh(_) => return Ok(step),
        }
        step.next = self.next(options, now);
        Ok(step)
    }

    /// A page of recordings.
    fn listed(&mut self, answer: RequestResult, step: &mut Step) -> Result<(), SourceError> {
        if matches!(answer, Err(RequestError::TooLarge(_))) && self.size > 1 {
            self.size = (self.size / 2).max(1);
            return Ok(());
        }
        let page = match api::success(answer)? {
            Ok(response) => recording::Retained::read(&response)?,
            Err(refusal) => return Err(refusal.into()),
        };
        let next = page.cursor();
        if next.is_some() && next == self.cursor {
            return Err(SourceError::Transient(
                "the retention query goes round in circles".to_owned(),
            ));
        }
        self.more = next.is_some();
        self.cursor = next;
        let mut unusable = page.unusable;
        for recording in page.entities {
            let Some(id) = api::id(recording.conversation_id) else {
                unusable += 1;
                continue;
            };
            let made = recording.creation_time;
            // Made before the range, it belongs to a conversation that began before it.
            let made = made.unwrap_or(self.range.start);
            if made >= self.range.start {
                let first = self.found.entry(id).or_insert(made);
                *first = made.min(*first);
            }
        }
        if unusable > 0 {
            step.warn(format!(
                "{unusable} recordings that are kept have no conversationId that can be used: they cannot be filed"
            ));
        }
        Ok(())
    }

    /// The conversations of some recordings.
    fn described(
        &mut self,
        answer: RequestResult,
        options: &Options,
        now: Timestamp,
        step: &mut Step,
    ) -> Result<(), SourceError> {
        if let Err(RequestError::TooLarge(limit)) = answer {
            if self.together > 1 {
                self.together /= 2;
            } else {
                self.undescribed(limit, step);
            }
            return Ok(());
        }
        let page = match api::success(answer)? {
            Ok(response) => analytics::Page::read(&response)?,
            // The limit of ids in one request is not documented.
            Err(refusal) if refusal.status == 400 && self.together > 1 => {
                self.together /= 2;
                return Ok(());
            }
            Err(refusal) => return Err(refusal.into()),
        };
        let mut reported = Step::then(step.next.clone());
        let rows = page::readable(page, &self.range, &mut reported);
        if self.names.needed(options, rows.iter()) {
            return Ok(());
        }
        step.notes.append(&mut reported.notes);
        let mut unknown: BTreeMap<String, Timestamp> = BTreeMap::new();
        for id in self.together() {
            unknown.extend(self.found.remove_entry(&id));
        }
        let mut inside = Vec::new();
        for mut row in rows {
            if unknown.remove(&row.conversation.id).is_none() {
                continue;
            }
            row.may_have_recordings = true;
            row.conversation.recorded = true;
            if self.range.contains(&row.conversation.start) {
                inside.push(row);
            }
        }
        page::hand_over(inside.into_iter(), options.mode, now, step);
        self.bare(unknown, step);
        Ok(())
    }

    /// A conversation whose row is too large by itself: its recordings are fetched nevertheless.
    fn undescribed(&mut self, limit: u64, step: &mut Step) {
        if let Some((id, made)) = self.found.pop_first() {
            step.warn(format!(
                "the row of conversation {id} has more than {limit} bytes: nothing of it but its recordings is exported"
            ));
            self.bare(BTreeMap::from([(id, made)]), step);
        }
    }

    /// Conversations that the analytics do not contain: the time of the recording has to do.
    fn bare(&self, unknown: BTreeMap<String, Timestamp>, step: &mut Step) {
        let kept = unknown.into_iter();
        let kept = kept.filter(|(_, made)| self.range.contains(made));
        step.conversations
            .extend(kept.map(|(id, made)| Conversation {
                // The analytics contain every conversation in progress.
                end: Some(made),
                ..Conversation::bare(id, made)
            }));
    }
}
