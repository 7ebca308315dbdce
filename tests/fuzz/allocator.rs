//! Counts the memory that a thread has at once.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

thread_local! {
    static NOW: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counted for each thread.
pub(crate) struct Counting;

impl Counting {
    /// The most memory that the thread has while something runs, beyond what it had before, in bytes.
    pub(crate) fn most(run: impl FnOnce()) -> usize {
        let before = NOW.get();
        PEAK.set(before);
        run();
        PEAK.get().saturating_sub(before)
    }

    fn add(size: usize) {
        // While a thread ends there is nothing to count with.
        let _ = NOW.try_with(|now| {
            now.set(now.get().wrapping_add(size));
            let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now.get())));
        });
    }

    fn take(size: usize) {
        // Another thread may have allocated it.
        let _ = NOW.try_with(|now| now.set(now.get().saturating_sub(size)));
    }
}

// The trait cannot be implemented without; all calls are passed on as they came.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Counting::add(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Counting::add(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        Counting::take(layout.size());
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Counting::take(layout.size());
        Counting::add(size);
        unsafe { System.realloc(at, layout, size) }
    }
}
