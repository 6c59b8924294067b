//! The oracle: what must hold, found out without the code that is tested.
//!
//! It keeps every edit that a phone accepted, reads the server's file after every request, and looks
//! at each phone after every step:
//!
//! * [`conservation`]: every edit has one receipt in one state, at both ends the same in the end;
//! * [`checkpoint`]: a phone at a checkpoint has exactly the server's rows of that snapshot;
//! * [`view`]: what its user sees is that and their own open edits on top, each once;
//! * [`visibility`]: what a role may not read never leaves the server, and does not stay on a phone;
//! * [`parents`]: children are where their parent is;
//! * [`photos`]: a picture stays on its phone until the server has it, leaves with its record, and is shown to
//!   who sees that;
//! * [`leaving`]: a wipe takes only what the server or an export has;
//! * [`retention`]: housekeeping forgets only what nobody needs any more;
//! * [`damage`]: a phone that nobody damaged finds no damage, whatever digests it compares;
//! * [`judge`]: what the server made of each edit is what the merge rules say, from the whole history
//!   of each field instead of the few versions that the server keeps.

pub mod checkpoint;
pub mod conservation;
pub mod damage;
pub mod judge;
pub mod leaving;
pub mod ledger;
pub mod parents;
pub mod photos;
pub mod retention;
pub mod snapshot;
pub mod view;
pub mod visibility;

use std::any::Any;

/// Something that must hold does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What must hold.
    pub invariant: &'static str,
    /// What was found instead.
    pub found: String,
}

/// Whether all is well.
pub type Checked = Result<(), Violation>;

/// What a panic says, as something that must not be.
#[must_use]
pub fn panicked(panic: &(dyn Any + Send)) -> Violation {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
    Violation { invariant: "nothing panics", found: text.unwrap_or_default() }
}

/// Something that must hold does not.
///
/// # Errors
/// Always.
pub fn violated<T>(invariant: &'static str, found: impl Into<String>) -> Result<T, Violation> {
    Err(Violation { invariant, found: found.into() })
}
