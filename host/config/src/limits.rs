//! The most that an export takes from the network and from the vendor, and what that costs.

use recording_host_engine::{
    plan::Prices,
    run::{Concurrency, RequestLimits},
};
use recording_host_http::{Throttle, Timetable, TimetableError};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{ConfigError, key};

/// The most of anything that may be under way at once.
const MOST_AT_ONCE: usize = 4096;

/// Refuses a number of things at once that never ends, or that no machine bears.
pub(super) fn check_concurrency(given: Concurrency) -> Result<(), ConfigError> {
    for (name, count) in [("splits", given.splits), ("transfers", given.transfers)] {
        if !(1..=MOST_AT_ONCE).contains(&count) {
            return Err(key(
                format!("concurrency.{name}"),
                format!("{count} is not within 1 and {MOST_AT_ONCE}; leave it out for the default"),
            ));
        }
    }
    Ok(())
}

/// The most seconds of one wait: a day.
const MOST_SECONDS: u64 = 86_400;

/// Refuses a wait that no clock can count, or that is none where there must be one.
pub(super) fn check_wait(at: &str, seconds: u64, least: u64) -> Result<(), ConfigError> {
    if (least..=MOST_SECONDS).contains(&seconds) {
        return Ok(());
    }
    Err(key(
        at,
        format!(
            "{seconds} is not within {least} and {MOST_SECONDS}; give seconds, a day at most, or leave it out for the default"
        ),
    ))
}

/// Limits of a process.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLimits {
    /// Bytes a second that are downloaded, always (`10MB`) or from times of the day on (`08:00,10MB 18:00,off`).
    #[schemars(example = &"08:00,10MB 18:00,off")]
    bandwidth: Option<String>,
    /// The time zone of these times.
    #[schemars(example = &"Europe/Dublin")]
    time_zone: String,
}

impl Default for RawLimits {
    fn default() -> Self {
        RawLimits {
            bandwidth: None,
            time_zone: "UTC".to_owned(),
        }
    }
}

impl RawLimits {
    /// The throttle of the process.
    pub(super) fn throttle(&self) -> Result<Throttle, ConfigError> {
        // A zone without a timetable is checked as well.
        let text = self.bandwidth.as_deref().unwrap_or("off");
        let table = Timetable::new(text, &self.time_zone).map_err(|error| {
            let at = match error {
                TimetableError::Zone(_) => "limits.time_zone",
                TimetableError::Entry { .. } => "limits.bandwidth",
            };
            key(at, error)
        })?;
        Ok(Throttle::new(table))
    }
}

/// The most requests with the credential of a source.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawCeilings {
    /// Requests in any minute, at most; the vendor's own limit holds besides.
    #[schemars(range(min = 1), example = 120)]
    requests_per_minute: Option<u32>,
    /// Requests in a month of the calendar (UTC), at most.
    #[schemars(range(min = 1), example = 500_000)]
    requests_per_month: Option<u64>,
}

impl RawCeilings {
    /// Refuses ceilings that let nothing pass.
    pub(super) fn checked(self, at: &str) -> Result<RequestLimits, ConfigError> {
        for (name, most) in [
            (
                "requests_per_minute",
                self.requests_per_minute.map(u64::from),
            ),
            ("requests_per_month", self.requests_per_month),
        ] {
            if most == Some(0) {
                let reason = "0 would let no request pass; leave it out for no limit";
                return Err(key(format!("{at}.{name}"), reason));
            }
        }
        Ok(RequestLimits {
            per_minute: self.requests_per_minute,
            per_month: self.requests_per_month,
        })
    }
}

/// Refuses prices that are none.
pub(super) fn check_prices(prices: &Prices) -> Result<(), ConfigError> {
    for (name, price) in [
        ("thousand_requests", prices.thousand_requests),
        ("traffic_gb", prices.traffic_gb),
        ("storage_gb_month", prices.storage_gb_month),
    ] {
        if !(price.is_finite() && price >= 0.0) {
            return Err(key(format!("prices.{name}"), "must be a number from 0 on"));
        }
    }
    Ok(())
}
