//! The analytics of conversations: the query, asynchronous jobs, and single conversations
//! (ConversationQuery, AsyncConversationQuery, AsyncQueryStatus).

use recording_source_sdk::{Method, Request, Response, SourceError, json::Odd, url::escape};
use serde_json::{Value, json};

use super::{get, object, post};
use crate::{
    metadata::ConversationRow,
    options::{Direction, Options},
};

const DETAILS: &str = "/api/v2/analytics/conversations/details";

/// A page of conversations, of the query or of a job.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Those that can be filed: a page past the end has none.
    pub(crate) rows: Vec<ConversationRow>,
    /// Elements that are no conversation with a usable id.
    pub(crate) unusable: u64,
    /// The dropped fields of the rows, with the ids of their conversations.
    pub(crate) odd: Vec<(String, Odd)>,
    pub(crate) total_hits: Option<u64>,
    /// Where the next page of a job's results begins; none on the last one.
    pub(crate) cursor: Option<String>,
}

impl Page {
    /// Reads a page row by row: it is never in memory as a whole tree of values.
    pub(crate) fn read(response: &Response) -> Result<Self, SourceError> {
        let (page, _) = object(response, |body| {
            let mut page = Page {
                total_hits: body.count("totalHits"),
                cursor: body.text("cursor").filter(|cursor| !cursor.is_empty()),
                ..Page::default()
            };
            let all = super::essential(body, "conversations")?.len();
            for row in body.objects("conversations") {
                if let Some((row, odd)) = ConversationRow::read(&row) {
                    if odd.count() > 0 {
                        page.odd.push((row.conversation.id.clone(), odd));
                    }
                    page.rows.push(row);
                }
            }
            page.unusable = (all - page.rows.len()) as u64;
            Ok(page)
        })?;
        page
    }

    /// The number of rows received, usable or not.
    pub(crate) fn len(&self) -> u64 {
        self.rows.len() as u64 + self.unusable
    }
}

/// The progress of a job.
#[derive(Debug)]
pub(crate) struct JobStatus {
    pub(crate) state: Option<String>,
    pub(crate) error_message: Option<String>,
}

impl JobStatus {
    pub(crate) fn read(response: &Response) -> Result<Self, SourceError> {
        let (status, _) = object(response, |body| JobStatus {
            state: body.text("state"),
            error_message: body.text("errorMessage"),
        })?;
        Ok(status)
    }
}

/// The end of the data that jobs are answered from, as the vendor writes it.
pub(crate) fn reach(response: &Response) -> Result<String, SourceError> {
    let (date, _) = object(response, |body| body.text("dataAvailabilityDate"))?;
    date.ok_or_else(|| {
        SourceError::Transient("the answer names no dataAvailabilityDate".to_owned())
    })
}

/// The query for a page of the conversations of an interval.
///
/// It includes those that have not ended: one that never ends is a conversation all the same.
pub(crate) fn query(options: &Options, interval: &str, size: u32, page: u32) -> Request {
    let mut body = filtered(options, interval);
    body["paging"] = json!({ "pageSize": size, "pageNumber": page });
    post(options, &format!("{DETAILS}/query"), &body, true)
}

/// The request for the number of recorded conversations of an interval.
pub(crate) fn recorded(options: &Options, interval: &str, page: u32) -> Request {
    let mut body = filtered(options, interval);
    let recorded = any("recording", &[json!({ "operator": "exists" })]);
    match body["segmentFilters"].as_array_mut() {
        Some(filters) => filters.push(recorded),
        None => body["segmentFilters"] = json!([recorded]),
    }
    body["paging"] = json!({ "pageSize": 1, "pageNumber": page });
    post(options, &format!("{DETAILS}/query"), &body, true)
}

/// The submission of a job for the conversations that began on a day of the interval.
///
/// It includes those that have not ended: their end may lie beyond the data that jobs are answered from.
pub(crate) fn submit(options: &Options, interval: &str) -> Request {
    let mut body = filtered(options, interval);
    body["startOfDayIntervalMatching"] = json!(true);
    post(options, &format!("{DETAILS}/jobs"), &body, false)
}

/// The request for the end of the data of jobs.
pub(crate) fn availability(options: &Options) -> Request {
    get(options, &format!("{DETAILS}/jobs/availability"))
}

/// The request for the progress of a job.
pub(crate) fn poll(options: &Options, job: &str) -> Request {
    get(options, &format!("{DETAILS}/jobs/{job}"))
}

/// The request for a page of a job's results.
pub(crate) fn results(options: &Options, job: &str, size: u32, cursor: Option<&str>) -> Request {
    let cursor = cursor.map_or_else(String::new, |cursor| format!("&cursor={}", escape(cursor)));
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

/// The request for these conversations as the query sees them now.
pub(crate) fn details(options: &Options, ids: &[String]) -> Request {
    let ids: Vec<String> = ids.iter().map(|id| escape(id)).collect();
    get(options, &format!("{DETAILS}?id={}", ids.join(",")))
}

/// The id of a job just submitted.
pub(crate) fn job_id(response: &Response) -> Result<String, SourceError> {
    let (id, _) = object(response, |body| body.text("jobId"))?;
    super::id(id).ok_or_else(|| {
        SourceError::Transient("the answer to an analytics job names no job".to_owned())
    })
}

fn filtered(options: &Options, interval: &str) -> Value {
    let mut conversation_filters = Vec::new();
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
