//! Begins the work: searches for conversations, and fetches of what was found.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Run, RunError, live::FIND, live::Live, ms, source_error};
use crate::sandbox::{Fetch, Find, Purpose, SourceError, Started, TimeRange};

/// How many conversations may wait for a sink that is out of order.
const BEHIND: u64 = 100_000;

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
    /// Begins the next search if it is due, and notes how far the last one got.
    pub(super) async fn search(&self, live: &mut Live, now: u64) -> Result<(), RunError> {
        if !live.finding.is_empty() || live.next_search.is_none_or(|due| due > now) {
            return Ok(());
        }
        let searched = self.queue.searched().await?;
        let range = match self.interval.until {
            // One search, and no other unless it is asked for.
            Some(until) if searched.begun == 0 || searched.again => TimeRange {
                from: self.interval.from,
                until,
            },
            Some(_) => {
                live.next_search = None;
                return Ok(());
            }
            None => {
                let mark = searched.until.unwrap_or(self.interval.from);
                // A run that ends takes what it need not wait for.
                let rest = match self.following {
                    true => self.follow.settle,
                    false => self.follow.settle.max(self.confirm),
                };
                let until = now.saturating_sub(ms(rest));
                let from = mark.saturating_sub(ms(self.follow.look_back));
                let from = from.max(self.interval.from);
                let (from, until) = match searched.again {
                    true => (self.interval.from, until.max(mark)),
                    false => (from, until),
                };
                live.next_search = self.following.then(|| now + ms(self.follow.every));
                if until <= from || (until <= mark && !searched.again) {
                    return Ok(());
                }
                TimeRange { from, until }
            }
        };
        let until = range.until;
        let name = format!("{FIND}{:06}", searched.begun + 1);
        let started = self.start(Purpose::Find(Find { name, range })).await?;
        let added = self.queue.search(started.splits, until, now).await?;
        for id in added {
            live.add(id, now);
        }
        Ok(())
    }

    /// Notes that a search is over, once all of its splits are done.
    pub(super) async fn searched(&self, live: &Live) -> Result<(), RunError> {
        if live.finding.is_empty() {
            self.queue.searched_all().await?;
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
                live.next_wanted = self.queue.next_wanted().await?.filter(|due| *due > now);
                break;
            };
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
