//! Edits in = states out: every edit has one receipt, in exactly one state.

use std::collections::{BTreeMap, BTreeSet};

use mobile_core::outbox::entry::State;
use mobile_core::outbox::list::ReceiptView;
use sync_protocol::wire::push::{Mutation, PushRequest};
use sync_protocol::wire::receipt::ReceiptState;
use sync_protocol::{ReceiptId, RecordId};

use super::ledger::{Ledger, Place};
use super::snapshot::Snapshot;
use super::view::is_withdrawn;
use super::{Checked, violated};

/// Looks at a phone's receipts.
///
/// # Errors
/// The violation.
pub fn on_phone(ledger: &Ledger, place: Place, receipts: &[ReceiptView]) -> Checked {
    let invariant = "every edit has one receipt on its phone";
    let has: BTreeSet<ReceiptId> = receipts.iter().map(|receipt| receipt.id).collect();
    if has.len() != receipts.len() {
        return violated(invariant, "a receipt is there twice");
    }
    let made = ledger.edits.iter().filter(|(_, edit)| edit.place == place && !edit.left);
    let made: BTreeSet<ReceiptId> = made.map(|(id, _)| *id).collect();
    if let Some(lost) = made.difference(&has).next() {
        return violated(invariant, format!("{lost} is lost"));
    }
    if let Some(extra) = has.difference(&made).next() {
        return violated(invariant, format!("nobody made {extra}"));
    }
    for receipt in receipts {
        let edit = &ledger.edits[&receipt.id];
        let discarded = edit.discarded;
        let is = receipt.state == State::Discarded;
        // As another stream a phone asks again about what it has discarded.
        let asks = discarded && is_withdrawn(receipt);
        if discarded != is && !(is && edit.withdrawn) && !asks {
            return violated(
                invariant,
                format!("{} is {:?}, discarded: {discarded}", receipt.id, receipt.state),
            );
        }
    }
    Ok(())
}

/// Looks at what a phone sends: each edit as it was made. What it refers to may have another id by now.
///
/// # Errors
/// The violation.
pub fn as_made(ledger: &Ledger, asked: &PushRequest) -> Checked {
    let invariant = "an edit is sent as it was made";
    let plain = |mutation: &Mutation| {
        let mut set = mutation.set.clone();
        set.retain(|_, value| value.as_str().is_none_or(|text| text.parse::<RecordId>().is_err()));
        (
            mutation.collection.clone(),
            mutation.kind,
            set,
            mutation.add.clone(),
            mutation.elements.clone(),
        )
    };
    for transaction in &asked.transactions {
        let Some(edit) = ledger.edits.get(&transaction.id) else {
            return violated(invariant, format!("{} was never made", transaction.id));
        };
        let sent: Vec<_> = transaction.mutations.iter().map(plain).collect();
        let made: Vec<_> = edit.mutations.iter().map(plain).collect();
        if sent != made {
            return violated(
                invariant,
                format!("{}: {sent:?} instead of {made:?}", transaction.id),
            );
        }
    }
    Ok(())
}

/// Looks at the server's receipts: all are of edits that were made and not taken back.
///
/// # Errors
/// The violation.
pub fn on_server(ledger: &Ledger, snapshot: &Snapshot) -> Checked {
    let invariant = "the server has only receipts of edits that were made";
    for id in snapshot.receipts.keys() {
        match ledger.edits.get(id) {
            None => return violated(invariant, format!("{id} was never made")),
            Some(edit) if edit.discarded => {
                // A refused one may be discarded: it has no effect.
                let state = snapshot.receipts[id].state;
                if !matches!(state, ReceiptState::Refused | ReceiptState::Discarded) {
                    return violated(invariant, format!("{id} was discarded and took effect"));
                }
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// After everything has healed: nothing waits, and both ends say the same of each edit.
///
/// # Errors
/// The violation.
pub fn after_healing(receipts: &[ReceiptView], snapshot: &Snapshot) -> Checked {
    let by_id: BTreeMap<ReceiptId, &ReceiptView> = receipts.iter().map(|r| (r.id, r)).collect();
    for receipt in receipts {
        let id = receipt.id;
        let server = snapshot.receipts.get(&id);
        match receipt.state {
            State::Waiting | State::Sending => {
                return violated("the outbox drains", format!("{id} is {:?}", receipt.state));
            }
            State::Parked => {
                let blocks = |on: &ReceiptId| {
                    by_id.get(on).is_some_and(|base| {
                        base.state == State::Parked
                            || (base.state == State::Refused && base.replaced_by.is_none())
                            || base.receipt.as_ref().is_some_and(|r| r.held)
                    })
                };
                if !receipt.builds_on.iter().any(blocks) {
                    return violated(
                        "only what builds on a refused edit is parked",
                        id.to_string(),
                    );
                }
            }
            State::Discarded => {
                let took_effect = server.filter(|server| {
                    !matches!(server.state, ReceiptState::Refused | ReceiptState::Discarded)
                });
                if let Some(server) = took_effect {
                    return violated(
                        "both ends say the same of an edit",
                        format!("{id}: phone {:?}, server {:?}", receipt.state, server.state),
                    );
                }
            }
            State::Refused if server.is_none() => {
                // Refused here, because the server could not even read it.
            }
            state => {
                let Some(server) = server else {
                    return violated(
                        "both ends have the receipt",
                        format!("{id}: no server has it"),
                    );
                };
                if State::from(server.state) != state {
                    return violated(
                        "both ends say the same of an edit",
                        format!("{id}: phone {state:?}, server {:?}", server.state),
                    );
                }
                if !receipt.settled {
                    return violated("what is decided is settled at a checkpoint", id.to_string());
                }
            }
        }
    }
    Ok(())
}
