//! What an operator allows, and why no request is sent when all of it is used.

/// The most requests that an operator allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestLimits {
    /// In any minute.
    pub per_minute: Option<u32>,
    /// In a month of the calendar, in UTC.
    pub per_month: Option<u64>,
}

impl RequestLimits {
    /// The lower one of each.
    pub(super) fn and(self, other: Self) -> Self {
        let least = |one: Option<u64>, other: Option<u64>| one.into_iter().chain(other).min();
        let minute = |of: Self| of.per_minute.map(u64::from);
        let per_minute = least(minute(self), minute(other));
        RequestLimits {
            per_minute: per_minute.and_then(|most| u32::try_from(most).ok()),
            per_month: least(self.per_month, other.per_month),
        }
    }
}

/// Why no request is sent any more for now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestHalt {
    /// The month's ceiling is reached.
    #[error("all {ceiling} requests of this month have been made (`limits.requests_per_month`): none is sent before {}; raise it, or run again then", instant(*.until))]
    Spent {
        /// The ceiling.
        ceiling: u64,
        /// When the next month begins, in ms since the epoch.
        until: u64,
    },
    /// The month's requests cannot be counted, so that none is sent.
    #[error("the requests of this month cannot be counted: {0}")]
    Uncounted(String),
}

/// An instant in ms since the epoch, as text.
fn instant(ms: u64) -> String {
    let at = i64::try_from(ms).ok();
    let at = at.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map_or_else(|| ms.to_string(), |at| at.to_string())
}

/// The requests of a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MonthlyRequests {
    /// How many were made so far, by whoever counts in the same folder; of a shared count, as far as this process
    /// has heard.
    pub requests: u64,
    /// The most.
    pub ceiling: u64,
}
