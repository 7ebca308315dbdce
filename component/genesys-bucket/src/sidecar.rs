//! The metadata beside a file: the documented part of its JSON, read tolerantly.

use std::collections::BTreeSet;

use recording_source_sdk::{Conversation, Direction, Party, Timestamp, json, time::HOUR};
use serde::{Deserialize, Serialize};

use crate::layout::is_id;

/// The largest one that is read, in bytes; those observed have less than one kilobyte.
pub(crate) const LARGEST: u64 = 1 << 20;
/// The most agents of a conversation that are kept, and the most words of other lists.
const MOST: usize = 200;

// Field names: help article "Working with exported recordings in AWS S3 bucket". Enums are open.
#[derive(Debug, Default)]
pub(crate) struct Sidecar {
    media_type: Option<String>,
    media_subtype: Option<String>,
    provider: Option<String>,
    user_ids: Vec<String>,
    start_time: Option<Timestamp>,
    end_time: Option<Timestamp>,
    conversation_id: Option<String>,
    recording_id: Option<String>,
    initial_direction: Option<String>,
    /// Fields that cannot be read.
    odd: Vec<String>,
}

impl Sidecar {
    /// Reads the metadata of a file in the folder of `conversation`.
    pub(crate) fn read(json: &[u8], conversation: &str) -> Result<Self, String> {
        let (mut sidecar, odd) = json::object(json, |one| Sidecar {
            media_type: one.text("mediaType"),
            media_subtype: one.text("mediaSubtype"),
            provider: one.text("provider"),
            user_ids: one.texts("userIds"),
            start_time: one.instant("startTime"),
            end_time: one.instant("endTime"),
            conversation_id: one.text("conversationId"),
            recording_id: one.text("recordingId"),
            initial_direction: one.text("initialDirection"),
            odd: Vec::new(),
        })
        // The message may quote anybody's words: only the position is reported.
        .map_err(|error| format!("line {}, column {}", error.line(), error.column()))?;
        sidecar.odd = odd.paths();
        match &sidecar.conversation_id {
            Some(id) if id != conversation => {
                return Err("it is about another conversation".to_owned());
            }
            _ => {}
        }
        match &sidecar.recording_id {
            Some(id) if !is_id(id) => Err("its recordingId is invalid".to_owned()),
            _ if odd.touches("recordingId") || odd.touches("conversationId") => {
                Err("the ids in it cannot be read".to_owned())
            }
            _ => Ok(sidecar),
        }
    }

    /// The fields that cannot be read and are left out.
    pub(crate) fn odd(&self) -> &[String] {
        &self.odd
    }

    /// The recording's id.
    pub(crate) fn recording(&self) -> Option<&str> {
        self.recording_id.as_deref()
    }

    /// Returns true if the file shows a screen.
    pub(crate) fn is_screen(&self) -> bool {
        let screen = |word: &Option<String>| word.as_deref() == Some("Screen");
        screen(&self.media_type) || screen(&self.media_subtype)
    }
}

/// The combined metadata of a conversation's files.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct SidecarSummary {
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    inbound: Option<bool>,
    users: Vec<String>,
    media_types: BTreeSet<String>,
    subtypes: BTreeSet<String>,
    providers: BTreeSet<String>,
}

impl SidecarSummary {
    /// Adds the metadata of one more file.
    pub(crate) fn add(&mut self, sidecar: &Sidecar) {
        let (start, end) = (sidecar.start_time, sidecar.end_time);
        self.start = [self.start, start].into_iter().flatten().min();
        self.end = self.end.max(end);
        self.inbound = self.inbound.or(match sidecar.initial_direction.as_deref() {
            Some("inbound") => Some(true),
            Some("outbound") => Some(false),
            _ => None,
        });
        for user in &sidecar.user_ids {
            if self.users.len() < MOST && !self.users.contains(user) && user.len() <= MOST {
                self.users.push(user.clone());
            }
        }
        // A screen recording belongs to a conversation of another type.
        let media = sidecar
            .media_type
            .as_deref()
            .filter(|word| *word != "Screen");
        let media = media.map(|word| match word {
            "Call" => "voice".to_owned(),
            other => other.to_ascii_lowercase(),
        });
        for (set, word) in [
            (&mut self.media_types, media),
            (&mut self.subtypes, sidecar.media_subtype.clone()),
            (&mut self.providers, sidecar.provider.clone()),
        ] {
            if let Some(word) = word.filter(|word| word.len() <= MOST && set.len() < MOST) {
                set.insert(word);
            }
        }
    }

    /// The conversation `id`, which began in the hour that begins at `hour`.
    pub(crate) fn conversation(&self, id: &str, hour: Timestamp) -> Conversation {
        let listed = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
        let mut attributes = Vec::new();
        for (name, set) in [
            ("media_subtypes", &self.subtypes),
            ("providers", &self.providers),
        ] {
            if !set.is_empty() {
                attributes.push((name.to_owned(), listed(set).join(",")));
            }
        }
        let agent = |id: &String| Party {
            id: id.clone(),
            name: None,
        };
        Conversation {
            // The first recording may have begun later than the conversation: the hour is that of the
            // folder.
            start: self.start.unwrap_or(hour).clamp(hour, hour + HOUR - 1),
            end: self.end,
            direction: self.inbound.map(|inbound| match inbound {
                true => Direction::Inbound,
                false => Direction::Outbound,
            }),
            agents: self.users.iter().map(agent).collect(),
            media_types: listed(&self.media_types),
            attributes,
            ..Conversation::bare(id, hour)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_conversation_tell_of_it_together() {
        let call = r#"{"mediaType":"Call","mediaSubtype":"Trunk","provider":"Edge","userIds":["u1"],
            "startTime":"2026-01-05T10:00:05.000+0000","endTime":"2026-01-05T10:04:00.000+0000",
            "conversationId":"c","recordingId":"r1","initialDirection":"inbound","novelty":1}"#;
        let screen = r#"{"mediaType":"Screen","mediaSubtype":"Screen","userIds":["u1","u2"],
            "startTime":"2026-01-05T10:00:09.000+0000","endTime":"2026-01-05T10:05:00.000+0000",
            "conversationId":"c","recordingId":"r2"}"#;
        let mut reported = SidecarSummary::default();
        for json in [call, screen] {
            reported.add(&Sidecar::read(json.as_bytes(), "c").unwrap());
        }
        let hour = 1_767_607_200_000;
        let conversation = reported.conversation("c", hour);
        assert_eq!(conversation.start, hour + 5000);
        assert_eq!(conversation.end, Some(hour + 300_000));
        assert_eq!(conversation.direction, Some(Direction::Inbound));
        assert_eq!(conversation.media_types, ["voice"]);
        let agents: Vec<&str> = conversation.agents.iter().map(|a| a.id.as_str()).collect();
        assert_eq!(agents, ["u1", "u2"]);
        // The folder's hour takes precedence over a recording that began later.
        assert_eq!(reported.conversation("c", hour - HOUR).start, hour - 1);
        assert!(Sidecar::read(call.as_bytes(), "other").is_err());
        assert!(Sidecar::read(b"{\"recordingId\":\"a/b\"}", "c").is_err());
        assert!(Sidecar::read(b"<html>", "c").is_err());
    }

    #[test]
    fn an_odd_field_of_the_metadata_costs_the_field_and_is_named() {
        let odd = br#"{"mediaType":["Call"],"userIds":"u1","provider":null,"startTime":1767607205000,
            "endTime":"later","conversationId":"c","recordingId":4711,"initialDirection":"in\ud83d"}"#;
        let sidecar = Sidecar::read(odd, "c").unwrap();
        assert_eq!(sidecar.odd(), ["mediaType", "endTime"]);
        assert_eq!(sidecar.recording(), Some("4711"));
        let mut reported = SidecarSummary::default();
        reported.add(&sidecar);
        let conversation = reported.conversation("c", 1_767_607_200_000);
        assert_eq!(conversation.start, 1_767_607_205_000);
        assert_eq!(conversation.agents[0].id, "u1");
        // The ids must be readable.
        assert!(Sidecar::read(br#"{"recordingId":{}}"#, "c").is_err());
    }
}
