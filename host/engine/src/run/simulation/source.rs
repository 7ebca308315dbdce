//! A source for the vendor of a simulation.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Notify;

use super::world::{Poison, World};
use crate::run::ports::SourceRuntime;
use recording_host_model::{
    Artifact, ArtifactKey, Container, Conversation, Download, Failure, HandedOver, Job, Method,
    Missing, Next, Purpose, RecordingKey, Reported, ReportedOutcome, Request, Send, SourceError,
    Split, SplitInput, SplitState, Started, Step, Wait,
};
use recording_host_source::SandboxError;

/// A split's memory.
#[derive(Clone, Serialize, Deserialize)]
enum Memory {
    Page {
        from: u64,
        until: u64,
        page: u64,
    },
    Unsubmitted {
        ids: Vec<String>,
        /// Those of them of which no recording was begun.
        bare: Vec<String>,
        renewing: Option<Vec<String>>,
    },
    Job {
        ids: Vec<String>,
        bare: Vec<String>,
        renewing: Option<Vec<String>>,
        job: u64,
        since: u64,
    },
}

/// A split's report on the job that it waits for.
fn waited_for(since: u64) -> Option<Job> {
    Some(Job {
        kind: "batch".to_owned(),
        since,
        done: None,
        total: None,
        latest: since + 900_000,
    })
}

/// A source for the simulated vendor.
pub(super) struct Source {
    world: Arc<Mutex<World>>,
    killed: Arc<Notify>,
}

impl Source {
    pub(super) fn new(world: Arc<Mutex<World>>, killed: Arc<Notify>) -> Self {
        Source { world, killed }
    }

    fn conversation(&self, id: &str, extent: u64) -> Conversation {
        let world = self.world.lock().unwrap();
        let call = world
            .conversations
            .iter()
            .find(|call| call.id == id)
            .unwrap();
        Conversation {
            recorded: call.flagged,
            revision: Some(extent),
            ..found(id, call.start, call.end)
        }
    }
}

/// A conversation of which nothing is known but when it was.
pub(super) fn found(id: &str, start: u64, end: u64) -> Conversation {
    Conversation {
        id: id.to_owned(),
        start,
        end: Some(end),
        direction: None,
        ani: None,
        dnis: None,
        agents: Vec::new(),
        queues: Vec::new(),
        wrap_up_codes: Vec::new(),
        tags: Vec::new(),
        divisions: Vec::new(),
        media_types: Vec::new(),
        recorded: false,
        revision: None,
        attributes: Vec::new(),
    }
}

fn write(memory: &Memory) -> SplitState {
    SplitState {
        version: 1,
        data: serde_json::to_vec(memory).unwrap(),
    }
}

fn ask(memory: &Memory) -> Next {
    let (path, repeatable) = match memory {
        Memory::Page { from, until, page } => {
            (format!("calls?from={from}&until={until}&page={page}"), true)
        }
        Memory::Unsubmitted { ids, renewing, .. } => {
            let ids = renewing.as_ref().unwrap_or(ids);
            (format!("submit?ids={}", ids.join(",")), false)
        }
        Memory::Job { job, .. } => (format!("job?job={job}"), true),
    };
    Next::Send(Send {
        request: Request {
            method: Method::Get,
            url: format!("https://api.test/{path}"),
            headers: Vec::new(),
            body: None,
            repeatable,
        },
        state: write(memory),
    })
}

fn failure(code: &str, retryable: bool) -> Failure {
    Failure {
        code: code.to_owned(),
        message: code.to_owned(),
        retryable,
    }
}

#[async_trait]
impl SourceRuntime for Source {
    async fn start(
        &self,
        purpose: Purpose,
        _: u64,
    ) -> Result<Result<Started, SourceError>, SandboxError> {
        let split = |id: String, kind: &str, memory: &Memory| Split {
            id,
            kind: kind.to_owned(),
            state: write(memory),
        };
        let splits = match purpose {
            Purpose::Find(find) => {
                let (from, end) = (find.range.from, find.range.until);
                let middle = from + (end - from) / 2;
                [(from, middle), (middle, end)]
                    .iter()
                    .enumerate()
                    .map(|(number, &(from, until))| {
                        let id = format!("{}/{number}", find.name);
                        split(
                            id,
                            "page",
                            &Memory::Page {
                                from,
                                until,
                                page: 0,
                            },
                        )
                    })
                    .collect()
            }
            Purpose::Fetch(fetch) => {
                let wanted = fetch.conversations.iter();
                let bare = wanted.filter(|one| !one.recorded);
                let memory = Memory::Unsubmitted {
                    bare: bare.map(|one| one.id.clone()).collect(),
                    ids: fetch.conversations.into_iter().map(|one| one.id).collect(),
                    renewing: None,
                };
                vec![split(fetch.name, "job", &memory)]
            }
            Purpose::Check | Purpose::Estimate(_) => Vec::new(),
        };
        Ok(Ok(Started {
            origins: Vec::new(),
            splits,
            fetch_size: 7,
        }))
    }

    async fn step(
        &self,
        state: SplitState,
        event: SplitInput,
        now: u64,
    ) -> Result<Result<Step, SourceError>, SandboxError> {
        if self.world.lock().unwrap().strikes_rarely() {
            return Err(SandboxError::Trap {
                call: "step",
                reason: "simulated".into(),
            });
        }
        let mut memory: Memory = serde_json::from_slice(&state.data).unwrap();
        if let Memory::Unsubmitted { ids, .. } = &memory {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            let kills = self.world.lock().unwrap().kills(Poison::Step, &ids);
            if kills {
                self.killed.notify_one();
                std::future::pending::<()>().await;
            }
        }
        let answer = match event {
            SplitInput::Resume => return Ok(Ok(Step::from(ask(&memory)))),
            SplitInput::Refresh(keys) => {
                let of = keys.iter().filter_map(|key| match key {
                    ArtifactKey::Recording(key) => Some(key.conversation.as_str()),
                    ArtifactKey::Bundle(_) => None,
                });
                let of: Vec<&str> = of.collect();
                let kills = self.world.lock().unwrap().kills(Poison::Refresh, &of);
                if kills {
                    self.killed.notify_one();
                    std::future::pending::<()>().await;
                }
                let concerned = |id: &str| {
                    keys.iter().any(
                        |key| matches!(key, ArtifactKey::Recording(key) if key.conversation == id),
                    )
                };
                if let Memory::Job { ids, bare, .. } | Memory::Unsubmitted { ids, bare, .. } =
                    memory.clone()
                {
                    let renewing = ids.iter().filter(|id| concerned(id)).cloned().collect();
                    let renewing = Some(renewing);
                    memory = Memory::Unsubmitted {
                        ids,
                        bare,
                        renewing,
                    };
                }
                return Ok(Ok(Step::from(ask(&memory))));
            }
            SplitInput::Response(answer) => answer,
        };
        let body: Value = match answer {
            Ok(response) if response.status == 200 => {
                serde_json::from_slice(&response.body).unwrap()
            }
            Ok(response) => {
                let text = format!("status {}", response.status);
                return Ok(Err(SourceError::Transient(text)));
            }
            Err(fault) => {
                return Ok(Err(SourceError::Transient(format!("{fault:?}"))));
            }
        };
        Ok(Ok(self.answered(memory, &body, now)))
    }
}

impl Source {
    fn answered(&self, memory: Memory, body: &Value, now: u64) -> Step {
        // Long: one arm for each state of a split.
        match memory {
            Memory::Page { from, until, page } => {
                let ids = body["ids"].as_array().unwrap();
                let extents = body["extents"].as_array().unwrap();
                let found: Vec<Conversation> = ids
                    .iter()
                    .zip(extents)
                    .map(|(id, extent)| {
                        self.conversation(id.as_str().unwrap(), extent.as_u64().unwrap())
                    })
                    .collect();
                let next = Memory::Page {
                    from,
                    until,
                    page: page + 1,
                };
                let mut step = if body["more"] == true {
                    Step::from(ask(&next))
                } else {
                    Step::from(Next::Done(write(&next)))
                };
                step.outcomes = found
                    .iter()
                    .filter(|one| !one.recorded)
                    .map(|one| ReportedOutcome {
                        conversation: one.id.clone(),
                        result: Reported::NoRecording,
                    })
                    .collect();
                step.conversations = found;
                step
            }
            Memory::Unsubmitted {
                ids,
                bare,
                renewing,
            } => {
                let job = body["job"].as_u64().unwrap();
                let job = Memory::Job {
                    ids,
                    bare,
                    renewing,
                    job,
                    since: now,
                };
                Step::from(Next::Wait(Wait {
                    until: now + 5000,
                    state: write(&job),
                    job: waited_for(now),
                }))
            }
            Memory::Job {
                ref bare,
                ref renewing,
                since,
                ..
            } => {
                let state = write(&memory);
                if body["done"] != true {
                    let until = now + 10_000;
                    return Step::from(Next::Wait(Wait {
                        until,
                        state,
                        job: waited_for(since),
                    }));
                }
                let mut step = Step::from(Next::Done(state));
                for row in body["rows"].as_array().unwrap() {
                    let (artifacts, result) = results(row, bare);
                    step.artifacts.extend(artifacts);
                    if renewing.is_none() {
                        if let Some(extent) = row["extent"].as_u64() {
                            let id = row["id"].as_str().unwrap();
                            step.conversations.push(self.conversation(id, extent));
                        }
                        step.outcomes.push(ReportedOutcome {
                            conversation: row["id"].as_str().unwrap().to_owned(),
                            result,
                        });
                    }
                }
                step
            }
        }
    }
}

/// The artifacts and the outcome of a row of a job.
fn results(row: &Value, bare: &[String]) -> (Vec<Artifact>, Reported) {
    let id = row["id"].as_str().unwrap();
    let mut artifacts = Vec::new();
    let mut missing = Vec::new();
    for (number, state) in row["recordings"].as_array().unwrap().iter().enumerate() {
        let recording = format!("{id}-r{number}");
        match state.as_str().unwrap() {
            "ready" => artifacts.push(Artifact {
                key: ArtifactKey::Recording(RecordingKey {
                    conversation: id.to_owned(),
                    recording,
                    part: 0,
                }),
                download: Download {
                    url: "https://media.test/".into(),
                    headers: Vec::new(),
                    authenticated: false,
                    expires: None,
                },
                content_type: None,
                container: Container::Single,
                size: None,
                sha256: None,
            }),
            state => missing.push(Missing {
                recording: Some(recording),
                failure: failure(state, state == "later"),
            }),
        }
    }
    let result = if !artifacts.is_empty() {
        let artifacts = u32::try_from(artifacts.len()).unwrap();
        Reported::HandedOver(HandedOver { artifacts, missing })
    } else if let Some(worst) = missing.into_iter().max_by_key(|one| one.failure.retryable) {
        Reported::Failed(worst.failure)
    } else if bare.iter().any(|one| one == id) {
        // To have none is a loss only where one was begun, as `recorded` of the interface says.
        Reported::NoRecording
    } else {
        Reported::Failed(failure("left-out", true))
    };
    (artifacts, result)
}
