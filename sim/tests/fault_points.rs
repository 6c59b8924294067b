//! Every fault point kills its process at several visits, once and twice; nothing is lost. It has a
//! process to itself, for which the points are armed.
#![allow(missing_docs, reason = "tests are named by what they show")]

use std::sync::{Mutex, PoisonError};

use sim::plan;
use sim::run::run_with;
use sync_protocol::fault::Point;

/// Which visits of a point kill, and how often.
const VISITS: [(u32, u32); 3] = [(1, 2), (3, 1), (8, 2)];
/// Most seeds whose plans are tried for one that visits a point so often.
const SEEDS_MAX: u64 = 25;

/// Runs plans until one reaches the point; whether one did.
fn visited(point: Point, (visit, times): (u32, u32), failed: &mut Vec<String>) -> bool {
    for seed in 1..=SEEDS_MAX {
        let outcome = run_with(&plan::draw(seed), false, Some((point, visit, times)));
        if let Some((step, violation)) = outcome.violation {
            failed.push(format!(
                "{point:?}, visit {visit}, {times} times, seed {seed}, step {step}: {violation:?}"
            ));
        }
        if outcome.fired > 0 {
            return true;
        }
    }
    false
}

/// Those of photos.
fn is_of_photos(point: Point) -> bool {
    format!("{point:?}").starts_with("Photo")
}

fn each_holds(points: impl Iterator<Item = Point>) {
    // They are armed for the whole process: one test at a time.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut failed = Vec::new();
    for point in points {
        if !visited(point, VISITS[0], &mut failed) {
            failed.push(format!("{point:?} is never reached"));
            continue;
        }
        for visit in &VISITS[1..] {
            // Some points are visited once in a run at most.
            let rare = matches!(point, Point::CursorUseless | Point::TokenExchanged);
            if !rare {
                visited(point, *visit, &mut failed);
            }
        }
    }
    assert_eq!(failed, [""; 0]);
}

#[test]
fn whoever_dies_at_a_fault_point_loses_and_doubles_nothing() {
    each_holds(Point::ALL.iter().copied().filter(|point| !is_of_photos(*point)));
}

#[test]
fn whoever_dies_amid_photos_loses_none() {
    each_holds(Point::ALL.iter().copied().filter(|point| is_of_photos(*point)));
}
