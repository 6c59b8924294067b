//! The server tidies up, as it does every ten minutes: with what is kept as shipped, or less.

use std::time::Duration;

use mobile_core::outbox::list::ReceiptView;
use sync_protocol::schema::{Collection, DeleteConflict};
use sync_protocol::{ReceiptId, RecordId};
use sync_server::housekeeping;
use sync_server::store::Retention;
use tokio_util::sync::CancellationToken;

use super::edit::{Wanted, fields, ids, make, visible};
use super::sync::{healthy, to_the_end};
use crate::operation;
use crate::oracle::damage::Standing;
use crate::oracle::ledger::Place;
use crate::oracle::retention::{self, Both, Limits};
use crate::oracle::{Checked, Violation};
use crate::registry::Operation;
use crate::rng::Rng;
use crate::time::DAY_US;
use crate::world::World;

/// The table.
pub const OPERATIONS: &[Operation] = &[
    operation!("housekeeping", 6, tidies),
    operation!("a deletion is decided about for long", 3, tidies_amid_a_review),
];

/// How many days things are kept: as shipped, or less, down to nothing that may go.
const KEPT_DAYS: [i64; 4] = [90, 20, 3, 0];
/// How many rows go at once: as shipped, or so few that it takes many parts.
const ROWS_MAX: [usize; 3] = [1_000, 5, 1];

/// A record is deleted that somebody has changed meanwhile. Days later the server tidies up.
async fn tidies_amid_a_review(world: &mut World, rng: &mut Rng) -> Checked {
    let Some(one) = world.used_phone(rng) else { return Ok(()) };
    let others = (0..world.devices.len()).filter(|d| *d != one.0 && world.devices[*d].on);
    let others: Vec<Place> = others.filter_map(|d| Some((d, world.user_of(d)?))).collect();
    let Some(other) = rng.pick(&others).copied() else { return Ok(()) };
    let Some(schema) = visible(world, one.0) else { return Ok(()) };
    let asks = |c: &&Collection| c.on_delete_conflict == DeleteConflict::Review && !c.photos;
    let collections: Vec<Collection> = schema.collections.values().filter(asks).cloned().collect();
    let Some(collection) = rng.pick(&collections) else { return Ok(()) };
    let name = &collection.name;
    let theirs = ids(world, other.0, name);
    let both: Vec<RecordId> =
        ids(world, one.0, name).into_iter().filter(|id| theirs.contains(id)).collect();
    let Some(id) = rng.pick(&both).copied() else { return Ok(()) };
    make(world, one, &[Wanted::Delete(name.clone(), id)])?;
    if let Some(set) = fields(world, rng, other, collection, false) {
        make(world, other, &[Wanted::Update(name.clone(), id, set)])?;
    }
    for place in [one, other] {
        to_the_end(world, rng, place.0, true).await?;
        if world.user_of(place.0).is_some() {
            healthy(world, rng, place.0).await?;
        }
    }
    world.time.advance(rng.between(1, 4) * DAY_US);
    tidy(world, rng, 0).await
}

/// Housekeeping with what is kept as shipped, or less.
async fn tidies(world: &mut World, rng: &mut Rng) -> Checked {
    let days = KEPT_DAYS[rng.below(KEPT_DAYS.len())];
    tidy(world, rng, days).await
}

/// A round of housekeeping, at times one that the server's stop ends after its first part.
async fn tidy(world: &mut World, rng: &mut Rng, days: i64) -> Checked {
    let now_us = world.server_now_us();
    let as_shipped = Retention::at(now_us);
    let retention = Retention {
        tokens_before_us: if days == 0 { now_us } else { as_shipped.tokens_before_us },
        receipts_before_us: now_us - days * DAY_US,
        tombstones_before_us: now_us - days * DAY_US,
        thorough: rng.percent(75),
        rows_max: ROWS_MAX[rng.below(ROWS_MAX.len())],
    };
    let stopping = CancellationToken::new();
    let is_cut = rng.percent(15);
    let pause = if is_cut { Duration::from_secs(3_600) } else { Duration::ZERO };
    if is_cut {
        stopping.cancel();
    }
    let (before, tokens) = (world.snapshot_afresh(), world.tokens());
    let done = housekeeping::round(world.server.store(), retention, pause, &stopping).await;
    let done = done.map_err(|error| Violation {
        invariant: "housekeeping does not fail",
        found: error.to_string(),
    })?;
    world.tell(format!(
        "housekeeping: all but {days} days, cut {is_cut}: {} tombstones, {} receipts, {} tokens",
        done.tombstones, done.receipts, done.tokens
    ));
    let after = world.snapshot_afresh();
    let both = Both { snapshots: (&before, &after), tokens: (tokens, world.tokens()) };
    let limits = Limits {
        tokens_us: retention.tokens_before_us,
        receipts_us: retention.receipts_before_us,
        rows_us: retention.tombstones_before_us,
    };
    let (schema, deletions) = (world.schema(), &world.ledger.deletions);
    let went = retention::check(&schema, deletions, &both, limits, |id| is_known(world, id))?;
    let waits = deletions.waits(&before, limits.rows_us);
    for what in went {
        world.note(what);
    }
    if waits {
        world.note("housekeeping: a deletion waits for a decision");
    }
    world.wrote_beside(&before)
}

/// Whether the phone of an edit has what came of it, or had it before an older folder was put back; nothing is said
/// of one that somebody else uses now, or that is damaged.
fn is_known(world: &World, id: ReceiptId) -> Option<bool> {
    let edit = world.ledger.edits.get(&id)?;
    let place = edit.place;
    let sound = world.ledger.known.get(&place)?.damage != Standing::Damaged;
    if !sound || world.user_of(place.0) != Some(place.1) {
        return None;
    }
    let view: ReceiptView = world.devices[place.0].core().receipt(id).ok()?;
    Some(view.settled || edit.heard)
}
