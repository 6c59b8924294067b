//! How much slower the others get: figures for `docs/hostile.md`, measured where somebody asks for them
//! (`cargo xtask bench hostile`), and never asserted.

use std::time::{Duration, Instant};

use crate::bystander::{Bystander, Worked};
use crate::site::{Engine, Site};
use crate::stage::{Attack, Stage};
use crate::{IMPATIENT, http, protocol};

/// How long the others are watched at rest, and at least under each attack.
const WATCHED: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes, and prints figures instead of judging them"]
async fn figures() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        println!(
            "\n| attack ({engine:?}) | rounds | p50 at rest, ms | p95 | p50 under attack | p95 | ratio p50 | ratio p95 | sent away |"
        );
        println!("|---|---|---|---|---|---|---|---|---|");
        let site = Site::open(engine, &IMPATIENT);
        let bystander = Bystander::settle_in(&site).await;
        let mut stage = Stage::set(site).await;
        let mut worked = Worked::default();
        let only = std::env::var("CAMPO_HOSTILE_ATTACK").unwrap_or_default();
        let all = http::ATTACKS.iter().chain(&protocol::ATTACKS);
        for attack in all.filter(|attack| attack.name.contains(&only)) {
            measure(attack, &stage, &bystander, &mut worked).await;
            stage.site.is_up();
        }
        bystander.has_lost_nothing(&stage.site, &worked).await;
    }
}

async fn measure(attack: &Attack, stage: &Stage, bystander: &Bystander, worked: &mut Worked) {
    let at_work = bystander.starts();
    tokio::time::sleep(WATCHED).await;
    let rest = at_work.ends(worked).await;
    let at_work = bystander.starts();
    let since = Instant::now();
    while since.elapsed() < WATCHED {
        (attack.run)(stage).await;
    }
    let attacked = at_work.ends(worked).await;
    let ms = |worked: &Worked, permille| worked.quantile(permille).as_secs_f64() * 1000.0;
    let ratio = |permille| ms(&attacked, permille) / ms(&rest, permille).max(0.001);
    println!(
        "| {} | {} | {:.1} | {:.1} | {:.1} | {:.1} | {:.2} | {:.2} | {} |",
        attack.name,
        attacked.rounds.len(),
        ms(&rest, 500),
        ms(&rest, 950),
        ms(&attacked, 500),
        ms(&attacked, 950),
        ratio(500),
        ratio(950),
        attacked.failures.len()
    );
}
