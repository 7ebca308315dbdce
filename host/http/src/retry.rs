//! When something that failed is tried again: one policy for requests and downloads.

use std::time::{Duration, SystemTime};

/// The longest that a server may ask us to wait before another attempt.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// The ceiling of the pause before the second attempt; it doubles with each further one, six times.
const FIRST_PAUSE: Duration = Duration::from_millis(1000);

/// The pause before attempt number `tried + 1`: as long as the server requested, within bounds, or the
/// part `jitter` of a ceiling that doubles with each attempt.
pub(super) fn pause(tried: u32, asked: Option<Duration>, jitter: f64) -> Duration {
    let ceiling = FIRST_PAUSE * (1 << tried.saturating_sub(1).min(5));
    asked.map_or(ceiling.mul_f64(jitter), |asked| asked.min(LONGEST_WAIT))
}

/// Returns true if a later attempt at the same thing can succeed after this status.
pub(super) fn is_retryable(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// How long a server asks to wait, at `now` (ms): seconds, or the instant until which (RFC 9110,
/// section 10.2.3).
pub(super) fn retry_after(header: &str, now: u64) -> Option<Duration> {
    let text = header.trim();
    if !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit()) {
        // One that does not fit is as good as the longest.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let until = until.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(until.saturating_sub(Duration::from_millis(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_ceiling_and_what_a_server_asks_for_is_bounded() {
        let pauses = [1, 2, 3, 6, 7, 40].map(|tried| pause(tried, None, 1.0).as_millis());
        assert_eq!(pauses, [1000, 2000, 4000, 32_000, 32_000, 32_000]);
        assert_eq!(pause(1, None, 0.1), Duration::from_millis(100));
        let asked = |seconds| pause(9, Some(Duration::from_secs(seconds)), 1.0).as_secs();
        assert_eq!([asked(0), asked(7), asked(u64::MAX)], [0, 7, 300]);
    }

    #[test]
    fn a_wait_is_seconds_or_an_instant() {
        let wait = |header| retry_after(header, 1_700_000_000_000).map(|wait| wait.as_secs());
        assert_eq!(wait(" 12 "), Some(12));
        assert_eq!(wait("Tue, 14 Nov 2023 22:13:50 GMT"), Some(30));
        assert_eq!(wait("Tue, 14 Nov 2023 22:13:10 GMT"), Some(0));
        assert_eq!(wait("soon"), None);
        assert_eq!(wait(""), None);
        assert_eq!(wait("99999999999999999999999"), Some(u64::MAX));
    }
}
