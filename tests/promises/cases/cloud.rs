//! A small Genesys Cloud that a test scripts: what it has, and how it misbehaves.
//!
//! It is strict where the vendor is: a request that the vendor would refuse is refused and told of,
//! and fails the test. What a hook answers instead is what the test is about.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response,
    body::Incoming,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{answering, files, run_program};

/// The day on which all conversations begin, unless their rows say otherwise.
const DAY: &str = "2026-01-05";
/// How fast time runs for the program.
const SPEED: &str = "40";

/// A recording that the contact center has.
#[derive(Clone)]
pub(super) struct Recording {
    pub(super) id: String,
    /// The type that is announced.
    pub(super) content_type: &'static str,
    /// The type that its bytes are served with; as announced if left out.
    pub(super) served: Option<&'static str>,
    pub(super) body: Bytes,
    /// Where its bytes are, in place of here.
    pub(super) url: Option<String>,
}

impl Recording {
    /// The recording `index` of conversation `number`.
    pub(super) fn new(number: u32, index: u32, content_type: &'static str, body: Vec<u8>) -> Self {
        Recording {
            id: format!("10000000-0000-4000-8000-{number:08}{index:04}"),
            content_type,
            served: None,
            body: body.into(),
            url: None,
        }
    }

    /// A call in WAV, which differs from all others.
    pub(super) fn call(number: u32, index: u32) -> Self {
        Recording::new(number, index, "audio/wav", wav(number * 100 + index))
    }
}

/// A second of sound in WAV; another `seed` makes other bytes.
pub(super) fn wav(seed: u32) -> Vec<u8> {
    let mut sound = Vec::new();
    for sample in 0..800_u32 {
        let level = (sample.wrapping_mul(seed.wrapping_add(7)) % 4001) as i16 - 2000;
        sound.extend(level.to_le_bytes());
    }
    let mut file = Vec::from(*b"RIFF");
    file.extend((36 + sound.len() as u32).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data");
    file.extend((sound.len() as u32).to_le_bytes());
    file.extend(sound);
    file
}

/// The id of conversation `number`.
pub(super) fn id(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// What analytics tell of conversation `number`: a call of four minutes between a customer and an
/// agent, recorded on both sides.
pub(super) fn row(number: u32) -> Value {
    json!({
        "conversationId": id(number),
        "conversationStart": format!("{DAY}T10:00:00.000Z"),
        "conversationEnd": format!("{DAY}T10:04:00.000Z"),
        "originatingDirection": "inbound",
        "divisionIds": ["d-1"],
        "participants": [
            { "participantId": format!("p{number}a"), "participantName": "Caller",
              "purpose": "customer",
              "sessions": [{ "sessionId": format!("s{number}a"), "mediaType": "voice",
                "ani": "tel:+15550100", "dnis": "tel:+15550199", "recording": true,
                "segments": [{ "segmentType": "interact", "queueId": "q-1",
                  "segmentStart": format!("{DAY}T10:00:00.000Z"),
                  "segmentEnd": format!("{DAY}T10:04:00.000Z") }] }] },
            { "participantId": format!("p{number}b"), "participantName": "Agent One",
              "userId": "u-1", "purpose": "agent",
              "sessions": [{ "sessionId": format!("s{number}b"), "mediaType": "voice",
                "recording": true,
                "metrics": [{ "name": "tTalkComplete", "value": 1000 }],
                "segments": [{ "segmentType": "wrapup", "queueId": "q-1", "wrapUpCode": "w-1" }] }] },
        ],
    })
}

/// A request about which a hook may have its own mind.
pub(super) enum Ask<'a> {
    /// A page of conversations, as it should be.
    Page(Value),
    /// The state of a batch job: how often it was asked for, and the state as it should be.
    Poll(u64, Value),
    /// The metadata of a conversation's recordings.
    Metadata(&'a str, Value),
    /// Bytes of a recording, by path and query.
    Media(&'a str),
}

/// An answer of a hook.
pub(super) struct Answer {
    status: u16,
    content_type: &'static str,
    body: Bytes,
}

impl Answer {
    pub(super) fn json(body: &Value) -> Option<Self> {
        Self::new(200, "application/json", body.to_string())
    }

    pub(super) fn new(
        status: u16,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Option<Self> {
        Some(Answer {
            status,
            content_type,
            body: body.into(),
        })
    }
}

type Hook = dyn Fn(Ask<'_>) -> Option<Answer> + Send + Sync;

/// What the contact center has, and what is asked of it.
struct Center {
    conversations: Vec<(Value, Vec<Recording>)>,
    hook: Box<Hook>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    tokens: BTreeSet<String>,
    jobs: BTreeMap<String, (Vec<String>, u64)>,
    /// How often what was asked.
    counts: BTreeMap<&'static str, u64>,
    /// What the vendor would have refused.
    wrong: Vec<String>,
}

/// How a command of the program ended.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) code: Option<i32>,
    /// What it printed, if that is JSON.
    pub(super) json: Value,
    /// What it said on standard error.
    pub(super) said: String,
}

/// The contact center as a web server, and a folder for what is exported from it.
pub(super) struct Cloud {
    url: String,
    folder: TempDir,
    center: Arc<Center>,
    /// Options of the source besides those that all tests have.
    pub(super) options: Value,
    /// The sinks; at first a folder, `out`.
    pub(super) sinks: Value,
}

impl Cloud {
    /// A contact center that has these conversations and does everything right.
    pub(super) async fn honest(conversations: Vec<(Value, Vec<Recording>)>) -> Self {
        Self::start(conversations, |_| None).await
    }

    /// A contact center whose answers are those of the hook, where that has one.
    pub(super) async fn start(
        conversations: Vec<(Value, Vec<Recording>)>,
        hook: impl Fn(Ask<'_>) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let center = Arc::new(Center {
            conversations,
            hook: Box::new(hook),
            seen: Mutex::default(),
        });
        let shared = Arc::clone(&center);
        let url = answering(move |request| {
            let center = Arc::clone(&shared);
            async move { center.answer(request).await }
        });
        let folder = TempDir::new().unwrap();
        let output = folder.path().join("output");
        Cloud {
            url: url.await,
            folder,
            center,
            options: json!({}),
            sinks: json!({ "out": { "type": "filesystem", "path": output } }),
        }
    }

    /// A folder beside that of the queue.
    pub(super) fn folder(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder that recordings are brought to.
    pub(super) fn output(&self) -> PathBuf {
        self.folder("output")
    }

    /// All files that were brought, by their keys.
    pub(super) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        files(&self.output())
    }

    /// The keys of what lies where recordings lie.
    pub(super) fn recordings(&self) -> Vec<String> {
        let files = self.files().into_keys();
        files.filter(|key| key.starts_with("recordings/")).collect()
    }

    /// How often something was asked: `page`, `submit`, `poll`, `metadata` or `media`.
    pub(super) fn asked(&self, what: &str) -> u64 {
        let seen = self.center.seen.lock().unwrap();
        seen.counts.get(what).copied().unwrap_or_default()
    }

    /// Runs a command of the program; nothing that the vendor refuses may have been asked by then.
    pub(super) async fn command(&self, command: &str, more: &[&str]) -> Ran {
        let mut options = json!({
            "api_url": self.url,
            "login_url": self.url,
            "media_origins": [self.url],
            "interval": format!("{DAY}/2026-01-06"),
            "poll_seconds": 1,
        });
        let all = options.as_object_mut().unwrap();
        all.extend(self.options.as_object().unwrap().clone());
        let config = json!({
            "data_dir": self.folder.path().join("data"),
            "sources": { "calls": {
                "type": "genesys_cloud",
                "allow_private_addresses": true,
                "confirm_hours": 0,
                "auth": { "client_id": "client", "client_secret": "hush-hush-hush" },
                "options": options,
            } },
            "sinks": self.sinks,
        });
        let path = self.folder.path().join("config.yaml");
        std::fs::write(&path, config.to_string()).unwrap();
        let path = path.display().to_string();
        let mut arguments = vec![command, "--config", &path, "--json"];
        if ["run", "reconcile", "status"].contains(&command) {
            arguments.extend(["--speed", SPEED]);
        }
        arguments.extend(more);
        let ran = run_program(&arguments).await;
        let seen = self.center.seen.lock().unwrap();
        assert!(seen.wrong.is_empty(), "{:#?}", seen.wrong);
        let said = String::from_utf8(ran.stderr).unwrap();
        assert!(!said.contains("hush"), "{said}");
        Ran {
            code: ran.status.code(),
            json: serde_json::from_slice(&ran.stdout).unwrap_or_default(),
            said,
        }
    }

    /// Exports, and checks that the sums agree: each conversation has one outcome, and the sinks
    /// prove what was told.
    pub(super) async fn run(&self) -> Exported {
        self.run_with(&[]).await
    }

    /// Exports with further arguments.
    pub(super) async fn run_with(&self, arguments: &[&str]) -> Exported {
        let ran = self.command("run", arguments).await;
        let summary = &ran.json["sources"]["calls"];
        assert!(summary.is_object(), "{ran:?}");
        let outcomes: BTreeMap<String, u64> =
            serde_json::from_value(summary["outcomes"].clone()).unwrap();
        let conversations = summary["conversations"].as_u64().unwrap();
        assert_eq!(outcomes.values().sum::<u64>(), conversations, "{ran:?}");
        let mut losses = BTreeMap::<String, Vec<(String, String)>>::new();
        for loss in summary["losses"].as_array().unwrap() {
            let text = |name: &str| loss[name].as_str().unwrap().to_owned();
            let of = losses.entry(text("conversation")).or_default();
            of.push((text("code"), text("message")));
        }
        let proven = self.command("verify", &["--full"]).await;
        assert_eq!(proven.code, Some(0), "{proven:?} after {ran:?}");
        for (name, report) in proven.json["sinks"].as_object().unwrap() {
            assert_eq!(report["findings"], json!([]), "{name}: {proven:?}");
        }
        Exported {
            code: ran.code,
            outcomes,
            losses,
            said: ran.said,
        }
    }
}

/// What an export says of itself.
#[derive(Debug)]
pub(super) struct Exported {
    pub(super) code: Option<i32>,
    pub(super) outcomes: BTreeMap<String, u64>,
    /// Code and message of each loss, by conversation.
    pub(super) losses: BTreeMap<String, Vec<(String, String)>>,
    pub(super) said: String,
}

impl Exported {
    /// Checks that everything was stored and nothing lost.
    pub(super) fn complete(&self, conversations: u64) {
        assert_eq!(
            self.outcomes,
            BTreeMap::from([("stored".to_owned(), conversations)]),
            "{self:?}"
        );
        assert_eq!(self.code, Some(0), "{self:?}");
        assert!(self.losses.is_empty(), "{self:?}");
    }

    /// Conversations that were stored in full.
    pub(super) fn stored(&self) -> u64 {
        self.outcomes.get("stored").copied().unwrap_or_default()
    }

    /// The message of the one loss of conversation `number`, which must have this code.
    pub(super) fn loss(&self, number: u32, code: &str) -> &str {
        let of = self.losses.get(&id(number));
        let of = of.unwrap_or_else(|| panic!("{number} lost nothing: {self:?}"));
        assert_eq!(of.len(), 1, "{self:?}");
        assert_eq!(of[0].0, code, "{self:?}");
        &of[0].1
    }
}

impl Center {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
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
        Response::builder()
            .status(answer.status)
            .header(CONTENT_TYPE, answer.content_type)
            .body(answer.body.into())
            .unwrap()
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
        let mut seen = self.seen.lock().unwrap();
        let token = format!("token-{}", seen.tokens.len());
        seen.tokens.insert(token.clone());
        let body = json!({ "access_token": token, "token_type": "bearer", "expires_in": 86399 });
        drop(seen);
        self.plain(&body)
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
