//! Which sinks take which sources.

use std::collections::BTreeMap;

use recording_host_engine::run::SourceConfig;

use super::{ConfigError, key, sink::SinkConfig, source::ComponentOrigin};

/// Refuses a source that no sink takes, and conditions on fields that the privacy of their source takes out.
pub(super) fn check_routes(
    sources: &BTreeMap<String, (ComponentOrigin, SourceConfig)>,
    sinks: &BTreeMap<String, SinkConfig>,
) -> Result<(), ConfigError> {
    for (name, (_, source)) in sources {
        for sink in sinks.values().filter(|sink| sink.takes(name)) {
            if let Some((path, field)) = sink.blind(&source.privacy) {
                return Err(key(
                    format!("{}.condition.{path}", sink.at()),
                    format!(
                        "`sources.{name}.privacy` takes `{field}` out before sinks are chosen; leave out one of them"
                    ),
                ));
            }
        }
        if !sinks.values().any(|sink| sink.takes(name)) {
            return Err(key(
                "sinks",
                format!("no sink takes the source `{name}`; name it in a sink's `inputs`"),
            ));
        }
    }
    Ok(())
}
