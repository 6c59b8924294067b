//! How many files and connections the system lets this process have open.

/// What a process may be assumed to have where the system does not say.
#[cfg(not(unix))]
const ASSUMED: usize = 1024;

/// Asks for as many as the system gives without privileges, and answers how many that are. The usual soft
/// limit (1024) is for programs that still use `select`.
#[cfg(unix)]
#[must_use]
pub fn raise_limit() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    // Refused where the system has another bound as well; then it stays as it is.
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    // None is unlimited.
    current.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX))
}

/// As [`raise_limit`] elsewhere.
#[cfg(not(unix))]
#[must_use]
pub fn raise_limit() -> usize {
    ASSUMED
}
