//! Compares what a run would do with a sample with what is expected of it.

use std::collections::{BTreeMap, BTreeSet};

use recording_host_config::Expectation;
use recording_host_engine::preview::SinkPreview;

use super::field::{Treatment, meant};

/// Where a sample is not as expected, each in a sentence.
pub(super) fn failures(
    expect: &Expectation,
    sinks: &BTreeMap<String, SinkPreview>,
    treated: &BTreeMap<String, Treatment>,
) -> Vec<String> {
    let mut failures = Vec::new();
    if let Some(wanted) = &expect.sinks {
        let wanted: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
        let take = sinks.iter().filter(|(_, sink)| sink.takes);
        let take: BTreeSet<&str> = take.map(|(name, _)| name.as_str()).collect();
        if wanted != take {
            failures.push(format!(
                "sinks: {} take it, not {}",
                list(take),
                list(wanted)
            ));
        }
    }
    for (name, wanted) in &expect.keys {
        let keys = sinks.get(name).map_or(&[][..], |sink| &sink.keys);
        let (wanted, keys): (BTreeSet<&String>, BTreeSet<&String>) =
            (wanted.iter().collect(), keys.iter().collect());
        if wanted != keys {
            let (keys, wanted) = (list(keys), list(wanted));
            failures.push(format!("keys.{name}: {keys}, not {wanted}"));
        }
    }
    let row = sinks.values().find_map(|sink| sink.row.as_ref());
    let asked = !(expect.row.is_empty() && expect.removed.is_empty() && expect.masked.is_empty());
    let Some(row) = row else {
        if asked {
            failures.push("row: no sink gets a row of it".to_owned());
        }
        return failures;
    };
    for (column, wanted) in &expect.row {
        match row.get(column) {
            Some(value) if value == wanted => {}
            Some(value) => failures.push(format!("row.{column}: {value}, not {wanted}")),
            None => failures.push(format!("row.{column}: there is no such column")),
        }
    }
    for (of, names, wanted) in [
        ("removed", &expect.removed, Treatment::Removed),
        ("masked", &expect.masked, Treatment::Masked),
    ] {
        for name in names {
            let meant = meant(name, treated);
            if meant.is_empty() {
                failures.push(format!(
                    "{of}: the sample has no `{name}` of which that could be seen"
                ));
            }
            let other = meant.into_iter().filter(|(_, found)| *found != wanted);
            failures
                .extend(other.map(|(field, found)| format!("{of}: `{field}` {}", found.word())));
        }
    }
    failures
}

/// A list in words.
fn list<T: std::fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    match items.is_empty() {
        true => "none".to_owned(),
        false => items.join(", "),
    }
}
