//! The side of the run on a system without Unix sockets: nobody steers it.

use std::{path::Path, sync::Arc};

use recording_host_http::Throttle;
use recording_host_model::{Event, Subscriber};
use tokio::sync::watch;

/// Lets nobody steer a run.
pub(crate) struct Server {
    drain: watch::Sender<bool>,
}

impl Server {
    pub(crate) fn start(_: &Path, _: watch::Sender<u64>) -> Self {
        Server {
            drain: watch::channel(false).0,
        }
    }

    pub(crate) fn drain(&self) -> watch::Receiver<bool> {
        self.drain.subscribe()
    }

    pub(crate) fn is_draining(&self) -> bool {
        *self.drain.borrow()
    }

    #[cfg_attr(
        not(feature = "cluster"),
        allow(dead_code, reason = "machines of a fleet ask")
    )]
    pub(crate) fn drainer(&self) -> impl Fn() + Send + Sync + use<> {
        let drain = self.drain.clone();
        move || {
            drain.send_replace(true);
        }
    }

    pub(crate) fn state(&self) -> impl Fn() -> &'static str + Send + Sync + use<> {
        || "running"
    }

    pub(crate) fn steer(&self, _: &Throttle) {}

    pub(crate) fn reloaded(&self, _: Result<(), String>) {}

    pub(crate) fn subscriber(&self, _: &str) -> Arc<dyn Subscriber> {
        Arc::new(|_: &Event| {})
    }
}
