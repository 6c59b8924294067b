//! Merging concurrent edits (DESIGN 4): pure functions over one field.
//!
//! An edit of a field is *concurrent* when the field changed after the edit's base by anything but
//! the edit's own stream ([`RowMeta::is_concurrent`]). Then [`merge_field`] decides by the field's
//! rule. Everything that it needs is in its arguments, so both stores and all tests decide alike.

mod field;
mod meta;

pub use field::{FieldEdit, FieldMerge, Verdict, merge_field};
pub use meta::{Change, ElementMeta, FieldMeta, Restoration, RowMeta};
