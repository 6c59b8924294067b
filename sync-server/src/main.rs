//! The `sync-server` command.

fn main() {}
