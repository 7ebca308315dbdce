//! The number of a month's requests of all nodes: one message for each credential.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use recording_host_http::SharedCount;

use crate::{
    ClusterError, Fleet,
    connection::Try,
    publish::{Put, Stored, new_id},
    streams::StreamUse,
};

/// The version of the format.
const VERSION: u32 = 1;

/// The requests of a month as they stand in the bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Month {
    v: u32,
    /// Its first day.
    month: Date,
    /// How many are counted.
    requests: u64,
    /// How many of them were counted by the last change.
    granted: u32,
    /// The id of the change that made it so.
    write: String,
}

/// Counts up to `wanted` further requests of a month, as far as there is room below the ceiling.
pub(super) async fn count(
    fleet: &Fleet,
    of: &str,
    month: Date,
    wanted: u32,
    ceiling: u64,
) -> Result<SharedCount, ClusterError> {
    let stream = fleet.stream(StreamUse::FleetRateLimiter).await?;
    let subject = StreamUse::FleetRateLimiter.subject(&fleet.settings, of);
    let write = new_id();
    let call = async || {
        let (stored, sequence) = match fleet.last(&stream, &subject).await? {
            Some(message) => (
                Some(Month::read(&subject, &message.payload)?),
                message.sequence,
            ),
            None => (None, 0),
        };
        // An answer that did not come.
        if let Some(stored) = stored.as_ref().filter(|it| it.write == write) {
            return Ok(Try::Done(stored.counted()));
        }
        let next = Month::after(stored, month, wanted, ceiling, &write);
        if next.granted == 0 {
            return Ok(Try::Done(next.counted()));
        }
        let put = Put::new(&*subject, next.to_bytes()).after(sequence);
        Ok(match fleet.put(put).await? {
            Stored::At(_) => Try::Done(next.counted()),
            other => Try::Passing(format!("{other:?}")),
        })
    };
    fleet.repeat("counting the month's requests", call).await
}

impl Month {
    /// What stands there after further requests. A month that has begun for one node has begun for all.
    fn after(stored: Option<Month>, month: Date, wanted: u32, ceiling: u64, write: &str) -> Month {
        let (month, before) = match stored {
            Some(stored) if stored.month >= month => (stored.month, stored.requests),
            _ => (month, 0),
        };
        let room = u32::try_from(ceiling.saturating_sub(before)).unwrap_or(u32::MAX);
        let granted = wanted.min(room);
        Month {
            v: VERSION,
            month,
            requests: before + u64::from(granted),
            granted,
            write: write.to_owned(),
        }
    }

    fn counted(&self) -> SharedCount {
        SharedCount {
            month: self.month,
            granted: self.granted,
            requests: self.requests,
        }
    }

    fn read(subject: &str, payload: &[u8]) -> Result<Self, ClusterError> {
        let what = || format!("the month's requests at {subject}");
        let month: Month =
            serde_json::from_slice(payload).map_err(|error| ClusterError::Unreadable {
                what: what(),
                reason: error.to_string(),
            })?;
        match month.v <= VERSION {
            true => Ok(month),
            false => Err(ClusterError::OtherVersion {
                what: what(),
                version: month.v,
            }),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_month_has_room_up_to_its_ceiling_and_never_goes_back() {
        let (january, february) = (date(2026, 1, 1), date(2026, 2, 1));
        let after = |stored, month, wanted, ceiling| {
            let next = Month::after(stored, month, wanted, ceiling, "w");
            ((next.month, next.granted, next.requests), Some(next))
        };
        let (counted, stored) = after(None, january, 8, 10);
        assert_eq!(counted, (january, 8, 8));
        let (counted, full) = after(stored, january, 8, 10);
        assert_eq!(counted, (january, 2, 10));
        assert_eq!(after(full.clone(), january, 8, 10).0, (january, 0, 10));
        // A ceiling that was lowered meanwhile.
        assert_eq!(after(full.clone(), january, 8, 3).0, (january, 0, 10));
        let (counted, stored) = after(full, february, 8, 10);
        assert_eq!(counted, (february, 8, 8));
        // A node whose clock is behind counts where the others do.
        assert_eq!(after(stored, january, 1, 10).0, (february, 1, 9));
    }

    #[test]
    fn the_format_is_the_one_that_other_nodes_read() {
        let month = Month::after(None, date(2026, 1, 1), 5, 10, "w");
        let text = String::from_utf8(month.to_bytes()).unwrap();
        assert_eq!(
            text,
            r#"{"v":1,"month":"2026-01-01","requests":5,"granted":5,"write":"w"}"#
        );
        assert!(Month::read("s", text.as_bytes()).is_ok());
        let later = text.replace(r#""v":1"#, r#""v":2"#);
        assert!(Month::read("s", later.as_bytes()).is_err());
    }
}
