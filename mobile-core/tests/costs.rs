//! What work costs when there is much of it, counted in steps of SQLite, not in time.
#![allow(missing_docs, reason = "tests are named by what they show")]

mod model;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mobile_core::store::Store;
use model::{Fault, Phone, Server};
use serde_json::json;

/// Steps between two counts.
const GRAIN: i32 = 50;

fn store(phone: &Phone) -> Arc<Store> {
    Arc::clone(phone.core.engine().expect("signed in").store())
}

/// Counts what a database does from now on.
fn counted(store: &Store) -> Arc<AtomicU64> {
    let steps = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&steps);
    store
        .read(|db| {
            let count = move || {
                counter.fetch_add(1, Ordering::Relaxed);
                false
            };
            Ok(db.progress_handler(GRAIN, Some(count))?)
        })
        .expect("set");
    steps
}

/// Steps of a sync that shows a staged delta of `n` rows while `n` edits are decided and not settled.
async fn showing(n: usize) -> u64 {
    let server = Server::new();
    let (one, two) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    let ana = Phone::signed_in(&server, one.path(), 1).await;
    let ben = Phone::signed_in(&server, two.path(), 2).await;
    for number in 0..n {
        ana.put("articulos", json!({ "nombre": format!("a{number}") }));
        ben.put("articulos", json!({ "nombre": format!("b{number}") }));
    }
    ben.sync().await.expect("sync");
    server.fail_next(Fault::PullCutAfter(0));
    ana.sync().await.expect_err("the checkpoint is lost");
    assert_eq!(ana.core.pending().expect("list").len(), n);
    // Two pages: the rows of the first one are staged.
    server.with(|s| s.page_rows = n);
    let steps = counted(&store(&ana));
    ana.sync().await.expect("sync");
    assert!(ana.core.pending().expect("list").is_empty());
    steps.load(Ordering::Relaxed)
}

#[tokio::test]
async fn a_staged_delta_is_shown_at_a_cost_in_step_with_its_rows() {
    let (few, many) = (showing(40).await, showing(400).await);
    assert!(many < few * 20, "ten times the rows cost {many} instead of {few}");
}
