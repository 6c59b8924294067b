//! Records that are made because a supervisor decided so: insertions whose author had lost their scopes
//! before they came ([`super::decide`]). Each is checked and written as an insertion of the supervisor's own.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json};
use sync_protocol::problem::Problem;
use sync_protocol::schema::Schema;
use sync_protocol::wire::push::{Mutation, MutationKind, Transaction};
use sync_protocol::wire::review::{Authorship, Conflict};
use sync_protocol::{EditTime, ReceiptId, RowVersion};

use super::apply::write;
use super::check::check;
use super::decide::{Author, decide};
use super::failed;
use super::load::load;
use super::outcome::constraint_problem;
use crate::auth::caller::Caller;
use crate::store::{StoreError, WriteTx};
use crate::stream::of_decisions;

/// Makes the record of a conflict with these fields. Answers its version.
///
/// # Errors
/// What a push of the supervisor's would be refused with; `duplicate_key` also where a push would add to the
/// record that has the natural key.
pub(crate) async fn make(
    tx: &mut dyn WriteTx,
    schema: &Arc<Schema>,
    caller: &Caller,
    (conflict, fields): (&Conflict, &Map<String, Json>),
    now_us: i64,
) -> Result<Option<RowVersion>, Problem> {
    let insertion = insertion(conflict, fields, now_us);
    let checked = check(schema, &|permission| caller.may(permission), &insertion);
    let checked = checked.map_err(|problem| *problem)?;
    let mutations: Vec<_> = checked.iter().collect();
    let stream = of_decisions(caller.user);
    let store_failed =
        |error: StoreError| constraint_problem(&error).unwrap_or_else(|| failed(&error));
    let loaded = load(tx, schema, caller.user, stream, &mutations).await.map_err(store_failed)?;
    let author = Author { stream, time: insertion.edited, by: by(caller, now_us), now_us };
    let plan = decide(&loaded, &author, &insertion, &checked).map_err(|problem| *problem)?;
    for outcome in &plan.outcomes {
        if let Some(existing) = outcome.alias {
            let mut problem = Problem::new(422, "duplicate_key", "Such a record exists already")
                .detail("edit that one instead, and keep the server's here");
            problem.more.insert("existing".to_owned(), existing.to_string().into());
            return Err(problem);
        }
        if outcome.row.is_some() {
            return Err(Problem::new(
                403,
                "out_of_scope",
                "The record would be outside your scopes",
            )
            .detail("you have lost the scope that it would belong to"));
        }
    }
    let versions = write(tx, schema, &[&plan]).await.map_err(store_failed)?;
    Ok(versions.get(&(conflict.collection.clone(), conflict.record)).copied())
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
