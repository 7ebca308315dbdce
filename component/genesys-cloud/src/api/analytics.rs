//! The analytics of conversations: the query, asynchronous jobs, and single conversations
//! (ConversationQuery, AsyncConversationQuery, AsyncQueryStatus).

use recording_source_sdk::{Method, Request, Response, SourceError};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{escaped, get, parse, post};
use crate::{
    metadata::Parsed,
    options::{Direction, Options},
};

const DETAILS: &str = "/api/v2/analytics/conversations/details";

/// A page of conversations, of the query or of a job.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Page {
    /// Absent on a page past the end.
    #[serde(default)]
    pub(crate) conversations: Vec<Parsed>,
    #[serde(rename = "totalHits")]
    pub(crate) total_hits: Option<u64>,
    /// Where the next page of a job's results begins; none on the last one.
    #[serde(default)]
    pub(crate) cursor: Option<String>,
}

/// How far the data reach that jobs are answered from.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Availability {
    pub(crate) data_availability_date: String,
}

/// How a job is getting on.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobStatus {
    pub(crate) state: Option<String>,
    pub(crate) error_message: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Submitted {
    job_id: Option<String>,
}

/// The query for a page of the conversations of an interval.
pub(crate) fn query(options: &Options, interval: &str, size: u32, page: u32) -> Request {
    let ended = any("conversationEnd", &[json!({ "operator": "exists" })]);
    let mut body = filtered(options, interval, vec![ended]);
    body["paging"] = json!({ "pageSize": size, "pageNumber": page });
    post(options, &format!("{DETAILS}/query"), &body, true)
}

/// The question how many of the conversations of an interval were recorded.
pub(crate) fn recorded(options: &Options, interval: &str) -> Request {
    let ended = any("conversationEnd", &[json!({ "operator": "exists" })]);
    let mut body = filtered(options, interval, vec![ended]);
    let recorded = any("recording", &[json!({ "operator": "exists" })]);
    match body["segmentFilters"].as_array_mut() {
        Some(filters) => filters.push(recorded),
        None => body["segmentFilters"] = json!([recorded]),
    }
    body["paging"] = json!({ "pageSize": 1, "pageNumber": 1 });
    post(options, &format!("{DETAILS}/query"), &body, true)
}

/// The submission of a job for the conversations that began on a day of the interval.
///
/// It asks for those that go on, too: their end may lie beyond the data that jobs are answered from.
pub(crate) fn submit(options: &Options, interval: &str) -> Request {
    let mut body = filtered(options, interval, Vec::new());
    body["startOfDayIntervalMatching"] = json!(true);
    post(options, &format!("{DETAILS}/jobs"), &body, false)
}

/// The question how far the data of jobs reach.
pub(crate) fn availability(options: &Options) -> Request {
    get(options, &format!("{DETAILS}/jobs/availability"))
}

/// The question how a job is getting on.
pub(crate) fn poll(options: &Options, job: &str) -> Request {
    get(options, &format!("{DETAILS}/jobs/{job}"))
}

/// A page of a job's results.
pub(crate) fn results(options: &Options, job: &str, size: u32, cursor: Option<&str>) -> Request {
    let cursor = cursor.map_or_else(String::new, |cursor| format!("&cursor={}", escaped(cursor)));
    get(
        options,
        &format!("{DETAILS}/jobs/{job}/results?pageSize={size}{cursor}"),
    )
}

/// Cancels a job.
pub(crate) fn cancel(options: &Options, job: &str) -> Request {
    Request {
        method: Method::Delete,
        ..get(options, &format!("{DETAILS}/jobs/{job}"))
    }
}

/// These conversations as the query sees them now.
pub(crate) fn details(options: &Options, ids: &[String]) -> Request {
    get(options, &format!("{DETAILS}?id={}", ids.join(",")))
}

/// The id of a job just submitted.
pub(crate) fn job_id(response: &Response) -> Result<String, SourceError> {
    let submitted: Submitted = parse(response)?;
    super::id(submitted.job_id).ok_or_else(|| {
        SourceError::Transient("the answer to an analytics job names no job".to_owned())
    })
}

fn filtered(options: &Options, interval: &str, mut conversation_filters: Vec<Value>) -> Value {
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
    });
    if !conversation_filters.is_empty() {
        body["conversationFilters"] = Value::Array(conversation_filters);
    }
    if !segment_filters.is_empty() {
        body["segmentFilters"] = Value::Array(segment_filters);
    }
    body
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
