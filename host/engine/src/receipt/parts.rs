//! A segment's conversations, part by part: it may have more of them than there is memory for.

use std::{io, sync::Arc};

use tokio::sync::mpsc;

use super::CommitError;
use crate::transfer::SinkBinding;
use recording_host_model::{CompletedConversation, Segment};
use recording_host_state::Ledger;

/// Conversations that are in memory at once.
const PART: usize = 500;

/// Some of a segment's conversations.
pub(super) type Part = Vec<CompletedConversation>;

/// What looks at each conversation of a segment, whether or not a sink takes it.
pub(super) type Seen<'a> = &'a mut (dyn FnMut(&CompletedConversation) + Send);

/// A segment's conversations as a sink is to have them, in their order.
pub(super) struct Parts<'a> {
    left: Left<'a>,
    binding: &'a SinkBinding,
    seen: Option<Seen<'a>>,
    /// How many the sink has taken so far.
    pub(super) taken: usize,
}

enum Left<'a> {
    Sealed(&'a dyn Ledger, std::slice::Chunks<'a, String>),
    Given(Option<Part>),
}

impl<'a> Parts<'a> {
    /// Those that are sealed in a ledger.
    pub(super) fn sealed(
        ledger: &'a dyn Ledger,
        segment: &'a Segment,
        binding: &'a SinkBinding,
    ) -> Self {
        Self::new(Left::Sealed(ledger, segment.ids.chunks(PART)), binding)
    }

    /// These.
    pub(super) fn given(conversations: Part, binding: &'a SinkBinding) -> Self {
        Self::new(Left::Given(Some(conversations)), binding)
    }

    fn new(left: Left<'a>, binding: &'a SinkBinding) -> Self {
        Parts {
            left,
            binding,
            seen: None,
            taken: 0,
        }
    }

    /// Has something look at each conversation.
    pub(super) fn seen_by(self, seen: Seen<'a>) -> Self {
        Parts {
            seen: Some(seen),
            ..self
        }
    }

    /// The next ones that the sink takes; none if there are no more.
    pub(super) async fn next(&mut self) -> Result<Option<Part>, CommitError> {
        let sink = &self.binding.name;
        loop {
            let next = match &mut self.left {
                Left::Given(part) => part.take(),
                Left::Sealed(ledger, ids) => match ids.next() {
                    Some(ids) => Some(ledger.sealed_conversations(ids.to_vec()).await?),
                    None => None,
                },
            };
            let Some(mut part) = next else {
                return Ok(None);
            };
            if let Some(seen) = &mut self.seen {
                part.iter().for_each(seen);
            }
            part.retain(|completed| self.binding.route.takes(completed));
            for completed in &mut part {
                completed.name_losses_in(sink);
            }
            self.taken += part.len();
            if !part.is_empty() {
                return Ok(Some(part));
            }
        }
    }

    /// Counts those that are left.
    pub(super) async fn count(mut self) -> Result<usize, CommitError> {
        while self.next().await?.is_some() {}
        Ok(self.taken)
    }
}

/// The way to a file that is written while its conversations are read; there is another end to it.
pub(super) struct Feed(mpsc::Sender<Option<Arc<Part>>>);

/// The other end.
pub(super) struct Fed(mpsc::Receiver<Option<Arc<Part>>>);

pub(super) fn feed() -> (Feed, Fed) {
    let (feed, fed) = mpsc::channel(1);
    (Feed(feed), Fed(fed))
}

impl Feed {
    /// Hands conversations on, or says that there are no more; false if nobody takes them.
    pub(super) async fn hand_on(&self, part: Option<&Arc<Part>>) -> bool {
        self.0.send(part.cloned()).await.is_ok()
    }
}

impl Fed {
    /// Writes all that come, on a thread that may block.
    ///
    /// # Errors
    /// That of `write`, or that the last one has not come: what was written so far is no whole file.
    pub(super) fn write_all(
        mut self,
        mut write: impl FnMut(&CompletedConversation) -> io::Result<()>,
    ) -> io::Result<()> {
        loop {
            match self.0.blocking_recv() {
                Some(Some(part)) => part.iter().try_for_each(&mut write)?,
                Some(None) => return Ok(()),
                None => return Err(io::Error::other("its conversations could not be read")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_ends_only_if_all_of_its_conversations_have_come() {
        for all in [true, false] {
            let (feed, fed) = feed();
            let writing = tokio::task::spawn_blocking(move || fed.write_all(|_| Ok(())));
            assert!(feed.hand_on(Some(&Arc::new(Part::new()))).await);
            if all {
                assert!(feed.hand_on(None).await);
            }
            drop(feed);
            assert_eq!(writing.await.unwrap().is_ok(), all);
        }
    }

    #[tokio::test]
    async fn nobody_reads_on_for_a_file_that_cannot_be_written() {
        let (feed, fed) = feed();
        drop(fed);
        assert!(!feed.hand_on(Some(&Arc::new(Part::new()))).await);
    }
}
