//! The fetches that a node has.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::suspect::{Suspect, Turn};
use recording_host_state::{OrderedSink, fleet::TakenFetch};

/// The fetches that a node has.
#[derive(Debug, Default)]
pub(super) struct HeldFetches {
    pub(super) held: BTreeMap<String, HeldFetch>,
    /// Those of which something has changed since it was last seen if they are finished.
    pub(super) changed: BTreeSet<String>,
    /// Those that it had, and for which something may still be under way.
    pub(super) lost: BTreeSet<String>,
    /// The sinks as the leader knows them.
    pub(super) sinks: BTreeMap<String, OrderedSink>,
    /// The sinks of this node that are not among them.
    pub(super) left_out: BTreeSet<usize>,
    /// Whoever has it does something of a fetch that may be what stops nodes.
    pub(super) turn: Turn,
    /// Fetches that wait for one that has some of their conversations, and of which nobody knows yet here that it no
    /// longer does them.
    pub(super) waiting: Vec<TakenFetch>,
}

/// A fetch that a node has.
#[derive(Debug)]
pub(super) struct HeldFetch {
    pub(super) conversations: Vec<String>,
    /// True if objects that are not as they should be are replaced.
    pub(super) repair: bool,
    /// How it is done if it may be what stops nodes.
    pub(super) suspect: Option<Arc<Suspect>>,
}

impl HeldFetches {
    /// The fetch that a split belongs to.
    pub(super) fn of_split(&self, split: &str) -> Option<&str> {
        let mut held = self.held.keys();
        held.find(|fetch| split.starts_with(*fetch))
            .map(String::as_str)
    }

    /// Returns true if the fetch of a split is to replace objects that are not as they should be.
    pub(super) fn is_repair(&self, split: &str) -> bool {
        let fetch = self.of_split(split).and_then(|fetch| self.held.get(fetch));
        fetch.is_some_and(|fetch| fetch.repair)
    }

    /// How a split is done if its fetch may be what stops nodes.
    pub(super) fn suspect(&self, split: &str) -> Option<Arc<Suspect>> {
        let fetch = self.of_split(split)?;
        self.held.get(fetch)?.suspect.clone()
    }

    /// Returns true if a download of a split may begin.
    pub(super) fn has_turn(&self, split: &str) -> bool {
        self.held.is_empty()
            || self
                .suspect(split)
                .is_none_or(|suspect| suspect.try_turn().is_some())
    }

    /// Returns true if something may be under way for a fetch.
    pub(super) fn is_under_way(&self, fetch: &str) -> bool {
        self.held.contains_key(fetch)
            || self.lost.contains(fetch)
            || self.waiting.iter().any(|taken| taken.order.fetch == fetch)
    }

    /// Returns true if the node has a fetch with some of these conversations.
    pub(super) fn shares<'a>(&self, conversations: impl Iterator<Item = &'a str>) -> bool {
        let mut held = self.held.values().flat_map(|fetch| &fetch.conversations);
        let theirs: BTreeSet<&str> = conversations.collect();
        held.any(|own| theirs.contains(own.as_str()))
    }

    /// The names of all fetches that the node has.
    pub(super) fn names(&self) -> Vec<String> {
        let waiting = self.waiting.iter().map(|taken| &taken.order.fetch);
        self.held.keys().chain(waiting).cloned().collect()
    }

    /// Notes that something of a fetch has changed.
    pub(super) fn changed(&mut self, fetch: &str) {
        if self.held.contains_key(fetch) {
            self.changed.insert(fetch.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetch_shares_conversations_with_those_that_a_node_has() {
        let mut held = HeldFetches::default();
        let first = HeldFetch {
            conversations: vec!["c1".to_owned(), "c2".to_owned()],
            repair: false,
            suspect: None,
        };
        held.held.insert("calls-000001".to_owned(), first);
        assert!(held.shares(["c3", "c2"].into_iter()));
        assert!(!held.shares(["c3"].into_iter()));
        assert_eq!(held.names(), ["calls-000001"]);
    }
}
