//! The artifacts that are to be downloaded: those with a link, and those for which a split is to obtain
//! a fresh one.
//!
//! A link is held in memory alone. An artifact is in one of three states: it waits for a download or is
//! being downloaded (`in_flight`), it lacks a link that has not been requested of its split (`stale`),
//! or its split has been asked (`refreshing`).

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use tracing::Span;

use recording_host_model::{Artifact, ArtifactContents, ArtifactKey, SplitInput};

/// How often a fresh link is requested.
const REFRESHES: u32 = 5;
/// For how long each (ms) an artifact waits for an origin that has failed before a fresh link is requested.
const WAITS: [u64; 3] = [2_000, 8_000, 32_000];

/// An artifact with a link.
#[derive(Debug)]
pub(super) struct PendingArtifact {
    pub(super) artifact: Artifact,
    /// The split that obtains it anew.
    pub(super) split: String,
    /// The sinks that it is still to be brought to, by their indexes.
    pub(super) to: Vec<usize>,
    /// The sinks that get it later, by their indexes.
    pub(super) backlog: Vec<usize>,
    /// The sinks that have taken it, and what is in them.
    pub(super) took: Vec<usize>,
    pub(super) contents: ArtifactContents,
    /// The sinks in which another object stays under its key, by their indexes, and what they say.
    pub(super) occupied: Vec<(usize, String)>,
    /// True if it has been requested often enough: what is not what it claims to be is kept aside.
    pub(super) is_last: bool,
    /// The work that is under way for it.
    pub(super) span: Span,
}

impl PendingArtifact {
    /// A link that a split has obtained, for some sinks, by their indexes.
    pub(super) fn new(artifact: Artifact, split: &str, to: Vec<usize>) -> Self {
        PendingArtifact {
            artifact,
            split: split.to_owned(),
            to,
            backlog: Vec::new(),
            took: Vec::new(),
            contents: ArtifactContents::default(),
            occupied: Vec::new(),
            is_last: false,
            span: Span::none(),
        }
    }

    /// The same, traced.
    pub(super) fn with_span(self, span: Span) -> Self {
        PendingArtifact { span, ..self }
    }
}

/// The artifacts of a run that are not yet in every sink that wants them.
#[derive(Debug, Default)]
pub(super) struct PendingArtifacts {
    /// Those with a link, in the order in which they are downloaded.
    ready: VecDeque<PendingArtifact>,
    /// Those whose origin has failed, and when they are tried again (ms).
    put_off: Vec<(u64, PendingArtifact)>,
    /// How often each was put off.
    waits: HashMap<String, usize>,
    /// Those that wait for a download or are under way, as text.
    in_flight: HashSet<String>,
    /// How often a fresh link to each was requested.
    refreshes: HashMap<String, u32>,
    /// Those without a usable link, by the split that obtains them anew.
    stale: BTreeMap<String, Vec<String>>,
    /// Those that splits have been asked to obtain anew, until that is part of their state.
    asked: HashMap<String, Vec<String>>,
    /// Those that splits are obtaining anew.
    refreshing: BTreeMap<String, Vec<String>>,
    /// Objects that gave way to recordings, by the indexes of their sinks: each does once.
    given_way: HashSet<(usize, String)>,
}

impl PendingArtifacts {
    /// With artifacts of earlier runs that lack a link, by the split that obtains them anew.
    pub(super) fn new(stale: BTreeMap<String, Vec<String>>) -> Self {
        PendingArtifacts {
            stale,
            ..PendingArtifacts::default()
        }
    }

    /// Takes on a link that a split has obtained, unless the artifact is on its way already.
    pub(super) fn add(&mut self, link: PendingArtifact) {
        if !link.to.is_empty() && self.in_flight.insert(link.artifact.key.to_text()) {
            self.ready.push_back(link);
        }
    }

    /// Notes that a split has obtained an artifact that was lacking a link.
    pub(super) fn obtained(&mut self, split: &str, key: &str) {
        for keys in [&mut self.stale, &mut self.refreshing] {
            if let Some(keys) = keys.get_mut(split) {
                keys.retain(|known| *known != key);
            }
        }
        if self.stale.get(split).is_some_and(Vec::is_empty) {
            self.stale.remove(split);
        }
    }

    /// Takes the next link to be downloaded of a split that `may` be.
    pub(super) fn take(&mut self, may: impl Fn(&str) -> bool) -> Option<PendingArtifact> {
        let next = self.ready.iter().position(|link| may(&link.split))?;
        self.ready.remove(next)
    }

    /// Has a link that was taken downloaded once more, before all others.
    pub(super) fn put_back(&mut self, link: PendingArtifact) {
        debug_assert!(self.in_flight.contains(&link.artifact.key.to_text()));
        self.ready.push_front(link);
    }

    /// Has a link tried again in a while, whose origin has failed at a time (ms); returns it, and does not, if
    /// that was done too often already.
    pub(super) fn put_off(&mut self, link: PendingArtifact, now: u64) -> Option<PendingArtifact> {
        let waits = self.waits.entry(link.artifact.key.to_text()).or_default();
        let Some(wait) = WAITS.get(*waits) else {
            return Some(link);
        };
        *waits += 1;
        self.put_off.push((now + wait, link));
        None
    }

    /// Has those downloaded that were put off until a time (ms).
    pub(super) fn resume(&mut self, now: u64) {
        let due = self.put_off.extract_if(.., |(due, _)| *due <= now);
        self.ready.extend(due.map(|(_, link)| link));
    }

    /// When the next one is due that was put off (ms).
    pub(super) fn next_due(&self) -> Option<u64> {
        self.put_off.iter().map(|(due, _)| *due).min()
    }

    /// Heeds that the time of day has jumped by so much (ms).
    pub(super) fn shift(&mut self, jump: i64) {
        for (due, _) in &mut self.put_off {
            *due = due.saturating_add_signed(jump);
        }
    }

    /// Notes that a link has served: a sink's outage costs no fresh ones.
    pub(super) fn served(&mut self, key: &str) {
        self.refreshes.remove(key);
        self.waits.remove(key);
    }

    /// Has a fresh link requested to an artifact whose link is of no use; returns false, and does not, if
    /// that was done too often already.
    pub(super) fn refresh(&mut self, split: &str, key: &str) -> bool {
        let refreshes = self.refreshes.entry(key.to_owned()).or_default();
        *refreshes += 1;
        if *refreshes > REFRESHES {
            return false;
        }
        self.in_flight.remove(key);
        self.stale
            .entry(split.to_owned())
            .or_default()
            .push(key.to_owned());
        true
    }

    /// Notes that what became of artifacts is written down.
    pub(super) fn written(&mut self, keys: &[String]) {
        for key in keys {
            self.in_flight.remove(key);
            self.refreshes.remove(key);
            self.waits.remove(key);
        }
    }

    /// Has links obtained by a split for those of its artifacts that are not on their way; returns for
    /// how many.
    pub(super) fn want(&mut self, split: &str, keys: Vec<String>) -> usize {
        let stale = self.stale.entry(split.to_owned()).or_default();
        let before = stale.len();
        for key in keys {
            if !self.in_flight.contains(&key) && !stale.contains(&key) {
                stale.push(key);
            }
        }
        let count = stale.len() - before;
        if stale.is_empty() {
            self.stale.remove(split);
        }
        count
    }

    /// Takes up to `most` splits of which fresh links are to be requested and may be, as `may` says; they
    /// count as asked.
    pub(super) fn take_refreshes(
        &mut self,
        most: usize,
        may: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let stale = self.stale.keys().filter(|split| may(split));
        let splits: Vec<String> = stale.take(most).cloned().collect();
        for split in &splits {
            let keys = self.stale.remove(split).unwrap_or_default();
            self.asked.insert(split.clone(), keys.clone());
            self.refreshing.insert(split.clone(), keys);
        }
        splits
    }

    /// The input of a split's next step: what it was asked to obtain anew is not yet part of its state.
    pub(super) fn input(&self, split: &str) -> SplitInput {
        match self.asked.get(split) {
            None => SplitInput::Resume,
            Some(keys) => {
                let keys = keys.iter().filter_map(|key| ArtifactKey::from_text(key));
                SplitInput::Refresh(keys.collect())
            }
        }
    }

    /// Notes that what was requested of a split is part of its state.
    pub(super) fn committed(&mut self, split: &str) {
        self.asked.remove(split);
    }

    /// Lets go of a split that is done; returns what was requested of it and not obtained.
    pub(super) fn done(&mut self, split: &str) -> Vec<String> {
        self.asked.remove(split);
        let lost = self.refreshing.remove(split).unwrap_or_default();
        self.not_in_flight(lost)
    }

    /// Lets go of all that a split that failed was to obtain anew; downloads under way come to their end.
    pub(super) fn abandon(&mut self, split: &str) -> Vec<String> {
        let mut lost = self.stale.remove(split).unwrap_or_default();
        lost.extend(self.refreshing.remove(split).unwrap_or_default());
        self.not_in_flight(lost)
    }

    /// Lets go of all artifacts that are not being downloaded and whose split is not to be kept.
    pub(super) fn keep(&mut self, is_kept: impl Fn(&str) -> bool) {
        let put_off = self.put_off.iter().map(|(_, link)| link);
        for link in self.ready.iter().chain(put_off) {
            if !is_kept(&link.split) {
                let key = link.artifact.key.to_text();
                self.in_flight.remove(&key);
                self.refreshes.remove(&key);
                self.waits.remove(&key);
            }
        }
        self.ready.retain(|link| is_kept(&link.split));
        self.put_off.retain(|(_, link)| is_kept(&link.split));
        self.stale.retain(|split, _| is_kept(split));
        self.refreshing.retain(|split, _| is_kept(split));
        self.asked.retain(|split, _| is_kept(split));
    }

    /// Notes that an object in a sink gives way to a recording.
    pub(super) fn give_way(&mut self, sink_index: usize, key: &str) {
        self.given_way.insert((sink_index, key.to_owned()));
    }

    /// Returns true if an object in a sink has given way before.
    pub(super) fn gave_way(&self, sink_index: usize, key: &str) -> bool {
        self.given_way.contains(&(sink_index, key.to_owned()))
    }

    /// How many links wait for a download, now or later.
    pub(super) fn waiting(&self) -> usize {
        self.ready.len() + self.put_off.len()
    }

    /// Returns true if fresh links are to be requested.
    pub(super) fn any_stale(&self) -> bool {
        !self.stale.is_empty()
    }

    fn not_in_flight(&self, mut keys: Vec<String>) -> Vec<String> {
        keys.retain(|key| !self.in_flight.contains(key));
        keys
    }
}

#[cfg(test)]
mod tests;
