//! Writes down the steps of a run and repeats them: the same input gives the same result.
//!
//! Signed links are cut out of the answers before anything is written, and
//! the step that is written is that of the answer without them. Digests are those of a canonical JSON, so
//! that a host in any language can repeat a run (docs/other-hosts.md).

mod canonical;

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use recording_host_model::{
    ArtifactKey, RecordingKey, RequestError, Response, SplitInput, SplitState, hex,
};

use crate::SourceComponent;

/// A file that steps are written to.
#[derive(Clone, Debug)]
pub struct Trace {
    file: Arc<Mutex<File>>,
}

/// The findings of a replay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// Steps repeated.
    pub steps: usize,
    /// The lines whose result was another, counted from 1.
    pub differing: Vec<usize>,
}

/// A step: all of its input, and a digest of its result.
#[derive(Serialize, Deserialize)]
struct TraceLine {
    options: String,
    state: TraceState,
    event: Recorded,
    now: u64,
    /// The SHA-256 of the result's canonical JSON, in hexadecimal.
    result_sha256: String,
}

#[derive(Serialize, Deserialize)]
struct TraceState {
    version: u32,
    /// In hexadecimal.
    data: String,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Recorded {
    Resume,
    Refresh(Vec<Key>),
    Response {
        status: u16,
        headers: Vec<(String, String)>,
        body: String,
    },
    Refused(String),
    Unreachable(String),
    TooLarge(u64),
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Key {
    Recording {
        conversation: String,
        recording: String,
        part: u32,
    },
    Bundle(String),
}

impl Trace {
    /// Begins a new file.
    ///
    /// # Errors
    /// The error from the system.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Trace {
            file: Arc::new(Mutex::new(File::create(path)?)),
        })
    }

    /// Writes down the step that `component` makes with this input.
    ///
    /// # Errors
    /// The error from the system.
    #[doc(hidden)]
    pub fn write(
        &self,
        component: &SourceComponent,
        options: &str,
        state: &SplitState,
        event: &SplitInput,
        now: u64,
    ) -> io::Result<()> {
        let event = Recorded::from(event);
        let line = TraceLine {
            result_sha256: digest(component, options, state, &event, now),
            options: options.to_owned(),
            state: TraceState {
                version: state.version,
                data: hex(&state.data),
            },
            event,
            now,
        };
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(text.as_bytes())
    }
}

/// Repeats the steps in a file.
///
/// # Errors
/// The error from the system, or a line that is not one of a trace.
pub fn replay(component: &SourceComponent, path: &Path) -> io::Result<Replay> {
    let mut replay = Replay::default();
    for (number, text) in BufReader::new(File::open(path)?).lines().enumerate() {
        let line: TraceLine = serde_json::from_str(&text?)?;
        let state = SplitState {
            version: line.state.version,
            data: unhex(&line.state.data).ok_or(io::ErrorKind::InvalidData)?,
        };
        replay.steps += 1;
        if digest(component, &line.options, &state, &line.event, line.now) != line.result_sha256 {
            replay.differing.push(number + 1);
        }
    }
    Ok(replay)
}

fn digest(
    component: &SourceComponent,
    options: &str,
    state: &SplitState,
    event: &Recorded,
    now: u64,
) -> String {
    let result = component.step_as_returned(options, state.clone(), event.to_input(), now);
    hex(&Sha256::digest(canonical::text(result.ok().as_ref())))
}

impl From<&SplitInput> for Recorded {
    fn from(event: &SplitInput) -> Self {
        match event {
            SplitInput::Resume => Recorded::Resume,
            SplitInput::Refresh(keys) => Recorded::Refresh(keys.iter().map(Key::from).collect()),
            SplitInput::Response(Ok(response)) => Recorded::Response {
                status: response.status,
                headers: response.headers.clone(),
                body: unsigned(&response.body),
            },
            SplitInput::Response(Err(error)) => match error {
                RequestError::Refused(text) => Recorded::Refused(text.clone()),
                RequestError::Unreachable(text) => Recorded::Unreachable(text.clone()),
                RequestError::TooLarge(limit) => Recorded::TooLarge(*limit),
            },
        }
    }
}

impl Recorded {
    fn to_input(&self) -> SplitInput {
        let fault = |error| SplitInput::Response(Err(error));
        match self.clone() {
            Recorded::Resume => SplitInput::Resume,
            Recorded::Refresh(keys) => {
                SplitInput::Refresh(keys.into_iter().map(ArtifactKey::from).collect())
            }
            Recorded::Response {
                status,
                headers,
                body,
            } => SplitInput::Response(Ok(Response {
                status,
                headers,
                body: body.into_bytes(),
            })),
            Recorded::Refused(text) => fault(RequestError::Refused(text)),
            Recorded::Unreachable(text) => fault(RequestError::Unreachable(text)),
            Recorded::TooLarge(limit) => fault(RequestError::TooLarge(limit)),
        }
    }
}

impl From<&ArtifactKey> for Key {
    fn from(key: &ArtifactKey) -> Self {
        match key.clone() {
            ArtifactKey::Recording(key) => Key::Recording {
                conversation: key.conversation,
                recording: key.recording,
                part: key.part,
            },
            ArtifactKey::Bundle(id) => Key::Bundle(id),
        }
    }
}

impl From<Key> for ArtifactKey {
    fn from(key: Key) -> Self {
        match key {
            Key::Recording {
                conversation,
                recording,
                part,
            } => ArtifactKey::Recording(RecordingKey {
                conversation,
                recording,
                part,
            }),
            Key::Bundle(id) => ArtifactKey::Bundle(id),
        }
    }
}

/// A body without the queries of the links in it; one that is not JSON is left out.
fn unsigned(body: &[u8]) -> String {
    fn cut(value: &mut Value) {
        match value {
            Value::String(text) if text.starts_with("http://") || text.starts_with("https://") => {
                if let Some((link, _)) = text.split_once('?') {
                    *text = format!("{link}?signed");
                }
            }
            Value::Array(items) => items.iter_mut().for_each(cut),
            Value::Object(fields) => fields.values_mut().for_each(cut),
            _ => {}
        }
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(mut value) => {
            cut(&mut value);
            value.to_string()
        }
        Err(_) => String::new(),
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}
