//! Judging what the server made of each edit.
//!
//! The server keeps a few versions per field and decides with them. The judge keeps every change of
//! every field (at which version, by whom, when) and decides from that history by the rules as
//! `docs/protocol.md` has them, in its own words: an edit is concurrent if anything but its own stream
//! changed the field after its base. What it finds is compared with the receipt, and the rows with the
//! server's afterwards. Refusals, and which row a
//! natural key leads to, are taken from the server.

mod adoption;
mod conflicts;
mod history;
mod mutation;
mod pending;
mod rows;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value as Json;
use sync_protocol::limits::EDIT_TIME_AHEAD_MAX_US;
use sync_protocol::schema::Schema;
use sync_protocol::wire::push::{MutationKind, PushAnswer, PushRequest, Transaction};
use sync_protocol::wire::receipt::{Receipt, ReceiptState};
use sync_protocol::wire::review::{Conflict, ConflictStatus};
use sync_protocol::{ConflictId, ReceiptId, RecordId, Scope, StreamId, UserId};

use self::adoption::{adopted, refers_to};
use self::conflicts::{conflicts_keep_their_candidates, note_open};
use self::history::{History, Write};
use super::snapshot::{Name, Row, Snapshot};
use super::{Checked, Violation, violated};

const INVARIANT: &str = "edits are merged by the rules";

/// What the oracle knows of the history of each field.
#[derive(Default)]
pub struct Judge {
    rows: BTreeMap<Name, History>,
    /// Records that are not made yet, as their authors want them.
    pending: BTreeMap<Name, BTreeMap<String, Json>>,
}

/// A push while it is judged.
struct Trial<'a> {
    schema: &'a Schema,
    stream: StreamId,
    /// What the author held before.
    grants: BTreeSet<Scope>,
    rows: BTreeMap<Name, Row>,
    /// Fields with an open conflict.
    open: BTreeSet<(Name, String)>,
    /// Receipts by which records that were merged into others are found.
    told: BTreeMap<ReceiptId, Receipt>,
    /// Conflicts as they are afterwards.
    conflicts: BTreeMap<ConflictId, Arc<Conflict>>,
    /// By conflict and field, what its record should be like that waits to be made.
    waiting: BTreeMap<(ConflictId, String), Json>,
    found: Vec<String>,
}

impl Trial<'_> {
    /// Where records went that a transaction may still call by their old ids.
    fn aliases(&self, transaction: &Transaction, receipt: &Receipt) -> BTreeMap<Name, RecordId> {
        let before = transaction.builds_on.iter().filter_map(|id| self.told.get(id));
        let outcomes = before.chain([receipt]).flat_map(|receipt| &receipt.mutations);
        outcomes.filter_map(|o| Some(((o.collection.clone(), o.record), o.alias?))).collect()
    }
}

impl Judge {
    /// Judges a push and its answer. Answers which merges occurred.
    ///
    /// # Errors
    /// The violation.
    pub fn pushed(
        &mut self,
        schema: &Schema,
        (author, asked): (UserId, &PushRequest),
        answer: &PushAnswer,
        (before, after): (&Arc<Snapshot>, &Arc<Snapshot>),
        now_us: i64,
    ) -> Result<Vec<String>, Violation> {
        let open = before.conflicts.iter().filter(|conflict| {
            matches!(conflict.status, ConflictStatus::Open | ConflictStatus::Claimed)
        });
        let mut trial = Trial {
            schema,
            stream: asked.stream,
            grants: before.grants.get(&author).cloned().unwrap_or_default(),
            rows: before.rows.iter().map(|(name, row)| (name.clone(), Row::clone(row))).collect(),
            open: open
                .filter_map(|c| Some(((c.collection.clone(), c.record), c.field.clone()?)))
                .collect(),
            told: before
                .receipts
                .iter()
                .map(|(id, receipt)| (*id, Receipt::clone(receipt)))
                .collect(),
            conflicts: after.conflicts.iter().map(|known| (known.id, known.clone())).collect(),
            waiting: BTreeMap::new(),
            found: Vec::new(),
        };
        let mut settled: BTreeSet<ReceiptId> = before.receipts.keys().copied().collect();
        for (transaction, receipt) in asked.transactions.iter().zip(&answer.receipts) {
            if receipt.id != transaction.id {
                return violated("each transaction gets its receipt", receipt.id.to_string());
            }
            if !settled.insert(transaction.id) {
                let known = before.receipts.get(&transaction.id);
                if known.is_some_and(|known| known.state != receipt.state) {
                    return violated(
                        "a repeated push answers the same receipt",
                        receipt.id.to_string(),
                    );
                }
                trial.found.push("merge: repeated".to_owned());
                continue;
            }
            trial.told.insert(receipt.id, receipt.clone());
            let took_effect = matches!(
                receipt.state,
                ReceiptState::Applied | ReceiptState::Superseded | ReceiptState::InReview
            );
            if receipt.state == ReceiptState::Parked {
                settled.remove(&transaction.id);
            }
            if receipt.held {
                trial.found.push("merge: held".to_owned());
                note_open(&mut trial, receipt);
                self.held(&mut trial, transaction, receipt)?;
            } else if took_effect {
                self.transaction(&mut trial, transaction, receipt, now_us).map_err(
                    |violation| Violation {
                        found: format!("{}: {}", transaction.id, violation.found),
                        ..violation
                    },
                )?;
            }
        }
        pending::compare(&trial)?;
        self.compare(&trial, before, after)?;
        conflicts_keep_their_candidates(before, after, &answer.receipts)?;
        Ok(trial.found)
    }

    fn transaction(
        &mut self,
        trial: &mut Trial<'_>,
        transaction: &Transaction,
        receipt: &Receipt,
        now_us: i64,
    ) -> Checked {
        let ahead = transaction.edited.at_us > now_us + EDIT_TIME_AHEAD_MAX_US;
        if ahead {
            trial.found.push("merge: clamped".to_owned());
        }
        if transaction.edited.uncertain {
            trial.found.push("merge: uncertain time".to_owned());
        }
        let at_us = if ahead { now_us } else { transaction.edited.at_us };
        let aliases = trial.aliases(transaction, receipt);
        for (mutation, outcome) in transaction.mutations.iter().zip(&receipt.mutations) {
            let mutation = &refers_to(trial.schema, mutation, &aliases);
            let record = outcome.alias.unwrap_or(outcome.record);
            let name = (mutation.collection.clone(), record);
            let write = Write {
                version: outcome.version.unwrap_or(0),
                writer: trial.stream,
                at_us,
                uncertain: transaction.edited.uncertain,
            };
            if outcome.alias.is_some() && mutation.kind == MutationKind::Insert {
                trial.found.push("merge: adopted".to_owned());
                let adopted = adopted(trial.schema, mutation);
                self.mutation(trial, &adopted, outcome, &name, (write, true))?;
            } else {
                self.mutation(trial, mutation, outcome, &name, (write, false))?;
            }
        }
        note_open(trial, receipt);
        Ok(())
    }
}
