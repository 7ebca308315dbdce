//! Single recordings: their metadata, their media in a format of one's choice, retention, orphans
//! (RecordingMetadata, Recording, RecordingRetention, OrphanRecording).

use std::collections::BTreeMap;

use recording_source_sdk::{Method, Request};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{get, post};
use crate::options::{Channels, Format, Options};

/// RecordingMetadata.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Metadata {
    pub(crate) id: Option<String>,
    pub(crate) start_time: Option<String>,
    pub(crate) end_time: Option<String>,
    pub(crate) media: Option<String>,
    pub(crate) media_subtype: Option<String>,
    pub(crate) media_subject: Option<String>,
    pub(crate) annotations: Option<Vec<Value>>,
    pub(crate) file_state: Option<String>,
    pub(crate) archive_date: Option<String>,
    pub(crate) archive_medium: Option<String>,
    pub(crate) delete_date: Option<String>,
    pub(crate) export_date: Option<String>,
    pub(crate) exported_date: Option<String>,
    pub(crate) restore_expiration_time: Option<String>,
    pub(crate) session_id: Option<String>,
    pub(crate) region: Option<String>,
}

/// RecordingSettings, as far as links go.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Settings {
    /// How long links of the batch API live, in minutes.
    pub(crate) recording_batch_download_url_ttl: Option<u64>,
}

/// The question for the settings.
pub(crate) fn settings(options: &Options) -> Request {
    get(options, "/api/v2/recording/settings")
}

/// Recording, as far as its media go.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Media {
    pub(crate) file_state: Option<String>,
    pub(crate) media_uris: Option<BTreeMap<String, MediaUri>>,
    pub(crate) estimated_transcode_time_ms: Option<u64>,
    pub(crate) recording_error_status: Option<String>,
}

/// MediaResult.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct MediaUri {
    pub(crate) media_uri: Option<String>,
}

/// RecordingRetentionCursorEntityListing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Retained {
    #[serde(default)]
    pub(crate) entities: Vec<Retention>,
    pub(crate) next_uri: Option<String>,
}

/// RecordingRetention.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Retention {
    pub(crate) conversation_id: Option<String>,
    pub(crate) creation_time: Option<String>,
}

/// OrphanRecordingListing.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Orphans {
    pub(crate) entities: Vec<Orphan>,
    pub(crate) page_count: Option<u32>,
}

/// OrphanRecording.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Orphan {
    pub(crate) id: Option<String>,
    pub(crate) media_type: Option<String>,
    pub(crate) provider_type: Option<String>,
    pub(crate) orphan_status: Option<String>,
    pub(crate) created_time: Option<String>,
}

/// Recordings on a page of the retention query, at most.
const RETAINED: u32 = 500;
/// Orphans on a page.
const ORPHANS: u32 = 100;

/// What stands for the media of a recording without a conversation.
pub(crate) const ORPHAN: &str = "orphan";

/// The metadata of all recordings of a conversation.
pub(crate) fn metadata(options: &Options, conversation: &str) -> Request {
    get(
        options,
        &format!("/api/v2/conversations/{conversation}/recordingmetadata"),
    )
}

/// The metadata of one recording.
pub(crate) fn one_metadata(options: &Options, conversation: &str, recording: &str) -> Request {
    let path = format!("/api/v2/conversations/{conversation}/recordingmetadata/{recording}");
    get(options, &path)
}

/// A recording in the format asked for; the first question starts the transcoding.
pub(crate) fn media(
    options: &Options,
    conversation: &str,
    recording: &str,
    media: &str,
) -> Request {
    let audio = match options.format {
        Format::Original | Format::Webm => "formatId=WEBM",
        Format::Wav => "formatId=WAV",
        Format::Mp3 => "formatId=MP3",
        Format::Ogg => "formatId=OGG_OPUS",
    };
    let download = options.channels == Channels::Merged;
    if media == ORPHAN {
        // Only the vendor knows which of these it is.
        return get(
            options,
            &format!(
                "/api/v2/orphanrecordings/{recording}/media?{audio}&emailFormatId=EML&chatFormatId=ZIP&messageFormatId=ZIP&download={download}"
            ),
        );
    }
    let format = match media {
        "email" => "emailFormatId=EML",
        "chat" => "chatFormatId=ZIP",
        "message" => "messageFormatId=ZIP",
        // Pictures have no other format.
        "screen" => "formatId=WEBM",
        _ => audio,
    };
    get(
        options,
        &format!(
            "/api/v2/conversations/{conversation}/recordings/{recording}?{format}&download={download}"
        ),
    )
}

/// Restores an archived recording until `archive`; its other dates stay as they are.
pub(crate) fn restore(
    options: &Options,
    conversation: &str,
    recording: &str,
    archive: &str,
    known: &Metadata,
) -> Request {
    let mut body = json!({ "archiveDate": archive });
    if let Some(delete) = &known.delete_date {
        body["deleteDate"] = json!(delete);
    }
    if let Some(export) = &known.export_date {
        body["exportDate"] = json!(export);
    }
    let path = format!("/api/v2/conversations/{conversation}/recordings/{recording}");
    Request {
        method: Method::Put,
        ..post(options, &path, &body, true)
    }
}

/// A page of the recordings kept for more than `days` days.
pub(crate) fn retention(options: &Options, days: u64, cursor: Option<&str>) -> Request {
    let cursor = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
    get(
        options,
        &format!(
            "/api/v2/recordings/retention/query?retentionThresholdDays={days}&pageSize={RETAINED}{cursor}"
        ),
    )
}

impl Retained {
    /// The cursor in the link to the next page, as it stands there.
    pub(crate) fn cursor(&self) -> Option<String> {
        let (_, query) = self.next_uri.as_deref()?.split_once('?')?;
        let pairs = query.split('&');
        let cursor = pairs.filter_map(|pair| pair.strip_prefix("cursor=")).next();
        cursor
            .filter(|cursor| !cursor.is_empty())
            .map(str::to_owned)
    }
}

/// A page of the recordings without a conversation.
pub(crate) fn orphans(options: &Options, page: u32) -> Request {
    let path = format!("/api/v2/orphanrecordings?pageSize={ORPHANS}&pageNumber={page}");
    get(options, &path)
}
