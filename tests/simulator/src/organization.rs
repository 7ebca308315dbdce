//! A contact center's conversations and recordings, each a function of seed and number.

mod recording;

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    Settings,
    id::{Ids, Kind},
    rng::Rng,
};
use recording::Making;
pub use recording::{Given, Recording, RecordingKind, State};

const SORT_CONVERSATION: u64 = 1;
const SORT_START: u64 = 2;
const SORT_OPEN: u64 = 7;
pub(crate) const AGENTS: u64 = 50;
pub(crate) const QUEUES: [&str; 6] = [
    "Billing",
    "Claims",
    "Retention",
    "Sales",
    "Support",
    "Travel",
];
pub(crate) const DIVISIONS: u64 = 3;
const DIVISION_NAMES: [&str; DIVISIONS as usize] = ["Home", "North", "North Sea"];
pub(crate) const WRAP_UP_CODES: u64 = 8;
const TAGS: [&str; 5] = ["complaint", "follow-up", "legal-hold", "praise", "vip"];
const GIVEN: [&str; 10] = [
    "Ada", "Björn", "Chiara", "Dmitri", "Elif", "Farid", "Grace", "Hana", "Inés", "Jürgen",
];
const FAMILY: [&str; 5] = ["Okafor", "Lindqvist", "Moreau", "Tanaka", "O'Neill"];

/// The medium of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaType {
    /// A telephone call.
    Voice,
    /// A web chat.
    Chat,
    /// An exchange of e-mails.
    Email,
    /// An exchange of messages, such as SMS.
    Message,
}

impl MediaType {
    /// The vendor's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            MediaType::Voice => "voice",
            MediaType::Chat => "chat",
            MediaType::Email => "email",
            MediaType::Message => "message",
        }
    }
}

/// A conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// Its number in the organization.
    pub index: u64,
    /// Its id.
    pub id: String,
    /// When it began (ms since the epoch).
    pub start: u64,
    /// When everybody had left, and with it all of its recordings ended (ms since the epoch).
    pub end: u64,
    /// True if it stays open after that: the vendor never reports an end.
    pub never_ends: bool,
    /// Its medium.
    pub media: MediaType,
    /// True if the customer began it.
    pub inbound: bool,
    /// The customer's number or address.
    pub customer: String,
    /// The contact center's number or address.
    pub center: String,
    /// The agents, by number.
    pub agents: Vec<u64>,
    /// The queue, by number.
    pub queue: u64,
    /// The division, by number.
    pub division: u64,
    /// The wrap-up code, by number.
    pub wrap_up_code: u64,
    /// Tags set with the wrap-up code.
    pub tags: Vec<&'static str>,
    /// True if the analytics say that recording was started.
    pub flagged: bool,
    /// Its recordings.
    pub recordings: Vec<Recording>,
    /// Decides oddities of its analytics row.
    pub(crate) odd: u64,
}

impl Conversation {
    /// Returns true if the vendor reports at this instant that it has ended.
    pub(crate) fn has_ended(&self, now: u64) -> bool {
        !self.never_ends && self.end <= now
    }

    /// When everything of it that ever will be is available (ms since the epoch).
    #[must_use]
    pub fn settled(&self) -> u64 {
        let obtainable = self.recordings.iter().filter_map(Recording::obtainable);
        obtainable.max().unwrap_or(0).max(self.end)
    }
}

/// A contact center.
#[derive(Clone, Debug)]
pub struct Organization {
    settings: Arc<Settings>,
    pub(crate) ids: Ids,
    from: u64,
    length: u64,
}

impl Organization {
    /// The organization that the settings describe.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let from = jiff::tz::TimeZone::UTC
            .to_timestamp(settings.first_day.at(0, 0, 0, 0))
            .map_or(0, |day| day.as_millisecond() as u64);
        Organization {
            ids: Ids::new(settings.seed),
            from,
            length: u64::from(settings.days.max(1)) * 86_400_000,
            settings: Arc::new(settings),
        }
    }

    /// The range in which its conversations begin.
    #[must_use]
    pub fn interval(&self) -> (Timestamp, Timestamp) {
        let instant = |ms| Timestamp::from_millisecond(ms as i64).unwrap_or(Timestamp::MAX);
        (instant(self.from), instant(self.from + self.length))
    }

    /// How many conversations it has.
    #[must_use]
    pub fn conversations(&self) -> u64 {
        self.settings.conversations
    }

    /// The conversation number `index`, in the order of their beginnings.
    #[must_use]
    pub fn conversation(&self, index: u64) -> Conversation {
        // Long: the draws of one conversation, whose order is its identity.
        let mut rng = Rng::new(self.settings.seed, SORT_CONVERSATION, index);
        let giant = index == 0 && self.settings.giant.is_some();
        let mean = self.settings.mean_call.as_millis() as u64;
        let media = match rng.below(100) {
            _ if giant => MediaType::Voice,
            0..80 => MediaType::Voice,
            80..88 => MediaType::Chat,
            88..94 => MediaType::Email,
            _ => MediaType::Message,
        };
        let start = self.start(index);
        let duration = mean / 4 + rng.below(mean * 3 / 2 + 1);
        let first_agent = rng.below(AGENTS);
        let mut agents = vec![first_agent];
        if rng.percent(6) {
            agents.push((first_agent + 1 + rng.below(AGENTS - 1)) % AGENTS);
        }
        let inbound = rng.percent(70);
        let number = rng.below(9_000_000) + 1_000_000;
        let line = rng.below(40);
        let (customer, center) = match media {
            MediaType::Voice | MediaType::Message => (
                format!("tel:+1555{number}"),
                format!("tel:+1800555{:04}", 100 + line),
            ),
            MediaType::Email => (
                format!("customer{number}@example.com"),
                format!("team{line}@center.example"),
            ),
            MediaType::Chat => (format!("guest-{number}"), format!("web-{line}")),
        };
        let (queue, division) = (rng.below(QUEUES.len() as u64), rng.below(DIVISIONS));
        let wrap_up_code = rng.below(WRAP_UP_CODES);
        let tags = if rng.percent(10) {
            vec![TAGS[rng.below(TAGS.len() as u64) as usize]]
        } else {
            Vec::new()
        };
        let flagged = rng.fraction() >= 1.0 - self.settings.recorded || giant;
        let odd = rng.any();
        // The flag says that recording was started, not that there is a file.
        let recordings = if !flagged || (rng.percent(3) && !giant) {
            Vec::new()
        } else {
            let making = Making {
                settings: &self.settings,
                index,
                media,
                duration,
                end: start + duration,
                giant,
            };
            making.make(&mut rng, |number| {
                self.ids.make(Kind::Recording, index, number)
            })
        };
        Conversation {
            index,
            id: self.ids.make(Kind::Conversation, index, 0),
            start,
            end: start + duration,
            never_ends: self.never_ends(index),
            media,
            inbound,
            customer,
            center,
            agents,
            queue,
            division,
            wrap_up_code,
            tags,
            flagged,
            recordings,
            odd,
        }
    }

    /// Returns true if a conversation stays open; drawn by itself, so that all else of it is as without.
    fn never_ends(&self, index: u64) -> bool {
        let share = self.settings.never_ended;
        share > 0.0 && Rng::new(self.settings.seed, SORT_OPEN, index).fraction() < share
    }

    /// Returns true if some conversations stay open.
    pub(crate) fn has_open_ones(&self) -> bool {
        self.settings.never_ended > 0.0
    }

    /// The conversation with this id, if there is one.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<Conversation> {
        match self.ids.read(id)? {
            (Kind::Conversation, index, 0) if index < self.conversations() => {
                Some(self.conversation(index))
            }
            _ => None,
        }
    }

    /// The longest that a conversation lasts (ms).
    pub(crate) fn longest(&self) -> u64 {
        let mean = self.settings.mean_call.as_millis() as u64;
        mean / 4 + mean * 3 / 2 + 1
    }

    /// When conversation `index` begins: they are spread evenly, with jitter, in order.
    pub(crate) fn start(&self, index: u64) -> u64 {
        let jitter = Rng::new(self.settings.seed, SORT_START, index).any() >> 32;
        let place = u128::from(index) << 32 | u128::from(jitter);
        let count = u128::from(self.settings.conversations.max(1));
        self.from + ((place * u128::from(self.length) / count) >> 32) as u64
    }

    /// The first conversation that begins at `instant` or later.
    pub(crate) fn first_at(&self, instant: u64) -> u64 {
        let count = self.conversations();
        let passed = u128::from(instant.saturating_sub(self.from).min(self.length));
        let mut index = (passed * u128::from(count) / u128::from(self.length)) as u64;
        while index > 0 && self.start(index - 1) >= instant {
            index -= 1;
        }
        while index < count && self.start(index) < instant {
            index += 1;
        }
        index
    }

    /// Returns true if the analytics leave out the names of agents.
    pub(crate) fn nameless(&self) -> bool {
        self.settings.nameless
    }

    /// The id of a session: 0 is the customer's, 2 and more the agents'.
    pub(crate) fn session(&self, conversation: &Conversation, place: u64) -> String {
        self.ids.make(Kind::Session, conversation.index, place)
    }

    /// The id of an agent.
    #[must_use]
    pub fn agent_id(&self, agent: u64) -> String {
        self.ids.make(Kind::User, agent, 0)
    }

    /// The name of a division.
    #[must_use]
    pub fn division_name(&self, division: u64) -> &'static str {
        DIVISION_NAMES[(division % DIVISIONS) as usize]
    }

    /// The id of a division.
    #[must_use]
    pub fn division_id(&self, division: u64) -> String {
        self.ids.make(Kind::Division, division, 0)
    }

    /// The id of a queue.
    #[must_use]
    pub fn queue_id(&self, queue: u64) -> String {
        self.ids.make(Kind::Queue, queue, 0)
    }

    /// A queue's name.
    #[must_use]
    pub fn queue_name(&self, queue: u64) -> &'static str {
        QUEUES[(queue % QUEUES.len() as u64) as usize]
    }

    /// A wrap-up code's name.
    #[must_use]
    pub fn wrap_up_name(&self, code: u64) -> String {
        format!("Reason {}", code + 1)
    }

    /// An agent's name.
    #[must_use]
    pub fn agent_name(&self, agent: u64) -> String {
        let given = GIVEN[(agent % GIVEN.len() as u64) as usize];
        let family = FAMILY[(agent / GIVEN.len() as u64) as usize % FAMILY.len()];
        format!("{given} {family}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn organization(conversations: u64) -> Organization {
        Organization::new(Settings {
            conversations,
            ..Settings::default()
        })
    }

    #[test]
    fn conversations_begin_in_order_and_are_found_by_time_and_id() {
        let organization = organization(1_000_000);
        let (from, until) = organization.interval();
        let mut last = from.as_millisecond() as u64;
        for index in (0..1_000_000).step_by(4999) {
            let start = organization.start(index);
            assert!(start >= last && start < until.as_millisecond() as u64);
            assert!(organization.first_at(start) <= index);
            assert!(organization.first_at(start + 1) > index);
            let conversation = organization.conversation(index);
            assert_eq!(organization.find(&conversation.id), Some(conversation));
            last = start;
        }
        assert_eq!(organization.first_at(0), 0);
        assert_eq!(organization.first_at(u64::MAX), 1_000_000);
    }

    #[test]
    fn recordings_are_lost_or_late_at_their_rates_and_say_from_when_they_can_be_had() {
        let organization = Organization::new(Settings {
            conversations: 3000,
            archived: 0.1,
            deleted: 0.0,
            uploading: 0.0,
            sensitive: 0.2,
            late: 0.3,
            ..Settings::default()
        });
        let mut counts = [0; 4];
        let mut first = 0;
        for conversation in (0..3000).map(|index| organization.conversation(index)) {
            for recording in &conversation.recordings {
                first += u32::from(recording.number == 0);
                let (end, hour) = (conversation.end, 3_600_000);
                assert_eq!(recording.given(end - 1), Given::Nothing);
                let (obtainable, soon, later) = match recording.state {
                    State::Archived => {
                        counts[0] += 1;
                        assert_eq!(recording.number, 0);
                        let error = recording.given(end);
                        assert!(matches!(error, Given::Error(text) if text.contains("archived")));
                        (None, error, error)
                    }
                    State::Sensitive => {
                        counts[1] += 1;
                        (None, Given::Nothing, Given::Nothing)
                    }
                    State::Late { listed } => {
                        counts[2 + usize::from(listed)] += 1;
                        let soon = match listed {
                            true => Given::Error("Recording is still being uploaded"),
                            false => Given::Nothing,
                        };
                        (Some(end + hour), soon, Given::Files)
                    }
                    _ => (Some(end), Given::Files, Given::Files),
                };
                assert_eq!(recording.obtainable(), obtainable);
                assert!(conversation.settled() >= obtainable.unwrap_or(end));
                assert_eq!(recording.given(end + hour - 1), soon);
                assert_eq!(recording.given(end + hour), later);
            }
        }
        let share = counts.map(|count| f64::from(count) / f64::from(first));
        for (share, rate) in share.iter().zip([0.1, 0.19, 0.14, 0.14]) {
            assert!(
                (share / rate - 1.0).abs() < 0.2,
                "{share} instead of {rate}"
            );
        }
    }

    #[test]
    fn there_is_some_of_everything() {
        let organization = organization(3000);
        let all: Vec<_> = (0..3000).map(|i| organization.conversation(i)).collect();
        let recordings = || all.iter().flat_map(|c| &c.recordings);
        for state in [State::Archived, State::Deleted, State::Uploading] {
            assert!(recordings().any(|r| r.state == state), "{state:?}");
        }
        for kind in [
            RecordingKind::Ogg,
            RecordingKind::Wav,
            RecordingKind::Mp3,
            RecordingKind::Screen(2),
            RecordingKind::Screen(3),
            RecordingKind::Transcript,
            RecordingKind::Json,
        ] {
            assert!(recordings().any(|r| r.kind == kind), "{kind:?}");
        }
        assert!(all.iter().any(|c| c.flagged && c.recordings.is_empty()));
        assert!(all.iter().any(|c| !c.flagged));
        assert!(all.iter().any(|c| c.recordings.len() > 1));
        assert!(all.iter().any(|c| !c.tags.is_empty()));
    }
}
