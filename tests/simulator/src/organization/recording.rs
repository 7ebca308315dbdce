//! A conversation's recordings: what they are, and when they become available, if ever.

use super::MediaType;
use crate::{AudioMix, Settings, rng::Rng};

const SORT_LATE: u64 = 5;

/// The kind of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordingKind {
    /// OGG with Opus, two channels.
    Ogg,
    /// WAV, 8 kHz, 16 bits, two channels.
    Wav,
    /// MP3.
    Mp3,
    /// WebM video of a screen, in this many files.
    Screen(u32),
    /// A zip with the transcript of a chat or a message, or with e-mails.
    Transcript,
    /// The transcript of a message as JSON.
    Json,
}

impl RecordingKind {
    /// The MIME type of its files.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            RecordingKind::Ogg => "audio/ogg",
            RecordingKind::Wav => "audio/wav",
            RecordingKind::Mp3 => "audio/mpeg",
            RecordingKind::Screen(_) => "video/webm",
            RecordingKind::Transcript => "application/zip",
            RecordingKind::Json => "application/json",
        }
    }

    /// How many files it has.
    #[must_use]
    pub fn parts(self) -> u32 {
        match self {
            RecordingKind::Screen(parts) => parts,
            _ => 1,
        }
    }
}

/// The availability of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Available as soon as the conversation has ended.
    Available,
    /// Available, but only [`Settings::late_by`] after the conversation has ended.
    Late {
        /// True if the batch API says until then that it is being uploaded; if false, it says nothing.
        listed: bool,
    },
    /// Unavailable: it would have to be restored first.
    Archived,
    /// Unavailable, never again available.
    Deleted,
    /// Unavailable: it is being uploaded, and never done.
    Uploading,
    /// Unavailable, and nothing mentions it: it is kept from who may not see sensitive data.
    Sensitive,
}

/// The answer of the batch API for a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// A link for each of its files.
    Files,
    /// One row with this message.
    Error(&'static str),
    /// No row at all.
    Nothing,
}

/// A recording of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// Its id.
    pub id: String,
    /// Its number in the conversation.
    pub number: u64,
    /// Its kind.
    pub kind: RecordingKind,
    /// Its availability.
    pub state: State,
    /// How long it plays, in ms.
    pub duration_ms: u64,
    /// When its conversation ended (ms since the epoch).
    pub ended: u64,
    /// How long after that it is ready, if it ever is (ms).
    pub delay_ms: u64,
}

impl Recording {
    /// When it becomes available (ms since the epoch); none if never.
    #[must_use]
    pub fn obtainable(&self) -> Option<u64> {
        match self.state {
            State::Available | State::Late { .. } => Some(self.ended + self.delay_ms),
            State::Archived | State::Deleted | State::Uploading | State::Sensitive => None,
        }
    }

    /// The answer of the batch API to a job that is submitted at this time (ms since the epoch).
    #[must_use]
    pub fn given(&self, at: u64) -> Given {
        const UPLOADING: Given = Given::Error("Recording is still being uploaded");
        if at < self.ended {
            return Given::Nothing;
        }
        match self.state {
            State::Available | State::Late { .. } if at >= self.ended + self.delay_ms => {
                Given::Files
            }
            State::Late { listed: false } | State::Sensitive => Given::Nothing,
            State::Available | State::Late { .. } | State::Uploading => UPLOADING,
            State::Archived => Given::Error("Recording is archived and must be restored first"),
            State::Deleted => Given::Error("Recording has been deleted"),
        }
    }
}

/// The inputs that the recordings of a conversation depend on.
pub(super) struct Making<'a> {
    pub(super) settings: &'a Settings,
    pub(super) index: u64,
    pub(super) media: MediaType,
    pub(super) duration: u64,
    pub(super) end: u64,
    pub(super) giant: bool,
}

impl Making<'_> {
    /// The recordings, named by `id` from their numbers.
    pub(super) fn make(&self, rng: &mut Rng, id: impl Fn(u64) -> String) -> Vec<Recording> {
        let kinds = self.kinds(rng);
        let first = self.first_state(rng.fraction());
        let mut recordings = Vec::new();
        for (number, kind) in kinds.into_iter().enumerate() {
            let duration_ms = match (number, kind, self.settings.giant) {
                (0, RecordingKind::Wav, Some(bytes)) if self.giant => bytes / 32,
                (0, _, _) => self.duration,
                _ => (self.duration / 2).max(1000),
            };
            let number = number as u64;
            let state = match (number, first) {
                (0, Some(state)) => state,
                _ => self.later_state(number),
            };
            recordings.push(Recording {
                id: id(number),
                number,
                kind,
                state,
                duration_ms,
                ended: self.end,
                delay_ms: match state {
                    State::Late { .. } => self.settings.late_by.as_millis() as u64,
                    _ => 0,
                },
            });
        }
        recordings
    }

    fn kinds(&self, rng: &mut Rng) -> Vec<RecordingKind> {
        let mut kinds = Vec::new();
        match self.media {
            MediaType::Voice => {
                for _ in 0..1 + u32::from(rng.percent(5)) {
                    kinds.push(match (self.settings.audio, rng.below(100)) {
                        _ if self.giant => RecordingKind::Wav,
                        (AudioMix::Wav, _) | (_, 80..95) => RecordingKind::Wav,
                        (_, 0..80) => RecordingKind::Ogg,
                        _ => RecordingKind::Mp3,
                    });
                }
                if rng.percent(2) {
                    kinds.push(RecordingKind::Screen(2 + rng.below(2) as u32));
                }
            }
            MediaType::Message if rng.percent(25) => kinds.push(RecordingKind::Json),
            _ => kinds.push(RecordingKind::Transcript),
        }
        kinds
    }

    /// Only a conversation's first recording can be lost to retention.
    fn first_state(&self, place: f64) -> Option<State> {
        let Settings {
            archived,
            deleted,
            uploading,
            ..
        } = *self.settings;
        if self.giant {
            None
        } else if place < archived {
            Some(State::Archived)
        } else if place < archived + deleted {
            Some(State::Deleted)
        } else if place < archived + deleted + uploading {
            Some(State::Uploading)
        } else {
            None
        }
    }

    /// The state of a recording that is kept.
    fn later_state(&self, number: u64) -> State {
        let mut rng = Rng::new(self.settings.seed, SORT_LATE, self.index << 12 | number);
        let place = rng.fraction();
        let Settings {
            sensitive, late, ..
        } = *self.settings;
        if self.giant {
            State::Available
        } else if place < sensitive {
            State::Sensitive
        } else if place < sensitive + late {
            let listed = rng.percent(50);
            State::Late { listed }
        } else {
            State::Available
        }
    }
}
