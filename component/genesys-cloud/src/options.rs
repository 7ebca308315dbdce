//! The source's options: read strictly, defaults filled in.

use recording_source_sdk::{OptionError, SourceError};
use serde::Deserialize;

/// Domains by AWS region, from the vendor's list of regions; any other domain may be given as it is.
const REGIONS: [(&str, &str); 18] = [
    ("us-east-1", "mypurecloud.com"),
    ("us-east-2", "use2.us-gov-pure.cloud"),
    ("us-west-2", "usw2.pure.cloud"),
    ("ca-central-1", "cac1.pure.cloud"),
    ("mx-central-1", "mxc1.pure.cloud"),
    ("sa-east-1", "sae1.pure.cloud"),
    ("eu-west-1", "mypurecloud.ie"),
    ("eu-west-2", "euw2.pure.cloud"),
    ("eu-central-1", "mypurecloud.de"),
    ("eu-central-2", "euc2.pure.cloud"),
    ("eusc-de-east-1", "edee1.eusc-pure.cloud"),
    ("me-central-1", "mec1.pure.cloud"),
    ("ap-south-1", "aps1.pure.cloud"),
    ("ap-northeast-1", "mypurecloud.jp"),
    ("ap-northeast-2", "apne2.pure.cloud"),
    ("ap-northeast-3", "apne3.pure.cloud"),
    ("ap-southeast-1", "apse1.pure.cloud"),
    ("ap-southeast-2", "mypurecloud.com.au"),
];

/// How the batch API is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Dialect {
    /// As the vendor's SDKs do.
    #[default]
    Cloud,
    /// As the guide "Exporting Historical Call Recordings Metadata in Bulk" does.
    Guide,
}

/// What is exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// Recordings and metadata.
    #[default]
    Recordings,
    /// Metadata alone: no batch is submitted.
    MetadataOnly,
}

/// The format of voice recordings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// As they were recorded.
    #[default]
    Original,
    /// WAV, which the guide dialect alone can ask for.
    Wav,
    /// MP3, which the guide dialect alone can ask for.
    Mp3,
}

/// Who called whom first.
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
    format: Format,
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
    lanes: Option<u32>,
    poll_seconds: Option<u32>,
    job_timeout_seconds: Option<u32>,
    job_attempts: Option<u32>,
}

/// Options with every default filled in.
#[derive(Debug)]
pub(crate) struct Options {
    /// Base URL of the API, without a slash at its end.
    pub(crate) api_url: String,
    /// Base URL of the log-in service, without a slash at its end.
    pub(crate) login_url: String,
    pub(crate) media_origins: Vec<String>,
    pub(crate) dialect: Dialect,
    pub(crate) mode: Mode,
    pub(crate) format: Format,
    pub(crate) media: Vec<String>,
    pub(crate) direction: Option<Direction>,
    pub(crate) queues: Vec<String>,
    pub(crate) divisions: Vec<String>,
    pub(crate) users: Vec<String>,
    /// Conversations on a page of the analytics query.
    pub(crate) page_size: u32,
    /// Conversations in a batch.
    pub(crate) batch_size: usize,
    /// Windows that are walked at once.
    pub(crate) lanes: u32,
    /// The shortest pause between two polls of a job.
    pub(crate) poll_ms: u64,
    /// How long a job may take.
    pub(crate) job_timeout_ms: u64,
    /// How often a batch is submitted.
    pub(crate) job_attempts: u32,
}

impl Options {
    pub(crate) fn read(json: &str) -> Result<Self, SourceError> {
        let raw: Raw =
            serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(json))
                .map_err(|error| {
                    let path = error.path().to_string();
                    let inner = error.into_inner().to_string();
                    let message = inner
                        .split_once(" at line ")
                        .map_or(inner.as_str(), |(message, _)| message);
                    wrong(if path == "." { "" } else { &path }, message)
                })?;
        let (api_url, login_url, media_origins) = urls(&raw)?;
        if raw.dialect == Dialect::Cloud && raw.format != Format::Original {
            return Err(wrong(
                "format",
                "the cloud dialect's batch API delivers recordings in their original format alone; leave `format` out or set it to `original`",
            ));
        }
        let default_poll = match raw.dialect {
            Dialect::Cloud => 5,
            Dialect::Guide => 10,
        };
        Ok(Options {
            api_url,
            login_url,
            media_origins,
            dialect: raw.dialect,
            mode: raw.mode,
            format: raw.format,
            media: raw.media,
            direction: raw.direction,
            queues: raw.queues,
            divisions: raw.divisions,
            users: raw.users,
            page_size: within("page_size", raw.page_size, 100, 1..=100)?,
            batch_size: within("batch_size", raw.batch_size, 100, 1..=100)? as usize,
            lanes: within("lanes", raw.lanes, 4, 1..=64)?,
            poll_ms: u64::from(within(
                "poll_seconds",
                raw.poll_seconds,
                default_poll,
                1..=600,
            )?) * 1000,
            job_timeout_ms: u64::from(within(
                "job_timeout_seconds",
                raw.job_timeout_seconds,
                900,
                10..=86_400,
            )?) * 1000,
            job_attempts: within("job_attempts", raw.job_attempts, 3, 1..=100)?,
        })
    }
}

/// Base URLs of API and log-in, and the origins of media.
fn urls(raw: &Raw) -> Result<(String, String, Vec<String>), SourceError> {
    let trimmed = |url: &String| url.trim_end_matches('/').to_owned();
    let (api_url, login_url, domain) = match (&raw.region, &raw.api_url, &raw.login_url) {
        (Some(region), None, None) => {
            let domain = REGIONS
                .iter()
                .find(|(name, _)| name == region)
                .map_or(region.as_str(), |(_, domain)| domain);
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
            if !domain.contains('.') || !domain.chars().all(plain) {
                return Err(wrong(
                    "region",
                    &format!(
                        "`{region}` is neither an AWS region of Genesys Cloud, such as `eu-west-1`, nor a domain, such as `mypurecloud.ie`"
                    ),
                ));
            }
            (
                format!("https://api.{domain}"),
                format!("https://login.{domain}"),
                Some(domain.to_owned()),
            )
        }
        (None, Some(api), Some(login)) => (trimmed(api), trimmed(login), None),
        _ => {
            return Err(wrong(
                "region",
                "give either `region`, such as `mypurecloud.ie`, or both `api_url` and `login_url`",
            ));
        }
    };
    for (path, url) in [("api_url", &api_url), ("login_url", &login_url)] {
        if !url.starts_with("https://") && !url.starts_with("http://") {
            return Err(wrong(path, "must begin with `https://`"));
        }
    }
    let media = raw.media_origins.clone().unwrap_or_else(|| {
        let mut origins = vec![
            "https://*.amazonaws.com".to_owned(),
            "https://*.cloudfront.net".to_owned(),
        ];
        origins.extend(domain.map(|domain| format!("https://*.{domain}")));
        origins
    });
    Ok((api_url, login_url, media))
}

fn within(
    path: &str,
    value: Option<u32>,
    default: u32,
    range: std::ops::RangeInclusive<u32>,
) -> Result<u32, SourceError> {
    let value = value.unwrap_or(default);
    if range.contains(&value) {
        Ok(value)
    } else {
        let (least, most) = (range.start(), range.end());
        Err(wrong(
            path,
            &format!("{value} is not within {least} and {most}"),
        ))
    }
}

/// An error about the option at `path`.
pub(crate) fn wrong(path: &str, message: &str) -> SourceError {
    SourceError::Options(OptionError {
        path: path.to_owned(),
        message: message.to_owned(),
    })
}
