//! Begins the work: searches for conversations, and fetches of what was found.

use super::{Engine, Interval, RunError, in_flight::InFlight, ms, pause, splits::FIND};
use recording_host_model::{Event, Fetch, Find, Purpose, Started, TimeRange};
use recording_host_state::Searched;

/// How many conversations may wait for a sink that is unavailable.
const BEHIND: u64 = 100_000;

/// The shortest pause before ongoing conversations are looked for again (ms).
const LOOK_AGAIN: u64 = 600_000;

/// How soon a leader looks again whether some sink can get something, unless it is known when one is tried again (ms).
const LOOK_AT_SINKS: u64 = 60_000;

/// A wait that is told of (ms).
const LONG_WAIT: u64 = 60_000;

/// When conversations are searched for and fetched next.
#[derive(Debug)]
pub(super) struct Discovery {
    /// When the next search begins (ms), if there is to be one.
    next_search: Option<u64>,
    /// How often ongoing conversations were looked for.
    looks: u32,
    /// True if there may be conversations to fetch.
    wanted: bool,
    /// When the next conversation that was put off is due (ms).
    next_wanted: Option<u64>,
}

impl Default for Discovery {
    /// A run begins with a search, and with what earlier runs have found.
    fn default() -> Self {
        Discovery {
            next_search: Some(0),
            looks: 0,
            wanted: true,
            next_wanted: None,
        }
    }
}

impl Discovery {
    /// Has the next search begin at a time (ms), or none.
    pub(super) fn search_at(&mut self, due: Option<u64>) {
        self.next_search = due;
    }

    /// Moves the next search by as much as the time of day has jumped back (ms); what is due by a jump
    /// ahead is due.
    pub(super) fn shift(&mut self, jump: i64) {
        if jump < 0 {
            let due = self.next_search.map(|due| due.saturating_add_signed(jump));
            self.next_search = due;
        }
    }

    /// Returns true if a search is due.
    fn is_search_due(&self, now: u64) -> bool {
        self.next_search.is_some_and(|due| due <= now)
    }

    /// Notes that conversations are ongoing, which are looked for again after growing pauses; returns
    /// true if that is to be done now: at first they have only just been found.
    fn look_again(&mut self, now: u64) -> bool {
        self.looks += 1;
        let again = now + (pause(self.looks) * 10).max(LOOK_AGAIN);
        self.next_search = Some(self.next_search.unwrap_or(again).min(again));
        self.looks > 1
    }

    /// Notes that there may be conversations to fetch, if `any`.
    pub(super) fn found(&mut self, any: bool) {
        self.wanted |= any;
    }

    /// Returns true if there may be conversations to fetch.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Notes that there is none to fetch until a time (ms), or none at all.
    pub(super) fn none_until(&mut self, due: Option<u64>) {
        self.wanted = false;
        self.next_wanted = due;
    }

    /// Notes that time has passed: what was put off may be due.
    fn pass(&mut self, now: u64) {
        if self.next_wanted.is_some_and(|due| due <= now) {
            self.wanted = true;
            self.next_wanted = None;
        }
    }

    /// Returns true if no conversation is to be fetched, now or later.
    pub(super) fn is_fetched(&self) -> bool {
        !self.wanted && self.next_wanted.is_none()
    }

    /// Returns true if there is to be no further search.
    pub(super) fn is_searched(&self) -> bool {
        self.next_search.is_none()
    }

    /// When a search or a conversation that was put off is due, after `now` (ms).
    pub(super) fn next_due(&self, now: u64) -> Option<u64> {
        let due = [self.next_wanted, self.next_search];
        due.into_iter().flatten().filter(|due| *due > now).min()
    }
}

/// The range to search next.
struct NextRange {
    range: Option<TimeRange>,
    /// In how many ms there may be more to search, if at all.
    after: Option<u64>,
}

impl Engine {
    /// Begins the next search if it is due.
    pub(super) async fn discover(
        &self,
        in_flight: &mut InFlight,
        now: u64,
    ) -> Result<(), RunError> {
        if in_flight.splits.is_searching() || !in_flight.discovery.is_search_due(now) {
            return Ok(());
        }
        let searched = self.searched(now).await?;
        let next = self.next_range(&searched, now);
        let after = next.after.map(|after| now + after);
        in_flight.discovery.search_at(after);
        let range = match next.range {
            Some(range) => range,
            None => match self.live_range(&mut in_flight.discovery, now).await? {
                Some(range) => range,
                None => return Ok(()),
            },
        };
        let name = format!("{FIND}{:06}", searched.begun + 1);
        let started = self.start(Purpose::Find(Find { name, range })).await?;
        for id in self.ledger.search(started.splits, range, now).await? {
            in_flight.splits.add(id, now);
        }
        if !in_flight.splits.is_searching() {
            // A range in which there is nothing to step.
            self.ledger.searched_all(self.clock.now()).await?;
        }
        Ok(())
    }

    /// What has been searched. A time that is still to come was searched while the machine's clock was ahead:
    /// that counts for nothing.
    async fn searched(&self, now: u64) -> Result<Searched, RunError> {
        let searched = self.ledger.searched().await?;
        let last = searched.ranges.last().map_or(0, |range| range.1);
        if last <= now {
            return Ok(searched);
        }
        let ahead = (last - now) / 1000;
        self.events.warn(&format!(
            "the next {ahead} s were searched before they came, while this machine's clock was ahead: they are searched again"
        ));
        // When that was by the right time, nobody knows.
        let sure = now.saturating_sub(ms(self.follow.settle + self.follow.look_back));
        self.ledger.unsearch(sure, now).await?;
        Ok(self.ledger.searched().await?)
    }

    /// The range to search now, and in how many ms something is to be searched after that. What lies
    /// in the future, or has only just happened, cannot be searched yet.
    fn next_range(&self, searched: &Searched, now: u64) -> NextRange {
        let Interval { from: first, until } = self.interval;
        let over = until.is_some_and(|until| until <= now);
        // An interval that is over is waited for; of an ongoing one a run takes what is ready.
        let rest = match self.following || over {
            true => self.follow.settle,
            false => self.follow.settle.max(self.confirm),
        };
        let ready = now.saturating_sub(ms(rest));
        let end = until.map_or(ready, |until| until.min(ready));
        let missing = until.filter(|until| over && end < *until);
        let after = match missing {
            Some(until) => Some(until - end),
            None => self.following.then(|| ms(self.follow.every)),
        };
        if end <= first {
            return NextRange { range: None, after };
        }
        if searched.again {
            let mark = searched.until(first).unwrap_or(end);
            let range = TimeRange {
                from: first,
                until: mark.max(end).min(until.unwrap_or(u64::MAX)),
            };
            return NextRange {
                range: Some(range),
                after: after.or(over.then_some(1)),
            };
        }
        let Some((mark, until)) = searched.lacking(first, end) else {
            return NextRange { range: None, after };
        };
        // What was searched soon after it happened is searched once more, for what came late.
        let look_back = ms(self.follow.look_back);
        let soon = searched.at(mark).is_some_and(|at| at < mark + look_back);
        let from = match soon {
            true => mark.saturating_sub(look_back).max(first),
            false => mark,
        };
        let after = match until < end {
            true => Some(1),
            false => after.or(over.then_some(1)),
        };
        NextRange {
            range: Some(TimeRange { from, until }),
            after,
        }
    }

    /// The time in which the ongoing conversations began: they are looked for again.
    async fn live_range(
        &self,
        discovery: &mut Discovery,
        now: u64,
    ) -> Result<Option<TimeRange>, RunError> {
        let Some((first, last)) = self.ledger.live().await? else {
            return Ok(None);
        };
        if !self.waits_for_live() {
            return Ok(None);
        }
        let range = TimeRange {
            from: first,
            until: last + 1,
        };
        Ok(discovery.look_again(now).then_some(range))
    }

    /// Returns true if the run waits for ongoing conversations: those of an interval that is over.
    pub(super) fn waits_for_live(&self) -> bool {
        let over = |until: u64| until <= self.clock.now();
        !self.following && self.interval.until.is_some_and(over)
    }

    /// Begins fetches: of full groups while a search is under way, and then of what is left.
    pub(super) async fn form_fetches(
        &self,
        in_flight: &mut InFlight,
        now: u64,
    ) -> Result<(), RunError> {
        in_flight.discovery.pass(now);
        // What waits for a sink that is away is bounded: then everything waits for it.
        if in_flight.sinks.any_unavailable() && self.ledger.sealed().await? >= BEHIND {
            return Ok(());
        }
        let most = self.most_fetches(in_flight);
        let under_way = |it: &InFlight| it.splits.begun() + it.handed.len();
        while in_flight.discovery.is_wanted() && under_way(in_flight) < most {
            let any = !in_flight.splits.is_searching();
            let gathered = self
                .ledger
                .next_batch(&self.export, self.fetch_size, any, now)
                .await?;
            let Some((name, conversations)) = gathered else {
                let due = self.next_wanted().await?.filter(|due| *due > now);
                in_flight.discovery.none_until(due);
                break;
            };
            self.mark_sinks(in_flight).await?;
            if self.fleet.publisher().is_some() && in_flight.sinks.allows(1, now) == 0 {
                // An order says which sinks it is for.
                let sinks = &in_flight.sinks;
                let due = sinks.paused_until().or_else(|| sinks.next_probe());
                let due = due.unwrap_or(now + LOOK_AT_SINKS).max(now + 1000);
                in_flight.discovery.none_until(Some(due));
                break;
            }
            let ids: Vec<String> = conversations.iter().map(|one| one.id.clone()).collect();
            let fetch = Fetch {
                name: name.clone(),
                conversations,
            };
            let started = self.start(Purpose::Fetch(fetch)).await?;
            let splits = self
                .ledger
                .fetch(name.clone(), ids, started.splits, now)
                .await?;
            if self.hand_over(&name, in_flight).await? {
                continue;
            }
            for id in splits {
                // Counted as begun, so that no more are gathered than may be under way.
                in_flight.splits.begin(id.clone());
                in_flight.splits.add(id, now);
            }
        }
        Ok(())
    }

    /// When the next conversation is to be fetched that was put off (ms), if the run waits for it.
    pub(super) async fn next_wanted(&self) -> Result<Option<u64>, RunError> {
        let live = self.following || self.waits_for_live();
        Ok(self.ledger.next_wanted(live).await?)
    }

    /// Tells once that a run that ends at some time has nothing to do for more than a minute but to wait for
    /// conversations.
    pub(super) fn tell_wait(
        &self,
        in_flight: &InFlight,
        reported: &mut u64,
        next: u64,
        idle: bool,
    ) {
        let now = self.clock.now();
        let waits = idle && !self.following && in_flight.discovery.next_due(now) == Some(next);
        if waits && next != *reported && next.saturating_sub(now) > LONG_WAIT {
            *reported = next;
            self.events.emit(|| Event::Waiting { until: next });
        }
    }

    async fn start(&self, purpose: Purpose) -> Result<Started, RunError> {
        self.source
            .start(purpose, self.clock.now())
            .await?
            .map_err(RunError::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_begins_with_a_search_and_with_what_was_found_before() {
        let discovery = Discovery::default();
        assert!(discovery.is_search_due(0) && discovery.is_wanted() && !discovery.is_fetched());
    }

    #[test]
    fn what_was_put_off_is_wanted_when_it_is_due() {
        let mut discovery = Discovery::default();
        discovery.none_until(Some(50));
        assert!(!discovery.is_wanted() && !discovery.is_fetched());
        discovery.pass(49);
        assert_eq!(
            (discovery.is_wanted(), discovery.next_due(49)),
            (false, Some(50))
        );
        discovery.pass(50);
        assert!(discovery.is_wanted());
        discovery.none_until(None);
        assert!(discovery.is_fetched());
    }

    #[test]
    fn what_goes_on_is_looked_for_again_after_growing_pauses() {
        let mut discovery = Discovery::default();
        discovery.search_at(None);
        assert!(discovery.is_searched());
        assert!(!discovery.look_again(0));
        assert_eq!(discovery.next_due(0), Some(LOOK_AGAIN));
        discovery.search_at(None);
        assert!(discovery.look_again(LOOK_AGAIN));
        assert!(!discovery.is_searched() && discovery.next_due(0) > Some(LOOK_AGAIN));
    }

    #[test]
    fn a_time_that_has_passed_hides_no_later_one() {
        let mut discovery = Discovery::default();
        discovery.none_until(Some(50));
        assert_eq!(discovery.next_due(10), Some(50));
    }
}
