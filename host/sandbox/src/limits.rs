//! The memory and the time that one call of a component may take.
//!
//! The memory is that of all memories, tables and instances together: a component of a few kilobytes can
//! have a hundred memories and tables of any size, each of which alone would be within a bound.

use std::time::Duration;

use wasmtime::{Error, ResourceLimiter, Result, Store, UpdateDeadline};

/// How long one call may use the processor.
pub const LONGEST_CALL: Duration = Duration::from_secs(5);

/// The size of an element of a table, in bytes, at most.
const ELEMENT: usize = 16;
/// How many instances, tables and memories there may be. Components of common tools have some 20.
const INSTANCES: usize = 256;

/// The memory that instances may still take.
#[derive(Clone, Copy, Debug)]
pub struct MemoryLimits {
    memory: usize,
    left: usize,
}

/// The contents of a store, with its limits.
pub trait Limited {
    /// The limits.
    fn limits(&mut self) -> &mut dyn ResourceLimiter;
}

impl Limited for MemoryLimits {
    fn limits(&mut self) -> &mut dyn ResourceLimiter {
        self
    }
}

impl MemoryLimits {
    /// MemoryLimits of `memory` bytes.
    #[must_use]
    pub fn new(memory: usize) -> Self {
        MemoryLimits {
            memory,
            left: memory,
        }
    }

    /// Takes what something grows by, before it does; an error is a trap.
    fn take(&mut self, current: usize, desired: usize, unit: usize) -> Result<bool> {
        let wanted = desired.saturating_sub(current).saturating_mul(unit);
        match self.left.checked_sub(wanted) {
            Some(left) => {
                self.left = left;
                Ok(true)
            }
            None => Err(Error::msg(format!(
                "it needs more than the {} MiB of memory that a call may use; keep less at once, such as by smaller pages",
                self.memory >> 20
            ))),
        }
    }
}

impl ResourceLimiter for MemoryLimits {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        self.take(current, desired, 1)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        self.take(current, desired, ELEMENT)
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        INSTANCES
    }

    fn memories(&self) -> usize {
        INSTANCES
    }
}

/// How long this thread has used the processor. While others use it, or the machine stands still, a call
/// loses none of its time: it has nothing to wait for, so this alone bounds it.
pub(crate) struct ProcessorTime {
    start: Duration,
}

impl ProcessorTime {
    pub(crate) fn start() -> Self {
        ProcessorTime { start: used() }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        used().saturating_sub(self.start)
    }
}

#[cfg(unix)]
fn used() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

// Elsewhere it is the time that passes.
#[cfg(not(unix))]
fn used() -> Duration {
    static FIRST: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    FIRST.get_or_init(std::time::Instant::now).elapsed()
}

/// Gives the next call of an instance in `store` its time: [`LONGEST_CALL`] of the processor.
pub fn begin_call<T: 'static>(store: &mut Store<T>) {
    let used = ProcessorTime::start();
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |_| {
        Ok(match used.elapsed() < LONGEST_CALL {
            true => UpdateDeadline::Continue(1),
            false => UpdateDeadline::Interrupt,
        })
    });
}

#[cfg(test)]
mod tests {
    use super::{Duration, ProcessorTime};

    #[test]
    #[cfg(unix)]
    fn a_thread_that_does_not_run_uses_no_time_and_one_that_runs_does() {
        let used = ProcessorTime::start();
        let pause = Duration::from_millis(300);
        std::thread::sleep(pause);
        assert!(used.elapsed() < pause / 2);
        while used.elapsed() < pause {
            std::hint::black_box(());
        }
    }
}
