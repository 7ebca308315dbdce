//! The clock of the server that leads a stream, as this node knows it.

use std::{sync::Mutex, sync::PoisonError, time::Duration};

use serde::Deserialize;
use tokio::time::Instant;

use crate::{ClusterError, Fleet, connection::Try};

/// How long a comparison counts: another server may lead then.
const COUNTS: Duration = Duration::from_secs(5);
/// The longest that an answer may take which a clock is compared by.
const LONGEST: Duration = Duration::from_millis(400);

/// A server's clock, compared with this node's monotonic one.
#[derive(Debug)]
pub(super) struct ServerClock {
    fleet: Fleet,
    subject: String,
    compared: Mutex<Option<Compared>>,
}

/// An instant by both clocks.
#[derive(Clone, Copy, Debug)]
struct Compared {
    local: Instant,
    /// In µs since the epoch.
    server: u64,
}

/// The part of a stream's description that has the time.
#[derive(Deserialize)]
struct Described {
    ts: jiff::Timestamp,
}

impl ServerClock {
    /// The clock of the server that leads a stream.
    pub(super) fn new(fleet: &Fleet, stream: String) -> Self {
        ServerClock {
            fleet: fleet.clone(),
            subject: format!("$JS.API.STREAM.INFO.{stream}"),
            compared: Mutex::new(None),
        }
    }

    /// The time of the server's clock at an instant (µs since the epoch).
    pub(super) async fn at(&self, instant: Instant) -> Result<u64, ClusterError> {
        let known = *self.compared();
        let compared = match known {
            Some(compared) if compared.local.elapsed() < COUNTS => compared,
            _ => {
                let what = "comparing clocks with the NATS servers";
                let compared = self.fleet.repeat(what, || self.compare()).await?;
                *self.compared() = Some(compared);
                compared
            }
        };
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Ok(match instant.checked_duration_since(compared.local) {
            Some(after) => compared.server.saturating_add(micros(after)),
            None => compared
                .server
                .saturating_sub(micros(compared.local - instant)),
        })
    }

    async fn compare(&self) -> Result<Try<Compared>, ClusterError> {
        let before = Instant::now();
        let asked = self
            .fleet
            .client
            .request(self.subject.clone(), "".into())
            .await;
        let took = before.elapsed();
        let message = match asked {
            Ok(message) => message,
            Err(error) => {
                self.fleet.unanswered().await;
                return Ok(Try::Passing(error.to_string()));
            }
        };
        self.fleet.answered();
        let described: Described = match serde_json::from_slice(&message.payload) {
            Ok(described) => described,
            // During an election the answer is an error.
            Err(error) => return Ok(Try::Passing(error.to_string())),
        };
        if took > LONGEST {
            return Ok(Try::Passing(format!(
                "an answer took {} ms",
                took.as_millis()
            )));
        }
        Ok(Try::Done(Compared {
            local: before + took / 2,
            server: u64::try_from(described.ts.as_microsecond()).unwrap_or_default(),
        }))
    }

    fn compared(&self) -> std::sync::MutexGuard<'_, Option<Compared>> {
        self.compared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
