//! The clock of a command in a build without the simulator.

use recording_host_model::clock::Clock;

/// The clock of a command that speaks with a source: the machine's.
pub(super) async fn clock() -> anyhow::Result<Clock> {
    Ok(Clock::default())
}
