//! The C library's allocator, told to keep little: it has an arena for each thread that allocates, and each
//! keeps what it once needed at its peak.

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

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
mod gnu {
    use std::ffi::c_int;

    /// `M_ARENA_MAX` of `malloc.h`.
    const ARENA_MAX: c_int = -8;

    unsafe extern "C" {
        // It takes numbers alone, and an option that it does not know changes nothing.
        safe fn mallopt(option: c_int, value: c_int) -> c_int;
    }

    pub(super) fn limit_arenas(most: usize) {
        mallopt(ARENA_MAX, c_int::try_from(most).unwrap_or(c_int::MAX));
    }
}
