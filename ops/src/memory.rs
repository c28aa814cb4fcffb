//! How the process gives memory back.

/// Keeps freed memory for the next allocation instead of returning it to the system.
///
/// The tensors of a training step are as large as those of the step before. The C library's default hands each of them back
/// and fetches it anew, page by page, which takes as long as the smaller layers' arithmetic. A program that computes until
/// it ends calls this once, first, and allocates its tensors on the main thread; its memory then stays at the peak. Does nothing where the C library is not glibc.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// More than any tensor.
        const NEVER: libc::c_int = libc::c_int::MAX;
        /// Fetched at once when the heap grows.
        const GROWTH: libc::c_int = 64 << 20;
        let settings = [(libc::M_MMAP_MAX, 0), (libc::M_TRIM_THRESHOLD, NEVER), (libc::M_TOP_PAD, GROWTH)];
        for (parameter, value) in settings {
            #[expect(unsafe_code, reason = "a call into the C library")]
            // SAFETY: `mallopt` takes any pair of integers, under the allocator's own lock.
            unsafe {
                libc::mallopt(parameter, value);
            }
        }
    }
}
