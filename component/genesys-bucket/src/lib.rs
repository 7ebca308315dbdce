//! The recording source for buckets that Genesys Cloud's own AWS S3 integration pushes to.
//!
//! A `find` lists the bucket, day by day, and tells of each conversation that has a folder in it; a
//! `fetch` reads the metadata beside the files of some conversations and hands the files over. A
//! `check` tries out what they need.
//! `layout` knows how the bucket is laid out, `s3` speaks with it, `sidecar` reads the metadata,
//! `options` what is configured.

mod check;
mod fetch;
mod find;
mod layout;
mod options;
mod s3;
mod sidecar;

use recording_source_sdk::{
    AuthScheme, DataClass, Descriptor, Event, Origin, OriginRole, Purpose, Source, SourceError,
    Split, Started, State, Step, Timestamp, export,
};
use serde::{Deserialize, Serialize};

use options::Options;

/// The source.
#[derive(Debug)]
pub struct GenesysBucket;

export!(GenesysBucket);

/// The version of the states that this source writes.
const STATE_VERSION: u32 = 1;
/// Conversations that one `fetch` takes: a listing and a request for each recording, one after another.
const FETCH_SIZE: u32 = 20;

/// What a split remembers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "split", rename_all = "snake_case")]
enum Memory {
    Find(find::Find),
    Fetch(fetch::Fetch),
    Check(check::Check),
}

impl Memory {
    fn write(&self) -> State {
        State::write(STATE_VERSION, self)
    }

    fn split(self, id: String) -> Split {
        let kind = match self {
            Memory::Find(_) => "listing",
            Memory::Fetch(_) => "folders",
            Memory::Check(_) => "check",
        };
        Split {
            id,
            kind: kind.to_owned(),
            state: self.write(),
        }
    }
}

impl Source for GenesysBucket {
    fn describe() -> Descriptor {
        Descriptor {
            name: "genesys_bucket".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            vendor: "Genesys Cloud, AWS S3 integration".to_owned(),
            options_schema: include_str!("options.schema.json").to_owned(),
            auth: AuthScheme::AwsSigv4,
            rate_limit: None,
            data_classes: vec![DataClass::Voice, DataClass::Screen, DataClass::Text],
        }
    }

    fn start(options: &str, purpose: Purpose, now: Timestamp) -> Result<Started, SourceError> {
        let options = Options::read(options)?;
        let splits = match purpose {
            Purpose::Find(range) => find::begin(&options, &range, now)?,
            Purpose::Fetch(wanted) => fetch::begin(wanted),
            Purpose::Estimate(range) => find::estimate(range, now),
            Purpose::Check => vec![check::begin()],
        };
        Ok(Started {
            // Files are downloaded with the credentials, too: from where requests may go.
            origins: vec![Origin {
                url: options.origin.clone(),
                role: OriginRole::Api,
            }],
            splits,
            fetch_size: FETCH_SIZE,
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
            Memory::Find(find) => find.step(&options, event),
            Memory::Fetch(fetch) => fetch.step(&options, event, now),
            Memory::Check(check) => check.step(&options, event, now),
        }
    }
}
