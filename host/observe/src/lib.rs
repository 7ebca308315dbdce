//! Log, metrics, health, notices and traces of a running export, for those who operate it.
//!
//! All but the traces subscribes to [`Event`](recording_host_model::Event)s, and none of it holds what they do not:
//! no secret, no signed link, no name or number of a person.

mod health;
mod log;
#[cfg(feature = "metrics")]
mod metrics;
pub mod notify;
#[cfg(feature = "otlp")]
pub mod otlp;
#[cfg(not(feature = "otlp"))]
#[path = "without_otlp.rs"]
pub mod otlp;

pub use health::Health;
pub use log::{Format, Log};
#[cfg(feature = "metrics")]
pub use metrics::{Measured, Metrics, serve};
