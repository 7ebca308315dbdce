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
pub(super) struct Limits {
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

impl Limits {
    pub(super) fn new(bytes: Option<u64>, time: Option<Duration>) -> Self {
        Limits {
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

/// Reads a number of bytes such as `500MB`; the units are powers of a thousand.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let units = [
        ("kB", 1000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("", 1),
    ];
    number(text, &units, "500MB, 2GB or 1000000")
}

/// Reads a length of time such as `30m`.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
    number(text, &units, "90s, 30m, 6h or 2d").map(Duration::from_secs)
}

fn number(text: &str, units: &[(&str, u64)], such: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let unit = units.iter().find(|(name, _)| *name == unit.trim());
    let value = number.parse::<u64>().ok().zip(unit);
    let value = value.and_then(|(number, (_, unit))| number.checked_mul(*unit));
    value
        .filter(|value| *value > 0)
        .ok_or_else(|| format!("not a limit; give one such as {such}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_have_units_and_are_never_nothing() {
        assert_eq!(bytes("2GB"), Ok(2_000_000_000));
        assert_eq!(bytes("17"), Ok(17));
        assert_eq!(time("30m"), Ok(Duration::from_secs(1800)));
        for wrong in ["", "0", "GB", "-1GB", "1.5GB", "1XB", "99999999999TB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "30", "0s", "h"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
