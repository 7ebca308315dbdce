//! The C library's allocator, told to keep little: it has an arena for each thread that allocates, and each
//! keeps what it once needed at its peak.

use std::sync::atomic::{AtomicBool, Ordering};

use recording_host_model::{Event, Subscriber};

/// The conversations of a large segment; those of a smaller one take little.
const LARGE: usize = 1000;

/// Has the allocator of the GNU C library use an arena for four processors, unless `MALLOC_ARENA_MAX` says how many.
///
/// To be called before the first thread is started.
pub(super) fn use_few_arenas() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    if std::env::var_os("MALLOC_ARENA_MAX").is_none() {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        gnu::limit_arenas(processors.div_ceil(4));
    }
}

/// Gives the system back what is free after large segments have been filed: their conversations were in memory, and
/// little that is still in use lies between them.
#[derive(Debug, Default)]
pub(super) struct FreePages {
    is_due: AtomicBool,
}

impl Subscriber for FreePages {
    fn on_event(&self, event: &Event) {
        match event {
            Event::SegmentFiled { conversations, .. } if *conversations >= LARGE => {
                self.is_due.store(true, Ordering::Relaxed);
            }
            // By then the segment is no longer in memory.
            Event::Progress(_) if self.is_due.swap(false, Ordering::Relaxed) => {
                #[cfg(all(target_os = "linux", target_env = "gnu"))]
                gnu::give_back();
            }
            _ => {}
        }
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
mod gnu {
    use std::ffi::c_int;

    /// `M_ARENA_MAX` of `malloc.h`.
    const ARENA_MAX: c_int = -8;

    unsafe extern "C" {
        // It takes numbers alone, and an option that it does not know changes nothing.
        safe fn mallopt(option: c_int, value: c_int) -> c_int;
        // What is allocated stays where it is.
        safe fn malloc_trim(keep: usize) -> c_int;
    }

    pub(super) fn give_back() {
        malloc_trim(0);
    }

    pub(super) fn limit_arenas(most: usize) {
        mallopt(ARENA_MAX, c_int::try_from(most).unwrap_or(c_int::MAX));
    }
}
