//! Reads JSON that others wrote, as far as it can be read.
//!
//! Bytes that are no UTF-8, halves of surrogate pairs, and control characters in strings become U+FFFD.
//! Of a document that still is no JSON, the objects count that are: one that is odd costs itself alone.

use std::borrow::Cow;

use serde_json::Value;

/// How deep in a document that is no JSON objects are looked for.
const DEEP: usize = 8;

/// The contents of a document: all of it, or the objects in it that can be read.
pub(super) fn read(bytes: &[u8]) -> Vec<Value> {
    if let Ok(value) = serde_json::from_slice(bytes) {
        return vec![value];
    }
    let text = String::from_utf8_lossy(bytes);
    let text = mended(text.trim_start_matches('\u{feff}'));
    match serde_json::from_str(&text) {
        Ok(value) => vec![value],
        Err(_) => objects(&text),
    }
}

/// A text without what strings of JSON must not have in them.
fn mended(text: &str) -> Cow<'_, str> {
    let mut mended = String::new();
    let (mut copied, mut at, mut inside) = (0, 0, false);
    let bytes = text.as_bytes();
    while let Some(&byte) = bytes.get(at) {
        let (length, wrong) = match byte {
            b'\\' if inside => escape(&text[at..]),
            _ => (1, inside && byte < b' '),
        };
        inside ^= byte == b'"';
        if wrong {
            mended.push_str(&text[copied..at]);
            mended.push('\u{fffd}');
            copied = at + length;
        }
        at += length;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    mended.push_str(&text[copied..]);
    Cow::Owned(mended)
}

/// How long the escape at the beginning of a text is, and whether it is none.
fn escape(text: &str) -> (usize, bool) {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        let digits = digits
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit())
            .then_some(digits)?;
        u16::from_str_radix(digits, 16).ok()
    };
    match text.as_bytes().get(1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => (2, false),
        Some(b'u') => match (unit(0), unit(6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, false),
            (Some(0xd800..=0xdfff), _) => (6, true),
            (Some(_), _) => (6, false),
            (None, _) => (1, true),
        },
        _ => (1, true),
    }
}

/// The objects in a text that can be read, the outer ones first.
fn objects(text: &str) -> Vec<Value> {
    // Where each object begins and ends, and in how many others it is.
    let mut open = Vec::new();
    let mut found = Vec::new();
    let (mut inside, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            b'{' if !inside => open.push(at),
            b'}' if !inside => {
                if let Some(begin) = open.pop()
                    && open.len() < DEEP
                {
                    found.push((begin, at + 1));
                }
            }
            _ => {}
        }
    }
    found.sort_unstable();
    let mut values = Vec::new();
    let mut read = 0;
    for (begin, end) in found {
        if begin < read {
            continue;
        }
        if let Ok(value) = serde_json::from_str(&text[begin..end]) {
            values.push(value);
            read = end;
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_no_text_in_a_document_costs_no_more_than_itself() {
        for (document, expected) in [
            (&br#"{"a":"x"}"#[..], json!({ "a": "x" })),
            (b"\xef\xbb\xbf{\"a\":1}", json!({ "a": 1 })),
            (
                b"{\"a\":\"gr\xfc\xdfe\"}",
                json!({ "a": "gr\u{fffd}\u{fffd}e" }),
            ),
            (br#"{"a":"x\ud83dy"}"#, json!({ "a": "x\u{fffd}y" })),
            (
                br#"{"a":"x\ude00\ud83d"}"#,
                json!({ "a": "x\u{fffd}\u{fffd}" }),
            ),
            (
                br#"{"a\ud83d":"\ud83d\ude00"}"#,
                json!({ "a\u{fffd}": "😀" }),
            ),
            (br#"{"a":"\ud83d\u0041"}"#, json!({ "a": "\u{fffd}A" })),
            (
                b"{\"a\":\"x\ny\tz\"}",
                json!({ "a": "x\u{fffd}y\u{fffd}z" }),
            ),
            (br#"{"a":"c:\x\y"}"#, json!({ "a": "c:\u{fffd}x\u{fffd}y" })),
            (br#"{"a":"\u12"}"#, json!({ "a": "\u{fffd}u12" })),
        ] {
            let shown = String::from_utf8_lossy(document);
            assert_eq!(read(document), [expected], "{shown}");
        }
    }

    #[test]
    fn one_odd_object_costs_itself_alone() {
        let ids = |document: &str| -> Vec<String> {
            let values = read(document.as_bytes()).into_iter();
            values.map(|value| value["id"].to_string()).collect()
        };
        assert_eq!(ids(r#"[{"id":1},{"id":2,"n":1e999},{"id":3}]"#), ["1", "3"]);
        assert_eq!(ids(r#"[{"id":1},{"id":2,,},{"id":3}"#), ["1", "3"]);
        assert_eq!(
            ids(r#"{"all":[{"id":1},{"id":NaN},{"id":"}{"}]}"#),
            ["1", "\"}{\""]
        );
        assert_eq!(ids(r#"{"id":1}{"id":2} and {"id":"#), ["1", "2"]);
        assert!(read(b"no JSON").is_empty());
        let deep = format!("{}{{\"id\":1}}", "[{\"a\":".repeat(100_000));
        assert_eq!(ids(&deep).len(), 0);
    }
}
