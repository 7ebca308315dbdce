//! The rates of all credentials, for the limiters of a node's sources.

use std::{fmt::Debug, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::civil::Date;
use sha2::{Digest, Sha256};

use recording_host_http::{SharedCount, SharedRate, SharedRateError, SharedRates};
use recording_host_model::{clock::Clock, hex};

use super::{FleetRateLimiter, RateLimit, month};
use crate::Fleet;

/// How long a vendor counts requests.
const MINUTE: Duration = Duration::from_secs(60);
/// Servers that are silent for longer are an error, which whoever waits for a slot warns of before it goes on waiting.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many digits of the digest of a credential stand in its subjects.
const DIGITS: usize = 32;

/// The rates of credentials, and the counts of their months, shared by all nodes of a fleet. A credential itself is
/// on no server: its digest is.
#[derive(Clone, Debug)]
pub struct FleetRates {
    fleet: Fleet,
    /// How many times as fast as the real time that of the vendor runs.
    speed: f64,
}

impl FleetRates {
    /// Those of a fleet whose streams are made.
    #[must_use]
    pub fn new(fleet: &Fleet) -> Self {
        FleetRates {
            fleet: fleet.with_patience(PATIENCE),
            speed: 1.0,
        }
    }

    /// The same for a simulated vendor, whose time runs as that of a clock.
    #[must_use]
    pub fn in_time_of(mut self, clock: Clock) -> Self {
        self.speed = clock.speed();
        self
    }
}

/// A credential's name on the servers.
fn name(credential: &str) -> String {
    hex(&Sha256::digest(credential))[..DIGITS].to_owned()
}

#[async_trait]
impl SharedRates for FleetRates {
    async fn open(
        &self,
        credential: &str,
        requests_per_minute: u32,
    ) -> Result<Arc<dyn SharedRate>, SharedRateError> {
        let limit = RateLimit {
            requests: requests_per_minute,
            window: MINUTE.div_f64(self.speed),
        };
        let rate = FleetRateLimiter::open(&self.fleet, &name(credential), limit).await?;
        Ok(Arc::new(Timed {
            rate,
            speed: self.speed,
        }))
    }

    async fn count(
        &self,
        credential: &str,
        month: Date,
        requests: u32,
        ceiling: u64,
    ) -> Result<SharedCount, SharedRateError> {
        let of = format!("{}-month", name(credential));
        Ok(month::count(&self.fleet, &of, month, requests, ceiling).await?)
    }
}

/// A rate whose times are those of the vendor.
#[derive(Debug)]
struct Timed {
    rate: FleetRateLimiter,
    speed: f64,
}

#[async_trait]
impl SharedRate for Timed {
    async fn acquire(&self, waiting: u32) -> Result<(), SharedRateError> {
        self.rate.acquire_among(waiting).await?;
        Ok(())
    }

    async fn pause(&self, time: Duration) -> Result<(), SharedRateError> {
        Ok(self.rate.pause(time.div_f64(self.speed)).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn nothing_of_a_credential_is_in_its_name_and_others_have_other_names() {
        let one = name("https://login.test/ client-4711");
        assert_eq!(one.len(), 32);
        assert!(one.bytes().all(|it| it.is_ascii_hexdigit()), "{one}");
        assert_ne!(one, name("https://login.test/ client-4712"));
    }
}
