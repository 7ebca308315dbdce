//! The splits that are not done: which may begin or resume, and how often one has failed in a row.
//!
//! The queue holds their state; this is the order in which they are stepped.

use std::collections::{BTreeSet, HashMap, HashSet};

/// The prefix of the ids of splits that search for conversations.
pub(super) const FIND: &str = "find-";
/// How many splits that search are under way at once, at most.
const SEARCHES: usize = 8;

/// The open splits of a run.
#[derive(Debug, Default)]
pub(super) struct Splits {
    /// Those that have begun and wait, by the time at which they are due (ms).
    waiting: BTreeSet<(u64, String)>,
    /// Those that have not begun in this run, by the time at which they are due (ms): fetches, and searches.
    fresh: BTreeSet<(u64, String)>,
    fresh_searches: BTreeSet<(u64, String)>,
    /// Searches that are not done.
    searching: HashSet<String>,
    /// Those that have been stepped and are not done: fetches, and searches.
    begun: HashSet<String>,
    begun_searches: HashSet<String>,
    /// When each began to fail (ms), and how often it has in a row.
    failures: HashMap<String, (u64, u32)>,
    /// How often the component trapped at each in a row.
    traps: HashMap<String, u32>,
    /// How many steps each has taken in a row that had no result.
    idle: HashMap<String, u32>,
    /// True once a step had a result, or it was told that the first one failed.
    heard: bool,
    /// Steps fail, and none has had a result since.
    outage: Option<Outage>,
}

/// A time in which steps fail and none has a result.
#[derive(Clone, Copy, Debug)]
struct Outage {
    /// When it began (ms).
    since: u64,
    /// When it was last told of (ms).
    reported: u64,
}

/// How long an outage lasts until it is told of again, in ms.
const AGAIN: u64 = 600_000;
/// How long one lasts at least of whose end it is told, in ms.
const LASTING: u64 = 60_000;

impl Splits {
    /// Takes on a split that is not done.
    pub(super) fn add(&mut self, id: String, due: u64) {
        if is_search(&id) {
            self.searching.insert(id.clone());
            self.fresh_searches.insert((due, id));
        } else {
            self.fresh.insert((due, id));
        }
    }

    /// Counts a split as begun before it is stepped, so that no more are formed than may be under way.
    pub(super) fn begin(&mut self, id: String) {
        self.begun.insert(id);
    }

    /// Has a split resumed at a time (ms).
    pub(super) fn resume_at(&mut self, id: String, due: u64) {
        debug_assert!(!self.is_fresh(&id), "{id} waits and has not begun");
        self.waiting.insert((due, id));
    }

    /// Takes the next split that is due, if it may begin or resume: at most `most` fetches are begun at
    /// once, and few searches beside them.
    pub(super) fn take(&mut self, now: u64, most: usize) -> Option<String> {
        if self.waiting.first().is_some_and(|(due, _)| *due <= now) {
            return self.waiting.pop_first().map(|(_, id)| id);
        }
        let fetches = begin_first(&mut self.fresh, &mut self.begun, now, most);
        fetches.or_else(|| {
            let most = SEARCHES.min(most);
            begin_first(
                &mut self.fresh_searches,
                &mut self.begun_searches,
                now,
                most,
            )
        })
    }

    /// Takes the next fetch that has begun and is due.
    pub(super) fn take_begun(&mut self, now: u64) -> Option<String> {
        let mut due = self.waiting.iter().take_while(|(due, _)| *due <= now);
        let next = due.find(|(_, id)| !is_search(id)).cloned()?;
        self.waiting.remove(&next);
        Some(next.1)
    }

    /// Returns true if a fetch that has begun waits to resume.
    pub(super) fn has_begun(&self) -> bool {
        self.waiting.iter().any(|(_, id)| !is_search(id))
    }

    /// Returns true if a fetch that is due waits for others to end: `most` may be under way.
    pub(super) fn is_full(&self, now: u64, most: usize) -> bool {
        self.begun.len() >= most
            && self
                .fresh
                .first()
                .is_some_and(|(due, id)| *due <= now && !self.begun.contains(id))
    }

    /// Notes that a step of a split has succeeded; returns true if the one before had failed.
    pub(super) fn succeeded(&mut self, id: &str) -> bool {
        self.traps.remove(id);
        self.failures.remove(id).is_some()
    }

    /// Notes a step of a split that had a result or, if `silent`, had none; returns how many had none in a row.
    pub(super) fn idled(&mut self, id: &str, silent: bool) -> u32 {
        if !silent {
            self.heard = true;
            self.idle.remove(id);
            return 0;
        }
        let steps = self.idle.entry(id.to_owned()).or_default();
        *steps += 1;
        *steps
    }

    /// Notes that a split's source failed; returns since when it has (ms), and how often in a row.
    pub(super) fn failed(&mut self, id: &str, now: u64) -> (u64, u32) {
        let (since, times) = self.failures.entry(id.to_owned()).or_insert((now, 0));
        *times += 1;
        (*since, *times)
    }

    /// Returns true at the first failure, if no step had a result before: whoever has just started the run
    /// waits for a word.
    pub(super) fn is_first_failure(&mut self) -> bool {
        !std::mem::replace(&mut self.heard, true)
    }

    /// Notes a failure; returns how long no step has had a result (ms), if it is time to tell of that again.
    pub(super) fn outage_to_tell(&mut self, now: u64) -> Option<u64> {
        let begun = Outage {
            since: now,
            reported: now,
        };
        let outage = self.outage.get_or_insert(begun);
        if now.saturating_sub(outage.reported) < AGAIN {
            return None;
        }
        outage.reported = now;
        Some(now - outage.since)
    }

    /// Notes that a step had a result, or succeeded where it had failed; returns how long none had (ms), if
    /// that was long.
    pub(super) fn outage_over(&mut self, now: u64) -> Option<u64> {
        let lasted = now.saturating_sub(self.outage.take()?.since);
        (lasted >= LASTING).then_some(lasted)
    }

    /// Notes that the source answered, though with an error: the component works.
    pub(super) fn answered(&mut self, id: &str) {
        self.traps.remove(id);
    }

    /// Notes that the component trapped; returns how often in a row.
    pub(super) fn on_trap(&mut self, id: &str) -> u32 {
        let traps = self.traps.entry(id.to_owned()).or_default();
        *traps += 1;
        *traps
    }

    /// Lets go of a split that is done; says whether it was a search.
    pub(super) fn done(&mut self, id: &str) -> bool {
        self.begun.remove(id);
        self.begun_searches.remove(id);
        self.failures.remove(id);
        self.traps.remove(id);
        self.idle.remove(id);
        self.searching.remove(id)
    }

    /// Lets go of all splits of a fetch, whatever they wait for.
    pub(super) fn forget(&mut self, fetch: &str) {
        for due in [&mut self.waiting, &mut self.fresh] {
            due.retain(|(_, id)| !id.starts_with(fetch));
        }
        self.begun.retain(|id| !id.starts_with(fetch));
        self.failures.retain(|id, _| !id.starts_with(fetch));
        self.traps.retain(|id, _| !id.starts_with(fetch));
        self.idle.retain(|id, _| !id.starts_with(fetch));
    }

    /// Returns true if nothing may be asked of a split beside what it does: a step is under way, or one
    /// of an earlier run is to be resumed. Two answers at once would each be taken for the other's.
    pub(super) fn is_busy(&self, id: &str) -> bool {
        self.begun.contains(id) || self.begun_searches.contains(id) || self.is_fresh(id)
    }

    /// Returns true if a search is not done.
    pub(super) fn is_searching(&self) -> bool {
        !self.searching.is_empty()
    }

    /// How many fetches have begun and are not done.
    pub(super) fn begun(&self) -> usize {
        self.begun.len()
    }

    /// Returns true if none waits to begin or resume.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.fresh.is_empty() && self.fresh_searches.is_empty()
    }

    /// When the next one is due after `now` (ms): what was due by then is under way, or waits for
    /// something else.
    pub(super) fn next_due(&self, now: u64) -> Option<u64> {
        let first = |set: &BTreeSet<(u64, String)>| {
            let mut later = set.range((now + 1, String::new())..);
            later.next().map(|(due, _)| *due)
        };
        let due = [
            first(&self.waiting),
            first(&self.fresh),
            first(&self.fresh_searches),
        ];
        due.into_iter().flatten().min()
    }

    /// Moves what is due and what was noted by as much as the time of day has jumped (ms).
    pub(super) fn shift(&mut self, jump: i64) {
        if jump < 0 {
            for due in [&mut self.waiting, &mut self.fresh, &mut self.fresh_searches] {
                let moved = std::mem::take(due).into_iter();
                *due = moved
                    .map(|(at, id)| (at.saturating_add_signed(jump), id))
                    .collect();
            }
        }
        for (since, _) in self.failures.values_mut() {
            *since = since.saturating_add_signed(jump);
        }
    }

    fn is_fresh(&self, id: &str) -> bool {
        let fresh = match is_search(id) {
            true => &self.fresh_searches,
            false => &self.fresh,
        };
        fresh.iter().any(|(_, fresh)| fresh == id)
    }
}

/// Has the first of those that are due begin, if there is room or it counts as begun.
fn begin_first(
    fresh: &mut BTreeSet<(u64, String)>,
    begun: &mut HashSet<String>,
    now: u64,
    most: usize,
) -> Option<String> {
    let (due, id) = fresh.first()?;
    if *due > now || (begun.len() >= most && !begun.contains(id)) {
        return None;
    }
    let (_, id) = fresh.pop_first()?;
    begun.insert(id.clone());
    Some(id)
}

/// Returns true if a split searches for conversations.
pub(super) fn is_search(id: &str) -> bool {
    id.starts_with(FIND)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn splits(ids: &[&str]) -> Splits {
        let mut splits = Splits::default();
        for id in ids {
            splits.add((*id).to_owned(), 10);
        }
        splits
    }

    #[test]
    fn no_more_begin_than_may_and_those_that_wait_come_first() {
        let mut splits = splits(&["a", "b", "c"]);
        assert_eq!(splits.take(9, 2), None);
        assert_eq!(splits.take(10, 2).as_deref(), Some("a"));
        assert_eq!(splits.take(10, 2).as_deref(), Some("b"));
        assert_eq!(splits.take(10, 2), None);
        splits.resume_at("b".into(), 20);
        assert_eq!((splits.next_due(10), splits.take(19, 2)), (Some(20), None));
        assert_eq!(splits.take(20, 2).as_deref(), Some("b"));
        splits.done("a");
        assert_eq!(splits.take(20, 2).as_deref(), Some("c"));
        assert!(splits.is_idle());
    }

    #[test]
    fn one_that_counts_as_begun_takes_no_room_of_another() {
        let mut splits = splits(&["a", "b"]);
        splits.begin("a".into());
        assert_eq!(splits.take(10, 1).as_deref(), Some("a"));
        assert_eq!(splits.take(10, 1), None);
    }

    #[test]
    fn searches_take_no_room_of_fetches_and_are_few() {
        let mut splits = Splits::default();
        for number in 0..20 {
            splits.add(format!("find-1/{number:02}"), 10);
        }
        for number in 0..SEARCHES {
            assert_eq!(splits.take(10, 20).unwrap(), format!("find-1/{number:02}"));
        }
        assert_eq!(splits.take(10, 20), None);
        splits.add("fetch-1".into(), 10);
        assert!(splits.is_full(10, 0) && !splits.is_full(10, 1));
        assert_eq!(
            (splits.begun(), splits.take(10, 1).as_deref()),
            (0, Some("fetch-1"))
        );
        splits.done("find-1/00");
        assert_eq!(splits.take(10, 1), None, "one is the most of both");
        assert_eq!(splits.take(10, 20).as_deref(), Some("find-1/08"));
    }

    #[test]
    fn nothing_else_is_asked_of_a_split_until_it_is_done() {
        let mut splits = splits(&["a"]);
        assert!(splits.is_busy("a"));
        splits.take(10, 1);
        assert!(splits.is_busy("a"));
        splits.done("a");
        assert!(!splits.is_busy("a"));
    }

    #[test]
    fn failures_count_from_the_first_in_a_row() {
        let mut splits = splits(&["a"]);
        assert_eq!(splits.failed("a", 5), (5, 1));
        assert_eq!(splits.failed("a", 8), (5, 2));
        assert_eq!((splits.on_trap("a"), splits.on_trap("a")), (1, 2));
        splits.answered("a");
        assert_eq!(splits.on_trap("a"), 1);
        assert!(splits.succeeded("a"));
        assert_eq!(splits.failed("a", 9), (9, 1));
        assert!(!splits.succeeded("b"));
    }

    #[test]
    fn an_outage_is_told_of_again_and_its_end_if_it_was_long() {
        let mut splits = splits(&["a"]);
        assert_eq!(splits.outage_over(5), None);
        for (now, reported) in [
            (1000, None),
            (AGAIN + 999, None),
            (AGAIN + 1000, Some(AGAIN)),
            (AGAIN + 1001, None),
            (2 * AGAIN + 1000, Some(2 * AGAIN)),
        ] {
            assert_eq!(splits.outage_to_tell(now), reported, "{now}");
        }
        assert_eq!(splits.outage_over(3 * AGAIN), Some(3 * AGAIN - 1000));
        assert_eq!(splits.outage_over(3 * AGAIN), None);
        assert_eq!(splits.outage_to_tell(3 * AGAIN), None);
        assert_eq!(splits.outage_over(3 * AGAIN + LASTING - 1), None, "short");
    }

    #[test]
    fn steps_without_a_result_count_from_the_last_that_had_one() {
        let mut splits = splits(&["a"]);
        assert_eq!((splits.idled("a", true), splits.idled("a", true)), (1, 2));
        assert_eq!(splits.idled("a", false), 0);
        assert_eq!(splits.idled("a", true), 1);
        splits.done("a");
        assert_eq!(splits.idled("a", true), 1);
    }

    #[test]
    fn a_search_is_over_when_all_of_its_splits_are() {
        let mut splits = splits(&["find-1", "find-2", "fetch-1"]);
        assert!(splits.done("find-1") && splits.is_searching());
        assert!(!splits.done("fetch-1"));
        assert!(splits.done("find-2") && !splits.is_searching());
    }

    #[test]
    fn a_jump_of_the_clock_delays_nothing_and_makes_no_failure_older() {
        let mut splits = Splits::default();
        splits.begin("a".to_owned());
        splits.resume_at("a".to_owned(), 9_000);
        splits.add("b".to_owned(), 8_500);
        assert_eq!(splits.failed("a", 8_000), (8_000, 1));
        splits.shift(-7_000);
        assert_eq!(splits.next_due(1_000), Some(1_500));
        assert_eq!(splits.failed("a", 1_100), (1_000, 2));
        splits.shift(50_000);
        assert_eq!(splits.next_due(1_000), Some(1_500), "it is due since long");
        assert_eq!(splits.failed("a", 51_100), (51_000, 3));
    }
}
