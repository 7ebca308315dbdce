//! Log, metrics and health of a running export, for those who operate it.
//!
//! All of it subscribes to [`Event`](recording_host_model::Event)s, and none of it holds what they do not:
//! no secret, no signed link, no name or number of a person.

mod health;
mod log;
mod metrics;
mod server;

pub use health::Health;
pub use log::{Format, Log};
pub use metrics::Metrics;
pub use server::serve;
