//! What can happen, a file for each feature.

pub mod edit;
pub mod office;
pub mod phone;
pub mod problems;
pub mod review;
pub mod session;
pub mod sync;
