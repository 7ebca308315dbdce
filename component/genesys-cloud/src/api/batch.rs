//! The batch API (BatchDownloadJobSubmission, BatchDownloadJobStatusResult), in both dialects.

use recording_source_sdk::{Request, Response, SourceError, json::Object};
use serde_json::{Value, json};

use super::{get, object, post};
use crate::options::{Dialect, Format, Options};

/// The state of a batch job.
#[derive(Debug, Default)]
pub(crate) struct Job {
    pub(crate) status: Option<String>,
    pub(crate) expected_result_count: Option<u64>,
    pub(crate) result_count: Option<u64>,
    pub(crate) results: Vec<JobResult>,
    /// The number of results that do not name their conversation.
    pub(crate) anonymous: u64,
    /// One archive with everything, in the guide dialect.
    pub(crate) result_url: Option<String>,
}

/// One file of a batch job, or why there is none.
#[derive(Clone, Debug)]
pub(crate) struct JobResult {
    pub(crate) conversation_id: String,
    pub(crate) recording_id: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) result_url: Option<String>,
    pub(crate) error_msg: Option<String>,
    /// True if a field that matters is present and cannot be read.
    pub(crate) is_odd: bool,
}

impl Job {
    pub(crate) fn read(response: &Response) -> Result<Self, SourceError> {
        let (job, _) = object(response, |body| {
            let mut job = Job {
                status: body.text("status"),
                expected_result_count: body.count("expectedResultCount"),
                result_count: body.count("resultCount"),
                result_url: body.text("resultUrl").filter(|url| !url.is_empty()),
                ..Job::default()
            };
            let all = super::essential(body, "results")?.len();
            for result in body.objects("results") {
                if let (Some(mut result), odd) = result.apart(JobResult::read) {
                    result.is_odd = ["recordingId", "resultUrl", "errorMsg"]
                        .iter()
                        .any(|field| odd.touches(field));
                    job.results.push(result);
                }
            }
            job.anonymous = (all - job.results.len()) as u64;
            Ok(job)
        })?;
        job
    }
}

impl JobResult {
    fn read(result: &Object<'_>) -> Option<Self> {
        let given = |name| result.text(name).filter(|text| !text.is_empty());
        Some(JobResult {
            conversation_id: given("conversationId")?,
            recording_id: given("recordingId"),
            content_type: given("contentType"),
            result_url: given("resultUrl"),
            error_msg: result.text("errorMsg"),
            is_odd: false,
        })
    }
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

/// The request for the progress of a job.
pub(crate) fn poll(options: &Options, job: &str) -> Request {
    get(options, &format!("/api/v2/recording/batchrequests/{job}"))
}

/// The id of a job just submitted.
pub(crate) fn job_id(response: &Response) -> Result<String, SourceError> {
    let (id, _) = object(response, |body| {
        body.text("id").or_else(|| body.text("jobId"))
    })?;
    super::id(id)
        .ok_or_else(|| SourceError::Transient("the answer to a batch names no job".to_owned()))
}
