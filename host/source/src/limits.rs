//! The memory and the time that one call of a component may take.
//!
//! The memory is that of all memories, tables and instances together: a component of a few kilobytes can have a hundred memories and tables of any size, each of which alone
//! would be within a bound.

use std::time::Duration;

use wasmtime::{Error, ResourceLimiter, Result};

/// How long one call may use the processor.
pub(crate) const LONGEST_CALL: Duration = Duration::from_secs(5);

/// Memory that one call may use, in bytes.
const MEMORY: usize = 64 << 20;
/// The size of an element of a table, in bytes, at most.
const ELEMENT: usize = 16;
/// How many instances, tables and memories there may be. Components of common tools have some 20.
const INSTANCES: usize = 256;

/// The memory that a call may still take.
#[derive(Debug)]
pub(crate) struct Limits {
    left: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { left: MEMORY }
    }
}

impl Limits {
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
                MEMORY >> 20
            ))),
        }
    }
}

impl ResourceLimiter for Limits {
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

#[cfg(test)]
mod tests {
    use super::{Duration, ProcessorTime};
    use crate::{BUILTIN, SandboxError, SourceComponent};

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

    /// Reads a number of WebAssembly's binary format.
    fn number(bytes: &mut &[u8]) -> usize {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }

    fn put(out: &mut Vec<u8>, mut value: usize) {
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }

    /// The replacement of a section; none if it stays.
    type Change<'a> = &'a mut dyn FnMut(u8, &[u8]) -> Option<Vec<u8>>;

    /// A module or component, with some of its sections changed.
    fn with(wasm: &[u8], change: Change<'_>) -> Vec<u8> {
        let mut out = wasm[..8].to_vec();
        let mut rest = &wasm[8..];
        while !rest.is_empty() {
            let id = rest[0];
            rest = &rest[1..];
            let length = number(&mut rest);
            let (section, after) = rest.split_at(length);
            rest = after;
            let changed = change(id, section).unwrap_or_else(|| section.to_vec());
            out.push(id);
            put(&mut out, changed.len());
            out.extend(changed);
        }
        out
    }

    /// The built-in component with more entries in a section of its first module that has one.
    fn with_more(section: u8, more: &[&[u8]]) -> Vec<u8> {
        let mut found = false;
        with(BUILTIN[0].1, &mut |id, module| {
            (id == 1).then(|| {
                with(module, &mut |id, content| {
                    if id != section || std::mem::replace(&mut found, true) {
                        return None;
                    }
                    let mut entries = content;
                    let count = number(&mut entries);
                    let mut changed = Vec::new();
                    put(&mut changed, count + more.len());
                    changed.extend(entries);
                    more.iter().for_each(|entry| changed.extend(*entry));
                    Some(changed)
                })
            })
        })
    }

    #[test]
    fn memories_and_tables_are_bounded_in_sum() {
        // 512 pages are 32 MiB: each is within the bound.
        let memory: &[u8] = &[0, 0x80, 4];
        // A table for 16 Mi functions.
        let table: &[u8] = &[0x70, 0, 0x80, 0x80, 0x80, 8];
        for (section, more, sound) in [
            (5, &[memory][..], true),
            (5, &[memory, memory, memory][..], false),
            (4, &[table][..], false),
        ] {
            let component = SourceComponent::load(&with_more(section, more), None).unwrap();
            match component.describe() {
                Ok(_) => assert!(sound, "{section}"),
                Err(SandboxError::Trap { reason, .. }) => {
                    assert!(!sound && reason.contains("64 MiB of memory"), "{reason}");
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}
