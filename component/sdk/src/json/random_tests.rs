//! Random documents are read as `serde_json` reads each of their levels by itself.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{Object, clean, object};

type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// A sequence of numbers that follows from a seed (SplitMix64).
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    fn one_of(&mut self, of: &[&str]) -> String {
        of[self.below(of.len())].to_owned()
    }

    fn space(&mut self) -> String {
        self.one_of(&["", "", "", "", " ", "\n\t\r  "])
    }

    fn key(&mut self) -> String {
        self.one_of(&[
            r#""a""#,
            r#""b""#,
            r#""\u0061""#,
            r#""""#,
            r#""\"]}""#,
            r#""ключ""#,
            r#""a long name of a field""#,
            r#""\ud83d""#,
        ])
    }

    fn scalar(&mut self) -> String {
        match self.below(4) {
            0 => self.one_of(&[
                "null",
                "true",
                "false",
                "0",
                "-0.50",
                "1e999",
                "12345678901234567890123",
            ]),
            1 => format!("\"{}\"", "é[{\\\"".repeat(self.below(40))),
            2 => self.one_of(&[
                r#""\ud83d\ude00""#,
                r#""\ude00\ud83d""#,
                r#""x\\""#,
                r#""}""#,
                "\"a\u{1}b\"",
                r#""\n\/\u00e9""#,
            ]),
            _ => self.key(),
        }
    }

    fn value(&mut self, depth: usize) -> String {
        match self.below(if depth == 0 { 2 } else { 8 }) {
            0 | 1 => self.scalar(),
            2 | 3 => self.list(depth),
            4 => {
                let deep = self.below(60);
                format!("{}{}{}", "[".repeat(deep), self.value(0), "]".repeat(deep))
            }
            _ => self.object(depth),
        }
    }

    fn list(&mut self, depth: usize) -> String {
        let parts: Vec<String> = (0..self.below(6))
            .map(|_| format!("{}{}{}", self.space(), self.value(depth - 1), self.space()))
            .collect();
        match parts.is_empty() {
            true => format!("[{}]", self.space()),
            false => format!("[{}]", parts.join(",")),
        }
    }

    fn object(&mut self, depth: usize) -> String {
        let parts: Vec<String> = (0..self.below(6))
            .map(|_| {
                let (key, value) = (self.key(), self.value(depth - 1));
                let [a, b, c, d] = [(); 4].map(|()| self.space());
                format!("{a}{key}{b}:{c}{value}{d}")
            })
            .collect();
        format!("{{{}}}", parts.join(","))
    }

    /// Cuts a document off, or puts something in place of a byte.
    fn damage(&mut self, document: &mut Vec<u8>) {
        let at = self.below(document.len());
        match self.below(4) {
            0 => document.truncate(at),
            _ => document[at] = b"{}[]\",:\\u0e- \xff\x01"[self.below(15)],
        }
    }
}

/// Compares an object with what `serde_json` makes of it; returns how many levels there were.
fn compare(object: &Object<'_>, fields: &Fields<'_>) -> usize {
    let mut levels = 0;
    for (name, raw) in fields {
        let raw = raw.get();
        assert_eq!(object.raw(name), Some(raw).filter(|raw| *raw != "null"));
        let text = match raw.as_bytes()[0] {
            b'"' => serde_json::from_str(raw).ok(),
            b'[' | b'{' | b'n' => None,
            _ => Some(raw.to_owned()),
        };
        assert_eq!(object.text(name), text, "{raw}");
        let elements: Vec<&RawValue> = serde_json::from_str(raw).unwrap_or_default();
        let as_json = elements.iter().map(|raw| raw.get());
        assert_eq!(object.elements(name), as_json.collect::<Vec<_>>());
        let inner = elements
            .iter()
            .filter_map(|raw| serde_json::from_str(raw.get()).ok());
        let inner: Vec<Fields<'_>> = inner.collect();
        let objects: Vec<Object<'_>> = object.objects(name).collect();
        assert_eq!(objects.len(), inner.len());
        let pairs = objects.iter().zip(&inner);
        levels += pairs
            .map(|(object, fields)| compare(object, fields))
            .max()
            .unwrap_or(0);

        let named: Fields<'_> = serde_json::from_str(raw).unwrap_or_default();
        let inner = named.iter().filter_map(|(key, raw)| {
            let fields: Fields<'_> = serde_json::from_str(raw.get()).ok()?;
            Some((key, fields))
        });
        let inner: Vec<(&String, Fields<'_>)> = inner.collect();
        let objects = object.named_objects(name);
        assert_eq!(objects.len(), inner.len());
        for ((name, object), (key, fields)) in objects.iter().zip(&inner) {
            assert_eq!(&name, key);
            levels += object.apart(|object| compare(object, fields)).0;
        }
    }
    assert!(!object.has("nowhere"));
    levels + 1
}

#[test]
fn a_document_is_read_as_each_of_its_levels_would_be_by_itself() {
    let (mut read, mut refused, mut levels) = (0, 0, 0);
    for round in 0..2000 {
        let mut rng = Rng(round);
        let mut document = rng.object(7).into_bytes();
        for _ in 0..rng.below(3) {
            rng.damage(&mut document);
            if document.is_empty() {
                break;
            }
        }
        let cleaned = clean(&document);
        let found = object(&document, |object| {
            let fields: Fields<'_> = serde_json::from_str(&cleaned).unwrap();
            compare(object, &fields)
        });
        let expected = serde_json::from_str::<Fields<'_>>(&cleaned).map(drop);
        match (found, expected) {
            (Ok((depth, _)), Ok(())) => {
                read += 1;
                levels += depth;
            }
            (Err(found), Err(expected)) => {
                assert_eq!(found.to_string(), expected.to_string());
                refused += 1;
            }
            (found, expected) => panic!("{found:?} is not {expected:?}: {cleaned}"),
        }
        // As it is, too: halves of pairs are in it.
        let Ok(text) = std::str::from_utf8(&document) else {
            continue;
        };
        let found = Object::read(text, |object| {
            let fields: Fields<'_> = serde_json::from_str(text).unwrap();
            compare(object, &fields)
        });
        let expected = serde_json::from_str::<Fields<'_>>(text).map(drop);
        let refusal = |error: serde_json::Error| error.to_string();
        assert_eq!(found.map(drop).map_err(refusal), expected.map_err(refusal));
    }
    assert!(
        read > 500 && refused > 250 && levels > 2 * read,
        "{read} {refused} {levels}"
    );
}
