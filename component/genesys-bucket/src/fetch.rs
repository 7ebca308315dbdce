//! A `fetch`: for one conversation after another, the folder is listed, the metadata beside its files
//! are read, and the files are handed over.

mod files;

use recording_source_sdk::{
    ArtifactKey, Conversation, Event, Next, Note, Outcome, OutcomeResult, RequestError,
    RequestResult, SourceError, Split, SplitKind, Step, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::{
    layout::{self, Digits},
    options::Options,
    s3,
    sidecar::{LARGEST, Sidecar, SidecarSummary},
};
use files::Files;

/// The most by which the bucket's clock may be ahead (ms).
const SKEW: Timestamp = 300_000;

/// The state of a fetch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Fetch {
    wanted: Vec<Place>,
    /// The places in `wanted` of the conversations still to be done, the next one last.
    todo: Vec<usize>,
    /// True if everything has been handed over once and is handed over again.
    renewing: bool,
    phase: Phase,
}

/// A conversation, and its start according to its folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Place {
    id: String,
    start: Timestamp,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    /// The folder is listed.
    List { digits: Digits },
    /// The metadata of one file after another are read.
    Read {
        digits: Digits,
        files: Files,
        #[serde(rename = "told")]
        reported: SidecarSummary,
        /// The file whose metadata are read next.
        at: usize,
    },
}

const LIST: Phase = Phase::List {
    digits: Digits::Plain,
};

/// The initial splits of a fetch.
pub(crate) fn begin(fetch: recording_source_sdk::Fetch) -> Vec<Split> {
    let wanted: Vec<Place> = fetch
        .conversations
        .into_iter()
        .map(|wanted| Place {
            id: wanted.id,
            start: wanted.start,
        })
        .collect();
    let split = Fetch {
        todo: (0..wanted.len()).rev().collect(),
        wanted,
        renewing: false,
        phase: LIST,
    };
    vec![split.into_split(fetch.name)]
}

impl Fetch {
    pub(crate) fn step(
        mut self,
        options: &Options,
        event: Event,
        now: Timestamp,
    ) -> Result<Step, SourceError> {
        match event {
            Event::Resume => Ok(Step::then(self.ask(options))),
            Event::Refresh(keys) => {
                self.refresh(&keys);
                Ok(Step::then(self.ask(options)))
            }
            Event::Response(answer) => match self.phase.clone() {
                Phase::List { digits } => self.listed(digits, answer, options, now),
                Phase::Read {
                    digits,
                    files,
                    reported,
                    at,
                } => self.read(digits, files, reported, at, answer, options),
            },
        }
    }

    /// Starts again with the conversations whose files were unavailable.
    fn refresh(&mut self, keys: &[ArtifactKey]) {
        let concerned = |place: &Place| {
            let mut recordings = keys.iter().filter_map(ArtifactKey::recording);
            recordings.any(|key| key.conversation == place.id)
        };
        self.todo = (0..self.wanted.len())
            .rev()
            .filter(|place| concerned(&self.wanted[*place]))
            .collect();
        self.renewing = true;
        self.phase = LIST;
    }

    /// The conversation in progress.
    fn current(&self) -> Option<&Place> {
        self.wanted.get(*self.todo.last()?)
    }

    fn folder(&self, options: &Options, digits: Digits) -> Option<String> {
        let place = self.current()?;
        let folder = layout::folder(place.start, &place.id, digits);
        Some(format!("{}{folder}", options.root()))
    }

    /// The next request; done if there is none.
    fn ask(&self, options: &Options) -> Next {
        let request = match &self.phase {
            Phase::List { digits } => self
                .folder(options, *digits)
                .map(|folder| s3::list(options, &folder, None, files::MOST)),
            Phase::Read {
                digits, files, at, ..
            } => self
                .folder(options, *digits)
                .zip(files.files.get(*at))
                .map(|(folder, file)| s3::object(options, &format!("{folder}{}", file.sidecar()))),
        };
        match request {
            Some(request) => self.send(request),
            None => self.done(),
        }
    }

    fn listed(
        mut self,
        digits: Digits,
        answer: RequestResult,
        options: &Options,
        now: Timestamp,
    ) -> Result<Step, SourceError> {
        let page = s3::listed(options, answer)?;
        if page.contents.is_empty() && digits == Digits::Plain {
            self.phase = Phase::List {
                digits: Digits::Padded,
            };
            return Ok(Step::then(self.ask(options)));
        }
        let folder = self.folder(options, digits).unwrap_or_default();
        let files = Files::of(&page, &folder);
        // A push in progress is waited for, except where a fresh link is needed. A write time in the
        // future does not count.
        let until = files.written.min(now + SKEW) + options.sidecar_ms;
        let recent = files.written <= now + SKEW && until > now;
        if files.lacking() && recent && !self.renewing {
            return Ok(Step::then(self.wait(until)));
        }
        self.go_on(digits, files, SidecarSummary::default(), 0, options)
    }

    fn read(
        self,
        digits: Digits,
        mut files: Files,
        mut reported: SidecarSummary,
        at: usize,
        answer: RequestResult,
        options: &Options,
    ) -> Result<Step, SourceError> {
        let conversation = self.current().map_or("", |place| place.id.as_str());
        let too_large = matches!(answer, Err(RequestError::TooLarge(_)));
        let json = match too_large {
            true => None,
            false => s3::read(options, answer)?,
        };
        let mut notes = Vec::new();
        if let Some(file) = files.files.get_mut(at) {
            match json
                .as_deref()
                .map(|json| Sidecar::read(json, conversation))
            {
                None if too_large => file.wrong = Some(too_large_sidecar()),
                None => file.has_sidecar = false,
                Some(Err(reason)) => file.wrong = Some(reason),
                Some(Ok(sidecar)) => {
                    if !sidecar.odd().is_empty() {
                        let what = format!(
                            "conversation {conversation}: fields of the metadata beside a file"
                        );
                        notes.push(Note::left_out(&what, sidecar.odd()));
                    }
                    reported.add(&sidecar);
                    file.screen = sidecar.is_screen();
                    file.recording = sidecar
                        .recording()
                        .map_or(file.recording.clone(), Into::into);
                }
            }
        }
        let mut step = self.go_on(digits, files, reported, at + 1, options)?;
        step.notes.append(&mut notes);
        Ok(step)
    }

    /// Reads the next file's metadata, or finishes the conversation if there are none left.
    fn go_on(
        mut self,
        digits: Digits,
        mut files: Files,
        reported: SidecarSummary,
        from: usize,
        options: &Options,
    ) -> Result<Step, SourceError> {
        for file in &mut files.files {
            if file.has_sidecar && file.sidecar_size > LARGEST {
                file.has_sidecar = false;
                file.wrong = Some(too_large_sidecar());
            }
        }
        let next = (from..files.files.len()).find(|at| files.files[*at].has_sidecar);
        if let Some(at) = next {
            self.phase = Phase::Read {
                digits,
                files,
                reported,
                at,
            };
            return Ok(Step::then(self.ask(options)));
        }
        let Some(place) = self.current().cloned() else {
            return Ok(Step::then(self.ask(options)));
        };
        let folder = self.folder(options, digits).unwrap_or_default();
        let artifacts = files.artifacts(options, &folder, &place.id);
        let count = u32::try_from(artifacts.len()).unwrap_or(u32::MAX);
        let result = OutcomeResult::of(count, files.missing());
        self.todo.pop();
        self.phase = LIST;
        let renewing = self.renewing;
        let mut step = Step::then(self.ask(options));
        step.artifacts = artifacts;
        if !renewing {
            step.conversations = vec![Conversation {
                revision: files.revision(),
                ..reported.conversation(&place.id, place.start)
            }];
            step.outcomes = vec![Outcome::new(place.id, result)];
        }
        Ok(step)
    }
}

fn too_large_sidecar() -> String {
    format!("it is larger than {LARGEST} bytes")
}
