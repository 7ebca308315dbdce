//! The result that is required of a simulation in the end.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::World;
use crate::receipt::{segment_of, sibling};

impl World {
    /// Fails unless both sinks hold the truth, once.
    pub(in crate::run::simulation) fn check(&self) {
        for sink in &self.sinks {
            self.check_sink(sink);
        }
        // A sink that was added or filled anew has what was filed before in files of its own.
        let calm = self.rate == 0.0 && self.lake_outage.is_none() && self.change.is_none();
        if calm && let Some(days) = self.days {
            let receipts = self
                .lake
                .keys()
                .filter(|(_, key)| key.starts_with("receipts/"));
            let receipts = receipts.count();
            assert!(
                receipts as u64 <= days * 2,
                "{receipts} files of {days} days"
            );
        }
        // Nothing is asked more often than the vendor allows, but for what crashes make us forget.
        let requests: u32 = self.minutes.values().sum();
        let most = requests as usize / 50 + 40 * (self.crashes as usize + 1);
        assert!(
            self.refused <= most,
            "{} of {requests} refused",
            self.refused
        );
    }

    /// The receipts of conversations that are lost, or a recording of which is, by conversation.
    pub(in crate::run::simulation) fn losses(&self) -> BTreeMap<String, Value> {
        let receipts = self.lake.iter();
        let receipts = receipts.filter(|((_, key), _)| key.starts_with("receipts/"));
        let lines = receipts.flat_map(|(_, data)| std::str::from_utf8(data).unwrap().lines());
        let mut losses = BTreeMap::new();
        for line in lines {
            let receipt: Value = serde_json::from_str(line).unwrap();
            if let (Some(id), Some("failed" | "partial")) = (
                receipt["conversation_id"].as_str(),
                receipt["outcome"].as_str(),
            ) {
                losses.insert(id.to_owned(), receipt);
            }
        }
        losses
    }

    fn check_sink(&self, sink: &str) {
        // Long: the requirements of one sink, which share what was read of it.
        let files = |prefix: &'static str| {
            let all = self.lake.iter();
            all.filter(move |((of, key), _)| of == sink && key.starts_with(prefix))
        };
        let mut void = BTreeSet::new();
        for ((_, key), data) in files("receipts/") {
            let end = data.iter().position(|byte| *byte == b'\n').unwrap();
            let head: Value = serde_json::from_slice(&data[..end]).unwrap();
            let replaces = head["replaces"].as_array();
            let replaces = replaces.into_iter().flatten().filter_map(Value::as_i64);
            void.extend(replaces.filter_map(|number| sibling(key, number)));
        }
        let is_void = |key: &str| segment_of(key).is_some_and(|segment| void.contains(segment));
        let lines = |prefix: &'static str| -> Vec<Value> {
            files(prefix)
                .filter(|((_, key), _)| !is_void(key))
                .flat_map(|(_, data)| std::str::from_utf8(data).unwrap().lines())
                .map(|line| serde_json::from_str(line).unwrap())
                .collect()
        };
        let mut outcomes = BTreeMap::new();
        for receipt in lines("receipts/") {
            let Some(id) = receipt["conversation_id"].as_str() else {
                continue;
            };
            let word = receipt["outcome"].as_str().unwrap().to_owned();
            let objects = receipt["objects"].as_array().unwrap().len();
            let attempts: &mut BTreeMap<u64, _> = outcomes.entry(id.to_owned()).or_default();
            let attempt = receipt["attempt"].as_u64().unwrap();
            let before = attempts.insert(attempt, (word, objects, receipt.clone()));
            assert!(
                before.is_none(),
                "attempt {attempt} at {id} has two outcomes in {sink}"
            );
        }
        let mut rows = BTreeSet::new();
        for row in lines("metadata/") {
            let name = format!(
                "{} {} {}",
                row["conversation_id"], row["attempt"], row["object_key"]
            );
            assert!(rows.insert(name.clone()), "{name} has two rows in {sink}");
        }
        for call in &self.conversations {
            let there = call.recordings.iter().flatten().count();
            let never = call.recordings.len() - there;
            let there = there + usize::from(call.more.is_some());
            let expected = match (call.flagged, there, never) {
                (false, ..) => "no-recording",
                (true, 0, _) => "failed",
                (true, _, 0) => "stored",
                (true, ..) => "partial",
            };
            // The last attempt counts.
            let last = outcomes.get(&call.id).and_then(BTreeMap::last_key_value);
            let (attempt, found) = last.unzip();
            let attempt = attempt.copied().unwrap_or_default();
            // An outage that lasts too long is a named loss, and so is a source that fails. A
            // component may fail three times in a row where faults are rarer, too.
            let excused = found.is_some_and(|(word, _, receipt)| {
                let lost = ["failed", "partial"].contains(&word.as_str());
                // It may do so, too, when one of several recordings is requested once more.
                let mut missing = receipt["missing"].as_array().into_iter().flatten();
                let failed = receipt["code"] == "component-failed"
                    || missing.any(|missing| missing[0] == "component-failed");
                lost && (self.rate > 0.2 || (self.rate > 0.0 && failed))
            });
            if !excused {
                let right =
                    found.is_some_and(|(word, objects, _)| word == expected && *objects == there);
                assert!(
                    right,
                    "{call:?} is to be {expected} in {sink}, but {found:?}"
                );
            }
            let objects = found.and_then(|(.., receipt)| receipt["objects"].as_array());
            for object in objects.into_iter().flatten() {
                let key = object["key"].as_str().unwrap();
                let there = self.lake.get(&(sink.to_owned(), key.to_owned()));
                let right = object["recording"].as_str().unwrap().as_bytes();
                assert_eq!(there.map(Vec::as_slice), Some(right), "{key} in {sink}");
            }
            let count = rows
                .iter()
                .filter(|row| row.starts_with(&format!("\"{}\" {attempt} ", call.id)))
                .count();
            let objects = found.map_or(0, |(_, objects, _)| *objects);
            assert_eq!(count, objects.max(1), "rows of {call:?} in {sink}");
        }
        assert_eq!(outcomes.len(), self.conversations.len());
        let receipts = outcomes.values().flat_map(BTreeMap::values);
        let named: BTreeSet<&str> = receipts
            .flat_map(|(.., receipt)| receipt["objects"].as_array())
            .flatten()
            .filter_map(|object| object["key"].as_str())
            .collect();
        for ((_, key), _) in files("recordings/") {
            assert!(
                named.contains(key.as_str()),
                "no receipt names {key} in {sink}"
            );
        }
    }
}
