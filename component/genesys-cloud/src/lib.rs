//! The recording source for Genesys Cloud: query the conversations, submit
//! batches, poll the jobs, hand over what their links point to.
//!
//! `find` chooses how conversations are found: a `window` walks a range of days page by page,
//! a `backfill` has jobs do it, `retention` begins with the recordings that are kept; `names` are
//! looked up on the way, and `orphans` counted or handed over. A `batch` fetches the recordings of up to a hundred
//! conversations as they are, a `recording` split those of a few in another format; `describe` asks
//! for their metadata, `restore` for what is archived. `estimate` counts, `check` tries out what the
//! client may do. `api` has the vendor's JSON, `metadata` turns an analytics row into a
//! conversation, `options` what is configured.

mod api;
mod artifact;
mod backfill;
mod batch;
mod check;
mod describe;
mod estimate;
mod find;
mod metadata;
mod names;
mod options;
mod orphans;
mod outcome;
mod page;
mod paging;
mod patience;
mod recording;
mod restore;
mod retention;
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
    Plan(backfill::Plan),
    Backfill(backfill::Backfill),
    Window(window::Window),
    Retention(retention::Retention),
    Orphans(orphans::Orphans),
    Batch(batch::Batch),
    Recording(recording::Recordings),
    Restore(restore::Restore),
    Estimate(estimate::Estimate),
    Check(check::Check),
}

impl Memory {
    fn write(&self) -> State {
        State::write(STATE_VERSION, self)
    }

    fn split(self, id: String) -> Split {
        let kind = match self {
            Memory::Plan(_) => "plan",
            Memory::Backfill(_) => "job",
            Memory::Window(_) => "window",
            Memory::Retention(_) => "retention",
            Memory::Orphans(_) => "orphans",
            Memory::Batch(_) => "batch",
            Memory::Recording(_) => "recording",
            Memory::Restore(_) => "restore",
            Memory::Estimate(_) => "estimate",
            Memory::Check(_) => "check",
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
            Purpose::Find(find) => find::begin(&options, &find, now)?,
            Purpose::Fetch(mut fetch) => {
                let mut splits = recording::begin_orphans(&mut fetch);
                splits.extend(match options.one_by_one() {
                    true => recording::begin(fetch),
                    false => batch::begin(&options, fetch),
                });
                splits
            }
            Purpose::Estimate(range) => estimate::begin(range, now)?,
            Purpose::Check => vec![check::begin()],
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
            fetch_size: match options.one_by_one() {
                true => recording::TOGETHER,
                false => u32::try_from(options.batch_size).unwrap_or(u32::MAX),
            },
        })
    }

    fn step(
        options: &str,
        state: State,
        event: Event,
        now: Timestamp,
    ) -> Result<Step, SourceError> {
        let options = Options::read(options)?;
        match state.read::<Memory>(STATE_VERSION)? {
            Memory::Plan(plan) => plan.step(&options, event),
            Memory::Backfill(backfill) => backfill.step(&options, event, now),
            Memory::Window(window) => window.step(&options, event, now),
            Memory::Retention(retention) => retention.step(&options, event, now),
            Memory::Orphans(orphans) => orphans.step(&options, event),
            Memory::Batch(batch) => batch.step(&options, event, now),
            Memory::Recording(recordings) => recordings.step(&options, event, now),
            Memory::Restore(restore) => restore.step(&options, event, now),
            Memory::Estimate(estimate) => estimate.step(&options, event, now),
            Memory::Check(check) => check.step(&options, event, now),
        }
    }
}
