//! Refused edits are corrected or taken back; waiting ones are taken back.

use mobile_core::outbox::entry::State;
use serde_json::{Map, Value as Json};
use sync_protocol::wire::push::MutationKind;

use super::edit::{expected_error, note, value};
use crate::operation;
use crate::oracle::Checked;
use crate::registry::Operation;
use crate::rng::Rng;
use crate::schema::is_free;
use crate::world::{World, broken, short};

/// The table.
pub const OPERATIONS: &[Operation] =
    &[operation!("retry", 6, retry), operation!("discard", 4, discard)];

async fn retry(world: &mut World, rng: &mut Rng) -> Checked {
    let Some(place) = world.used_phone(rng) else { return Ok(()) };
    let core = world.devices[place.0].core().clone();
    let problems = core.problems().map_err(|error| broken(&error))?;
    let Some(problem) = rng.pick(&problems) else { return Ok(()) };
    // Sometimes as it was, sometimes with another value for a field of its.
    let mut correction = None;
    let schema = core.schema().map_err(|error| broken(&error))?;
    let at = problem.problem.as_ref().and_then(|p| p.at.as_ref()).and_then(|at| at.mutation);
    if rng.percent(50)
        && let Some(mutation) = problem.mutations.get(at.unwrap_or(0))
        && matches!(mutation.kind, MutationKind::Insert | MutationKind::Update)
        && let Some(collection) = schema.collection(&mutation.collection)
    {
        let fields = mutation.set.keys().filter_map(|name| collection.field(name));
        let free: Vec<_> = fields.filter(|field| is_free(collection, field)).collect();
        if let Some(field) = rng.pick(&free) {
            correction = Some(Map::from_iter([(field.name.clone(), value(rng, field))]));
        }
    }
    let made = core.retry(problem.id, correction.as_ref());
    let text = format!(
        "phone {} user{}: retry {} with {}",
        place.0,
        place.1,
        short(problem.id),
        Json::from(correction.unwrap_or_default())
    );
    match made {
        Ok(id) => {
            world.tell(format!("{text} -> {}", short(id)));
            note(world, place, id)
        }
        Err(error) => {
            world.tell(format!("{text} -> {}", error.code()));
            expected_error(&error)
        }
    }
}

async fn discard(world: &mut World, rng: &mut Rng) -> Checked {
    let Some(place) = world.used_phone(rng) else { return Ok(()) };
    let core = world.devices[place.0].core().clone();
    let receipts = core.receipts().map_err(|error| broken(&error))?;
    let open: Vec<_> = receipts
        .iter()
        .filter(|r| {
            matches!(r.state, State::Waiting | State::Sending | State::Parked | State::Refused)
        })
        .collect();
    let Some(receipt) = rng.pick(&open) else { return Ok(()) };
    let (id, state) = (short(receipt.id), receipt.state);
    let text = format!("phone {} user{}: discard {id}, {}", place.0, place.1, state.as_str());
    match core.discard(receipt.id) {
        Ok(()) => {
            world.tell(text);
            let now = core.receipt(receipt.id).map_err(|error| broken(&error))?;
            if let Some(edit) = world.ledger.edits.get_mut(&receipt.id) {
                edit.take_back(now.state == State::Discarded);
            }
            Ok(())
        }
        Err(error) => {
            world.tell(format!("{text} -> {}", error.code()));
            expected_error(&error)
        }
    }
}
