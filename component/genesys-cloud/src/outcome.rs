//! The outcomes of conversations: codes for unavailable recordings, and their sum.

use std::collections::{BTreeMap, BTreeSet};

use recording_source_sdk::{Artifact, ArtifactKey, Failure, Missing, OutcomeResult, excerpt};

use crate::api::batch::JobResult;

/// The vendor's word for a recording that is not there yet, and our code for it.
pub(crate) const UPLOADING: (&str, &str) = ("upload", "uploading");

/// A recording that is on its way back from the archive.
const RESTORING: &str = "restoring";

/// Codes of failures that may pass: the vendor may have the recording the next time.
const RETRYABLE: [&str; 7] = [
    UPLOADING.1,
    RESTORING,
    JOB_LOST,
    JOB_TIMEOUT,
    TRANSCODE_TIMEOUT,
    NOT_FOUND,
    UNREADABLE,
];

/// A job that the vendor no longer finds, again and again.
pub(crate) const JOB_LOST: &str = "job-lost";
/// A job that does not end, again and again.
pub(crate) const JOB_TIMEOUT: &str = "job-timeout";
/// A recording that is not converted into the format.
pub(crate) const TRANSCODE_TIMEOUT: &str = "transcode-timeout";
/// Something that the vendor names and does not find.
pub(crate) const NOT_FOUND: &str = "not-found";
/// An answer about a recording that cannot be read.
pub(crate) const UNREADABLE: &str = "unreadable";
/// Something that is too large by itself.
pub(crate) const TOO_LARGE: &str = "too-large";

/// A failure with this code, which decides if a later attempt may succeed.
pub(crate) fn failure(code: &str, message: String) -> Failure {
    Failure {
        retryable: RETRYABLE.contains(&code),
        code: code.to_owned(),
        message,
    }
}

/// A conversation that was recorded, and of which the batch API says nothing at all.
pub(crate) fn left_out() -> OutcomeResult {
    OutcomeResult::Failed(Failure {
        code: "left-out".to_owned(),
        message: "the vendor reports a recording but returned no file: not ready, deleted, sensitive, or hidden from this client".to_owned(),
        retryable: true,
    })
}

/// A code for the vendor's free text, of which there is no catalog.
fn code(message: &str) -> &'static str {
    let message = message.to_ascii_lowercase();
    [
        ("being restored", RESTORING),
        ("archiv", "archived"),
        ("delet", "deleted"),
        UPLOADING,
        ("sensitive", "sensitive"),
        ("permission", "forbidden"),
    ]
    .into_iter()
    .find(|(word, _)| message.contains(word))
    .map_or("vendor-error", |(_, code)| code)
}

/// The reason why a recording in this state (`fileState`) is unavailable.
pub(crate) fn by_state(state: &str) -> Failure {
    let (code, message) = match state {
        "ARCHIVED" => ("archived", "it is archived and must be restored first"),
        "DELETED" => ("deleted", "it has been deleted"),
        "UPLOADING" => (UPLOADING.1, "it is still being uploaded"),
        "RESTORING" => (RESTORING, "it is being restored from the archive"),
        "ERROR" => ("vendor-error", "the vendor failed to keep it"),
        _ => (
            "left-out",
            "its metadata say that it is available, but the vendor returned no file: it is sensitive (recording:recording:viewSensitiveData), or hidden from this client",
        ),
    };
    failure(code, message.to_owned())
}

/// A recording whose restoration is requested.
pub(crate) fn restoring(days: u32) -> Failure {
    let message = format!(
        "it is archived; its restoration for {days} days is asked for: fetch it with `run --retry-failed` once it is there"
    );
    failure(RESTORING, message)
}

/// The number of files of each conversation; one that is handed over twice counts once.
pub(crate) fn count(artifacts: &[Artifact]) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for artifact in artifacts {
        if let ArtifactKey::Recording(key) = &artifact.key
            && seen.insert((&key.conversation, &key.recording, key.part))
        {
            *counts.entry(key.conversation.clone()).or_default() += 1;
        }
    }
    counts
}

/// The missing recordings of each conversation, as the rows of a job report them.
pub(crate) fn errors(rows: &[JobResult]) -> BTreeMap<String, Vec<Missing>> {
    let mut missing: BTreeMap<String, Vec<Missing>> = BTreeMap::new();
    for row in rows {
        let (code, message) = match (&row.error_msg, row.result_url.is_some()) {
            (Some(message), false) => (code(message), message.as_str()),
            (_, true) if row.recording_id.is_some() => continue,
            _ if row.is_odd => (UNREADABLE, "the result is there and cannot be read"),
            (None, false) => ("vendor-error", "the result has neither a link nor an error"),
            (_, true) => ("vendor-error", "the result names no recording"),
        };
        missing
            .entry(row.conversation_id.clone())
            .or_default()
            .push(Missing {
                recording: row.recording_id.clone(),
                failure: failure(code, excerpt(message)),
            });
    }
    missing
}

/// The outcome of a conversation whose job is over; `cut` is the failure of a job that ended early.
pub(crate) fn result(
    conversation: &str,
    counts: &BTreeMap<String, u32>,
    missing: &BTreeMap<String, Vec<Missing>>,
    cut: Option<&Failure>,
) -> OutcomeResult {
    let mut missing = missing.get(conversation).cloned().unwrap_or_default();
    if let Some(failure) = cut {
        missing.push(Missing {
            recording: None,
            failure: failure.clone(),
        });
    }
    OutcomeResult::of(counts.get(conversation).copied().unwrap_or(0), missing)
}
