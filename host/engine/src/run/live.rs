//! The state of a run that lives in memory alone; the queue can tell it again.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use super::{fill::Filling, lane::Lanes, pace::Pace};
use recording_host_model::{Artifact, ArtifactContents};
use recording_host_state::{Queue, QueueError};

/// What the ids of splits that search for conversations begin with.
pub(super) const FIND: &str = "find-";

/// An artifact with a link.
pub(super) struct Link {
    pub(super) artifact: Artifact,
    /// The split that obtains it anew.
    pub(super) split: String,
    /// The sinks that it is still to be brought to, by their places.
    pub(super) to: Vec<usize>,
    /// The sinks that get it later, by their places.
    pub(super) owed: Vec<usize>,
    /// The sinks that have taken it, and what is in them.
    pub(super) took: Vec<usize>,
    pub(super) contents: ArtifactContents,
    /// The sinks in which another object stays under its key, by their places, and what they say.
    pub(super) occupied: Vec<(usize, String)>,
    /// Whether it has been asked for often enough: what is not what it claims to be is kept aside.
    pub(super) is_last: bool,
}

/// What is known of the work under way.
pub(super) struct Live {
    /// Splits that have begun and wait, by the time at which they are due (ms).
    pub(super) due: BTreeSet<(u64, String)>,
    /// Splits that have not begun.
    pub(super) fresh: BTreeSet<(u64, String)>,
    /// Searches that are not done.
    pub(super) finding: HashSet<String>,
    /// Splits that have been stepped and are not done.
    pub(super) begun: HashSet<String>,
    /// When each split began to fail (ms), and how often it has in a row.
    pub(super) failures: HashMap<String, (u64, u32)>,
    /// How often the component failed at each split in a row.
    pub(super) traps: HashMap<String, u32>,
    /// Artifacts with a link that wait for a download.
    pub(super) links: VecDeque<Link>,
    /// Artifacts that wait for a download or are under way, as text.
    pub(super) fetching: HashSet<String>,
    /// How often a fresh link was asked for.
    pub(super) renewals: HashMap<String, u32>,
    /// Artifacts without a usable link, by the split that obtains them anew.
    pub(super) stale: BTreeMap<String, Vec<String>>,
    /// What splits have been asked to obtain anew, until that is part of their state.
    pub(super) asked: HashMap<String, Vec<String>>,
    /// What splits are obtaining anew.
    pub(super) renewing: BTreeMap<String, Vec<String>>,
    /// How the sinks fare.
    pub(super) lanes: Lanes,
    /// How many downloads are under way at once.
    pub(super) pace: Pace,
    /// Whether there may be conversations to fetch.
    pub(super) wanted: bool,
    /// When the next conversation that was put off is due (ms).
    pub(super) next_wanted: Option<u64>,
    /// When the next search begins (ms), if there is to be one.
    pub(super) next_search: Option<u64>,
    /// How often conversations that go on were looked for.
    pub(super) looks: u32,
    /// The sinks of which it is not yet known whether they are those of before, by their places.
    pub(super) strangers: BTreeSet<usize>,
    /// The sinks that have no marker yet, by their places: they get one before anything else.
    pub(super) unmarked: BTreeSet<usize>,
    /// Objects that gave way to recordings, by their sinks' places: each does once.
    pub(super) given_way: HashSet<(usize, String)>,
    /// How far sinks are filled with what they lack.
    pub(super) filling: Filling,
}

impl Live {
    /// What the queue tells of the runs before.
    pub(super) async fn load(queue: &Queue, lanes: Lanes, pace: Pace) -> Result<Self, QueueError> {
        let mut live = Live {
            lanes,
            pace,
            stale: queue.undelivered().await?,
            wanted: true,
            due: BTreeSet::new(),
            fresh: BTreeSet::new(),
            finding: HashSet::new(),
            begun: HashSet::new(),
            failures: HashMap::new(),
            traps: HashMap::new(),
            links: VecDeque::new(),
            fetching: HashSet::new(),
            renewals: HashMap::new(),
            asked: HashMap::new(),
            renewing: BTreeMap::new(),
            next_wanted: None,
            next_search: None,
            looks: 0,
            strangers: BTreeSet::new(),
            unmarked: BTreeSet::new(),
            given_way: HashSet::new(),
            filling: Filling::default(),
        };
        for (id, due) in queue.open_splits().await? {
            live.add(id, due);
        }
        Ok(live)
    }

    /// Takes on a split that is not done.
    pub(super) fn add(&mut self, id: String, due: u64) {
        if id.starts_with(FIND) {
            self.finding.insert(id.clone());
        }
        self.fresh.insert((due, id));
    }

    /// Lets go of a split that is done.
    pub(super) fn done(&mut self, id: &str) {
        self.finding.remove(id);
        self.begun.remove(id);
        self.failures.remove(id);
        self.traps.remove(id);
        self.asked.remove(id);
    }

    /// Whether a split of an earlier run goes on later: until it is done nothing else is asked of it,
    /// since two answers at once would each be taken for the other's.
    pub(super) fn is_open(&self, id: &str) -> bool {
        self.fresh.iter().any(|(_, fresh)| fresh == id)
    }

    /// Takes the next split that is due, if it may begin or go on.
    pub(super) fn take(&mut self, now: u64, most: usize) -> Option<String> {
        if self.due.first().is_some_and(|(due, _)| *due <= now) {
            return self.due.pop_first().map(|(_, id)| id);
        }
        let (due, id) = self.fresh.first()?;
        if *due > now || (self.begun.len() >= most && !self.begun.contains(id)) {
            return None;
        }
        let (_, id) = self.fresh.pop_first()?;
        self.begun.insert(id.clone());
        Some(id)
    }

    /// Whether no split and no download is left.
    pub(super) fn is_idle(&self) -> bool {
        self.due.is_empty()
            && self.fresh.is_empty()
            && self.links.is_empty()
            && self.filling.is_done()
    }

    /// When there is something to do next (ms) because of the time alone: what was to be done until
    /// `now` is under way, or waits for something else.
    pub(super) fn next(&self, now: u64) -> u64 {
        let first = |set: &BTreeSet<(u64, String)>| {
            let mut later = set.range((now + 1, String::new())..);
            later.next().map(|(due, _)| *due)
        };
        [
            first(&self.due),
            first(&self.fresh),
            self.next_wanted,
            self.next_search,
            self.lanes.waits(),
            self.lanes.next_try(),
        ]
        .into_iter()
        .flatten()
        .filter(|due| *due > now)
        .min()
        .unwrap_or(u64::MAX)
    }
}
