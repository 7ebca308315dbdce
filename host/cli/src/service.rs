//! Tells a service manager, by the protocol of systemd, that the program is ready, alive or stopping. Where
//! `NOTIFY_SOCKET` names none, nothing happens, nor on systems that have no such sockets.

#[cfg(unix)]
use std::time::Duration;

use recording_host_observe::Health;
#[cfg(unix)]
use sd_notify::NotifyState;

/// Tells that the program is ready; from here on, as often as the manager's watchdog wants, that it is alive,
/// which it is not while a run is stuck.
#[cfg(unix)]
pub(super) fn ready(health: &Health) {
    tell(&[NotifyState::Ready]);
    let Some(within) = sd_notify::watchdog_enabled() else {
        return;
    };
    let health = health.clone();
    // Twice in the time, so that one that comes late is no reason to be killed.
    let pause = (within / 2).max(Duration::from_millis(1));
    tokio::spawn(async move {
        loop {
            if !health.is_stuck() {
                tell(&[NotifyState::Watchdog]);
            }
            tokio::time::sleep(pause).await;
        }
    });
}

/// Tells that the program ends.
#[cfg(unix)]
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

#[cfg(not(unix))]
pub(super) fn ready(_: &Health) {}

#[cfg(not(unix))]
pub(super) fn stopping() {}

#[cfg(unix)]
fn tell(states: &[NotifyState<'_>]) {
    // A manager that does not listen ends no export.
    let _ = sd_notify::notify(states);
}
