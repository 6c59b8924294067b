//! Logins in storms: each costs the server memory and time on purpose.

use futures::future::join_all;
use uuid::Uuid;

use crate::attacker::{Attacker, den};
use crate::site::{HOSTILE, PASSWORD, QUIET};
use crate::stage::{Attack, Stage};

pub const ATTACK: Attack = Attack { name: "login storms", run: |stage| Box::pin(run(stage)) };

const AT_ONCE: usize = 12;

async fn run(stage: &Stage) {
    // With the right password: each one is served, and each one is work.
    let owner = Attacker::at(stage.site.address, den(1));
    let storm = (0..AT_ONCE).map(|_| owner.tries_login(HOSTILE, "wolf", PASSWORD));
    for answer in join_all(storm).await {
        assert!(answer.status == 200 || answer.is_busy(), "{answer:?}");
    }
    // Guessing: other people's passwords, people who do not exist, companies that do not exist.
    let guesser = Attacker::at(stage.site.address, den(2));
    let names: Vec<String> = (0..AT_ONCE).map(|_| Uuid::now_v7().to_string()).collect();
    let storm = names.iter().enumerate().map(|(number, name)| {
        let (tenant, user) = match number % 3 {
            0 => (QUIET, "juan"),
            1 => (QUIET, name.as_str()),
            _ => (name.as_str(), "juan"),
        };
        guesser.tries_login(tenant, user, "no lo sé")
    });
    for answer in join_all(storm).await {
        assert!(answer.code() == "login_failed" || answer.is_busy(), "{answer:?}");
    }
    let long = stage.attacker.tries_login(QUIET, "juan", &"x".repeat(60_000)).await;
    assert!(long.code() == "too_long" || long.is_busy(), "{long:?}");
    let odd = stage.attacker.tries_login(QUIET, "ju\u{0}an", "x").await;
    assert!(odd.code() == "nul_character" || odd.is_busy(), "{odd:?}");
}
