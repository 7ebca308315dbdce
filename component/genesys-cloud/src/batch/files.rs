//! The assignment of links to the files of a recording.
//!
//! A link is not a name: it is signed anew each time, and may be made up anew each time. By the
//! vendor's intent, the results of one recording in one answer are its files. Hence:
//!
//! 1. Two results of a recording with the same link are one file listed twice. The parts of a link that
//!    only sign it (`X-Amz-*`, `Expires`, `Signature`, `sig` and the like) do not count; its path and
//!    all other parameters do, since a service may name the file in its query.
//! 2. A file that is met first gets the next number, in the order of these links: the same for each
//!    export of it as long as links are made in the same way.
//! 3. In a later answer a file with a known link keeps its number. The others keep, place by place,
//!    the numbers that those places had before, since links that change say nothing; only results
//!    beyond these places are new.
//!
//! While a job runs, a file is handed over only if it is its recording's only one so far, and audio:
//! more may come of everything else. If links change and more files come, which one was first is not
//! known; the host recognizes by its bytes what it already has.

use std::collections::BTreeMap;

use recording_source_sdk::{Artifact, ArtifactKey, Download};
use serde::{Deserialize, Serialize};

use crate::{api::batch::JobResult, artifact::identity, metadata::fnv};

/// The most recordings that are remembered while a job runs; beyond them, none is handed over early.
const MOST: usize = 1500;

/// The files of recordings that have been handed over: ids and links as digests, to be small.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Files {
    /// By conversation and recording: link and number of each file, in the order of the last answer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    files: BTreeMap<String, Vec<(u64, u32)>>,
    /// As earlier versions kept them: by recording, the links in the order of their numbers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    parts: BTreeMap<String, Vec<u64>>,
}

impl Files {
    /// Returns true if there is room for files that are handed over early.
    pub(super) fn has_room(&self) -> bool {
        self.files.len() < MOST
    }

    /// Drops the entries that are not needed: a recording's only file is the first one anyway.
    pub(super) fn forget_the_obvious(&mut self) {
        self.files.retain(|_, files| files.len() > 1);
        self.parts.retain(|_, files| files.len() > 1);
    }

    pub(super) fn forget(&mut self) {
        *self = Files::default();
    }

    /// The files among the results, each with its number; those of one recording follow one another.
    pub(super) fn artifacts(&mut self, rows: &[&JobResult]) -> Vec<Artifact> {
        let mut recordings: BTreeMap<(&str, &str), Vec<(String, &JobResult)>> = BTreeMap::new();
        for row in rows {
            let (Some(url), Some(recording)) = (&row.result_url, &row.recording_id) else {
                continue;
            };
            let key = (row.conversation_id.as_str(), recording.as_str());
            let files = recordings.entry(key).or_default();
            let link = identity(url);
            if files.iter().all(|(known, _)| *known != link) {
                files.push((link, row));
            }
        }
        let mut artifacts = Vec::new();
        for ((conversation, recording), files) in recordings {
            let links: Vec<&str> = files.iter().map(|(link, _)| link.as_str()).collect();
            let parts = self.numbers(conversation, recording, &links);
            let mut files: Vec<(u32, &JobResult)> = parts
                .into_iter()
                .zip(files.into_iter().map(|(_, row)| row))
                .collect();
            files.sort_by_key(|(part, _)| *part);
            artifacts.extend(
                files
                    .into_iter()
                    .map(|(part, row)| artifact(conversation, recording, part, row)),
            );
        }
        artifacts
    }

    /// The number of each file of a recording, given by their links.
    fn numbers(&mut self, conversation: &str, recording: &str, links: &[&str]) -> Vec<u32> {
        let key = format!("{:x}", fnv(&format!("{conversation}\n{recording}")));
        let known = self.files.remove(&key).or_else(|| {
            let old = self.parts.remove(recording)?;
            Some(old.into_iter().zip(0..).collect())
        });
        let known: Vec<(u64, u32)> = known.unwrap_or_default();
        let digests: Vec<u64> = links.iter().map(|link| fnv(link)).collect();
        let mut taken: Vec<bool> = vec![false; known.len()];
        let mut numbers: Vec<Option<u32>> = vec![None; links.len()];
        let mut claim = |number: &mut Option<u32>, place: Option<usize>| {
            if let Some(place) = place.filter(|place| !taken[*place]) {
                taken[place] = true;
                *number = Some(known[place].1);
            }
        };
        for (number, digest) in numbers.iter_mut().zip(&digests) {
            claim(number, known.iter().position(|(link, _)| link == digest));
        }
        for (place, number) in numbers.iter_mut().enumerate() {
            if number.is_none() {
                claim(number, (place < known.len()).then_some(place));
            }
        }
        for number in numbers.iter_mut().filter(|number| number.is_none()) {
            let free = (0..known.len()).find(|place| !taken[*place]);
            if let Some(place) = free {
                taken[place] = true;
                *number = Some(known[place].1);
            }
        }
        // New files, in the order of the links.
        let next = known.iter().map(|(_, number)| number + 1).max();
        let mut new: Vec<usize> = (0..links.len())
            .filter(|at| numbers[*at].is_none())
            .collect();
        new.sort_by_key(|at| links[*at]);
        for (number, at) in (next.unwrap_or(0)..).zip(new) {
            numbers[at] = Some(number);
        }
        let numbers: Vec<u32> = numbers.into_iter().flatten().collect();
        let mut kept: Vec<(u64, u32)> = digests.into_iter().zip(numbers.iter().copied()).collect();
        // A file that this answer lacks keeps its number for the next one.
        let lacking = known.into_iter().zip(taken).filter(|(_, taken)| !taken);
        kept.extend(lacking.map(|(file, _)| file));
        self.files.insert(key, kept);
        numbers
    }
}

fn artifact(conversation: &str, recording: &str, part: u32, row: &JobResult) -> Artifact {
    let link = row.result_url.clone().unwrap_or_default();
    let key = ArtifactKey::part(conversation, recording, part);
    Artifact::new(key, Download::signed(link), row.content_type.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(conversation: &str, recording: &str, url: &str) -> JobResult {
        JobResult {
            conversation_id: conversation.to_owned(),
            recording_id: Some(recording.to_owned()),
            content_type: Some("video/webm".to_owned()),
            result_url: Some(url.to_owned()),
            error_msg: None,
            is_odd: false,
        }
    }

    /// The number of each link of an answer about the recording `r` of `c`.
    fn parts<'a>(files: &mut Files, urls: &[&'a str]) -> BTreeMap<&'a str, u32> {
        let rows: Vec<JobResult> = urls.iter().map(|url| row("c", "r", url)).collect();
        let rows: Vec<&JobResult> = rows.iter().collect();
        let parts = files.artifacts(&rows).into_iter().map(|artifact| {
            let url = urls.iter().find(|url| **url == artifact.download.url);
            match artifact.key {
                ArtifactKey::Recording(key) => (*url.unwrap(), key.part),
                ArtifactKey::Bundle(_) => unreachable!(),
            }
        });
        parts.collect()
    }

    #[test]
    fn links_that_differ_in_what_they_name_are_files_and_in_their_signature_are_not() {
        let mut files = Files::default();
        let first = [
            "https://m/x?file=1&sig=a",
            "https://m/x?file=0&sig=a",
            "https://m/x?file=1&sig=b",
        ];
        let expected = BTreeMap::from([(first[1], 0), (first[0], 1)]);
        assert_eq!(parts(&mut files, &first), expected);
        // Signed anew, in another order of parameters and of files.
        let second = [
            "https://m/x?Expires=9&file=0&sig=c",
            "https://m/x?sig=c&file=1",
        ];
        let expected = BTreeMap::from([(second[0], 0), (second[1], 1)]);
        assert_eq!(parts(&mut files, &second), expected);
    }

    #[test]
    fn links_that_change_at_each_poll_keep_their_places() {
        let mut files = Files::default();
        assert_eq!(
            parts(&mut files, &["https://m/z1", "https://m/a1"]),
            BTreeMap::from([("https://m/a1", 0), ("https://m/z1", 1)])
        );
        // The first place is part 1, whatever the links are by now.
        for (one, other) in [
            ("https://m/b2", "https://m/c2"),
            ("https://m/y3", "https://m/d3"),
        ] {
            let expected = BTreeMap::from([(one, 1), (other, 0)]);
            assert_eq!(parts(&mut files, &[one, other]), expected);
        }
        // One more comes, and one keeps its link.
        assert_eq!(
            parts(
                &mut files,
                &["https://m/n4", "https://m/d3", "https://m/m4"]
            ),
            BTreeMap::from([
                ("https://m/n4", 1),
                ("https://m/d3", 0),
                ("https://m/m4", 2)
            ])
        );
        // One is missing from this answer, and keeps its number.
        assert_eq!(
            parts(&mut files, &["https://m/d3"]),
            BTreeMap::from([("https://m/d3", 0)])
        );
        assert_eq!(
            parts(
                &mut files,
                &["https://m/d3", "https://m/n4", "https://m/m4"]
            ),
            BTreeMap::from([
                ("https://m/d3", 0),
                ("https://m/n4", 1),
                ("https://m/m4", 2)
            ])
        );
    }

    #[test]
    fn the_same_recording_id_in_two_conversations_is_two_recordings() {
        let rows = [row("c1", "r", "https://m/a"), row("c2", "r", "https://m/b")];
        let rows: Vec<&JobResult> = rows.iter().collect();
        let mut files = Files::default();
        for artifact in files.artifacts(&rows) {
            assert!(matches!(artifact.key, ArtifactKey::Recording(key) if key.part == 0));
        }
    }
}
