//! The batch API (BatchDownloadJobSubmission, BatchDownloadJobStatusResult), in both dialects.

use recording_source_sdk::{Request, Response, SourceError};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{get, parse, post};
use crate::options::{Dialect, Format, Options};

/// What a submitted batch is answered with.
#[derive(Debug, Deserialize)]
struct Submitted {
    id: Option<String>,
    #[serde(rename = "jobId")]
    job_id: Option<String>,
}

/// The state of a batch job.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Job {
    pub(crate) status: Option<String>,
    pub(crate) expected_result_count: Option<u64>,
    pub(crate) result_count: Option<u64>,
    #[serde(default)]
    pub(crate) results: Option<Vec<JobResult>>,
    /// One archive with everything, in the guide dialect.
    pub(crate) result_url: Option<String>,
}

/// One file of a batch job, or why there is none.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobResult {
    pub(crate) conversation_id: Option<String>,
    pub(crate) recording_id: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) result_url: Option<String>,
    pub(crate) error_msg: Option<String>,
}

/// The submission of a batch.
pub(crate) fn submit(options: &Options, conversations: &[String]) -> Request {
    let items: Vec<Value> = conversations
        .iter()
        .map(|id| json!({ "conversationId": id }))
        .collect();
    let body = match options.dialect {
        Dialect::Cloud => json!({ "batchDownloadRequestList": items }),
        Dialect::Guide => {
            let mut query = json!({ "batchDownloadJobSignatures": items });
            match options.format {
                Format::Wav => query["format"] = json!("WAV"),
                Format::Mp3 => query["format"] = json!("MP3"),
                // Options with another format are refused in this dialect.
                Format::Original | Format::Ogg | Format::Webm => {}
            }
            json!({ "batchDownloadJobSubmissionQuery": query })
        }
    };
    post(options, "/api/v2/recording/batchrequests", &body, false)
}

/// The question how a job is getting on.
pub(crate) fn poll(options: &Options, job: &str) -> Request {
    get(options, &format!("/api/v2/recording/batchrequests/{job}"))
}

/// The id of a job just submitted.
pub(crate) fn job_id(response: &Response) -> Result<String, SourceError> {
    let submitted: Submitted = parse(response)?;
    super::id(submitted.id.or(submitted.job_id))
        .ok_or_else(|| SourceError::Transient("the answer to a batch names no job".to_owned()))
}
