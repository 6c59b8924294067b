//! Records that are made because a supervisor decided so: insertions whose author had lost their scopes
//! before they came ([`super::decide`]). Each is checked as an insertion of the supervisor's own, but for the
//! permissions of its fields where it is what its author wants: they had them when it came.
//!
//! What its author wants is written in their name, with the flags that it had when it came.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json};
use sync_protocol::problem::Problem;
use sync_protocol::schema::Schema;
use sync_protocol::wire::push::{Mutation, MutationKind, Transaction};
use sync_protocol::wire::review::{Authorship, Conflict};
use sync_protocol::{EditTime, ReceiptId, RowVersion, Value};

use super::apply::write;
use super::check::check;
use super::decide::{Author, Plan, decide, flags_column};
use super::failed;
use super::load::load;
use super::outcome::constraint_problem;
use crate::auth::caller::Caller;
use crate::store::{StoreError, WriteKind, WriteTx};
use crate::stream::of_decisions;

/// What is to be made.
pub(crate) struct Making<'a> {
    /// The conflict about the record.
    pub conflict: &'a Conflict,
    /// Its fields.
    pub fields: &'a Map<String, Json>,
    /// The transaction of the candidate that is kept; none for a value of the supervisor's own.
    pub candidate: Option<ReceiptId>,
    /// Whether a decision made it before and was taken back: its row is there, deleted.
    pub was_made: bool,
}

/// Makes the record of a conflict. Answers its version.
///
/// # Errors
/// What a push of the supervisor's would be refused with; `duplicate_key` also where a push would add to the
/// record that has the natural key.
pub(crate) async fn make(
    tx: &mut dyn WriteTx,
    schema: &Arc<Schema>,
    caller: &Caller,
    making: Making<'_>,
    now_us: i64,
) -> Result<Option<RowVersion>, Problem> {
    let conflict = making.conflict;
    let insertion = insertion(conflict, making.fields, now_us);
    let may = |permission: &str| making.candidate.is_some() || caller.may(permission);
    let checked = check(schema, &may, &insertion).map_err(|problem| *problem)?;
    let mutations: Vec<_> = checked.iter().collect();
    let own = of_decisions(caller.user);
    let name = (conflict.collection.clone(), conflict.record);
    let mut loaded = load(tx, schema, caller.user, own, &mutations).await.map_err(refused)?;
    if making.was_made {
        loaded.rows.remove(&name);
    }
    let author = Author { stream: own, time: insertion.edited, by: by(caller, now_us), now_us };
    let mut plan = decide(&loaded, &author, &insertion, &checked).map_err(|problem| *problem)?;
    must_be_an_insertion(&plan)?;
    let column = schema.collection(&conflict.collection).and_then(|collection| {
        let column = flags_column(collection)?;
        let value = Value::read(collection.field(column)?, conflict.row.get(column)?).ok()?;
        Some((column, value))
    });
    for write in plan.phases.iter_mut().filter_map(|phase| phase.get_mut(&name)) {
        if making.was_made {
            write.kind = WriteKind::Restore;
        }
        if let Some((column, flags)) = &column {
            write.set.insert((*column).to_owned(), flags.clone());
        }
    }
    let receipts: Vec<ReceiptId> = making.candidate.into_iter().collect();
    let stored = tx.lock_receipts(&receipts).await.map_err(refused)?;
    if let Some(stored) = stored.first() {
        tx.write_as(stored.stream).await.map_err(refused)?;
    }
    let versions = write(tx, schema, &[&plan]).await.map_err(refused)?;
    tx.write_as(own).await.map_err(refused)?;
    Ok(versions.get(&name).copied())
}

fn refused(error: StoreError) -> Problem {
    constraint_problem(&error).unwrap_or_else(|| failed(&error))
}

/// Nothing was adopted, and nothing waits again.
fn must_be_an_insertion(plan: &Plan) -> Result<(), Problem> {
    for outcome in &plan.outcomes {
        if let Some(existing) = outcome.alias {
            let mut problem = Problem::new(422, "duplicate_key", "Such a record exists already")
                .detail("edit that one instead, and keep the server's here");
            problem.more.insert("existing".to_owned(), existing.to_string().into());
            return Err(problem);
        }
        if outcome.row.is_some() {
            let detail = "you do not hold its scope any more, or do not see what it refers to";
            return Err(Problem::new(422, "unknown_reference", "A referenced row does not exist")
                .detail(detail));
        }
    }
    Ok(())
}

/// The insertion as the supervisor would push it.
fn insertion(conflict: &Conflict, fields: &Map<String, Json>, now_us: i64) -> Transaction {
    Transaction {
        // What is decided without a conflict names no transaction.
        id: ReceiptId(conflict.id.0),
        edited: EditTime::certain(now_us),
        wall_clock_us: now_us,
        replaces: None,
        builds_on: Vec::new(),
        position: None,
        mutations: vec![Mutation {
            collection: conflict.collection.clone(),
            record: conflict.record,
            kind: MutationKind::Insert,
            set: fields.clone(),
            add: Map::new(),
            elements: BTreeMap::new(),
            base: BTreeMap::new(),
            seen: Map::new(),
            row_base: None,
        }],
    }
}

fn by(caller: &Caller, now_us: i64) -> Authorship {
    Authorship {
        user: Some(caller.user),
        user_name: Some(caller.user_name.clone()),
        device: caller.device,
        device_name: caller.device_name.clone(),
        edited_at_us: now_us,
        uncertain: false,
        offline_us: None,
        position: None,
    }
}
