//! Conversations that had not ended when the data of jobs ended: they are requested once more.

use std::collections::BTreeSet;

use recording_source_sdk::{
    Conversation, RequestError, RequestResult, SourceError, SplitKind, Step, Timestamp,
};

use super::Backfill;
use crate::{
    api::{self, analytics},
    metadata::ConversationRow,
    options::Options,
    page,
};

/// Conversations that had not ended when the data of jobs ended, and the start of each.
#[derive(Clone, Debug, Default)]
pub(super) struct LiveConversations {
    pub(super) ids: Vec<String>,
    pub(super) starts: Vec<Timestamp>,
}

impl LiveConversations {
    fn split_off(&mut self, at: usize) -> Self {
        LiveConversations {
            ids: self.ids.split_off(at.min(self.ids.len())),
            starts: self.starts.split_off(at.min(self.starts.len())),
        }
    }

    /// Removes those that have been reported.
    fn on_rows(&mut self, rows: &[ConversationRow]) {
        let reported: BTreeSet<&str> = rows
            .iter()
            .map(|row| row.conversation.id.as_str())
            .collect();
        let pairs = self.ids.drain(..).zip(self.starts.drain(..));
        let untold: Vec<(String, Timestamp)> = pairs
            .filter(|(id, _)| !reported.contains(id.as_str()))
            .collect();
        (self.ids, self.starts) = untold.into_iter().unzip();
    }
}

impl Backfill {
    /// Reads conversations that had not ended when the data of jobs ended, as they are now. Those
    /// that the answer lacks are handed over with their id and start alone, since they were found.
    pub(super) fn read_again(
        mut self,
        answer: RequestResult,
        job: String,
        next: Option<String>,
        mut live: LiveConversations,
        options: &Options,
        now: Timestamp,
    ) -> Result<Step, SourceError> {
        let mut step = Step::then(self.done());
        let page = match answer {
            Err(RequestError::TooLarge(_)) if self.together > 1 => {
                self.together /= 2;
                step.next = self.ask(options);
                return Ok(step);
            }
            Err(RequestError::TooLarge(_)) => analytics::Page::default(),
            answer => match api::success(answer)? {
                Ok(response) => analytics::Page::read(&response)?,
                // The limit of ids in one request is not documented.
                Err(refusal) if refusal.status == 400 && self.together > 1 => {
                    self.together /= 2;
                    step.next = self.ask(options);
                    return Ok(step);
                }
                Err(refusal) => return Err(refusal.into()),
            },
        };
        let mut rows = page::readable(page, &(self.from..self.until), &mut step);
        let asked = &live.ids[..live.ids.len().min(self.together)];
        rows.retain(|row| asked.contains(&row.conversation.id));
        if self.names.needed(options, rows.iter()) {
            return Ok(Step::then(self.ask(options)));
        }
        let rest = live.split_off(self.together);
        live.on_rows(&rows);
        let untold = live.ids.into_iter().zip(live.starts);
        step.conversations = untold
            .map(|(id, start)| Conversation {
                recorded: false,
                ..Conversation::bare(id, start)
            })
            .collect();
        page::hand_over(rows.into_iter(), options.mode, now, &mut step);
        self.go_on(job, next, rest);
        step.next = self.next(options);
        Ok(step)
    }
}
