//! The keys of a segment's files: `receipts/date={day}/{export}-{segment}.jsonl` and the like.

use std::{cmp::Reverse, collections::BTreeMap};

use futures_util::StreamExt;

use recording_host_sink::{SinkError, Store};

/// The part that the keys of a segment's files have in common.
pub(crate) fn name(export: &str, day: &str, segment: i64) -> String {
    format!("date={day}/{export}-{segment:06}")
}

pub(crate) fn receipt_key(name: &str) -> String {
    format!("receipts/{name}.jsonl")
}

/// The segment that a file of rows, a part of the catalog or a receipt belongs to, as its files are
/// named.
pub(crate) fn segment_of(key: &str) -> Option<&str> {
    let folders = ["receipts/", "metadata/", "catalog/"];
    let name = folders.iter().find_map(|folder| key.strip_prefix(folder))?;
    let digits = name.rfind('-')? + 1;
    let rest = name[digits..].trim_start_matches(|c: char| c.is_ascii_digit());
    Some(&name[..name.len() - rest.len()])
}

/// Day, export and number of the segment that a file belongs to.
pub(crate) fn parts_of(key: &str) -> Option<(&str, &str, i64)> {
    let (name, number) = segment_of(key)?.rsplit_once('-')?;
    let (day, export) = name.strip_prefix("date=")?.split_once('/')?;
    Some((day, export, number.parse().ok()?))
}

/// Another segment of the same day and export as that of a file, as its files are named.
pub(crate) fn sibling(key: &str, number: i64) -> Option<String> {
    let (before, _) = segment_of(key)?.rsplit_once('-')?;
    Some(format!("{before}-{number:06}"))
}

/// The keys of receipts below a folder, by the day's folder. A segment comes before those whose place
/// it may have taken.
pub(crate) async fn by_day(
    store: &dyn Store,
    folder: &str,
) -> Result<BTreeMap<String, Vec<String>>, SinkError> {
    let mut days = BTreeMap::<String, Vec<String>>::new();
    let mut list = store.list(folder);
    while let Some(found) = list.next().await.transpose()? {
        if let Some((day, _)) = found.key.rsplit_once('/') {
            days.entry(format!("{day}/")).or_default().push(found.key);
        }
    }
    for keys in days.values_mut() {
        keys.sort_by_cached_key(|key| {
            let number = segment_of(key).and_then(|name| name.rsplit_once('-'));
            Reverse(number.and_then(|(_, number)| number.parse::<i64>().ok()))
        });
    }
    Ok(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_tells_its_segment_and_its_siblings() {
        let name = name("calls.eu-1", "2026-01-05", 12);
        for key in [
            receipt_key(&name),
            format!("metadata/{name}.jsonl.gz.age"),
            format!("catalog/{name}.parquet"),
        ] {
            assert_eq!(segment_of(&key), Some("date=2026-01-05/calls.eu-1-000012"));
            assert_eq!(parts_of(&key), Some(("2026-01-05", "calls.eu-1", 12)));
            let other = sibling(&key, 1_000_000);
            assert_eq!(other.as_deref(), Some("date=2026-01-05/calls.eu-1-1000000"));
        }
        assert_eq!(segment_of("media/date=2026-01-05/calls-000001.ogg"), None);
    }
}
