//! Ctrl-C: tasks end in order, so that what they started ends with them.
//!
//! The terminal tells all programs of the task at once; they end by themselves. This process notes
//! it instead of dying, sees its children end, and cleans up.

use std::io::{Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// How often a wait looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Notes Ctrl-C from now on.
///
/// # Errors
/// When the system gives no way to do it.
pub fn listen() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (ready, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let signals = signal(SignalKind::interrupt())
                .and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)));
            let (mut interrupt, mut terminate) = match signals {
                Ok(signals) => signals,
                Err(error) => return drop(ready.send(Err(error))),
            };
            drop(ready.send(Ok(())));
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                INTERRUPTED.store(true, Ordering::Relaxed);
            }
        });
    });
    told.recv().map_err(Error::other)?
}

/// Whether somebody pressed it.
pub fn happened() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Waits for it, or until `over` says that there is nothing to wait for.
pub fn wait_or(mut over: impl FnMut() -> bool) {
    while !happened() && !over() {
        std::thread::sleep(LOOK_EVERY);
    }
}
