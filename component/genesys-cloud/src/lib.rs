//! The recording source for Genesys Cloud: query the conversations, submit batches, poll the jobs,
//! hand over the files behind their links.
//!
//! `find` chooses how conversations are found: a `window` walks a range of days page by page, a
//! `backfill` has jobs do it, `retention` begins with the recordings that are kept; a `lookup` turns
//! names of queues and divisions in the options into ids before that; `names` of rows are looked up on
//! the way, and `orphans` counted or handed over. A `batch` fetches the recordings of up to a hundred
//! conversations as they are, a `recording` split those of a few in another format; `describe` requests
//! their metadata, `restore` the restoration of archived ones. `estimate` counts, `check` tries out the
//! client's permissions. `api` has the vendor's JSON, `metadata` turns an analytics row into a
//! conversation, `options` has the configuration.

mod api;
mod artifact;
mod backfill;
mod batch;
mod check;
mod describe;
mod estimate;
mod find;
mod lookup;
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
    AuthScheme, DataClass, Descriptor, Event, Origin, Purpose, RateLimit, Source, SourceError,
    Splits, Started, State, Step, Timestamp, export, splits,
};

use lookup::Resolved;
use options::{Mode, Options};

/// The source.
#[derive(Debug)]
pub struct GenesysCloud;

export!(GenesysCloud);

splits! {
    /// The state of a split.
    enum SplitState: version 1, options Options {
        Lookup(lookup::Lookup) = "names",
        Plan(backfill::BackfillPlan) = "plan",
        Backfill(backfill::Backfill) = "job",
        Window(window::Window) = "window",
        Retention(retention::Retention) = "retention",
        Orphans(orphans::Orphans) = "orphans",
        Batch(batch::Batch) = "batch",
        Recording(recording::Recordings) = "recording",
        Restore(restore::Restore) = "restore",
        Estimate(estimate::Estimate) = "estimate",
        Check(check::Check) = "check",
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
            Purpose::Find(find) => lookup::begin_find(&options, find, now)?,
            Purpose::Fetch(mut fetch) => {
                let mut splits = recording::begin_orphans(&mut fetch);
                splits.extend(match options.one_by_one() {
                    true => recording::begin(fetch),
                    false => batch::begin(&options, fetch),
                });
                splits
            }
            Purpose::Estimate(range) => lookup::begin_estimate(&options, range, now)?,
            Purpose::Check => {
                let names = lookup::begin_check(&options);
                names.into_iter().chain(check::begin(&options)).collect()
            }
        };
        let mut origins = vec![Origin::api(&options.api_url)];
        if options.mode == Mode::Recordings || options.export_orphans {
            origins.extend(options.media_origins.iter().map(Origin::media));
        }
        Ok(Started {
            origins,
            token_url: Some(format!("{}/oauth/token", options.login_url)),
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
        let mut options = Options::read(options)?;
        let resolved = Resolved::read(&state, &mut options);
        let mut step = SplitState::read(&state)?.step(&options, event, now)?;
        if let Some(resolved) = resolved {
            resolved.carry(&mut step);
        }
        Ok(step)
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
        for json in [
            r#"{"split":"window","mode":"recordings","from":0,"until":1,"end":1,"page":1,"hits":null,"shifted":false,"walks":0}"#,
            r#"{"split":"batch","id":"a","conversations":["c"],"recorded":[],"phase":"unsubmitted","attempts":0,"parts":{"r":[1]},"renewing":null,"asked_again":false}"#,
        ] {
            assert!(SplitState::read(&state(json)).is_ok(), "{json}");
        }
        let later = State {
            version: 2,
            data: Vec::new(),
        };
        assert!(SplitState::read(&later).is_err());
    }
}
