//! Begins the work: searches for conversations, and fetches of what was found.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Interval, Run, RunError, live::FIND, live::Live, ms, pause, source_error};
use recording_host_model::{Fetch, Find, Purpose, SourceError, Started, TimeRange};
use recording_host_state::Searched;

/// How many conversations may wait for a sink that is unavailable.
const BEHIND: u64 = 100_000;

/// The shortest pause before conversations that go on are looked for again (ms).
const LOOK_AGAIN: u64 = 600_000;

/// What is to be searched.
struct NextRange {
    range: Option<TimeRange>,
    /// In how many ms there may be more to search, if at all.
    after: Option<u64>,
}

/// How an export with an open end keeps up with new conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Follow {
    /// How long after its end a conversation is left alone, in seconds: its data are not complete at once.
    #[serde(rename = "settle_seconds", with = "seconds")]
    #[schemars(with = "u64")]
    pub settle: Duration,
    /// How far behind the last search the next one begins, in seconds, for what came late.
    #[serde(rename = "look_back_seconds", with = "seconds")]
    #[schemars(with = "u64")]
    pub look_back: Duration,
    /// The pause between two searches, in seconds.
    #[serde(rename = "every_seconds", with = "seconds")]
    #[schemars(with = "u64")]
    pub every: Duration,
}

impl Default for Follow {
    fn default() -> Self {
        Follow {
            settle: Duration::from_secs(30 * 60),
            look_back: Duration::from_secs(48 * 3600),
            every: Duration::from_secs(5 * 60),
        }
    }
}

/// A length of time as a number of seconds.
mod seconds {
    use super::{Deserialize, Deserializer, Duration, Serializer};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_secs)
    }

    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(time.as_secs())
    }
}

impl Run {
    /// Begins the next search if it is due.
    pub(super) async fn search(&self, live: &mut Live, now: u64) -> Result<(), RunError> {
        if !live.finding.is_empty() || live.next_search.is_none_or(|due| due > now) {
            return Ok(());
        }
        let searched = self.queue.searched().await?;
        let next = self.next_range(&searched, now);
        live.next_search = next.after.map(|after| now + after);
        let range = match next.range {
            Some(range) => range,
            None => match self.live_range(live, now).await? {
                Some(range) => range,
                None => return Ok(()),
            },
        };
        let name = format!("{FIND}{:06}", searched.begun + 1);
        let started = self.start(Purpose::Find(Find { name, range })).await?;
        for id in self.queue.search(started.splits, range, now).await? {
            live.add(id, now);
        }
        if live.finding.is_empty() {
            // A range in which there is nothing to step.
            self.searched(live).await?;
        }
        Ok(())
    }

    /// What is to be searched now, and in how many ms something is to be searched after that. What
    /// lies in the future, or has only just happened, cannot be searched yet.
    fn next_range(&self, searched: &Searched, now: u64) -> NextRange {
        let Interval { from: first, until } = self.interval;
        let over = until.is_some_and(|until| until <= now);
        // An interval that is over is waited for; of one that goes on a run takes what is ready.
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

    /// The time in which those conversations began that go on: they are looked for again.
    async fn live_range(&self, live: &mut Live, now: u64) -> Result<Option<TimeRange>, RunError> {
        let Some((first, last)) = self.queue.live().await? else {
            return Ok(None);
        };
        if !self.waits_for_live() {
            return Ok(None);
        }
        live.looks += 1;
        let again = now + (pause(live.looks) * 10).max(LOOK_AGAIN);
        live.next_search = Some(live.next_search.unwrap_or(again).min(again));
        match live.looks {
            // They have only just been found.
            1 => Ok(None),
            _ => Ok(Some(TimeRange {
                from: first,
                until: last + 1,
            })),
        }
    }

    /// Whether the run waits for conversations that go on: those of an interval that is over.
    pub(super) fn waits_for_live(&self) -> bool {
        let over = |until: u64| until <= self.clock.now();
        !self.following && self.interval.until.is_some_and(over)
    }

    /// Notes that a search is over, once all of its splits are done.
    pub(super) async fn searched(&self, live: &Live) -> Result<(), RunError> {
        if live.finding.is_empty() {
            self.queue.searched_all(self.clock.now()).await?;
        }
        Ok(())
    }

    /// Begins fetches: of full groups while a search is under way, and then of what is left.
    pub(super) async fn gather(&self, live: &mut Live, now: u64) -> Result<(), RunError> {
        if live.next_wanted.is_some_and(|due| due <= now) {
            live.wanted = true;
            live.next_wanted = None;
        }
        // What waits for a sink that is away is bounded: then everything waits for it.
        if live.lanes.any_away() && self.queue.closing().await? >= BEHIND {
            return Ok(());
        }
        while live.wanted && live.begun.len() < self.concurrency.splits {
            let any = live.finding.is_empty();
            let gathered = self
                .queue
                .gather(&self.export, self.fetch_size, any, now)
                .await?;
            let Some((name, conversations)) = gathered else {
                live.wanted = false;
                live.next_wanted = self.next_wanted().await?.filter(|due| *due > now);
                break;
            };
            self.mark_sinks(live).await?;
            let ids: Vec<String> = conversations.iter().map(|one| one.id.clone()).collect();
            let fetch = Fetch {
                name: name.clone(),
                conversations,
            };
            let started = self.start(Purpose::Fetch(fetch)).await?;
            for id in self.queue.fetch(name, ids, started.splits, now).await? {
                // Counted as begun, so that no more are gathered than may be under way.
                live.begun.insert(id.clone());
                live.add(id, now);
            }
        }
        Ok(())
    }

    /// When the next conversation is to be fetched that was put off (ms), if the run waits for it.
    pub(super) async fn next_wanted(&self) -> Result<Option<u64>, RunError> {
        let live = self.following || self.waits_for_live();
        Ok(self.queue.next_wanted(live).await?)
    }

    async fn start(&self, purpose: Purpose) -> Result<Started, RunError> {
        self.source
            .start(purpose, self.clock.now())
            .await?
            .map_err(|error| match error {
                SourceError::Options(error) => RunError::Options(error),
                error => RunError::Source(source_error(&error)),
            })
    }
}
