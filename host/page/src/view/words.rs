//! Numbers, times and texts as people read them.

use std::time::Duration;

use jiff::Timestamp;

use crate::index::printable;

/// A number with its thousands apart.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes.
pub(crate) fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["bytes", "kB", "MB", "GB", "TB"] {
        if value < 1000.0 {
            return match unit {
                "bytes" => format!("{bytes} bytes"),
                unit => format!("{value:.1} {unit}"),
            };
        }
        value /= 1000.0;
    }
    format!("{value:.1} PB")
}

/// A duration of milliseconds.
pub(super) fn clock(ms: u64) -> String {
    let seconds = ms / 1000;
    let (hours, minutes, rest) = (seconds / 3600, seconds % 3600 / 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{rest:02}"),
        hours => format!("{hours}:{minutes:02}:{rest:02}"),
    }
}

/// A length of time, in the unit that suits it.
pub(super) fn time(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A time to the second.
pub(super) fn instant(ms: i64) -> String {
    let at = Timestamp::from_millisecond(ms).unwrap_or_default();
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A time as programs read it.
pub(super) fn stamp(ms: i64) -> String {
    let at = Timestamp::from_millisecond(ms).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// How long ago a time was; none of one that is still to come, or is none.
pub(super) fn ago(stamp: &str) -> Option<String> {
    let then: Timestamp = stamp.parse().ok()?;
    let passed = Duration::try_from(Timestamp::now().duration_since(then)).ok()?;
    Some(format!("{} ago", time(passed)))
}

/// A text of the archive, cut.
pub(super) fn cut(text: &str, length: usize) -> String {
    let mut short: String = printable(text).chars().take(length).collect();
    if text.chars().nth(length).is_some() {
        short.push('…');
    }
    short
}

/// A part of a path.
pub(super) fn escaped(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_at_a_glance() {
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(number(12), "12");
        assert_eq!(bytes(999), "999 bytes");
        assert_eq!(bytes(211_200_000), "211.2 MB");
        assert_eq!(clock(3_723_000), "1:02:03");
        assert_eq!(time(Duration::from_millis(119_900)), "119 s");
        assert_eq!(time(Duration::from_secs(7199)), "119 min");
        assert_eq!(instant(0), "1970-01-01 00:00:00");
        assert_eq!(stamp(0), "1970-01-01T00:00:00Z");
        assert!(ago("2026-01-05T00:00:00Z").unwrap().ends_with(" days ago"));
        assert_eq!((ago("9999-01-05T00:00:00Z"), ago("then")), (None, None));
        assert_eq!(cut("abcd", 3), "abc…");
        assert_eq!(escaped("a/b"), "a%2Fb");
    }
}
