//! Reads JSON that others wrote, as far as it can be read.
//!
//! Bytes that are no UTF-8, halves of surrogate pairs, and control characters in strings become U+FFFD.
//! Of a document that still is no JSON, the objects count that are: one that is odd costs itself alone.

//!
//! Nothing of it is ever a tree of values, which would take a hundred times the memory of its text.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{
    Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// How deep in a document that is no JSON objects are looked for.
const DEEP: usize = 8;
/// The most fields of an object that are read: as many as an archive has files.
const FIELDS: usize = 50_000;

/// The text of a document, without what strings of JSON must not have in them.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    let begin = |text: &str| text.len() - text.trim_start_matches('\u{feff}').len();
    match String::from_utf8_lossy(bytes) {
        Cow::Borrowed(text) => mended(&text[begin(text)..]),
        Cow::Owned(text) => Cow::Owned(mended(&text[begin(&text)..]).into_owned()),
    }
}

/// The contents of a text: all of it, or the objects in it that can be read.
pub(super) fn read(text: &str) -> Vec<&RawValue> {
    match serde_json::from_str(text) {
        Ok(value) => vec![value],
        Err(_) => objects(text),
    }
}

/// Hands on the elements of a list, one by one.
pub(super) fn elements<'a>(list: &'a RawValue, each: impl FnMut(&'a RawValue)) {
    let mut from = serde_json::Deserializer::from_str(list.get());
    // What was read as a part of a document is JSON.
    let _ = from.deserialize_seq(Elements(each));
}

/// The fields of an object, by name.
pub(super) fn fields(object: &RawValue) -> BTreeMap<String, &RawValue> {
    let mut from = serde_json::Deserializer::from_str(object.get());
    from.deserialize_map(Fields).unwrap_or_default()
}

struct Elements<F>(F);

impl<'a, F: FnMut(&'a RawValue)> Visitor<'a> for Elements<F> {
    type Value = ();

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element()? {
            (self.0)(element);
        }
        Ok(())
    }
}

struct Fields;

impl<'a> Visitor<'a> for Fields {
    type Value = BTreeMap<String, &'a RawValue>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut fields = BTreeMap::new();
        while let Some((name, value)) = object.next_entry()? {
            if fields.len() < FIELDS {
                fields.insert(name, value);
            }
        }
        Ok(fields)
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
fn objects(text: &str) -> Vec<&RawValue> {
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
    use serde_json::{Value, json};

    fn values(document: &[u8]) -> Vec<Value> {
        let text = text(document);
        let values = read(&text).into_iter();
        values
            .map(|value| serde_json::from_str(value.get()).unwrap())
            .collect()
    }

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
            assert_eq!(values(document), [expected], "{shown}");
        }
    }

    #[test]
    fn one_odd_object_costs_itself_alone() {
        let ids = |document: &str| -> Vec<String> {
            let values = values(document.as_bytes()).into_iter();
            values.map(|value| value["id"].to_string()).collect()
        };
        assert_eq!(ids(r#"[{"id":1},{"id":2,,},{"id":3}"#), ["1", "3"]);
        assert_eq!(
            ids(r#"{"all":[{"id":1},{"id":NaN},{"id":"}{"}]}"#),
            ["1", "\"}{\""]
        );
        assert_eq!(ids(r#"{"id":1}{"id":2} and {"id":"#), ["1", "2"]);
        assert!(values(b"no JSON").is_empty());
        let deep = format!("{}{{\"id\":1}}", "[{\"a\":".repeat(100_000));
        assert_eq!(ids(&deep).len(), 0);
    }
}
