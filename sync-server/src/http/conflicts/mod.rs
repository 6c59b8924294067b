//! `conflicts…`: what supervisors decide.

pub mod answer;
pub mod ask;
pub mod claim;
pub mod list;
pub mod resolve;
pub mod resolve_many;
pub mod show;
pub mod undo;
