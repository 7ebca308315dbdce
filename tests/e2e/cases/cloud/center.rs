//! The answers and refusals of the contact center.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response,
    body::Incoming,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use serde_json::{Value, json};

use super::{DAY, Recording};

/// A request about which a hook may have its own mind.
pub(crate) enum Ask<'a> {
    /// A page of conversations, as it should be.
    Page(Value),
    /// The state of a batch job: how often it was requested, and the state as it should be.
    Poll(u64, Value),
    /// The metadata of a conversation's recordings.
    Metadata(&'a str, Value),
    /// An access token: how often one was requested, and the answer as it should be.
    Token(u64, Value),
    /// Bytes of a recording, by path and query.
    Media(&'a str),
}

/// An answer of a hook.
pub(crate) struct Answer {
    status: u16,
    content_type: &'static str,
    body: Bytes,
    /// Further headers.
    headers: Vec<(&'static str, String)>,
}

impl Answer {
    /// The same with one more header.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn json(body: &Value) -> Option<Self> {
        Self::new(200, "application/json", body.to_string())
    }

    pub(crate) fn new(
        status: u16,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Option<Self> {
        Some(Answer {
            status,
            content_type,
            body: body.into(),
            headers: Vec::new(),
        })
    }
}

pub(super) type Hook = dyn Fn(Ask<'_>) -> Option<Answer> + Send + Sync;

/// The content of the contact center, and the requests to it.
pub(super) struct ScriptedCenter {
    pub(super) conversations: Vec<(Value, Vec<Recording>)>,
    pub(super) hook: Box<Hook>,
    pub(super) seen: Mutex<Seen>,
}

#[derive(Default)]
pub(super) struct Seen {
    tokens: BTreeSet<String>,
    jobs: BTreeMap<String, (Vec<String>, u64)>,
    /// How often what was asked.
    pub(super) counts: BTreeMap<&'static str, u64>,
    /// Requests that the vendor would have refused.
    pub(super) wrong: Vec<String>,
}

impl ScriptedCenter {
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let path = head.uri.path().to_owned();
        let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        let base = format!("http://{}", header(HOST).unwrap_or_default());
        let authorization = header(AUTHORIZATION).unwrap_or_default();
        let answer = if path == "/oauth/token" {
            self.token(authorization, &body)
        } else if path.starts_with("/media/") {
            if !authorization.is_empty() {
                self.refuse("a log-in was sent to where media are");
            }
            let asked = head.uri.path_and_query().map_or("", |path| path.as_str());
            self.media(asked)
        } else {
            let token = authorization.strip_prefix("Bearer ").unwrap_or_default();
            let known = self.seen.lock().unwrap().tokens.contains(token);
            if known {
                let query = head.uri.query().unwrap_or_default();
                self.api(&head.method, &path, query, &body, &base)
            } else {
                self.refuse(&format!("{path} without a token"))
            }
        };
        let mut response = Response::builder()
            .status(answer.status)
            .header(CONTENT_TYPE, answer.content_type);
        for (name, value) in answer.headers {
            response = response.header(name, value);
        }
        response.body(answer.body.into()).unwrap()
    }

    fn api(&self, method: &Method, path: &str, query: &str, body: &[u8], base: &str) -> Answer {
        let given: Value = serde_json::from_slice(body).unwrap_or_default();
        let path = path.strip_prefix("/api/v2/").unwrap_or(path);
        let parts: Vec<&str> = path.split('/').collect();
        match (method.as_str(), parts.as_slice()) {
            ("POST", ["analytics", "conversations", "details", "query"]) => self.page(&given),
            (
                "GET",
                [
                    "analytics",
                    "conversations",
                    "details",
                    "jobs",
                    "availability",
                ],
            ) => self.plain(&json!({ "dataAvailabilityDate": "2026-11-25T00:00:00.000Z" })),
            ("POST", ["recording", "batchrequests"]) => self.submit(&given),
            ("GET", ["recording", "batchrequests", job]) => self.poll(job, base),
            ("GET", ["analytics", "conversations", "details"]) => self.details(query),
            ("GET", ["recording", "settings"]) => {
                self.plain(&json!({ "recordingBatchDownloadUrlTtl": 60 }))
            }
            // It knows no names.
            (
                "GET",
                ["users"] | ["routing", "queues" | "wrapupcodes"] | ["authorization", "divisions"],
            ) => self.plain(&json!({ "entities": [] })),
            ("GET", ["conversations", conversation, "recordingmetadata"]) => {
                self.metadata(conversation)
            }
            _ => {
                self.refuse(&format!("{method} {path} is nothing that there is"));
                self.plain(&json!({ "code": "not.found" })).status(404)
            }
        }
    }

    fn token(&self, authorization: &str, body: &[u8]) -> Answer {
        let expected = "Basic Y2xpZW50Omh1c2gtaHVzaC1odXNo";
        if authorization != expected || body != b"grant_type=client_credentials" {
            return self.refuse("this is not how one logs in");
        }
        self.count("token");
        let mut seen = self.seen.lock().unwrap();
        let token = format!("token-{}", seen.tokens.len());
        seen.tokens.insert(token.clone());
        let body = json!({ "access_token": token, "token_type": "bearer", "expires_in": 86399 });
        let asked = seen.counts["token"];
        drop(seen);
        let answer = (self.hook)(Ask::Token(asked, body.clone()));
        answer.unwrap_or_else(|| self.plain(&body))
    }

    /// The conversations that began on a day that the interval touches, and that the filter wants.
    fn page(&self, given: &Value) -> Answer {
        self.count("page");
        let interval = given["interval"].as_str().unwrap_or_default();
        let (from, until) = interval.split_once('/').unwrap_or_default();
        let size = given["paging"]["pageSize"].as_u64().unwrap_or(25) as usize;
        let number = given["paging"]["pageNumber"].as_u64().unwrap_or(1) as usize;
        let instant = |text: &str| text.parse::<jiff::Timestamp>().is_ok();
        if !instant(from) || !instant(until) || !(1..=100).contains(&size) || number == 0 {
            return self.refuse(&format!("a page of {given}"));
        }
        let ended = given["conversationFilters"].to_string();
        let ended = ended.contains("conversationEnd") && ended.contains("\"exists\"");
        let wanted = self.conversations.iter().filter(|(row, _)| {
            let day = row["conversationStart"]
                .as_str()
                .and_then(|at| at.get(..10));
            let day = day.filter(|day| day.starts_with("20")).unwrap_or(DAY);
            let touched = &from[..10] <= day && day <= &until[..10];
            touched && !(ended && row.is_object() && row["conversationEnd"].is_null())
        });
        let rows: Vec<&Value> = wanted.map(|(row, _)| row).collect();
        let mut page = json!({ "totalHits": rows.len() });
        let on_it = rows.iter().skip((number - 1) * size).take(size);
        let on_it: Vec<&&Value> = on_it.collect();
        // The vendor leaves the list out when there is nothing in it.
        if !on_it.is_empty() {
            page["conversations"] = json!(on_it);
        }
        let answer = (self.hook)(Ask::Page(page.clone()));
        answer.unwrap_or_else(|| self.plain(&page))
    }

    /// The conversations of these ids, at most a hundred.
    fn details(&self, query: &str) -> Answer {
        let ids = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "id");
        let ids = ids.map(|(_, ids)| ids.into_owned()).unwrap_or_default();
        let ids: Vec<&str> = ids.split(',').collect();
        if !(1..=100).contains(&ids.len()) {
            return self.refuse("details of other than 1 to 100 conversations");
        }
        let rows = self.conversations.iter().map(|(row, _)| row);
        let asked = |row: &&Value| ids.iter().any(|id| row["conversationId"] == *id);
        let rows: Vec<&Value> = rows.filter(asked).collect();
        self.plain(&json!({ "conversations": rows }))
    }

    fn submit(&self, given: &Value) -> Answer {
        self.count("submit");
        let asked = given["batchDownloadRequestList"].as_array();
        let asked = asked.map_or(&[][..], Vec::as_slice);
        let ids: Option<Vec<String>> = asked
            .iter()
            .map(|item| item["conversationId"].as_str().map(str::to_owned))
            .collect();
        let mut seen = self.seen.lock().unwrap();
        match ids {
            Some(ids) if (1..=100).contains(&ids.len()) => {
                let job = format!("job-{}", seen.jobs.len());
                seen.jobs.insert(job.clone(), (ids, 0));
                drop(seen);
                self.plain(&json!({ "id": job }))
            }
            // What a check asks: the permission is looked at, and the list then refused.
            Some(ids) if ids.is_empty() => {
                drop(seen);
                self.plain(&json!({ "code": "bad.request" })).status(400)
            }
            _ => {
                drop(seen);
                self.refuse("a batch of other than 1 to 100 conversations")
            }
        }
    }

    fn poll(&self, job: &str, base: &str) -> Answer {
        self.count("poll");
        let mut seen = self.seen.lock().unwrap();
        let Some((asked, polls)) = seen.jobs.get_mut(job) else {
            drop(seen);
            return self.refuse("a job that there is not");
        };
        *polls += 1;
        let (asked, polls) = (asked.clone(), *polls);
        drop(seen);
        let mut results = Vec::new();
        for (row, recordings) in &self.conversations {
            let Some(conversation) = row["conversationId"].as_str() else {
                continue;
            };
            if !asked.iter().any(|id| id == conversation) {
                continue;
            }
            results.extend(recordings.iter().map(|recording| {
                let here = format!(
                    "{base}/media/{conversation}/{}?X-Amz-Signature=hush{polls}",
                    recording.id
                );
                json!({
                    "conversationId": conversation,
                    "recordingId": recording.id,
                    "contentType": recording.content_type,
                    "resultUrl": recording.url.clone().unwrap_or(here),
                })
            }));
        }
        let state = json!({
            "id": job, "jobId": job, "status": "Completed", "errorCount": 0,
            "expectedResultCount": results.len(), "resultCount": results.len(),
            "results": results,
        });
        let answer = (self.hook)(Ask::Poll(polls, state.clone()));
        answer.unwrap_or_else(|| self.plain(&state))
    }

    fn metadata(&self, conversation: &str) -> Answer {
        self.count("metadata");
        let found = self
            .conversations
            .iter()
            .find(|(row, _)| row["conversationId"] == conversation);
        let Some((row, recordings)) = found else {
            return self.refuse("metadata of a conversation that there is not");
        };
        let list: Value = recordings
            .iter()
            .map(|recording| {
                json!({ "id": recording.id, "conversationId": conversation,
                    "fileState": "AVAILABLE", "media": "audio", "mediaSubtype": "Trunk",
                    "sessionId": recording.id, "startTime": row["conversationStart"],
                    "endTime": row["conversationEnd"], "annotations": [] })
            })
            .collect();
        let answer = (self.hook)(Ask::Metadata(conversation, list.clone()));
        answer.unwrap_or_else(|| self.plain(&list))
    }

    fn media(&self, asked: &str) -> Answer {
        self.count("media");
        if let Some(answer) = (self.hook)(Ask::Media(asked)) {
            return answer;
        }
        let path = asked.split('?').next().unwrap_or_default();
        let recordings = self.conversations.iter().flat_map(|(_, all)| all);
        let found = recordings
            .into_iter()
            .find(|recording| path.ends_with(&format!("/{}", recording.id)));
        match found {
            Some(recording) => Answer {
                status: 200,
                content_type: recording.served.unwrap_or(recording.content_type),
                body: recording.body.clone(),
                headers: Vec::new(),
            },
            None => self.refuse("a recording that there is not").status(404),
        }
    }

    fn count(&self, what: &'static str) {
        *self.seen.lock().unwrap().counts.entry(what).or_default() += 1;
    }

    fn plain(&self, body: &Value) -> Answer {
        Answer {
            status: 200,
            content_type: "application/json",
            body: body.to_string().into(),
            headers: Vec::new(),
        }
    }

    /// Refuses what the vendor would refuse; the test fails of it.
    fn refuse(&self, why: &str) -> Answer {
        self.seen.lock().unwrap().wrong.push(why.to_owned());
        self.plain(&json!({ "status": 400, "code": "bad.request", "message": why }))
            .status(400)
    }
}

impl Answer {
    fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
}
