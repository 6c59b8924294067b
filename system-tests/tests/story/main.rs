//! The demo's story, asserted step by step on both databases, with the real programs: two phones are
//! edited without signal, sync, collide in one field, a supervisor decides, all end equal.
//!
//! The steps are those that `cargo xtask demo` tells; each checks what it says.

#[allow(dead_code, reason = "the demo also shows how to go on by hand")]
#[path = "../../../xtask/src/story/mod.rs"]
mod story;

use std::path::PathBuf;
use std::sync::OnceLock;

use story::database::Database;
use story::{Stage, play};

#[test]
fn the_story_comes_out_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let stage = Stage {
        programs: programs(),
        folder: folder.path().to_owned(),
        database: Database::sqlite(folder.path().join("server")),
    };
    come_out(&stage);
}

#[test]
fn the_story_comes_out_on_postgres_with_sql_among_the_writers() {
    let Ok(cluster) = std::env::var("CAMPO_TEST_POSTGRES_URL") else {
        assert!(
            std::env::var_os("CI").is_none(),
            "CAMPO_TEST_POSTGRES_URL names no cluster: run `cargo xtask test`"
        );
        eprintln!("not run: CAMPO_TEST_POSTGRES_URL names no cluster (`cargo xtask test` has one)");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let name = format!("story_{}", std::process::id());
    let stage = Stage {
        programs: programs(),
        folder: folder.path().to_owned(),
        database: Database::postgres(&cluster, &name).expect("a database"),
    };
    come_out(&stage);
}

/// The story checks itself; a failure says what was claimed, expected and found.
fn come_out(stage: &Stage) {
    if let Err(error) = play(stage) {
        let log = std::fs::read_to_string(stage.folder.join("server.log")).unwrap_or_default();
        panic!("{error}\n\nthe server's log:\n{log}");
    }
}

/// The directory of `sync-server` and `campo-device`.
fn programs() -> PathBuf {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(system_tests::programs::built).clone()
}
