//! The recording source for buckets that Genesys Cloud's own AWS S3 integration pushes to.
//!
//! A `find` lists the bucket, day by day, and tells of each conversation that has a folder in it; a
//! `fetch` reads the metadata beside the files of some conversations and hands the files over.
//! `layout` knows how the bucket is laid out, `s3` speaks with it, `sidecar` reads the metadata,
//! `options` what is configured.

mod fetch;
mod find;
mod layout;
mod options;
mod s3;
mod sidecar;

use recording_source_sdk::{
    AuthScheme, DataClass, Descriptor, Event, Next, Origin, OriginRole, Purpose, Send, Source,
    SourceError, Split, Started, State, Step, Timestamp, export,
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
            Memory::Find(_) => "listing",
            Memory::Fetch(_) => "folders",
            Memory::Check => "check",
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
            Purpose::Check => vec![Memory::Check.split("check".into())],
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
        match Memory::read(&state)? {
            Memory::Find(find) => find.step(&options, event),
            Memory::Fetch(fetch) => fetch.step(&options, event, now),
            Memory::Check => check(&options, event),
        }
    }
}

/// Proves that the bucket can be listed and holds something of the organisation.
fn check(options: &Options, event: Event) -> Result<Step, SourceError> {
    let state = Memory::Check.write();
    match event {
        Event::Due => Ok(Step::then(Next::Send(Send {
            request: s3::list(options, &options.root(), None, 1),
            state,
        }))),
        Event::Answer(answer) => {
            s3::listed(options, answer)?.expect_some(options)?;
            Ok(Step::then(Next::Done(state)))
        }
        Event::Renew(_) => Ok(Step::then(Next::Done(state))),
    }
}
