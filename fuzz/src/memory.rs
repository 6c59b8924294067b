//! What a decoder may take: in proportion to its input, whatever the input claims.

/// What may be taken without any reason, in bytes: error texts, tables of a few entries.
pub const FREE_BYTES: usize = 32 * 1024;

/// Runs something that may hold at most so many bytes of this thread's heap at once.
///
/// # Panics
/// When it holds more.
pub fn at_most<T>(bytes_max: usize, run: impl FnOnce() -> T) -> T {
    let mut result = None;
    let taken = allocation_counter::measure(|| result = Some(run()));
    let held = usize::try_from(taken.bytes_max).unwrap_or(usize::MAX);
    assert!(held <= bytes_max, "{held} bytes were held at once; {bytes_max} were justified");
    match result {
        Some(result) => result,
        None => unreachable!("it has run"),
    }
}
