//! The device library against a real server over HTTP, on both databases.

#[path = "../../../sync-server/tests/fresh/mod.rs"]
mod fresh;
mod site;

mod copies;
mod damage;
mod engine;
mod events;
mod leaving;
mod photos;
mod quiet;
mod review;
