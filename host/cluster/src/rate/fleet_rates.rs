//! The rates of all credentials, for the limiters of a node's sources.

use std::{fmt::Debug, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::civil::Date;
use sha2::{Digest, Sha256};

use recording_host_http::{SharedCount, SharedRate, SharedRateError, SharedRates};
use recording_host_model::hex;

use super::{FleetRateLimiter, RateLimit, month};
use crate::Fleet;

/// How long a vendor counts requests.
const MINUTE: Duration = Duration::from_secs(60);
/// How many digits of the digest of a credential stand in its subjects.
const DIGITS: usize = 32;

/// The rates of credentials, and the counts of their months, shared by all nodes of a fleet. A credential itself is
/// on no server: its digest is.
#[derive(Clone, Debug)]
pub struct FleetRates {
    fleet: Fleet,
}

impl FleetRates {
    /// Those of a fleet whose streams are made.
    #[must_use]
    pub fn new(fleet: &Fleet) -> Self {
        FleetRates {
            fleet: fleet.clone(),
        }
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
            window: MINUTE,
        };
        let rate = FleetRateLimiter::open(&self.fleet, &name(credential), limit).await?;
        Ok(Arc::new(rate))
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

#[async_trait]
impl SharedRate for FleetRateLimiter {
    async fn acquire(&self, waiting: u32) -> Result<(), SharedRateError> {
        self.acquire_among(waiting).await?;
        Ok(())
    }

    async fn pause(&self, time: Duration) -> Result<(), SharedRateError> {
        Ok(FleetRateLimiter::pause(self, time).await?)
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
