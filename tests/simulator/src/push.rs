//! The objects that Genesys Cloud's own AWS S3 integration pushes to a bucket: the recordings, and
//! metadata beside them.
//!
//! Keys and metadata are as the vendor's help article "Working with exported recordings in AWS S3
//! bucket" has them. What it does not say is made up here: which extensions there are besides
//! `.opus`, and that the files of a recording after its first end in `_1`, `_2`.

use bytes::Bytes;
use jiff::{Timestamp, tz::Offset};
use serde_json::json;

use crate::{
    Conversation, MediaType, Organization, Recording, RecordingKind, State, id::Kind, media::Media,
};

impl Organization {
    /// The id of its AWS S3 integration.
    #[must_use]
    pub fn integration_id(&self) -> String {
        self.ids.make(Kind::Organization, 0, 1)
    }
}

/// An object that is pushed.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// Its key in the bucket.
    pub key: String,
    /// The conversation that it is of.
    pub conversation: String,
    /// The recording that it is of.
    pub recording: String,
    /// Its bytes.
    pub body: Bytes,
}

/// The integration of an organization.
pub struct Push<'a> {
    organization: &'a Organization,
    media: Media,
}

impl std::fmt::Debug for Push<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Push").finish_non_exhaustive()
    }
}

impl<'a> Push<'a> {
    /// The integration of this organization.
    #[must_use]
    pub fn new(organization: &'a Organization) -> Self {
        Push {
            organization,
            media: Media::new(0),
        }
    }

    /// The organization's id, with which all keys begin.
    #[must_use]
    pub fn organization_id(&self) -> String {
        self.organization.ids.make(Kind::Organization, 0, 0)
    }

    /// Everything that is pushed, once, in the order of conversations: a file, and then its metadata.
    pub fn objects(&self) -> impl Iterator<Item = Pushed> {
        (0..self.organization.conversations()).flat_map(|index| {
            let conversation = self.organization.conversation(index);
            let exported = conversation.recordings.iter().filter(|r| exported(r));
            let objects: Vec<Pushed> = exported
                .flat_map(|recording| {
                    let parts = 0..recording.kind.parts();
                    parts.flat_map(|part| self.pushed(&conversation, recording, part))
                })
                .collect();
            objects
        })
    }

    /// A file of a recording, and the metadata beside it.
    fn pushed(&self, conversation: &Conversation, recording: &Recording, part: u32) -> [Pushed; 2] {
        let object = |key: String, body: Bytes| Pushed {
            key,
            conversation: conversation.id.clone(),
            recording: recording.id.clone(),
            body,
        };
        let body = self.media.bytes(conversation, recording, part);
        let key = format!(
            "{}{}{}",
            self.folder(conversation),
            recording.id,
            ending(recording.kind, part)
        );
        let sidecar = self.metadata(conversation, recording).to_string();
        [
            object(key.clone(), body),
            object(format!("{key}_metadata.json"), sidecar.into()),
        ]
    }

    /// The folder of a conversation: the hour is that of its start, in UTC.
    fn folder(&self, conversation: &Conversation) -> String {
        let start = Timestamp::from_millisecond(conversation.start as i64);
        let at = Offset::UTC.to_datetime(start.unwrap_or(Timestamp::MAX));
        format!(
            "{}/year={}/month={}/day={}/hour={}/conversation_id={}/",
            self.organization_id(),
            at.year(),
            at.month(),
            at.day(),
            at.hour(),
            conversation.id
        )
    }

    fn metadata(&self, conversation: &Conversation, recording: &Recording) -> serde_json::Value {
        let ids = &self.organization.ids;
        let screen = matches!(recording.kind, RecordingKind::Screen(_));
        let users: Vec<String> = conversation
            .agents
            .iter()
            .map(|agent| ids.make(Kind::User, *agent, 0))
            .collect();
        let mut metadata = json!({
            "mediaType": match (screen, conversation.media) {
                (true, _) => "Screen",
                (_, MediaType::Voice) => "Call",
                (_, MediaType::Chat) => "Chat",
                (_, MediaType::Email) => "Email",
                (_, MediaType::Message) => "Message",
            },
            "userIds": users,
            "startTime": instant(conversation.start),
            "endTime": instant(conversation.start + recording.duration_ms),
            "durationMs": recording.duration_ms,
            "conversationId": conversation.id,
            "recordingId": recording.id,
            "initialDirection": if conversation.inbound { "inbound" } else { "outbound" },
        });
        if screen {
            metadata["mediaSubtype"] = json!("Screen");
        } else if conversation.media == MediaType::Voice {
            metadata["mediaSubtype"] = json!("Trunk");
            metadata["provider"] = json!("Edge");
        }
        metadata
    }
}

/// Returns true if a recording is exported: archived ones are, unlike by the batch API; those that are
/// gone, not there yet, or sensitive are not.
pub(crate) fn exported(recording: &Recording) -> bool {
    match recording.state {
        State::Available | State::Late { .. } | State::Archived => true,
        State::Deleted | State::Uploading | State::Sensitive => false,
    }
}

fn ending(kind: RecordingKind, part: u32) -> String {
    let extension = match kind {
        RecordingKind::Ogg => "opus",
        RecordingKind::Wav => "wav",
        RecordingKind::Mp3 => "mp3",
        RecordingKind::Screen(_) => "webm",
        RecordingKind::Transcript => "zip",
        RecordingKind::Json => "json",
    };
    match part {
        0 => format!(".{extension}"),
        part => format!("_{part}.{extension}"),
    }
}

/// An instant as the metadata have it: with an offset, but without a colon in it.
fn instant(ms: u64) -> String {
    let at = Timestamp::from_millisecond(ms as i64).unwrap_or(Timestamp::MAX);
    at.strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    #[test]
    fn files_lie_in_the_hour_of_their_conversation_with_metadata_beside_them() {
        let organization = Organization::new(Settings {
            conversations: 200,
            ..Settings::default()
        });
        let push = Push::new(&organization);
        let objects: Vec<Pushed> = push.objects().collect();
        assert!(objects.len() > 300, "{}", objects.len());
        for pair in objects.chunks(2) {
            let [file, beside] = pair else {
                panic!("a file without metadata");
            };
            assert_eq!(format!("{}_metadata.json", file.key), beside.key);
            let metadata: serde_json::Value = serde_json::from_slice(&beside.body).unwrap();
            assert_eq!(metadata["conversationId"], file.conversation);
            assert_eq!(metadata["recordingId"], file.recording);
            let start = metadata["startTime"].as_str().unwrap();
            assert!(start.ends_with("+0000"), "{start}");
            let day: u32 = start[8..10].parse().unwrap();
            let hour: u32 = start[11..13].parse().unwrap();
            let folder = format!(
                "{}/year=2026/month=1/day={day}/hour={hour}/conversation_id={}/",
                push.organization_id(),
                file.conversation
            );
            assert!(file.key.starts_with(&folder), "{}", file.key);
        }
    }
}
