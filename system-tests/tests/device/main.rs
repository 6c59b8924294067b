//! The device library against a real server over HTTP, on both databases.

#[path = "../../../sync-server/tests/fresh/mod.rs"]
mod fresh;
#[path = "../../../mobile-core/tests/model/own_pauses.rs"]
mod own_pauses;
mod site;

mod copies;
mod damage;
mod engine;
mod events;
mod leaving;
mod photos;
mod quiet;
mod review;
