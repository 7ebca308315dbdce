//! The limits of one run: bytes and time.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use recording_host_engine::Pipeline;
use recording_host_model::{Event, Subscriber};
use tokio::{sync::watch, time::Instant};

/// The limits of a run.
pub(super) struct RunLimits {
    bytes: Arc<Bytes>,
    ends: Option<Instant>,
    /// True once the time is over.
    late: AtomicBool,
}

/// The bytes that were stored, by sink.
struct Bytes {
    most: Option<u64>,
    stored: Mutex<BTreeMap<String, u64>>,
    spent: watch::Sender<bool>,
}

impl RunLimits {
    pub(super) fn new(bytes: Option<u64>, time: Option<Duration>) -> Self {
        RunLimits {
            bytes: Arc::new(Bytes {
                most: bytes,
                stored: Mutex::default(),
                spent: watch::channel(false).0,
            }),
            ends: time.and_then(|time| Instant::now().checked_add(time)),
            late: AtomicBool::new(false),
        }
    }

    /// Counts what a pipeline stores.
    pub(super) fn over(&self, pipeline: Pipeline) -> Pipeline {
        match self.bytes.most {
            Some(_) => pipeline.subscribe(Arc::clone(&self.bytes) as Arc<dyn Subscriber>),
            None => pipeline,
        }
    }

    /// Waits until a limit is reached.
    pub(super) async fn wait(&self) {
        let mut spent = self.bytes.spent.subscribe();
        let late = async {
            match self.ends {
                Some(ends) => tokio::time::sleep_until(ends).await,
                None => std::future::pending().await,
            }
            self.late.store(true, Ordering::Relaxed);
        };
        tokio::select! {
            // The sender lives as long as the limits.
            _ = spent.wait_for(|spent| *spent) => {}
            () = late => {}
        }
    }

    /// The option whose limit is reached.
    pub(super) fn reached(&self) -> Option<&'static str> {
        match *self.bytes.spent.borrow() {
            true => Some("--max-bytes"),
            false => self.late.load(Ordering::Relaxed).then_some("--max-time"),
        }
    }
}

impl Subscriber for Bytes {
    fn on_event(&self, event: &Event) {
        let Event::ArtifactStored { stored } = event else {
            return;
        };
        let mut all = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        for (sink, stored) in stored {
            let bytes = all.entry(sink.clone()).or_default();
            *bytes += stored.bytes;
            if self.most.is_some_and(|most| *bytes >= most) {
                self.spent.send_replace(true);
            }
        }
    }
}
