//! A plan: what a run begins with, and its steps. Drawn from one seed; what is left of it when
//! elements are taken out runs as before.

use crate::ops::damage;
use crate::registry::{Operation, everyday, incidents};
use crate::rng::Rng;
use crate::server::Database;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The operation's name.
    pub operation: &'static str,
    /// Its own source of chance.
    pub seed: u64,
}

/// What a run begins with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Where it all comes from.
    pub seed: u64,
    /// Phones.
    pub devices: usize,
    /// People.
    pub people: usize,
    /// Rows of a page; as many as the server likes where there is none. Small pages make long rounds.
    pub page_rows: Option<usize>,
    /// Which database the server has.
    pub database: Database,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// What of a plan is not played. The rest of its run is another for that.
#[derive(Debug, Clone, Copy, Default)]
pub struct LeftOut {
    /// Phones' files stay sound.
    pub damage: bool,
    /// Nothing befalls a machine.
    pub incidents: bool,
}

impl Setup {
    /// The same without this.
    #[must_use]
    pub fn without(mut self, left_out: LeftOut) -> Self {
        let mut operations: Vec<&Operation> = Vec::new();
        if left_out.damage {
            operations.extend(damage::OPERATIONS);
        }
        if left_out.incidents {
            operations.extend(incidents());
        }
        self.steps.retain(|step| operations.iter().all(|left_out| left_out.name != step.operation));
        self
    }
}

/// Most phones of an ordinary run.
const DEVICES_MAX: usize = 8;
/// Most phones of a large run, of which there is one in forty.
const DEVICES_MAX_LARGE: usize = 20;

/// How many runs in a hundred an incident leaves alone.
const INCIDENT_ABSENT_PERCENT: u32 = 30;

/// Draws a plan.
#[must_use]
pub fn draw(seed: u64) -> Setup {
    let mut rng = Rng::new(seed);
    let large = rng.percent(2);
    let most = if large { DEVICES_MAX_LARGE } else { DEVICES_MAX };
    let few = rng.percent(60);
    let devices = 2 + rng.below(if few { 3 } else { most - 1 });
    let people = 1 + rng.below(devices.min(5));
    let page_rows = rng.percent(75).then(|| 1 + rng.below(6));
    let operations = everyday();
    // Each run has a taste of its own: some operations often, some never.
    let taste: Vec<u32> = operations
        .iter()
        .map(|operation| match rng.below(6) {
            0 => 0,
            1 => operation.weight * 4,
            _ => operation.weight,
        })
        .collect();
    let length = if large { 500 } else { 60 + rng.below(240) };
    let mut steps: Vec<Step> = (0..length)
        .map(|_| {
            let index = rng.weighted(taste.iter().copied());
            let operation: &Operation = operations[index];
            Step { operation: operation.name, seed: rng.draw() }
        })
        .collect();
    strew(seed, &mut steps);
    let database = Database::default();
    Setup { seed: rng.draw(), devices, people, page_rows, database, steps }
}

/// Puts incidents between the steps, each by chance of its own: another table of them leaves everything else as it
/// is.
fn strew(seed: u64, steps: &mut Vec<Step>) {
    let mut strewn: Vec<(usize, Step)> = Vec::new();
    for incident in incidents() {
        let name = incident.name.bytes();
        let name =
            name.fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        let mut rng = Rng::new(name);
        if rng.percent(INCIDENT_ABSENT_PERCENT) {
            continue;
        }
        let times = 1 + rng.below(usize::try_from(incident.weight).unwrap_or(1));
        strewn.extend((0..times).map(|_| {
            let step = Step { operation: incident.name, seed: rng.draw() };
            (rng.below(steps.len() + 1), step)
        }));
    }
    // From the end on, so that the places before stay what they are.
    strewn.sort_by_key(|(place, _)| std::cmp::Reverse(*place));
    for (place, step) in strewn {
        steps.insert(place, step);
    }
}
