//! The source's options: read strictly, defaults filled in.

mod origin;
mod region;

use recording_source_sdk::{
    SourceError,
    options::{self, seconds, within, wrong},
};
use serde::Deserialize;

use crate::lookup::check_name;

/// The dialect of the batch API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Dialect {
    /// As in the vendor's SDKs.
    #[default]
    Cloud,
    /// As in the guide "Exporting Historical Call Recordings Metadata in Bulk".
    Guide,
}

/// The scope of an export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// Recordings and metadata.
    #[default]
    Recordings,
    /// Metadata alone: no batch is submitted.
    MetadataOnly,
}

/// The way conversations are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Search {
    /// By jobs as far as that saves calls, by the query for the rest.
    #[default]
    Auto,
    /// By the analytics query alone.
    Query,
    /// By asynchronous analytics jobs as far as their data go, by the query for the rest.
    Job,
    /// By the recordings that are kept, whatever the analytics say.
    Retention,
}

/// The format of voice recordings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// As they were recorded.
    #[default]
    Original,
    /// WAV.
    Wav,
    /// MP3.
    Mp3,
    /// OGG with Opus, in the cloud dialect alone.
    Ogg,
    /// WebM, in the cloud dialect alone.
    Webm,
}

/// The handling of the two sides of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Channels {
    /// One file with both.
    Merged,
    /// A file for each.
    Split,
}

/// The original direction of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Direction {
    Inbound,
    Outbound,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    region: Option<String>,
    api_url: Option<String>,
    login_url: Option<String>,
    media_origins: Option<Vec<String>>,
    #[serde(default)]
    dialect: Dialect,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    search: Search,
    #[serde(default)]
    format: Format,
    channels: Option<Channels>,
    #[serde(default)]
    recording_metadata: bool,
    names: Option<bool>,
    restore_days: Option<u32>,
    #[serde(default)]
    orphans: bool,
    #[serde(default)]
    export_orphans: bool,
    #[serde(default)]
    media: Vec<String>,
    direction: Option<Direction>,
    #[serde(default)]
    queues: Vec<String>,
    #[serde(default)]
    divisions: Vec<String>,
    #[serde(default)]
    users: Vec<String>,
    page_size: Option<u32>,
    batch_size: Option<u32>,
    #[serde(alias = "lanes")]
    parallelism: Option<u32>,
    poll_seconds: Option<u32>,
    job_timeout_seconds: Option<u32>,
    job_attempts: Option<u32>,
}

/// The look-up of names for rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// They are not.
    No,
    /// They are, as far as the client may: the default.
    Allowed,
    /// They are; a client that may not is an error.
    Required,
}

/// Options with every default filled in.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Base URL of the API, without a slash at its end.
    pub(crate) api_url: String,
    /// Base URL of the log-in service, without a slash at its end.
    pub(crate) login_url: String,
    pub(crate) media_origins: Vec<String>,
    pub(crate) dialect: Dialect,
    pub(crate) mode: Mode,
    pub(crate) search: Search,
    pub(crate) format: Format,
    pub(crate) channels: Channels,
    /// True if the metadata of each conversation's recordings are requested.
    pub(crate) recording_metadata: bool,
    pub(crate) names: Names,
    /// The number of days for which archived recordings are restored, if at all.
    pub(crate) restore_days: Option<u32>,
    /// True if recordings without a conversation are looked for.
    pub(crate) orphans: bool,
    /// True if they are exported, and not just counted.
    pub(crate) export_orphans: bool,
    pub(crate) media: Vec<String>,
    pub(crate) direction: Option<Direction>,
    pub(crate) queues: Vec<String>,
    pub(crate) divisions: Vec<String>,
    pub(crate) users: Vec<String>,
    /// How many names the filters have: each is looked up.
    pub(crate) named_in_filters: u64,
    /// Conversations on a page of the analytics query.
    pub(crate) page_size: u32,
    /// Conversations in a batch.
    pub(crate) batch_size: usize,
    /// Windows that are walked at once.
    pub(crate) parallelism: u32,
    /// The shortest pause between two polls of a job.
    pub(crate) poll_ms: u64,
    /// The longest time that a job may take.
    pub(crate) job_timeout_ms: u64,
    /// The number of times that a batch is submitted.
    pub(crate) job_attempts: u32,
}

impl Options {
    pub(crate) fn read(json: &str) -> Result<Self, SourceError> {
        let raw: Raw = options::read(json)?;
        let hosts = region::hosts(&raw)?;
        possible(&raw)?;
        let default_poll = match raw.dialect {
            Dialect::Cloud => 5,
            Dialect::Guide => 10,
        };
        let named = raw.queues.iter().chain(&raw.divisions);
        let named_in_filters = named.filter(|entry| !is_id(entry)).count() as u64;
        Ok(Options {
            named_in_filters,
            api_url: hosts.api_url,
            login_url: hosts.login_url,
            media_origins: hosts.media_origins,
            dialect: raw.dialect,
            mode: raw.mode,
            search: raw.search,
            format: raw.format,
            channels: raw.channels.unwrap_or(Channels::Merged),
            recording_metadata: raw.recording_metadata,
            names: match raw.names {
                None => Names::Allowed,
                Some(true) => Names::Required,
                Some(false) => Names::No,
            },
            restore_days: raw
                .restore_days
                .map(|days| within("restore_days", Some(days), days, 1..=3650))
                .transpose()?,
            orphans: raw.orphans || raw.export_orphans,
            export_orphans: raw.export_orphans,
            media: raw.media,
            direction: raw.direction,
            queues: raw.queues,
            divisions: raw.divisions,
            users: raw.users,
            page_size: within("page_size", raw.page_size, 100, 1..=100)?,
            batch_size: within("batch_size", raw.batch_size, 100, 1..=100)? as usize,
            parallelism: within("parallelism", raw.parallelism, 4, 1..=64)?,
            poll_ms: seconds("poll_seconds", raw.poll_seconds, default_poll, 1..=600)?,
            job_timeout_ms: seconds(
                "job_timeout_seconds",
                raw.job_timeout_seconds,
                900,
                10..=86_400,
            )?,
            job_attempts: within("job_attempts", raw.job_attempts, 3, 1..=100)?,
        })
    }
}

impl Options {
    /// Returns true if each recording is requested by itself: the batch API has no choice of format.
    pub(crate) fn one_by_one(&self) -> bool {
        self.dialect == Dialect::Cloud && self.format != Format::Original
    }

    /// The names in filters, each with its option: what is no id.
    pub(crate) fn names_in_filters(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let filters = [("queues", &self.queues), ("divisions", &self.divisions)];
        filters.into_iter().flat_map(|(option, entries)| {
            let names = entries.iter().filter(|entry| !is_id(entry));
            names.map(move |name| (option, name.as_str()))
        })
    }

    /// The same without the names in filters, for a call that needs no exact selection.
    pub(crate) fn without_names(&self) -> Self {
        let mut options = self.clone();
        for (_, entries) in options.filters_by_name_mut() {
            entries.retain(|entry| is_id(entry));
        }
        options
    }

    /// The filters that may have names, each by its option.
    pub(crate) fn filters_by_name_mut(&mut self) -> [(&'static str, &mut Vec<String>); 2] {
        [
            ("queues", &mut self.queues),
            ("divisions", &mut self.divisions),
        ]
    }
}

/// Rejects options that cannot go together.
fn possible(raw: &Raw) -> Result<(), SourceError> {
    let original = raw.format == Format::Original;
    match raw.dialect {
        Dialect::Guide if !matches!(raw.format, Format::Original | Format::Wav | Format::Mp3) => {
            return Err(wrong(
                "format",
                "the guide dialect offers `original`, `wav` and `mp3`; `ogg` and `webm` need `dialect: cloud`",
            ));
        }
        Dialect::Guide if raw.channels.is_some() => {
            return Err(wrong(
                "channels",
                "the guide dialect delivers recordings as they are; `channels` needs `dialect: cloud` and a `format`",
            ));
        }
        Dialect::Guide if raw.restore_days.is_some() => {
            return Err(wrong(
                "restore_days",
                "the guide dialect does not tell which recordings are archived; `restore_days` needs `dialect: cloud`",
            ));
        }
        Dialect::Cloud if original && raw.channels.is_some() => {
            return Err(wrong(
                "channels",
                "the batch API delivers original recordings with the channels that they were recorded with; give a `format`, such as `wav`, or leave `channels` out",
            ));
        }
        _ => {}
    }
    let filters = [
        ("media", raw.media.is_empty()),
        ("direction", raw.direction.is_none()),
        ("queues", raw.queues.is_empty()),
        ("divisions", raw.divisions.is_empty()),
        ("users", raw.users.is_empty()),
    ];
    if let (Search::Retention, Some((name, _))) =
        (raw.search, filters.iter().find(|(_, empty)| !empty))
    {
        return Err(wrong(
            name,
            "the retention query knows no filters; leave this out, or search by `auto`, `query` or `job`",
        ));
    }
    known_media(&raw.media)?;
    for (option, entries) in [("queues", &raw.queues), ("divisions", &raw.divisions)] {
        entries
            .iter()
            .try_for_each(|entry| check_name(option, entry))?;
    }
    match raw.users.iter().find(|id| !is_id(id)) {
        None => Ok(()),
        // Several people may have one name, and one may marry.
        Some(wrong_id) => Err(wrong(
            "users",
            &format!(
                "`{wrong_id}` is no id, and the query would find nothing: give the id, such as 5f7a1b2c-0d3e-4f56-8a9b-0c1d2e3f4a5b, which the address of its page in Genesys Cloud's administration ends with"
            ),
        )),
    }
}

/// The media types of conversations (AnalyticsSession, mediaType).
const MEDIA: [&str; 11] = [
    "callback",
    "chat",
    "cobrowse",
    "email",
    "internalmessage",
    "message",
    "screenmonitoring",
    "screenshare",
    "unknown",
    "video",
    "voice",
];

/// Refuses a media type that the vendor does not know: the query would find nothing.
fn known_media(media: &[String]) -> Result<(), SourceError> {
    match media.iter().find(|word| !MEDIA.contains(&word.as_str())) {
        None => Ok(()),
        Some(word) => Err(wrong(
            "media",
            &format!("`{word}` is no media type; known are {}", MEDIA.join(", ")),
        )),
    }
}

/// Returns true if a text has the form of the vendor's ids (UUID).
pub(crate) fn is_id(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths = [8, 4, 4, 4, 12];
    groups.len() == lengths.len()
        && groups.iter().zip(lengths).all(|(group, length)| {
            group.len() == length && group.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
}
