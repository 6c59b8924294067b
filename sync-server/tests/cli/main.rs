//! The `sync-server` command as people run it: what it prints, where, and how it ends.

mod people;
mod program;
mod schemas;
