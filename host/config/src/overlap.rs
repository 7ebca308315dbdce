//! No two sinks share a location, and none shares one with the queue.

use std::{collections::BTreeMap, path::Path};

use super::{
    ConfigError, key,
    location::{Location, Overlap},
    sink::SinkConfig,
};
use crate::secret::Backend;

/// Refuses sinks that lie in one another, and a folder of recordings around the queue or in it.
pub(super) fn refuse(
    sinks: &BTreeMap<String, SinkConfig>,
    data_dir: &Path,
    secrets: &BTreeMap<String, Backend>,
) -> Result<(), ConfigError> {
    // A URL that is a secret is looked up only where there is another one to compare it with, and compared
    // only if it is read at all.
    let unread = secrets
        .values()
        .any(|backend| matches!(backend, Backend::Unread));
    let hidden = sinks.values().filter(|sink| sink.may_be_secret()).count();
    let mut locations: Vec<(&str, &SinkConfig, Location)> = Vec::new();
    for (name, sink) in sinks {
        let location = match hidden > 1 && !unread {
            true => sink.revealed_location(secrets)?,
            false => sink.location(),
        };
        for (other, one, there) in &locations {
            if let Some(overlap) = location.overlap(there) {
                return Err(shared(sink, &location, overlap, other, one, there));
            }
        }
        locations.push((name, sink, location));
    }
    let queue = Location::folder(data_dir);
    for (_, sink, location) in &locations {
        let Some(overlap) = location.overlap(&queue) else {
            continue;
        };
        let how = match overlap {
            Overlap::Same => "is `data_dir`",
            Overlap::Inside => "lies inside `data_dir`",
            Overlap::Around => "contains `data_dir`",
        };
        return Err(key(
            format!("{}.path", sink.at()),
            format!(
                "`{location}` {how} (`{queue}`); keep the queue apart from the archive: another `path` or another `data_dir`"
            ),
        ));
    }
    Ok(())
}

fn shared(
    sink: &SinkConfig,
    location: &Location,
    overlap: Overlap,
    other: &str,
    one: &SinkConfig,
    there: &Location,
) -> ConfigError {
    let how = match overlap {
        Overlap::Same => format!("is the location of the sink `{other}`, too"),
        Overlap::Inside => format!("lies inside the location of the sink `{other}` (`{there}`)"),
        Overlap::Around => format!("contains the location of the sink `{other}` (`{there}`)"),
    };
    let what = match sink.location_key() {
        "path" => "give each sink a folder of its own, beside the other",
        "url" => "give each sink a URL of its own, beside the other",
        "type" => "only one sink can print",
        _ => "give each sink a `prefix` of its own, beside the other, or another bucket",
    };
    key(
        format!("{}.{}", sink.at(), sink.location_key()),
        format!(
            "`{location}` {how}, so that each would overwrite and miscount what the other writes ({}.{}); {what}, or let one sink take all `inputs`",
            one.at(),
            one.location_key()
        ),
    )
}
