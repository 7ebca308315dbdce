//! The vendor's JSON: requests written exactly, answers read tolerantly.
//!
//! Field names and their meaning are those of the vendor's SDKs
//! (ConversationQuery, BatchDownloadJobSubmission, BatchDownloadJobStatusResult, ErrorBody).

use recording_source_sdk::{Answer, Fault, Method, Request, Response, SourceError};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::options::{Dialect, Direction, Format, Options};

/// A page of the analytics query.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    /// Absent on a page past the end.
    #[serde(default)]
    pub(crate) conversations: Vec<Value>,
    #[serde(rename = "totalHits")]
    pub(crate) total_hits: Option<u64>,
}

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

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    code: Option<String>,
    message: Option<String>,
}

/// The query for a page of the conversations of an interval.
pub(crate) fn query(options: &Options, interval: &str, size: u32, page: u32) -> Request {
    let mut conversation_filters = vec![any("conversationEnd", &[json!({ "operator": "exists" })])];
    let mut segment_filters = Vec::new();
    let values =
        |ids: &[String]| -> Vec<Value> { ids.iter().map(|id| json!({ "value": id })).collect() };
    if let Some(direction) = options.direction {
        let value = match direction {
            Direction::Inbound => "inbound",
            Direction::Outbound => "outbound",
        };
        conversation_filters.push(any("originatingDirection", &[json!({ "value": value })]));
    }
    if !options.divisions.is_empty() {
        conversation_filters.push(any("divisionId", &values(&options.divisions)));
    }
    for (dimension, wanted) in [
        ("mediaType", &options.media),
        ("queueId", &options.queues),
        ("userId", &options.users),
    ] {
        if !wanted.is_empty() {
            segment_filters.push(any(dimension, &values(wanted)));
        }
    }
    let mut body = json!({
        "interval": interval,
        "order": "asc",
        "orderBy": "conversationStart",
        "paging": { "pageSize": size, "pageNumber": page },
        "conversationFilters": conversation_filters,
    });
    if !segment_filters.is_empty() {
        body["segmentFilters"] = Value::Array(segment_filters);
    }
    post(
        options,
        "/api/v2/analytics/conversations/details/query",
        &body,
        true,
    )
}

/// A filter for one of several predicates on a dimension.
fn any(dimension: &str, predicates: &[Value]) -> Value {
    let predicates: Vec<Value> = predicates
        .iter()
        .map(|predicate| {
            let mut predicate = predicate.clone();
            predicate["type"] = json!("dimension");
            predicate["dimension"] = json!(dimension);
            predicate
        })
        .collect();
    let kind = if predicates.len() == 1 { "and" } else { "or" };
    json!({ "type": kind, "predicates": predicates })
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
                Format::Original => {}
                Format::Wav => query["format"] = json!("WAV"),
                Format::Mp3 => query["format"] = json!("MP3"),
            }
            json!({ "batchDownloadJobSubmissionQuery": query })
        }
    };
    post(options, "/api/v2/recording/batchrequests", &body, false)
}

/// The question how a job is getting on.
pub(crate) fn poll(options: &Options, job: &str) -> Request {
    Request {
        method: Method::Get,
        url: format!("{}/api/v2/recording/batchrequests/{job}", options.api_url),
        headers: vec![("accept".to_owned(), "application/json".to_owned())],
        body: None,
        repeatable: true,
    }
}

fn post(options: &Options, path: &str, body: &Value, repeatable: bool) -> Request {
    Request {
        method: Method::Post,
        url: format!("{}{path}", options.api_url),
        headers: vec![
            ("accept".to_owned(), "application/json".to_owned()),
            ("content-type".to_owned(), "application/json".to_owned()),
        ],
        body: Some(body.to_string().into_bytes()),
        repeatable,
    }
}

/// An answer that is no success.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// The vendor's code, empty if the body is not the vendor's.
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Refusal {
    /// Whether the vendor refuses the number of hits or the length of the interval.
    pub(crate) fn too_wide(&self) -> bool {
        let text = self.message.to_ascii_lowercase();
        self.status == 400
            && ["100000", "100,000", "interval", "pagination"]
                .iter()
                .any(|word| text.contains(word))
    }

    /// Whether the vendor refuses the number of items.
    pub(crate) fn too_many_items(&self) -> bool {
        self.status == 413 || self.code.contains("too.many.items")
    }
}

impl From<Refusal> for SourceError {
    fn from(refusal: Refusal) -> Self {
        let Refusal {
            status,
            code,
            message,
        } = &refusal;
        let text = match (code.as_str(), message.as_str()) {
            ("", "") => format!("status {status}"),
            ("", message) => format!("status {status}: {message}"),
            (code, message) => format!("status {status}, {code}: {message}"),
        };
        match status {
            401 => SourceError::Auth(text),
            403 => SourceError::Forbidden(text),
            404 => SourceError::Gone(text),
            408 | 409 | 429 | 500 | 502..=599 => SourceError::Transient(text),
            _ => SourceError::Permanent(text),
        }
    }
}

/// The body of a successful answer; otherwise what was refused.
pub(crate) fn success(answer: Answer) -> Result<Result<Response, Refusal>, SourceError> {
    let response = match answer {
        Answer::Response(response) => response,
        Answer::Fault(Fault::Unreachable(reason)) => return Err(SourceError::Transient(reason)),
        Answer::Fault(Fault::Refused(reason)) => return Err(SourceError::Permanent(reason)),
        Answer::Fault(Fault::TooLarge(limit)) => {
            return Err(SourceError::Permanent(format!(
                "the answer is larger than {limit} bytes"
            )));
        }
    };
    if (200..300).contains(&response.status) {
        return Ok(Ok(response));
    }
    // Errors of the vendor's edge are HTML or empty.
    let body: ErrorBody = serde_json::from_slice(&response.body).unwrap_or_default();
    Ok(Err(Refusal {
        status: response.status,
        code: body.code.unwrap_or_default(),
        message: body.message.unwrap_or_default().chars().take(300).collect(),
    }))
}

/// Reads a successful answer; a body that is not the vendor's may be right the next time.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(response: &Response) -> Result<T, SourceError> {
    serde_json::from_slice(&response.body).map_err(|error| {
        SourceError::Transient(format!(
            "status {} with a body that is not as documented: {error}",
            response.status
        ))
    })
}

/// The id of a job just submitted.
pub(crate) fn job_id(response: &Response) -> Result<String, SourceError> {
    let submitted: Submitted = parse(response)?;
    let id = submitted.id.or(submitted.job_id).unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if id.is_empty() || id.len() > 200 || !id.chars().all(plain) {
        return Err(SourceError::Transient(
            "the answer to a batch names no job".to_owned(),
        ));
    }
    Ok(id)
}
