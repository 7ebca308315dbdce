//! Single recordings: their metadata, their media in a chosen format, retention, orphans
//! (RecordingMetadata, Recording, RecordingRetention, OrphanRecording).

use recording_source_sdk::{Method, Request, Response, SourceError, json::Object, url::escape};
use serde_json::{Value, json};

use super::{get, object, post};
use crate::options::{Channels, Format, Options};

/// RecordingMetadata.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metadata {
    pub(crate) id: Option<String>,
    pub(crate) start_time: Option<String>,
    pub(crate) end_time: Option<String>,
    pub(crate) media: Option<String>,
    pub(crate) media_subtype: Option<String>,
    pub(crate) media_subject: Option<String>,
    pub(crate) annotations: Vec<Value>,
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

impl Metadata {
    /// Reads one of a listing, or one by itself.
    pub(crate) fn read(one: &Object<'_>) -> Self {
        let annotations = one.elements("annotations").into_iter();
        Metadata {
            id: one.text("id"),
            start_time: one.text("startTime"),
            end_time: one.text("endTime"),
            media: one.text("media"),
            media_subtype: one.text("mediaSubtype"),
            media_subject: one.text("mediaSubject"),
            annotations: annotations
                .filter_map(|json| serde_json::from_str(json).ok())
                .collect(),
            file_state: one.text("fileState"),
            archive_date: one.text("archiveDate"),
            archive_medium: one.text("archiveMedium"),
            delete_date: one.text("deleteDate"),
            export_date: one.text("exportDate"),
            exported_date: one.text("exportedDate"),
            restore_expiration_time: one.text("restoreExpirationTime"),
            session_id: one.text("sessionId"),
            region: one.text("region"),
        }
    }
}

/// The lifetime of links of the batch API, in minutes, as in RecordingSettings.
pub(crate) fn link_minutes(response: &Response) -> Result<Option<u64>, SourceError> {
    let (minutes, _) = object(response, |body| body.count("recordingBatchDownloadUrlTtl"))?;
    Ok(minutes)
}

/// The request for the settings.
pub(crate) fn settings(options: &Options) -> Request {
    get(options, "/api/v2/recording/settings")
}

/// Recording, as far as its media go.
#[derive(Debug, Default)]
pub(crate) struct Media {
    pub(crate) file_state: Option<String>,
    /// The links, in the order of their channels.
    pub(crate) uris: Vec<String>,
    /// True if there are links that cannot be read.
    pub(crate) is_odd: bool,
    pub(crate) estimated_transcode_time_ms: Option<u64>,
    pub(crate) recording_error_status: Option<String>,
    /// The conversations that the recording belongs to besides, such as that of a consultation.
    pub(crate) associated_conversation_ids: Vec<String>,
}

impl Media {
    pub(crate) fn read(response: &Response) -> Result<Self, SourceError> {
        let (mut media, odd) = object(response, |body| {
            // MediaResult by channel: `S`, or `0` and `1`.
            let mut uris: Vec<(u32, String)> = body
                .named_objects("mediaUris")
                .into_iter()
                .filter_map(|(channel, media)| {
                    let uri = media.text("mediaUri").filter(|uri| !uri.is_empty())?;
                    Some((channel.parse().unwrap_or(0), uri))
                })
                .collect();
            uris.sort_unstable();
            Media {
                file_state: body.text("fileState"),
                uris: uris.into_iter().map(|(_, uri)| uri).collect(),
                is_odd: false,
                estimated_transcode_time_ms: body.count("estimatedTranscodeTimeMs"),
                recording_error_status: body.text("recordingErrorStatus"),
                associated_conversation_ids: body.texts("associatedConversationIds"),
            }
        })?;
        media.is_odd = odd.touches("mediaUris");
        Ok(media)
    }
}

/// RecordingRetentionCursorEntityListing.
#[derive(Debug)]
pub(crate) struct Retained {
    pub(crate) entities: Vec<Retention>,
    /// Entities that cannot be read.
    pub(crate) unusable: u64,
    next_uri: Option<String>,
}

/// RecordingRetention.
#[derive(Debug)]
pub(crate) struct Retention {
    pub(crate) conversation_id: Option<String>,
    pub(crate) creation_time: Option<u64>,
}

impl Retained {
    pub(crate) fn read(response: &Response) -> Result<Self, SourceError> {
        let (page, _) = object(response, |body| {
            let all = super::essential(body, "entities")?.len();
            let entities = body.objects("entities").map(|one| Retention {
                conversation_id: one.text("conversationId"),
                creation_time: one.instant("creationTime"),
            });
            let entities: Vec<Retention> = entities.collect();
            Ok(Retained {
                unusable: (all - entities.len()) as u64,
                entities,
                next_uri: body.text("nextUri"),
            })
        })?;
        page
    }
}

/// OrphanRecordingListing.
#[derive(Debug)]
pub(crate) struct Orphans {
    pub(crate) entities: Vec<Orphan>,
    /// Entities that cannot be read.
    pub(crate) unusable: u64,
    pub(crate) page_count: Option<u64>,
}

/// OrphanRecording.
#[derive(Debug)]
pub(crate) struct Orphan {
    pub(crate) id: Option<String>,
    pub(crate) media_type: Option<String>,
    pub(crate) provider_type: Option<String>,
    pub(crate) orphan_status: Option<String>,
    pub(crate) created_time: Option<u64>,
}

impl Orphans {
    pub(crate) fn read(response: &Response) -> Result<Self, SourceError> {
        let (page, _) = object(response, |body| {
            let all = super::essential(body, "entities")?.len();
            let entities = body.objects("entities").map(|one| Orphan {
                id: one.text("id"),
                media_type: one.text("mediaType"),
                provider_type: one.text("providerType"),
                orphan_status: one.text("orphanStatus"),
                created_time: one.instant("createdTime"),
            });
            let entities: Vec<Orphan> = entities.collect();
            Ok(Orphans {
                unusable: (all - entities.len()) as u64,
                entities,
                page_count: body.count("pageCount"),
            })
        })?;
        page
    }
}

/// The most recordings on a page of the retention query.
pub(crate) const RETAINED: u32 = 500;
/// The most orphans on a page.
pub(crate) const ORPHANS: u32 = 100;

/// The placeholder for the media of a recording without a conversation.
pub(crate) const ORPHAN: &str = "orphan";

/// The metadata of all recordings of a conversation.
pub(crate) fn metadata(options: &Options, conversation: &str) -> Request {
    let conversation = escape(conversation);
    get(
        options,
        &format!("/api/v2/conversations/{conversation}/recordingmetadata"),
    )
}

/// The metadata of one recording.
pub(crate) fn one_metadata(options: &Options, conversation: &str, recording: &str) -> Request {
    let (conversation, recording) = (escape(conversation), escape(recording));
    let path = format!("/api/v2/conversations/{conversation}/recordingmetadata/{recording}");
    get(options, &path)
}

/// The request for a recording in the configured format; the first one starts the transcoding.
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
    let (conversation, recording) = (escape(conversation), escape(recording));
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
    let (conversation, recording) = (escape(conversation), escape(recording));
    let path = format!("/api/v2/conversations/{conversation}/recordings/{recording}");
    Request {
        method: Method::Put,
        ..post(options, &path, &body, true)
    }
}

/// A page of the recordings kept for more than `days` days.
pub(crate) fn retention(options: &Options, days: u64, size: u32, cursor: Option<&str>) -> Request {
    let cursor = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
    get(
        options,
        &format!(
            "/api/v2/recordings/retention/query?retentionThresholdDays={days}&pageSize={size}{cursor}"
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

/// A page of the recordings without a conversation; with `known`, of those alone of which the vendor knows
/// it.
pub(crate) fn orphans(options: &Options, size: u32, page: u32, known: bool) -> Request {
    let known = if known { "&hasConversation=true" } else { "" };
    let path = format!("/api/v2/orphanrecordings?pageSize={size}&pageNumber={page}{known}");
    get(options, &path)
}
