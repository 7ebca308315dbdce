//! The content of a run's receipts besides the segments.

use jiff::Timestamp;

use super::{Engine, Interval};
use crate::{
    identity::{self, digest},
    receipt::{ComponentVersion, CoveredInterval, ReceiptContext, SearchedRange, SourceCount},
};
use recording_host_source::{SandboxError, SourceComponent};
use recording_host_state::QueueError;

/// A day (ms).
const DAY: u64 = 86_400_000;

impl Engine {
    /// The data for the header of a receipt of this day that is made now.
    pub(super) async fn receipt_context(&self, day: &str) -> Result<ReceiptContext, QueueError> {
        let (from, until) = bounds(day);
        let searches = self.ledger.searches_of(from, until).await?.into_iter();
        let searched = searches.filter_map(|range| {
            Some(SearchedRange {
                from: timestamp(range.from)?,
                until: timestamp(range.until)?,
                at: timestamp(range.at)?,
            })
        });
        let counts = self.ledger.source_counts().await?.into_iter();
        let counts = counts.filter_map(|(day, conversations, at)| {
            let at = timestamp(at)?;
            Some((day, SourceCount { conversations, at }))
        });
        let bindings = self.bindings.iter();
        Ok(ReceiptContext {
            written_at: timestamp(self.clock.now()),
            identity: Some(self.claim.identity.clone()),
            form: Some(self.claim.form.clone()),
            sinks: bindings
                .map(|binding| (binding.name.clone(), digest(&identity::sink(binding))))
                .collect(),
            searched: searched.collect(),
            source_counts: counts.collect(),
            ..self.context.clone()
        })
    }
}

/// The first instant of a day (`YYYY-MM-DD`, UTC) and the first one after it (ms).
fn bounds(day: &str) -> (u64, u64) {
    let midnight = format!("{day}T00:00:00Z").parse::<Timestamp>();
    let from = midnight.map_or(0, |at| u64::try_from(at.as_millisecond()).unwrap_or(0));
    (from, from + DAY)
}

/// The context as far as it is known when a run is set up.
pub(super) fn context(
    export: &str,
    interval: &Interval,
    component: &SourceComponent,
) -> Result<ReceiptContext, SandboxError> {
    let described = component.describe()?;
    Ok(ReceiptContext {
        component: Some(ComponentVersion {
            name: described.name,
            version: described.version,
            sha256: component.digest().to_owned(),
        }),
        claims: timestamp(interval.from).map(|from| CoveredInterval {
            from,
            until: interval.until.and_then(timestamp),
        }),
        ..ReceiptContext::new(export)
    })
}

/// An instant that is given in ms since the epoch; none beyond the year 9999.
fn timestamp(ms: u64) -> Option<Timestamp> {
    let ms = i64::try_from(ms).ok()?;
    Timestamp::from_millisecond(ms).ok()
}
