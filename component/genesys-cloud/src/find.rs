//! The choice of the way to find conversations.

use recording_source_sdk::{Find, SourceError, Split, Timestamp};

use crate::{
    backfill,
    options::{Options, Search},
    orphans, retention, window,
};

/// The initial splits of the search of a range.
pub(crate) fn begin(
    options: &Options,
    find: &Find,
    now: Timestamp,
) -> Result<Vec<Split>, SourceError> {
    // The future cannot be paged through reliably.
    let range = find.range.past(now)?;
    let name = &find.name;
    let mut splits = match options.search {
        Search::Query => window::begin(options, name, range.clone()),
        Search::Auto if range.end - range.start < backfill::LARGE => {
            window::begin(options, name, range.clone())
        }
        Search::Auto | Search::Job => vec![backfill::begin(name, range.clone())],
        Search::Retention => vec![retention::begin(name, range.clone())],
    };
    if options.orphans {
        splits.push(orphans::begin(name, range));
    }
    Ok(splits)
}
