//! Recordings one by one, in a format that the batch API does not offer.
//!
//! The metadata say which recordings a conversation has; then each is requested. While the vendor
//! converts one into the format, the others are requested; each is waited for as long as the options
//! say.

use std::collections::{BTreeMap, BTreeSet};

use recording_source_sdk::{
    Artifact, ArtifactKey, Download, Event, Failure, Fetch, Missing, Next, Outcome, OutcomeResult,
    RecordingAttributes, RequestError, RequestResult, SourceError, Split, SplitKind, Step,
    Timestamp, Update,
};
use serde::{Deserialize, Serialize};

use crate::{
    api::{
        self,
        recording::{self as call, Media},
    },
    describe::Described,
    options::{Format, Mode, Options},
    orphans,
    outcome::{
        NOT_FOUND, TOO_LARGE, TRANSCODE_TIMEOUT, UNREADABLE, by_state, failure, left_out,
        restoring, result,
    },
    page::only_metadata,
    patience::Absence,
    restore,
};

/// The conversations in one split: they are requested one after the other.
pub(crate) const TOGETHER: u32 = 10;
/// The longest pause before a recording that is being converted into the format is requested again.
const LONGEST_PAUSE: u64 = 120_000;
/// The largest state, in bytes, before the conversations are divided: well below what hosts take.
const MOST_STATE: usize = 96 << 10;

/// The state of a split.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Recordings {
    id: String,
    conversations: Vec<String>,
    /// Those of them that were recorded according to the vendor.
    recorded: BTreeSet<String>,
    described: Described,
    /// Recordings still to be fetched; none before all are known.
    open: Option<Vec<Open>>,
    /// The recording that was requested last, by its place in `open`.
    asked: usize,
    /// Files handed over, by conversation.
    counts: BTreeMap<String, u32>,
    /// Recordings that are unavailable, by conversation: recording and reason.
    lost: BTreeMap<String, Vec<(String, Lost)>>,
    /// True if links are obtained anew: then there are no outcomes.
    renewing: bool,
}

/// A recording that is still to be fetched.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Open {
    conversation: String,
    recording: String,
    media: String,
    /// The time of its first request.
    since: Option<Timestamp>,
    due: Timestamp,
    /// The time since which the answers about it are not the vendor's.
    #[serde(default)]
    absent: Absence,
}

/// The reason why a recording is unavailable.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Lost {
    State(String),
    Timeout,
    NoMedia(String),
    Refused(u16),
    TooLarge(u64),
    Unreadable,
}

impl Lost {
    fn failure(&self) -> Failure {
        match self {
            Lost::State(state) => by_state(state),
            Lost::Timeout => failure(
                TRANSCODE_TIMEOUT,
                "it was not turned into the format in time".to_owned(),
            ),
            Lost::NoMedia(status) => failure(
                "vendor-error",
                format!("it has no playable media {status}")
                    .trim_end()
                    .to_owned(),
            ),
            // It was listed: it may be found again.
            Lost::Refused(404) => failure(NOT_FOUND, "status 404".to_owned()),
            Lost::Refused(status) => failure("refused", format!("status {status}")),
            Lost::TooLarge(limit) => {
                failure(TOO_LARGE, format!("the data about it exceed {limit} bytes"))
            }
            Lost::Unreadable => failure(UNREADABLE, "its links cannot be read".to_owned()),
        }
    }
}

/// The initial split of a fetch, if there is anything to fetch.
pub(crate) fn begin(fetch: Fetch) -> Vec<Split> {
    if fetch.conversations.is_empty() {
        return Vec::new();
    }
    let mut recordings = Recordings::new(&fetch.name);
    for wanted in fetch.conversations {
        if wanted.recorded {
            recordings.recorded.insert(wanted.id.clone());
        }
        recordings.conversations.push(wanted.id);
    }
    vec![recordings.into_split(fetch.name)]
}

/// The split that fetches the orphans among the wanted, which are taken out of them.
pub(crate) fn begin_orphans(fetch: &mut Fetch) -> Vec<Split> {
    let name = format!("{}/orphans", fetch.name);
    let mut recordings = Recordings::new(&name);
    let mut open = Vec::new();
    fetch.conversations.retain(|wanted| {
        let Some(recording) = orphans::recording_of(&wanted.id) else {
            return true;
        };
        open.push(Open {
            conversation: wanted.id.clone(),
            recording: recording.to_owned(),
            media: call::ORPHAN.to_owned(),
            since: None,
            due: 0,
            absent: Absence::default(),
        });
        false
    });
    if open.is_empty() {
        return Vec::new();
    }
    recordings.open = Some(open);
    vec![recordings.into_split(name)]
}

impl Recordings {
    fn new(id: &str) -> Self {
        Recordings {
            id: id.to_owned(),
            conversations: Vec::new(),
            recorded: BTreeSet::new(),
            described: Described::default(),
            open: None,
            asked: 0,
            counts: BTreeMap::new(),
            lost: BTreeMap::new(),
            renewing: false,
        }
    }

    pub(crate) fn step(
        mut self,
        options: &Options,
        event: Event,
        now: Timestamp,
    ) -> Result<Step, SourceError> {
        if self.open.is_none() && !options.recording_metadata && self.described.all().is_empty() {
            self.described = Described::without_sessions();
        }
        let mut step = Step::then(self.done());
        match event {
            // Its conversations had not ended when their rows were found: there is nothing to request.
            Event::Resume if self.open.is_none() && options.mode == Mode::MetadataOnly => {
                step.outcomes = self.all(only_metadata());
                return Ok(step);
            }
            Event::Resume => {}
            Event::Response(answer) if self.open.is_none() => {
                let pace = (now, options.poll_ms);
                let again =
                    self.described
                        .answered(answer, &self.conversations, pace, &mut step)?;
                if let Some(until) = again {
                    step.next = self.wait(until);
                    return Ok(step);
                }
                if self.conversations.len() > 1 && self.state().data.len() > MOST_STATE {
                    step.splits = self.halves();
                    return Ok(step);
                }
                if self.described.is_complete(&self.conversations) {
                    self.plan(options, &mut step);
                }
            }
            Event::Response(answer) => self.answered(answer, options, now, &mut step)?,
            Event::Refresh(keys) => self.refresh(&keys),
        }
        step.next = self.next(options, now);
        Ok(step)
    }

    fn all(&self, result: OutcomeResult) -> Vec<Outcome> {
        let conversations = self.conversations.iter();
        conversations
            .map(|id| Outcome::new(id, result.clone()))
            .collect()
    }

    /// The two halves of the conversations, each in a split of its own.
    fn halves(&self) -> Vec<Split> {
        let (first, second) = self.conversations.split_at(self.conversations.len() / 2);
        let halves = [("0", first), ("1", second)];
        let part = |(name, conversations): (&str, &[String])| {
            let mut part = Recordings::new(&format!("{}.{name}", self.id));
            part.conversations = conversations.to_vec();
            part.recorded = self.recorded.clone();
            part.recorded.retain(|id| conversations.contains(id));
            let id = part.id.clone();
            part.into_split(id)
        };
        halves.map(part).into()
    }

    fn next(&mut self, options: &Options, now: Timestamp) -> Next {
        let Some(open) = &self.open else {
            return self.send(self.described.ask(options, &self.conversations));
        };
        let first = open.iter().enumerate().min_by_key(|(_, one)| one.due);
        match first {
            None => self.done(),
            Some((_, one)) if one.due > now => self.wait(one.due),
            Some((place, one)) => {
                let request = call::media(options, &one.conversation, &one.recording, &one.media);
                self.asked = place;
                self.send(request)
            }
        }
    }

    /// Decides which recordings to request, now that all are known.
    fn plan(&mut self, options: &Options, step: &mut Step) {
        let mut open = Vec::new();
        for (conversation, known) in self.described.all() {
            for one in known {
                let state = one.state.as_str();
                let gone = ["ARCHIVED", "DELETED", "UPLOADING", "RESTORING", "ERROR"];
                if gone.contains(&state) {
                    let lost = self.lost.entry(conversation.clone()).or_default();
                    lost.push((one.id.clone(), Lost::State(state.to_owned())));
                    continue;
                }
                open.push(Open {
                    conversation: conversation.clone(),
                    recording: one.id.clone(),
                    media: one.media.clone(),
                    since: None,
                    due: 0,
                    absent: Absence::default(),
                });
            }
        }
        let busy: BTreeSet<String> = open.iter().map(|one| one.conversation.clone()).collect();
        self.open = Some(open);
        let idle = self.conversations.iter().filter(|id| !busy.contains(*id));
        for conversation in idle.cloned().collect::<Vec<_>>() {
            self.settle(&conversation, options, step);
        }
    }

    /// Processes the answer for the recording that was requested last.
    fn answered(
        &mut self,
        answer: RequestResult,
        options: &Options,
        now: Timestamp,
        step: &mut Step,
    ) -> Result<(), SourceError> {
        let Some(open) = self.open.as_mut().filter(|open| self.asked < open.len()) else {
            return Ok(());
        };
        let one = &mut open[self.asked];
        let lost = match heard(answer)? {
            Heard::Lost(lost) => Some(lost),
            // A recording without an answer of the vendor's must not hold up the others.
            Heard::Noise => match one.absent.again(now, options.poll_ms) {
                Some(until) => {
                    one.due = until;
                    return Ok(());
                }
                None => Some(Lost::Unreadable),
            },
            Heard::Media(media, status) => {
                let associated = media.associated_conversation_ids.join(",");
                if !associated.is_empty() {
                    let name = "recording.associated_conversation_ids".to_owned();
                    step.updates.push(Update::Recording(RecordingAttributes {
                        conversation: one.conversation.clone(),
                        recording: one.recording.clone(),
                        attributes: vec![(name, associated)],
                    }));
                }
                let estimate = media.estimated_transcode_time_ms;
                let state = media.file_state.unwrap_or_default();
                if !media.uris.is_empty() {
                    let artifacts = media.uris.iter().zip(0..);
                    let artifacts = artifacts.map(|(uri, part)| artifact(one, options, part, uri));
                    step.artifacts.extend(artifacts);
                    let count = self.counts.entry(one.conversation.clone()).or_default();
                    *count += media.uris.len() as u32;
                    media.is_odd.then_some(Lost::Unreadable)
                } else if media.is_odd {
                    Some(Lost::Unreadable)
                } else if status == 202 || estimate.is_some_and(|left| left > 0) {
                    let since = *one.since.get_or_insert(now);
                    if now.saturating_sub(since) <= options.job_timeout_ms {
                        let pause = estimate.unwrap_or(0).min(LONGEST_PAUSE);
                        one.due = now + pause.max(options.poll_ms);
                        return Ok(());
                    }
                    Some(Lost::Timeout)
                } else if matches!(state.as_str(), "" | "AVAILABLE" | "RESTORED") {
                    Some(Lost::NoMedia(
                        media.recording_error_status.unwrap_or_default(),
                    ))
                } else {
                    Some(Lost::State(state))
                }
            }
        };
        let done = open.remove(self.asked);
        if let Some(lost) = lost {
            let list = self.lost.entry(done.conversation.clone()).or_default();
            list.push((done.recording, lost));
        }
        let mut rest = self.open.iter().flatten();
        if !rest.any(|one| one.conversation == done.conversation) {
            self.settle(&done.conversation, options, step);
        }
        Ok(())
    }

    /// Reports the outcome of a conversation with nothing left to request.
    fn settle(&self, conversation: &str, options: &Options, step: &mut Step) {
        if self.renewing {
            return;
        }
        let lost = self.lost.get(conversation).into_iter().flatten();
        let lost = lost.map(|(recording, lost)| Missing {
            recording: Some(recording.clone()),
            failure: lost.failure(),
        });
        let unlisted = self.described.unlisted().get(conversation);
        let unlisted = unlisted.map(|unlisted| Missing {
            recording: None,
            failure: unlisted.hides(),
        });
        let lost = lost.chain(unlisted).collect::<Vec<_>>();
        let mut missing = BTreeMap::from([(conversation.to_owned(), lost)]);
        // The call that restores is about a conversation.
        if orphans::recording_of(conversation).is_none() {
            let archived = restore::archived(options, &mut missing, restoring);
            let name = format!("{}.{conversation}", self.id);
            step.splits.extend(restore::begin(&name, archived));
        }
        let result = match result(conversation, &self.counts, &missing, None) {
            OutcomeResult::NoRecording if self.recorded.contains(conversation) => left_out(),
            result => result,
        };
        step.outcomes.push(Outcome::new(conversation, result));
    }

    /// Requests the recordings of these artifacts once more.
    fn refresh(&mut self, keys: &[ArtifactKey]) {
        let keys = keys.iter().filter_map(ArtifactKey::recording);
        let keys: BTreeSet<(&String, &String)> = keys
            .map(|key| (&key.conversation, &key.recording))
            .collect();
        let media = |conversation: &String, recording: &String| {
            if orphans::recording_of(conversation).is_some() {
                return Some(call::ORPHAN.to_owned());
            }
            let known = self.described.all().get(conversation)?.iter();
            let mut known = known.filter(|one| one.id == *recording);
            known.next().map(|one| one.media.clone())
        };
        let open = keys.into_iter().map(|(conversation, recording)| Open {
            conversation: conversation.clone(),
            recording: recording.clone(),
            media: media(conversation, recording).unwrap_or_default(),
            since: None,
            due: 0,
            absent: Absence::default(),
        });
        self.open = Some(open.collect());
        self.renewing = true;
    }
}

/// The content of an answer about a recording.
enum Heard {
    /// With the status.
    Media(Media, u16),
    Lost(Lost),
    /// Nothing of the vendor's: a page of a gateway, or a 404 of one.
    Noise,
}

fn heard(answer: RequestResult) -> Result<Heard, SourceError> {
    if let Err(RequestError::TooLarge(limit)) = answer {
        return Ok(Heard::Lost(Lost::TooLarge(limit)));
    }
    Ok(match api::success(answer)? {
        // The body may be empty while it is being converted into the format.
        Ok(response) if response.status == 202 && response.body.is_empty() => {
            Heard::Media(Media::default(), 202)
        }
        Ok(response) => match Media::read(&response) {
            Ok(media) => Heard::Media(media, response.status),
            Err(_) => Heard::Noise,
        },
        Err(refusal) if refusal.status == 404 && !refusal.is_the_vendors() => Heard::Noise,
        Err(refusal) if matches!(refusal.status, 400 | 404 | 410) => {
            Heard::Lost(Lost::Refused(refusal.status))
        }
        Err(refusal) => return Err(refusal.into()),
    })
}

fn artifact(one: &Open, options: &Options, part: u32, url: &str) -> Artifact {
    let content_type = match (one.media.as_str(), options.format) {
        ("chat" | "message", _) => Some("application/zip"),
        ("email", _) => Some("message/rfc822"),
        ("screen", _) => Some("video/webm"),
        ("audio", Format::Wav) => Some("audio/wav"),
        ("audio", Format::Mp3) => Some("audio/mpeg"),
        ("audio", Format::Ogg) => Some("audio/ogg"),
        ("audio", Format::Webm) => Some("audio/webm"),
        _ => None,
    };
    let key = ArtifactKey::part(&one.conversation, &one.recording, part);
    Artifact::new(key, Download::signed(url), content_type)
}
