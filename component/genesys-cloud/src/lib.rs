//! The recording source for Genesys Cloud: query the conversations, submit
//! batches, poll the jobs, hand over what their links point to.
//!
//! A `window` walks a range of days page by page; a `batch` fetches the recordings of up to a
//! hundred conversations; `api` has the vendor's JSON, `metadata` turns an analytics row into a
//! conversation, `options` what is configured.

mod api;
mod batch;
mod metadata;
mod options;
mod window;

use recording_source_sdk::{
    AuthScheme, DataClass, Descriptor, Event, Origin, OriginRole, Purpose, RateLimit, Source,
    SourceError, Split, Started, State, Step, Timestamp, export,
};
use serde::{Deserialize, Serialize};

use options::Options;

/// The source.
#[derive(Debug)]
pub struct GenesysCloud;

export!(GenesysCloud);

/// The version of the states that this source writes.
const STATE_VERSION: u32 = 1;

/// What a split remembers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "split", rename_all = "snake_case")]
enum Memory {
    Window(window::Window),
    Batch(batch::Batch),
    Check,
}

impl Memory {
    fn read(state: &State) -> Result<Self, SourceError> {
        if state.version != STATE_VERSION {
            return Err(SourceError::IncompatibleState(state.version));
        }
        serde_json::from_slice(&state.data)
            .map_err(|error| SourceError::Permanent(format!("the split's state: {error}")))
    }

    fn write(&self) -> State {
        State {
            version: STATE_VERSION,
            data: serde_json::to_vec(self).expect("states are plain data"),
        }
    }

    fn split(self, id: String) -> Split {
        let kind = match self {
            Memory::Window(_) => "window",
            Memory::Batch(_) => "batch",
            Memory::Check => "check",
        };
        Split {
            id,
            kind: kind.to_owned(),
            state: self.write(),
        }
    }
}

impl Source for GenesysCloud {
    fn describe() -> Descriptor {
        Descriptor {
            name: "genesys_cloud".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            vendor: "Genesys Cloud".to_owned(),
            options_schema: include_str!("options.schema.json").to_owned(),
            auth: AuthScheme::Oauth2ClientCredentials,
            // Platform limit client.credentials.token.rate.per.minute.
            rate_limit: Some(RateLimit {
                requests_per_minute: 300,
                count_header: Some("inin-ratelimit-count".to_owned()),
                allowed_header: Some("inin-ratelimit-allowed".to_owned()),
                reset_header: Some("inin-ratelimit-reset".to_owned()),
            }),
            data_classes: vec![
                DataClass::Voice,
                DataClass::Screen,
                DataClass::Text,
                DataClass::Address,
                DataClass::Name,
            ],
        }
    }

    fn start(options: &str, purpose: Purpose, now: Timestamp) -> Result<Started, SourceError> {
        let options = Options::read(options)?;
        let splits = match purpose {
            Purpose::Find(find) => window::begin(&options, &find, now)?,
            Purpose::Fetch(fetch) => batch::begin(&options, fetch),
            Purpose::Check => vec![Memory::Check.split("check".into())],
        };
        let mut origins = vec![
            Origin {
                url: options.api_url.clone(),
                role: OriginRole::Api,
            },
            Origin {
                url: format!("{}/oauth/token", options.login_url),
                role: OriginRole::Token,
            },
        ];
        origins.extend(options.media_origins.iter().map(|url| Origin {
            url: url.clone(),
            role: OriginRole::Media,
        }));
        Ok(Started {
            origins,
            splits,
            fetch_size: u32::try_from(options.batch_size).unwrap_or(u32::MAX),
        })
    }

    fn step(
        options: &str,
        state: State,
        event: Event,
        now: Timestamp,
    ) -> Result<Step, SourceError> {
        let options = Options::read(options)?;
        match Memory::read(&state)? {
            Memory::Window(window) => window.step(&options, event),
            Memory::Batch(batch) => batch.step(&options, event, now),
            Memory::Check => window::check(&options, event, now),
        }
    }
}
