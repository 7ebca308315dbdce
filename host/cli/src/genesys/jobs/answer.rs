//! The API's answers about jobs (RecordingJob, RecordingJobEntityListing,
//! FailedRecordingEntityListing), read tolerantly.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::PushError;
use recording_host_model::Response;

/// A job.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub(crate) struct Job {
    /// Its id.
    pub(crate) id: String,
    /// `PENDING`, `READY`, `PROCESSING`, `FULFILLED`, `FAILED` or `CANCELLED`.
    pub(crate) state: String,
    /// When it was created, in ISO 8601.
    pub(crate) date_created: Option<String>,
    /// How much of it is done.
    pub(crate) percent_progress: Option<u32>,
    /// Conversations that it is about.
    pub(crate) total_conversations: Option<u64>,
    /// Their recordings.
    pub(crate) total_recordings: Option<u64>,
    /// Recordings that were pushed before.
    pub(crate) total_skipped_recordings: Option<u64>,
    /// Recordings that could not be pushed.
    pub(crate) total_failed_recordings: Option<u64>,
    /// Recordings that were pushed.
    pub(crate) total_processed_recordings: Option<u64>,
    /// Why it has failed.
    pub(crate) error_message: Option<String>,
    #[serde(default, skip_serializing)]
    recording_jobs_query: Value,
}

impl Job {
    /// Returns true if it is neither over nor canceled.
    #[must_use]
    pub(crate) fn is_on(&self) -> bool {
        !matches!(self.state.as_str(), "FULFILLED" | "FAILED" | "CANCELLED")
    }

    /// Returns true if it was created by this query, at whatever time.
    pub(super) fn is_of(&self, query: &Value) -> bool {
        [
            "/action",
            "/integrationId",
            "/includeScreenRecordings",
            "/includeRecordingsWithSensitiveData",
            "/includePolicyBasedRecordings",
            "/includeSnippetRecordings",
            "/conversationQuery/interval",
            "/conversationQuery/conversationFilters",
            "/conversationQuery/segmentFilters",
        ]
        .iter()
        .all(|part| self.recording_jobs_query.pointer(part) == query.pointer(part))
    }
}

/// A recording that could not be pushed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "References")]
pub(crate) struct FailedRecording {
    /// The conversation.
    pub(crate) conversation: String,
    /// The recording.
    pub(crate) recording: String,
}

#[derive(Deserialize)]
struct References {
    conversation: Reference,
    recording: Reference,
}

#[derive(Deserialize)]
struct Reference {
    id: String,
}

impl From<References> for FailedRecording {
    fn from(reported: References) -> Self {
        FailedRecording {
            conversation: reported.conversation.id,
            recording: reported.recording.id,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound = "T: DeserializeOwned")]
struct Listing<T> {
    #[serde(default = "Vec::new")]
    entities: Vec<T>,
    next_uri: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    code: Option<String>,
    message: Option<String>,
}

pub(super) fn job(response: &Response) -> Result<Job, PushError> {
    read(response)
}

/// The entities that a page lists, and where the next page is.
pub(super) fn listing<T: DeserializeOwned>(
    response: &Response,
) -> Result<(Vec<T>, Option<String>), PushError> {
    let listing: Listing<T> = read(response)?;
    Ok((listing.entities, listing.next_uri))
}

/// The cursor in the address of a next page: as it stands there, encoded.
pub(super) fn next_cursor(uri: &str) -> Option<&str> {
    let (_, query) = uri.split_once('?')?;
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix("cursor="))
        .filter(|cursor| !cursor.is_empty())
}

/// The vendor's code and words.
pub(super) fn refusal(response: &Response) -> (String, String) {
    // Errors of the vendor's edge are HTML or empty.
    let body: ErrorBody = serde_json::from_slice(&response.body).unwrap_or_default();
    let message: String = body.message.unwrap_or_default().chars().take(300).collect();
    (body.code.unwrap_or_default(), message)
}

fn read<T: DeserializeOwned>(response: &Response) -> Result<T, PushError> {
    serde_json::from_slice(&response.body).map_err(|error| PushError::Odd(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_is_in_the_address_of_the_next_page() {
        let uri = "/api/v2/recording/jobs/1/failedrecordings?pageSize=100&cursor=a%3Db";
        assert_eq!(next_cursor(uri), Some("a%3Db"));
        assert_eq!(next_cursor("/api/v2/recording/jobs"), None);
        assert_eq!(next_cursor("/x?cursor="), None);
    }
}
