//! What a run tells in its receipts besides the segments.

use jiff::Timestamp;

use super::{Interval, Run};
use crate::{
    receipt::{Claims, ComponentVersion, Context},
    sandbox::{Component, SandboxError},
};

impl Run {
    /// What stands in the header of a receipt that is made now.
    pub(super) fn receipt_context(&self) -> Context {
        Context {
            written_at: timestamp(self.clock.now()),
            ..self.context.clone()
        }
    }
}

/// What is known when a run is set up.
pub(super) fn context(
    export: &str,
    interval: &Interval,
    component: &Component,
) -> Result<Context, SandboxError> {
    let described = component.describe()?;
    Ok(Context {
        component: Some(ComponentVersion {
            name: described.name,
            version: described.version,
            sha256: component.digest().to_owned(),
        }),
        claims: timestamp(interval.from).map(|from| Claims {
            from,
            until: interval.until.and_then(timestamp),
        }),
        ..Context::new(export)
    })
}

/// An instant that is given in ms since the epoch; none beyond the year 9999.
fn timestamp(ms: u64) -> Option<Timestamp> {
    let ms = i64::try_from(ms).ok()?;
    Timestamp::from_millisecond(ms).ok()
}
