//! What work costs when there is much of it, counted in steps of SQLite, not in time.
#![allow(missing_docs, reason = "tests are named by what they show")]

mod model;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mobile_core::outbox::entry::State;
use mobile_core::outbox::{alias, list, parking, push, unsent};
use mobile_core::store::Store;
use mobile_core::store::rows::Touched;
use model::{Fault, Phone, START_US, Server};
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

/// Steps of what is asked often, with `settled` edits that are over and one that was refused.
async fn asking(settled: i64) -> Vec<(&'static str, u64)> {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    ana.put("articulos", json!({ "nombre": "a" }));
    ana.put("articulos", json!({ "nombre": "veneno" }));
    ana.sync().await.expect("sync");
    let store = store(&ana);
    let copies = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
        INSERT INTO campo_outbox
          (ord, id, state, settled, wall_us, boot_us, boot_id, mutations, receipt, seen_told)
        SELECT 100 + n, substr(id, 1, 24) || printf('%012x', n), state, settled, wall_us, boot_us, boot_id, mutations, receipt, 1
        FROM campo_outbox, n WHERE state = 'applied'";
    store.write(|db| Ok(db.execute(copies, [settled])?)).expect("written");
    let steps = counted(&store);
    let schema = store.schema();
    let mut receipt = ana.core.receipts().expect("list")[0].receipt.clone().expect("applied");
    receipt.mutations[0].alias = Some(sync_protocol::RecordId(uuid::Uuid::from_u128(7)));
    let cost = |name: &'static str, ask: &dyn Fn()| {
        steps.store(0, Ordering::Relaxed);
        ask();
        (name, steps.load(Ordering::Relaxed))
    };
    vec![
        cost("problems", &|| assert_eq!(ana.core.problems().expect("list").len(), 1)),
        cost("unsent", &|| assert_eq!(store.read(unsent::unsaved).expect("a number"), 1)),
        cost("questions", &|| assert_eq!(store.read(list::questions).expect("a number"), 0)),
        cost("parking", &|| store.write(|db| parking::refresh(db)).expect("refreshed")),
        cost("renaming", &|| {
            let renamed =
                store.write(|db| alias::take_over(db, &schema, &receipt, &mut Touched::new()));
            renamed.expect("renamed");
        }),
        cost("forgetting", &|| {
            let forgotten = store.write(|db| push::forget_content(db, START_US));
            forgotten.expect("nothing is old");
        }),
    ]
}

#[tokio::test]
async fn what_is_over_costs_nothing_when_something_is_asked() {
    let (few, many) = (asking(300).await, asking(6_000).await);
    for ((name, few), (_, many)) in few.into_iter().zip(many) {
        assert!(many < 2 * few + 20, "{name} costs {many} instead of {few}");
    }
}

#[tokio::test]
async fn content_goes_when_it_cannot_be_sent_again_and_the_receipt_stays() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    ana.put("articulos", json!({ "nombre": "vieja" }));
    let id = ana.core.receipts().expect("list")[0].id;
    ana.sync().await.expect("sync");
    let content = |at: usize| !ana.core.receipts().expect("list")[at].mutations.is_empty();
    for (days, kept) in [(6, true), (2, false)] {
        let later_us = days * 24 * 60 * 60 * 1_000_000;
        ana.clock.advance(later_us);
        server.with(|s| s.now_us += later_us);
        ana.put("articulos", json!({ "nombre": "nueva" }));
        ana.sync().await.expect("sync");
        ana.sync().await.expect("the server is told what is here");
        assert_eq!(content(0), kept, "after {days} more days");
    }
    assert!(content(1), "this one is two days old");
    let old = ana.core.receipt(id).expect("known for ever");
    assert_eq!((old.state, old.settled), (State::Applied, true));
}
