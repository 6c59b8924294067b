//! What ten hours of outage cost a phone: bytes of all its attempts, with what carries them.

use super::company::Company;
use super::link::{Break, Cut, Link};
use super::plan::Plan;
use crate::oracle::Violation;
use crate::plan::Setup;
use crate::server::Database;
use crate::time::SECOND_US;

/// Ten hours.
const OUTAGE_US: i64 = 10 * 3_600 * SECOND_US;
/// People look at the phone so often: each time the app comes to the foreground and tries at once.
const OPENED_EVERY_US: i64 = 10 * 60 * SECOND_US;
/// Edits that are made meanwhile.
const EDITS: i64 = 60;

/// What an outage cost.
#[derive(Debug, Clone)]
pub struct Cost {
    /// Bytes over the line, in both directions, while it lasted.
    pub bytes: u64,
    /// Connections that were tried.
    pub attempts: u64,
    /// What did not hold, also when the network was back.
    pub violation: Option<Violation>,
}

/// A phone works through an outage of this kind; then everything must be sent within the bar.
///
/// # Panics
/// When there is no runtime to be had.
#[must_use]
pub fn cost(what: Break) -> Cost {
    let setup = Setup {
        seed: 10,
        devices: 1,
        people: 1,
        page_rows: None,
        database: Database::Sqlite,
        steps: Vec::new(),
    };
    let cut = Cut { from_us: 0, until_us: OUTAGE_US, what };
    let plan = Plan {
        setup,
        edits: (1..=EDITS).map(|n| n * OUTAGE_US / (EDITS + 1)).collect(),
        links: vec![Link { cuts: vec![cut] }],
        kills: Vec::new(),
        // The system notices when the internet can be reached again.
        told: vec![(0, OUTAGE_US, true)],
        returns: vec![(0, OUTAGE_US)],
        end_us: OUTAGE_US,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut cost = Cost { bytes: 0, attempts: 0, violation: None };
        match Company::begin(&plan, false).await {
            Ok(mut company) => {
                let outage = through(&mut company).await;
                let meter = company.meter(0);
                (cost.bytes, cost.attempts) = (meter.bytes, meter.attempts);
                cost.violation = match outage {
                    Ok(()) => company.whole().await.err(),
                    Err(violation) => Some(violation),
                };
            }
            Err(violation) => cost.violation = Some(violation),
        }
        cost
    })
}

async fn through(company: &mut Company) -> Result<(), Violation> {
    let begin_us = company.world.time.now_us();
    let mut at_us = begin_us + OPENED_EVERY_US;
    while at_us < begin_us + OUTAGE_US {
        company.until(at_us).await?;
        company.open(0);
        at_us += OPENED_EVERY_US;
    }
    company.until(begin_us + OUTAGE_US - 1).await
}
