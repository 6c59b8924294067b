//! What can happen, a file for each feature.

pub mod backfill;
pub mod damage;
pub mod edit;
pub mod housekeeping;
pub mod leaving;
pub mod lost;
pub mod moves;
pub mod office;
pub mod phone;
pub mod photos;
pub mod problems;
pub mod review;
pub mod roles;
pub mod server_clock;
pub mod session;
pub mod storage;
pub mod sync;
