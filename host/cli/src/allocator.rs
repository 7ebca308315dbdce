//! The C library's allocator, told to keep little: it has an arena for each thread that allocates, each keeps what it
//! once needed at its peak, and once something large was freed all that is smaller comes from an arena, too.

/// Has the allocator of the GNU C library use an arena for four processors, and take what is larger than a mebibyte from
/// the system and give it back, unless the variables of its own (`MALLOC_ARENA_MAX`, `MALLOC_MMAP_THRESHOLD_`) say otherwise.
///
/// To be called before the first thread is started.
pub(super) fn keep_little() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let is_told = |variable| std::env::var_os(variable).is_some();
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        if !is_told("MALLOC_ARENA_MAX") {
            gnu::set(gnu::ARENA_MAX, processors.div_ceil(4));
        }
        if !is_told("MALLOC_MMAP_THRESHOLD_") {
            gnu::set(gnu::MMAP_THRESHOLD, 1 << 20);
        }
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
mod gnu {
    use std::ffi::c_int;

    /// `M_ARENA_MAX` and `M_MMAP_THRESHOLD` of `malloc.h`.
    pub(super) const ARENA_MAX: c_int = -8;
    pub(super) const MMAP_THRESHOLD: c_int = -3;

    unsafe extern "C" {
        // It takes numbers alone, and an option that it does not know changes nothing.
        safe fn mallopt(option: c_int, value: c_int) -> c_int;
    }

    pub(super) fn set(option: c_int, value: usize) {
        mallopt(option, c_int::try_from(value).unwrap_or(c_int::MAX));
    }
}
