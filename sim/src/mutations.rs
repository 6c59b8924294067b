//! The simulator's own test: each planted bug has to be found within its number of seeds.

use std::collections::BTreeSet;

use sync_protocol::planted::{self, Bug};

use crate::oracle::Violation;
use crate::plan::{self, LeftOut, Setup};
use crate::run::run;

/// Within how many seeds, from the first on, each planted bug is found.
pub const SEEDS_MAX: u64 = 200;

/// The first seed, from 1 on, that finds each bug. Another table of operations draws other plans: then
/// `cargo xtask sim --mutations` says the new ones.
pub const CAUGHT_BY: &[(Bug, u64)] = &[
    (Bug::OwnStreamIsForeign, 1),
    (Bug::CounterAbsolute, 1),
    (Bug::LostAnswerAppliedTwice, 1),
    (Bug::ConflictCandidateLost, 1),
    (Bug::TombstoneNotSent, 1),
    (Bug::ReceiptDroppedOnResync, 7),
    (Bug::BaseNotInherited, 32),
    (Bug::SettledBeforeRows, 1),
    (Bug::OutboxOrderById, 1),
    (Bug::DropIgnored, 2),
    (Bug::AliasIgnored, 13),
    (Bug::StaleRowsKept, 1),
    (Bug::RefusalBlocks, 1),
    (Bug::CounterSetAddsAll, 1),
    (Bug::DigestCountsDeleted, 1),
    (Bug::CompareLeavesOutBucket, 3),
    (Bug::VisibilityUnnoticed, 1),
    (Bug::MovedChildrenStay, 1),
    (Bug::FirstLostScopeTakesRow, 5),
    (Bug::RepairDropsEdit, 27),
    (Bug::SeenBeforeSettled, 4),
    (Bug::UnsentPhotoEvicted, 1),
    (Bug::PhotoStoredEarly, 1),
    (Bug::PhotoAskedInVain, 1),
    (Bug::PhotoLeftBehind, 7),
    (Bug::RefusedPhotoDropped, 2),
    (Bug::UploadOutlivesGrant, 3),
    (Bug::DownloadOutlivesGrant, 23),
    (Bug::PhotoHashIgnored, 13),
    (Bug::PictureUnderOther, 1),
    (Bug::DoubledPieceKept, 66),
    (Bug::LostPhotoForgotten, 1),
    (Bug::UnseenReceiptForgotten, 1),
    (Bug::WipeTakesUnsent, 1),
    (Bug::CopyKeepsStream, 7),
    (Bug::PendingForgetsEdits, 31),
    (Bug::HandedOverStaysSeen, 2),
    (Bug::ContentInReviewForgotten, 44),
    (Bug::FutureReceiptUntold, 6),
    (Bug::StorageFailureIsLoss, 5),
    (Bug::UnwrittenPictureStored, 5),
];

/// Bugs that show when something befalls a machine. The others are planted in runs without such incidents, so that
/// their seeds do not have to be found anew with each new one.
const OF_INCIDENTS: &[Bug] = &[
    Bug::ContentInReviewForgotten,
    Bug::UnseenReceiptForgotten,
    Bug::FutureReceiptUntold,
    Bug::WipeTakesUnsent,
    Bug::CopyKeepsStream,
    Bug::StorageFailureIsLoss,
    Bug::UnwrittenPictureStored,
    Bug::PendingForgetsEdits,
    Bug::HandedOverStaysSeen,
];

/// The plan of a seed in which a bug is planted.
fn plan_for(bug: Bug, seed: u64) -> Setup {
    let incidents = !OF_INCIDENTS.contains(&bug);
    plan::draw(seed).without(LeftOut { incidents, ..LeftOut::default() })
}

/// A planted bug and what found it.
#[derive(Debug, Clone)]
pub struct Caught {
    /// Which.
    pub bug: Bug,
    /// The seed, and what it violated; none if no seed did.
    pub by: Option<(u64, Violation)>,
    /// Seeds that were run.
    pub runs: u64,
}

/// Plants a bug and searches for it, one seed after another.
///
/// Nothing else may run in the process meanwhile: bugs are planted for all of it.
///
/// Seeds that are known to hold without a bug, with incidents or without, are noted in `holding`, so that several
/// hunts try each once.
#[must_use]
pub fn hunt(bug: Bug, first: u64, runs: u64, holding: &mut BTreeSet<(bool, u64)>) -> Caught {
    for seed in first..first.saturating_add(runs) {
        planted::plant(Some(bug));
        let plan = plan_for(bug, seed);
        let outcome = run(&plan, false);
        planted::plant(None);
        if let Some((_, violation)) = outcome.violation {
            // A seed that fails without the bug says nothing about it.
            let run_of = (OF_INCIDENTS.contains(&bug), seed);
            if holding.contains(&run_of) || run(&plan, false).violation.is_none() {
                holding.insert(run_of);
                return Caught { bug, by: Some((seed, violation)), runs: seed - first + 1 };
            }
        }
    }
    Caught { bug, by: None, runs }
}
