//! The problems that an export would meet, found by reading alone: the check follows the folders down
//! to the newest hour, looks at its files, and reads the metadata of one of them.

use std::collections::BTreeSet;

use recording_source_sdk::{
    Event, Finding, Next, Response, SourceError, Split, SplitKind, Step, Timestamp, time::DAY,
};
use serde::{Deserialize, Serialize};

use crate::{
    layout::{self, FileKind, kind},
    options::Options,
    s3::{self, Page},
    sidecar::Sidecar,
};

/// The beginnings of folder names, from the organization's folder down.
const LEVELS: [&str; 4] = ["year=", "month=", "day=", "hour="];
/// The integration may no longer push to a bucket that has received nothing for this long.
const QUIET: u64 = 7 * DAY;

/// The state of the check: the next thing to read, below the organization's folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Check {
    /// The newest of the folders in a folder of this level.
    Folders {
        folder: String,
        level: usize,
    },
    /// The files of the newest hour.
    Files {
        hour: String,
    },
    /// The metadata of a file.
    Metadata {
        key: String,
        conversation: String,
    },
    Over,
}

/// The initial split of the check.
pub(crate) fn begin() -> Split {
    let check = Check::Folders {
        folder: String::new(),
        level: 0,
    };
    check.into_split("check")
}

impl Check {
    pub(crate) fn step(
        self,
        options: &Options,
        event: Event,
        now: Timestamp,
    ) -> Result<Step, SourceError> {
        let Event::Response(answer) = event else {
            return Ok(Step::then(self.ask(options)));
        };
        let mut findings = Vec::new();
        let first = matches!(&self, Check::Folders { level: 0, .. });
        if let (true, Ok(response)) = (first, &answer) {
            findings.extend(response.clock(now));
        }
        let next = match self.answered(options, answer?, now, &mut findings) {
            Ok(next) => next,
            Err(error) => {
                findings.push(refused(error)?);
                Check::Over
            }
        };
        Ok(Step::found(findings, next.ask(options)))
    }

    fn ask(&self, options: &Options) -> Next {
        let root = options.root();
        let request = match self {
            Check::Folders { folder, .. } => s3::folders(options, &format!("{root}{folder}")),
            Check::Files { hour } => s3::list(options, &format!("{root}{hour}"), None, 1000),
            Check::Metadata { key, .. } => s3::object(options, &format!("{root}{key}")),
            Check::Over => return self.done(),
        };
        self.send(request)
    }

    /// Processes an answer; returns the next thing to read.
    fn answered(
        self,
        options: &Options,
        response: Response,
        now: Timestamp,
        findings: &mut Vec<Finding>,
    ) -> Result<Self, SourceError> {
        let answer = Ok(response);
        match self {
            Check::Folders { folder, level } => {
                let page = s3::listed(options, answer)?;
                if level == 0 {
                    findings.push(Finding::good("bucket", "it may be listed"));
                }
                Ok(newest_folder(options, &page, folder, level, findings))
            }
            Check::Files { hour } => {
                let page = s3::listed(options, answer)?;
                Ok(files(options, &page, &hour, now, findings))
            }
            Check::Metadata { conversation, .. } => {
                let json = s3::read(options, answer)?;
                findings.push(Finding::good("objects", "they may be read"));
                let wrong = json.map(|json| Sidecar::read(&json, &conversation).err());
                if let Some(Some(reason)) = wrong {
                    findings.push(Finding::doubtful(
                        "form of the metadata",
                        format!(
                            "not as documented in the newest file: {reason}; files are stored, with the outcome `partial` (`wrong-sidecar`)"
                        ),
                    ));
                }
                Ok(Check::Over)
            }
            Check::Over => Ok(Check::Over),
        }
    }
}

/// The newest folder in a folder, to be read next.
fn newest_folder(
    options: &Options,
    page: &Page,
    folder: String,
    level: usize,
    findings: &mut Vec<Finding>,
) -> Check {
    let word = LEVELS[level];
    let below = format!("{}{folder}", options.root());
    let numbered = page.folders().filter_map(|path| {
        let name = path.strip_prefix(&below)?;
        let number = name.strip_prefix(word)?.strip_suffix('/')?;
        Some((number.parse::<u32>().ok()?, name))
    });
    let Some((_, name)) = numbered.max() else {
        let empty = page.contents.is_empty() && page.folders().next().is_none();
        findings.push(match empty {
            true => Finding::bad("layout", s3::nothing(options)),
            false => Finding::bad(
                "layout",
                format!(
                    "under `{below}` there is something, but no folder `{word}...`: check `organization` and `prefix`; the integration makes `year=/month=/day=/hour=/conversation_id=/`"
                ),
            ),
        });
        return Check::Over;
    };
    let folder = format!("{folder}{name}");
    match level + 1 < LEVELS.len() {
        true => Check::Folders {
            folder,
            level: level + 1,
        },
        false => Check::Files { hour: folder },
    }
}

/// Reports the files of the newest hour; the metadata of one of them are read next.
fn files(
    options: &Options,
    page: &Page,
    hour: &str,
    now: Timestamp,
    findings: &mut Vec<Finding>,
) -> Check {
    let root = options.root();
    let day = hour.rfind("hour=").map_or("", |at| &hour[..at]);
    let (mut recordings, mut sidecars) = (BTreeSet::new(), BTreeSet::new());
    let (mut newest, mut archived, mut odd) = (0, 0, 0);
    for object in &page.contents {
        let key = object.key.strip_prefix(&root).unwrap_or(&object.key);
        let (folder, name) = key.rsplit_once('/').unwrap_or_default();
        let rest = key.strip_prefix(day).and_then(layout::parse);
        match (rest, kind(name)) {
            (Some(_), FileKind::Recording(_)) => {
                recordings.insert(key.to_owned());
                newest = newest.max(object.written());
                archived += u32::from(object.archived());
            }
            (Some((_, id)), FileKind::Sidecar(file)) => {
                sidecars.insert((format!("{folder}/{file}"), key, id));
            }
            (Some(_), FileKind::Transcript(_) | FileKind::Other) => {}
            _ => odd += u32::from(!key.ends_with('/')),
        }
    }
    if recordings.is_empty() {
        let text = format!(
            "in the newest hour, `{root}{hour}`, are no recordings in folders `conversation_id=...`; check `organization` and `prefix`"
        );
        findings.push(Finding::bad("layout", text));
        return Check::Over;
    }
    findings.push(match odd {
        0 => Finding::good("layout", format!("as documented; the newest hour is `{hour}`")),
        odd => Finding::doubtful(
            "layout",
            format!("{odd} keys in the newest hour, `{hour}`, are not of the layout: they are left out, with a warning"),
        ),
    });
    findings.push(pushed(newest, now));
    let all = recordings.len();
    sidecars.retain(|(file, ..)| recordings.contains(file));
    findings.push(match all - sidecars.len() {
        0 => Finding::good("metadata", format!("beside each of {all} recordings of the newest hour")),
        lacking => Finding::doubtful(
            "metadata",
            format!("{lacking} of {all} recordings of the newest hour have no `_metadata.json` beside them: they are stored, with the outcome `partial` (`no-sidecar`); see whether something removes it, or whether they were pushed just now"),
        ),
    });
    if archived > 0 {
        findings.push(Finding::doubtful(
            "storage class",
            format!("{archived} of {all} recordings of the newest hour are in GLACIER or DEEP_ARCHIVE: restore them before they are exported, or they are lost as `archived`"),
        ));
    }
    match sidecars.pop_last() {
        Some((_, key, id)) => Check::Metadata {
            key: key.to_owned(),
            conversation: id.to_owned(),
        },
        None => Check::Over,
    }
}

/// The time at which the newest recording was pushed.
fn pushed(newest: Timestamp, now: Timestamp) -> Finding {
    let at = i64::try_from(newest).ok();
    let at = at.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let text = at.unwrap_or_default().to_string();
    let days = now.saturating_sub(newest) / DAY;
    match now.saturating_sub(newest) > QUIET {
        true => Finding::doubtful(
            "newest recording",
            format!(
                "pushed {days} days ago, at {text}; if there are newer ones in Genesys Cloud, see whether the integration and its policies are active"
            ),
        ),
        false => Finding::good("newest recording", format!("pushed at {text}")),
    }
}

/// The finding for a refusal: its meaning for an export, and how to fix it. A retryable refusal is
/// tried again.
fn refused(error: SourceError) -> Result<Finding, SourceError> {
    let (subject, text) = match error {
        SourceError::Options(error) => (error.path, error.message),
        SourceError::Auth(text) => (
            "credentials".to_owned(),
            format!("{text}; check the source's `auth`, or AWS' default chain without it"),
        ),
        SourceError::Forbidden(text) => {
            let subject = match text.starts_with("s3:GetObject") {
                true => "objects",
                false => "bucket",
            };
            let text = format!(
                "not allowed: {text}; allow it in a policy of the identity, and kms:Decrypt if a key of yours encrypts the bucket"
            );
            (subject.to_owned(), text)
        }
        SourceError::Permanent(text) => ("bucket".to_owned(), text),
        error => return Err(error),
    };
    Ok(Finding::bad(&subject, text))
}
