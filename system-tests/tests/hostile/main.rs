//! Clients that break every rule of HTTP and of the protocol, against the real server program over real
//! sockets, on both databases. Meanwhile another company works with real device cores: the server stays
//! up, sends none of them away, and every row of theirs is right in the end.
//!
//! The attackers come from an address of their own ([`attacker::den`]), and have accounts in a company of
//! their own. `CAMPO_HOSTILE_ROUNDS` repeats every attack so often, and with larger crowds. How much slower the others get is
//! measured by `figures`, which is ignored unless asked for (`docs/hostile.md`).

mod attacker;
mod bystander;
mod figures;
mod http;
mod protocol;
mod site;
mod stage;
mod stalled;

use std::panic::AssertUnwindSafe;

use bystander::{Bystander, Worked};
use futures::FutureExt as _;
use site::{Engine, Site};
use stage::{Attack, Stage};

/// Limits that are reached sooner than the default ones, so that a test need not wait for them.
const IMPATIENT: [&str; 6] =
    ["--header-time-s-max", "2", "--body-patience-s", "2", "--answer-stall-s-max", "2"];

/// How often every attack is to be repeated, if anybody said so.
fn told_rounds() -> Option<usize> {
    let told = std::env::var("CAMPO_HOSTILE_ROUNDS").ok();
    told.map(|text| text.parse().expect("CAMPO_HOSTILE_ROUNDS is a number"))
}

/// The size of a crowd: what shows the same within a minute, or more where rounds were asked for.
fn many(short: usize, long: usize) -> usize {
    if told_rounds().is_some() { long } else { short }
}

/// Tries all of these while the other company works.
async fn others_do_not_notice(engine: Engine, attacks: &[Attack]) {
    let site = Site::open(engine, &IMPATIENT);
    let bystander = Bystander::settle_in(&site).await;
    let mut stage = Stage::set(site).await;
    let mut worked = Worked::default();
    let mut failed = Vec::new();
    for _ in 0..told_rounds().unwrap_or(1) {
        for attack in attacks {
            println!("{engine:?}: {}", attack.name);
            let at_work = bystander.starts();
            let since = std::time::Instant::now();
            // One that fails keeps no other from being tried.
            if AssertUnwindSafe((attack.run)(&stage)).catch_unwind().await.is_err() {
                failed.push(attack.name);
            }
            let took = since.elapsed();
            let during = at_work.ends(&mut worked).await;
            let (rounds, median) = (during.rounds.len(), during.quantile(500));
            println!("    {took:.1?}; the others: {rounds} rounds, median {median:.1?}");
            assert_eq!(during.failures, [""; 0], "the others were sent away by: {}", attack.name);
            stage.site.is_up();
        }
    }
    bystander.has_lost_nothing(&stage.site, &worked).await;
    assert_eq!(failed, [""; 0], "these were not answered as they should be");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_breaks_the_rules_of_http_hurts_nobody_on_sqlite() {
    others_do_not_notice(Engine::Sqlite, &http::ATTACKS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_breaks_the_rules_of_http_hurts_nobody_on_postgres() {
    others_do_not_notice(Engine::Postgres, &http::ATTACKS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_breaks_the_rules_of_the_protocol_hurts_nobody_on_sqlite() {
    others_do_not_notice(Engine::Sqlite, &protocol::ATTACKS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_breaks_the_rules_of_the_protocol_hurts_nobody_on_postgres() {
    others_do_not_notice(Engine::Postgres, &protocol::ATTACKS).await;
}
