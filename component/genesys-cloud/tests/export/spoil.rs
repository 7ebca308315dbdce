//! Puts values of any type anywhere in JSON.

use serde_json::{Value, json};

/// A sequence of numbers that follows from a seed (SplitMix64).
pub(crate) struct SpoilRng(pub(crate) u64);

impl SpoilRng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// A value of any type.
    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth > 4 { 12 } else { 15 }) {
            0 => json!(null),
            1 => json!(self.next().is_multiple_of(2)),
            2 => json!(0),
            3 => json!(self.next() as i64),
            4 => json!(u64::MAX),
            5 => json!(1e300),
            6 => json!(-0.5),
            7 => json!(""),
            8 => json!("\u{0}\u{1b}[2J\u{202e}\n"),
            9 => json!("x".repeat(self.below(20_000))),
            10 => json!("2026-13-45T99:99:99Z"),
            11 => json!("275760-09-13T00:00:00Z"),
            12 => (0..self.below(4)).map(|_| self.value(depth + 1)).collect(),
            13 => (0..self.below(40)).fold(self.value(5), |inner, _| json!([inner])),
            _ => {
                let names = ["id", "sessions", "segments", "value", "", "name"];
                let fields = (0..self.below(4)).map(|_| {
                    let name = names[self.below(names.len())];
                    (name.to_owned(), self.value(depth + 1))
                });
                Value::Object(fields.collect())
            }
        }
    }
}

/// The pointers to all values in a value.
fn places(value: &Value, at: &str, into: &mut Vec<String>) {
    into.push(at.to_owned());
    match value {
        Value::Array(list) => {
            for (index, inner) in list.iter().enumerate() {
                places(inner, &format!("{at}/{index}"), into);
            }
        }
        Value::Object(fields) => {
            for (name, inner) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                places(inner, &format!("{at}/{name}"), into);
            }
        }
        _ => {}
    }
}

/// Puts a value of any type somewhere, but not in place of the whole or of what `kept` begins; returns
/// where.
pub(crate) fn spoil(value: &mut Value, rng: &mut SpoilRng, kept: &[&str]) -> String {
    let mut all = Vec::new();
    places(value, "", &mut all);
    all.retain(|at| !at.is_empty() && !kept.iter().any(|kept| at.starts_with(kept)));
    let at = all.swap_remove(rng.below(all.len()));
    let other = rng.value(0);
    let there = value.pointer_mut(&at).unwrap();
    match there {
        Value::Array(list) if rng.next().is_multiple_of(2) => list.push(other),
        there => *there = other,
    }
    at
}
