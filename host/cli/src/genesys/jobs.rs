//! Lets Genesys Cloud's own S3 integration push recordings to a bucket: its recording bulk actions.
//!
//! A job is `PENDING` while the vendor looks for recordings, `READY` until its creator lets it
//! continue, then `PROCESSING`, and `FULFILLED` in the end. All of its state is the vendor's: nothing
//! is kept here, and whoever has its id can continue it. A source of type `genesys_bucket` exports the
//! pushed recordings.

mod answer;

use std::time::Duration;

use serde_json::json;

pub(crate) use answer::{FailedRecording, Job};
use answer::{listing, next_cursor};

use recording_host_engine::run::VendorApi;
use recording_host_http::{Priority, SourceHttp};
use recording_host_model::{Method, Request, RequestError, Response, clock::Clock};

const PATH: &str = "/api/v2/recording/jobs";
/// Jobs that one organization may have on at once.
const AT_ONCE: usize = 2;
/// The shortest and the longest pause between two looks at a job.
const PAUSE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));
/// Pages that a listing has at most.
const PAGES: u32 = 10_000;

/// Why a job is unavailable, or did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PushError {
    /// There is no answer.
    #[error("the API cannot be reached ({0}); the job, if there is one, continues")]
    Unreachable(String),
    /// The API refuses.
    #[error("the API refuses to {what}: status {status}, {code}: {message}{hint}")]
    Refused {
        /// The action that it refuses.
        what: &'static str,
        /// The status.
        status: u16,
        /// The vendor's code.
        code: String,
        /// The vendor's words.
        message: String,
        /// How to fix it.
        hint: &'static str,
    },
    /// The answer is none of the documented ones.
    #[error("the API's answer is not as documented: {0}")]
    Odd(String),
    /// There is no room for another job.
    #[error(
        "{AT_ONCE} jobs are already running, and an organization may have no more: {0}; wait for one of them, or end it with `push cancel`"
    )]
    Busy(String),
    /// The job has failed.
    #[error("the job {id} has failed: {message}")]
    Failed {
        /// Its id.
        id: String,
        /// The vendor's words.
        message: String,
    },
    /// The job was canceled.
    #[error("the job {0} was cancelled")]
    Cancelled(String),
}

/// The recordings to push.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    /// The id of the S3 integration.
    pub(crate) integration: String,
    /// The conversations that began in this range, in ms since the epoch, the end excluded.
    pub(crate) range: std::ops::Range<u64>,
    /// True if recordings of screens are pushed.
    pub(crate) screens: bool,
    /// True if recordings with sensitive data are pushed.
    pub(crate) sensitive: bool,
    /// True if recordings made by a policy are pushed.
    pub(crate) policy_based: bool,
    /// True if snippets are pushed.
    pub(crate) snippets: bool,
    /// When they are pushed, in ms since the epoch; now if left out.
    pub(crate) at: Option<u64>,
    /// The conversations whose recordings are pushed: values of dimensions, one of each must match.
    pub(crate) select: Select,
}

/// The selection of conversations by what the vendor's analytics know; what is empty selects all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Select {
    /// Media types.
    pub(crate) media: Vec<String>,
    /// `inbound` or `outbound`.
    pub(crate) direction: Option<String>,
    /// Ids of queues.
    pub(crate) queues: Vec<String>,
    /// Ids of users.
    pub(crate) users: Vec<String>,
    /// Ids of divisions.
    pub(crate) divisions: Vec<String>,
}

impl Select {
    /// Adds the filters of an AsyncConversationQuery.
    fn add_to(&self, query: &mut serde_json::Value) {
        let any = |dimension: &str, values: &[String]| {
            let predicate = |value: &String| json!({ "type": "dimension", "dimension": dimension, "value": value });
            let predicates: Vec<serde_json::Value> = values.iter().map(predicate).collect();
            (!values.is_empty()).then(|| json!({ "type": "or", "predicates": predicates }))
        };
        let direction: Vec<String> = self.direction.iter().cloned().collect();
        for (name, filters) in [
            (
                "conversationFilters",
                vec![
                    any("originatingDirection", &direction),
                    any("divisionId", &self.divisions),
                ],
            ),
            (
                "segmentFilters",
                vec![
                    any("mediaType", &self.media),
                    any("queueId", &self.queues),
                    any("userId", &self.users),
                ],
            ),
        ] {
            let filters: Vec<serde_json::Value> = filters.into_iter().flatten().collect();
            if !filters.is_empty() {
                query[name] = filters.into();
            }
        }
    }
}

/// The recording bulk actions of an organization.
#[derive(Debug)]
pub(crate) struct Push {
    grant: SourceHttp,
    api: String,
    clock: Clock,
}

impl Push {
    pub(crate) fn new(api: VendorApi) -> Self {
        Push {
            grant: api.http,
            api: api.origin.trim_end_matches('/').to_owned(),
            clock: api.clock,
        }
    }

    /// Creates a job, or finds the one of the same order that is on already.
    ///
    /// # Errors
    /// [`PushError`]; [`PushError::Busy`] if as many jobs are on as may be.
    pub(crate) async fn start(&self, order: &Order) -> Result<Job, PushError> {
        let query = order.query(self.clock.now());
        let mut on = self.jobs(true).await?;
        on.retain(Job::is_on);
        if let Some(job) = on.iter().find(|job| job.is_of(&query)) {
            return Ok(job.clone());
        }
        let mut all = self.jobs(false).await?;
        all.retain(Job::is_on);
        if all.len() >= AT_ONCE {
            let ids: Vec<&str> = all.iter().map(|job| job.id.as_str()).collect();
            return Err(PushError::Busy(ids.join(", ")));
        }
        let response = self
            .ask("create a job", Method::Post, PATH, Some(&query))
            .await?;
        answer::job(&response)
    }

    /// The jobs of this client, or of everybody, newest first.
    ///
    /// # Errors
    /// [`PushError`].
    pub(crate) async fn jobs(&self, mine: bool) -> Result<Vec<Job>, PushError> {
        let mut jobs = Vec::new();
        for page in 1..=PAGES {
            let path = format!("{PATH}?pageSize=100&pageNumber={page}&showOnlyMyJobs={mine}");
            let response = self.ask("list the jobs", Method::Get, &path, None).await?;
            let (found, more) = listing(&response)?;
            jobs.extend(found);
            if more.is_none() {
                break;
            }
        }
        Ok(jobs)
    }

    /// A job as it is now.
    ///
    /// # Errors
    /// [`PushError`].
    pub(crate) async fn job(&self, id: &str) -> Result<Job, PushError> {
        let path = path_of(id)?;
        let response = self.ask("show the job", Method::Get, &path, None).await?;
        answer::job(&response)
    }

    /// Follows a job to its end and lets it continue once it is ready; calls `report` at each look.
    ///
    /// # Errors
    /// [`PushError`]; the job itself continues unless it has failed or was canceled.
    pub(crate) async fn follow(&self, id: &str, report: impl Fn(&Job)) -> Result<Job, PushError> {
        let path = path_of(id)?;
        let begun = self.clock.now();
        loop {
            let job = self.job(id).await?;
            report(&job);
            match job.state.as_str() {
                "READY" => {
                    let change = json!({ "state": "PROCESSING" });
                    self.ask("resume the job", Method::Put, &path, Some(&change))
                        .await?;
                    continue;
                }
                "FULFILLED" => return Ok(job),
                "CANCELLED" => return Err(PushError::Cancelled(job.id)),
                "FAILED" => {
                    let message = job.error_message.unwrap_or_default();
                    return Err(PushError::Failed {
                        id: job.id,
                        message,
                    });
                }
                // PENDING, PROCESSING, and whatever the vendor may add.
                _ => {}
            }
            let age = Duration::from_millis(self.clock.now().saturating_sub(begun));
            let pause = age.mul_f64(0.2).clamp(PAUSE.0, PAUSE.1);
            self.clock.sleep(pause).await;
        }
    }

    /// Ends a job.
    ///
    /// # Errors
    /// [`PushError`].
    pub(crate) async fn cancel(&self, id: &str) -> Result<(), PushError> {
        let path = path_of(id)?;
        self.ask("cancel the job", Method::Delete, &path, None)
            .await
            .map(|_| ())
    }

    /// Calls `each` with every recording that a job could not push.
    ///
    /// # Errors
    /// [`PushError`].
    pub(crate) async fn failed(
        &self,
        id: &str,
        mut each: impl FnMut(FailedRecording),
    ) -> Result<(), PushError> {
        let below = format!("{}/failedrecordings?pageSize=100", path_of(id)?);
        let mut path = below.clone();
        for _ in 0..PAGES {
            let what = "list failed recordings";
            let response = self.ask(what, Method::Get, &path, None).await?;
            let (found, more) = listing(&response)?;
            found.into_iter().for_each(&mut each);
            match more.as_deref().and_then(next_cursor) {
                Some(cursor) => path = format!("{below}&cursor={cursor}"),
                None => break,
            }
        }
        Ok(())
    }

    /// Makes a request and returns its answer if it is a success.
    async fn ask(
        &self,
        what: &'static str,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<Response, PushError> {
        let request = Request {
            method,
            url: format!("{}{path}", self.api),
            headers: vec![
                ("accept".to_owned(), "application/json".to_owned()),
                ("content-type".to_owned(), "application/json".to_owned()),
            ],
            body: body.map(|body| body.to_string().into_bytes()),
            // Two jobs for one order, or a state that is requested twice, would be refused.
            repeatable: method == Method::Get,
        };
        match self.grant.send("push", Priority::Begin, &request).await {
            Ok(response) if (200..300).contains(&response.status) => Ok(response),
            Ok(response) => Err(refused(what, &response)),
            Err(RequestError::Unreachable(reason) | RequestError::Refused(reason)) => {
                Err(PushError::Unreachable(reason))
            }
            Err(RequestError::TooLarge(limit)) => {
                Err(PushError::Odd(format!("larger than {limit} bytes")))
            }
        }
    }
}

impl Order {
    /// The vendor's RecordingJobsQuery.
    fn query(&self, now: u64) -> serde_json::Value {
        let iso = |ms: u64| {
            let at = i64::try_from(ms).ok();
            let at = at.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
            format!("{:.3}", at.unwrap_or(jiff::Timestamp::MAX))
        };
        let mut query = json!({
            "action": "EXPORT",
            "actionDate": iso(self.at.unwrap_or(now)),
            "integrationId": self.integration,
            "includeScreenRecordings": self.screens,
            "includeRecordingsWithSensitiveData": self.sensitive,
            "includePolicyBasedRecordings": self.policy_based,
            "includeSnippetRecordings": self.snippets,
            "conversationQuery": {
                "interval": format!("{}/{}", iso(self.range.start), iso(self.range.end)),
                "order": "asc",
                "orderBy": "conversationStart",
            },
        });
        self.select.add_to(&mut query["conversationQuery"]);
        query
    }
}

/// The path of a job, whose id may be anybody's words.
fn path_of(id: &str) -> Result<String, PushError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if id.is_empty() || id.len() > 100 || !id.chars().all(plain) {
        return Err(PushError::Odd(format!("`{id}` is not the id of a job")));
    }
    Ok(format!("{PATH}/{id}"))
}

fn refused(what: &'static str, response: &Response) -> PushError {
    let (code, message) = answer::refusal(response);
    PushError::Refused {
        what,
        status: response.status,
        code,
        message,
        hint: match response.status {
            400 => {
                "; check the interval and that `--integration` is the id of an active AWS S3 integration"
            }
            403 => {
                "; the client needs recording:job:add, :view, :edit and :delete, and only who created a job can change it"
            }
            404 => "; there is no such job",
            501 => "; the organization has no recording bulk actions",
            _ => "",
        },
    }
}
