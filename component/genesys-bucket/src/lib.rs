//! The recording source for buckets that Genesys Cloud's own AWS S3 integration pushes to.
//!
//! A `find` lists the bucket, day by day, and reports each conversation that has a folder in it; a
//! `fetch` reads the metadata beside the files of some conversations and hands the files over. A
//! `check` tries out what they need.
//! `layout` has the layout of the bucket, `s3` the requests to it, `sidecar` the metadata, `options`
//! the configuration.

mod check;
mod fetch;
mod find;
mod layout;
mod options;
mod s3;
mod sidecar;

use recording_source_sdk::{
    AuthScheme, DataClass, Descriptor, Event, Origin, Purpose, Source, SourceError, Splits,
    Started, State, Step, Timestamp, export, splits,
};

use options::Options;

/// The source.
#[derive(Debug)]
pub struct GenesysBucket;

export!(GenesysBucket);

/// The conversations in one `fetch`: a listing and a request for each recording, one after another.
const FETCH_SIZE: u32 = 20;

splits! {
    /// The state of a split.
    enum SplitState: version 1, options Options {
        Find(find::Find) = "listing",
        Fetch(fetch::Fetch) = "folders",
        Check(check::Check) = "check",
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
            // Files are downloaded with the credentials, too: from the origin of the requests.
            origins: vec![Origin::api(&options.origin)],
            token_url: None,
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
        SplitState::read(&state)?.step(&options, event, now)
    }
}

#[cfg(test)]
mod tests {
    use recording_source_sdk::{Splits, State};

    use super::SplitState;

    fn state(json: &str) -> State {
        let data = json.as_bytes().to_vec();
        State { version: 1, data }
    }

    #[test]
    fn states_that_were_written_before_are_read_and_written_alike() {
        for json in include_str!("../tests/states.jsonl").lines() {
            let read = SplitState::read(&state(json)).unwrap();
            assert_eq!(read.write(), state(json), "{json}");
        }
    }

    #[test]
    fn a_state_of_the_first_release_lacks_what_came_later() {
        let find = r#"{"split":"find","from":0,"until":1,"day":0,"digits":"plain","after":null,"listed":0,"probing":true,"counting":false}"#;
        assert!(SplitState::read(&state(find)).is_ok());
        let later = State {
            version: 2,
            data: Vec::new(),
        };
        assert!(SplitState::read(&later).is_err());
    }
}
