//! Text from outside: invalid text becomes U+FFFD, and instants are read as vendors write them.

use std::borrow::Cow;

use jiff::Timestamp as Instant;

use super::scan::plain;
use crate::Timestamp;

/// JSON as text that can be parsed: bytes that are not UTF-8 and halves of surrogate pairs (such as
/// `\ud83d` without its partner) become U+FFFD, also in keys; raw control characters in strings are
/// escaped, and a byte order mark is left out. Clean text is not copied.
#[must_use]
pub fn clean(bytes: &[u8]) -> Cow<'_, str> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // Several bytes at once, unlike the search for what is none.
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    };
    if is_surely_clean(text.as_bytes()) {
        return text;
    }
    let mut odd = Scan::of(&text).peekable();
    if odd.peek().is_none() {
        drop(odd);
        return text;
    }
    let mut cleaned = String::with_capacity(text.len() + 16);
    let mut copied = 0;
    for (at, found) in odd {
        cleaned.push_str(&text[copied..at]);
        match found {
            RefusedPart::Surrogate => cleaned.push_str("\\ufffd"),
            RefusedPart::Control(byte) => cleaned.push_str(&format!("\\u{byte:04x}")),
        }
        copied = at + found.len();
    }
    cleaned.push_str(&text[copied..]);
    Cow::Owned(cleaned)
}

/// Returns true if there is nothing that could be a part that a parser refuses, in a string or not.
fn is_surely_clean(mut rest: &[u8]) -> bool {
    loop {
        rest = &rest[plain(rest, b'\\')..];
        rest = match rest {
            [] => return true,
            [b'\\', b'u', b'd' | b'D', ..] => return false,
            [b'\\', after @ ..] => after,
            _ => return false,
        };
    }
}

/// A part of a string that a JSON parser refuses.
#[derive(Clone, Copy)]
enum RefusedPart {
    /// The escape of half of a surrogate pair.
    Surrogate,
    /// A control character that is not escaped.
    Control(u8),
}

impl RefusedPart {
    fn len(self) -> usize {
        match self {
            RefusedPart::Surrogate => 6,
            RefusedPart::Control(_) => 1,
        }
    }
}

/// Finds the parts that a parser refuses, from the beginning to the end.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    /// True if `at` is inside a string.
    inside: bool,
}

impl<'a> Scan<'a> {
    fn of(text: &'a str) -> Self {
        Scan {
            bytes: text.as_bytes(),
            at: 0,
            inside: false,
        }
    }

    /// The 16 bits that are escaped at a place as `\uXXXX`, if they are half of a pair.
    fn half(&self, at: usize) -> Option<u16> {
        let digits = self.bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        let digits = std::str::from_utf8(digits).ok()?;
        let unit = u16::from_str_radix(digits, 16).ok()?;
        (0xD800..=0xDFFF).contains(&unit).then_some(unit)
    }
}

impl Iterator for Scan<'_> {
    type Item = (usize, RefusedPart);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.inside {
                self.at += plain(self.bytes.get(self.at..).unwrap_or_default(), b'"');
            }
            let at = self.at;
            let byte = *self.bytes.get(at)?;
            self.at += 1;
            match byte {
                b'"' => self.inside = !self.inside,
                b'\\' if self.inside => match self.half(at) {
                    // The digits of any other escape are no backslash and no quote.
                    None => self.at = at + 2,
                    Some(0xD800..=0xDBFF) if matches!(self.half(at + 6), Some(0xDC00..)) => {
                        self.at = at + 12;
                    }
                    Some(_) => {
                        self.at = at + 6;
                        return Some((at, RefusedPart::Surrogate));
                    }
                },
                0..0x20 if self.inside => return Some((at, RefusedPart::Control(byte))),
                _ => {}
            }
        }
    }
}

/// An instant as vendors write it: RFC 3339, also without the colon in its offset; ms since the epoch.
#[must_use]
pub fn instant(text: &str) -> Option<Timestamp> {
    let at: Instant = text
        .parse()
        .or_else(|_| Instant::strptime("%Y-%m-%dT%H:%M:%S%.f%z", text))
        .ok()?;
    u64::try_from(at.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_text_is_not_copied() {
        for text in [
            r#"{"a":"\ud83d\ude00 \\ud83d \" \u00e9","b":[1,2]}"#,
            "{\n\t\"pretty\": \"printed\"\r\n}",
            "",
        ] {
            assert!(matches!(clean(text.as_bytes()), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn halves_of_pairs_bad_bytes_and_control_characters_cost_themselves_alone() {
        let cases: [(&[u8], &str); 8] = [
            (br#"{"a":"x \ud83d"}"#, "x \u{fffd}"),
            (br#"{"a":"\ud83dx"}"#, "\u{fffd}x"),
            (br#"{"a":"\ude00"}"#, "\u{fffd}"),
            (br#"{"a":"\ud83d\ud83d\ude00"}"#, "\u{fffd}\u{1f600}"),
            (br#"{"a":"\ud83d\n\\"}"#, "\u{fffd}\n\\"),
            (b"{\"a\":\"b\xffc\"}", "b\u{fffd}c"),
            (b"{\"a\":\"b\tc\nd\"}", "b\tc\nd"),
            (b"\xef\xbb\xbf{\"a\":\"bom\"}", "bom"),
        ];
        for (bytes, expected) in cases {
            let read: serde_json::Value = serde_json::from_str(&clean(bytes)).unwrap();
            assert_eq!(read["a"], expected, "{}", String::from_utf8_lossy(bytes));
        }
        let key: serde_json::Value = serde_json::from_str(&clean(br#"{"\udfff":1}"#)).unwrap();
        assert_eq!(key["\u{fffd}"], 1);
        // A truncated escape is not JSON, and causes no panic either.
        for cut in [
            r#"{"a":"\u"#,
            r#"{"a":"\ud8"#,
            r#"{"a":"\"#,
            r#"{"a":"\ud83d\u"#,
        ] {
            assert!(serde_json::from_str::<serde_json::Value>(&clean(cut.as_bytes())).is_err());
        }
    }

    #[test]
    fn instants_are_read_with_and_without_a_colon() {
        let at = Some(1_767_607_200_123);
        for text in [
            "2026-01-05T10:00:00.123+0000",
            "2026-01-05T10:00:00.123Z",
            "2026-01-05T11:00:00.123+01:00",
        ] {
            assert_eq!(instant(text), at, "{text}");
        }
        assert_eq!(instant("2026-01-05T10:00:00+0000"), Some(1_767_607_200_000));
        assert_eq!(instant("yesterday"), None);
        assert_eq!(instant("1969-01-01T00:00:00Z"), None);
    }
}
