//! One mutation: what it does to its row, and whether its outcome says so.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use sync_protocol::Scope;
use sync_protocol::schema::{Collection, DeleteConflict};
use sync_protocol::wire::push::{Mutation, MutationKind};
use sync_protocol::wire::receipt::{FieldOutcome, MutationOutcome};

use super::history::{History, Write};
use super::verdict::{Verdict, touched, verdict};
use super::{INVARIANT, Judge, Trial};
use crate::oracle::snapshot::{Name, Row, scopes_of};
use crate::oracle::{Checked, violated};

impl Judge {
    /// `adopting`: it was an insertion, which the row that has its natural key takes in.
    pub(super) fn mutation(
        &mut self,
        trial: &mut Trial<'_>,
        mutation: &Mutation,
        outcome: &MutationOutcome,
        name: &Name,
        (write, adopting): (Write, bool),
    ) -> Checked {
        let Some(collection) = trial.schema.collection(&name.0) else {
            return violated(INVARIANT, format!("the unknown collection {} was written", name.0));
        };
        if let Some(conflict) = trial.conflict_of_pending(outcome, name) {
            return self.handed_over(trial, collection, mutation, outcome, (name, &conflict));
        }
        if mutation.kind == MutationKind::Insert {
            return self.insert(trial, collection, mutation, name, write);
        }
        let Some(row) = trial.rows.get(name).cloned() else {
            return violated(INVARIANT, format!("{name:?} never was and was edited"));
        };
        let handed_over =
            matches!(outcome.row, Some(FieldOutcome::InReview { .. })) && outcome.version.is_none();
        if handed_over {
            trial.found.push("merge: edit of a lost row".to_owned());
            if trial.grants.iter().any(|scope| row.scopes.contains(scope)) {
                return violated(INVARIANT, format!("{name:?} is seen and was handed over"));
            }
            return Ok(());
        }
        let Some(history) = self.rows.get_mut(name) else {
            return violated(INVARIANT, format!("{name:?} has no history"));
        };
        match mutation.kind {
            MutationKind::Delete => {
                let noted: &[&str] = if collection.photos { &["estado", "avisos"] } else { &[] };
                let concurrent = !row.deleted
                    && history.is_row_concurrent(mutation.row_base, write.writer, noted);
                let stands = concurrent && collection.on_delete_conflict != DeleteConflict::Delete;
                if concurrent {
                    trial.found.push("merge: deletion meets an edit".to_owned());
                }
                if outcome.row.is_some() != stands {
                    return violated(
                        INVARIANT,
                        format!("deletion of {name:?}: concurrent {concurrent}, {outcome:?}"),
                    );
                }
                if !stands && !row.deleted {
                    history.deleted = Some(write);
                    history.version = write.version;
                    trial.rows.insert(name.clone(), Row { deleted: true, ..row });
                }
                Ok(())
            }
            MutationKind::Restore => {
                if row.deleted {
                    history.deleted = None;
                    history.restored = Some(write);
                    history.version = write.version;
                    let scopes = scopes_again(trial, collection, name, &row);
                    let row = Row { deleted: false, emptied: false, scopes, ..row };
                    trial.rows.insert(name.clone(), row);
                }
                Ok(())
            }
            _ => {
                let mut row = row;
                if row.deleted {
                    trial.found.push("merge: edit meets a deletion".to_owned());
                    let keeps = collection.on_delete_conflict == DeleteConflict::Keep;
                    if outcome.row.is_some() == keeps {
                        return violated(
                            INVARIANT,
                            format!("edit of deleted {name:?}: {outcome:?}"),
                        );
                    }
                    if !keeps {
                        return Ok(());
                    }
                    (row.deleted, row.emptied) = (false, false);
                    row.scopes = scopes_again(trial, collection, name, &row);
                    history.deleted = None;
                    history.restored = Some(write);
                }
                for field in &collection.fields {
                    let key = (name.clone(), field.name.clone());
                    let in_review = trial.open.contains(&key);
                    let base = mutation.base.get(&field.name).copied();
                    let current = row.fields.get(&field.name).cloned().unwrap_or(Json::Null);
                    let Some(verdict) = verdict(
                        (field, history, &current),
                        mutation,
                        (base, in_review),
                        &write,
                        &mut trial.found,
                    ) else {
                        continue;
                    };
                    let verdict = match verdict {
                        // Its author could not know that the field was set.
                        Verdict::Refused if adopting => Verdict::Superseded,
                        verdict => verdict,
                    };
                    let said = outcome.fields.get(&field.name);
                    let fits = matches!(
                        (&verdict, said),
                        (Verdict::Applied(_), None)
                            | (Verdict::Superseded, Some(FieldOutcome::Superseded { .. }))
                            | (Verdict::Review, Some(FieldOutcome::InReview { .. }))
                    );
                    if !fits {
                        let should = match verdict {
                            Verdict::Applied(_) => "applied",
                            Verdict::Superseded => "superseded",
                            Verdict::Review => "in review",
                            Verdict::Refused => "refused",
                        };
                        return violated(
                            INVARIANT,
                            format!(
                                "{name:?}.{} ({:?}) should be {should}, but is {said:?}; base {base:?}, \
                                 edit {write:?}, history {:?}",
                                field.name,
                                field.merge,
                                history.changes(&field.name).collect::<Vec<_>>()
                            ),
                        );
                    }
                    if matches!(verdict, Verdict::Review) {
                        // A later edit of the field in this transaction joins the conflict.
                        trial.open.insert(key);
                    }
                    if let Verdict::Applied(Some(value)) = verdict {
                        history.change(&field.name, write, &current, &value);
                        row.fields.insert(field.name.clone(), value);
                    }
                    for element in touched(mutation, field, &current) {
                        let key = (field.name.clone(), element);
                        let born = history.born;
                        history.additions.entry(key).or_insert_with(|| vec![born]).push(write);
                    }
                }
                history.version = history.version.max(write.version);
                trial.rows.insert(name.clone(), row);
                Ok(())
            }
        }
    }

    fn insert(
        &mut self,
        trial: &mut Trial<'_>,
        collection: &Collection,
        mutation: &Mutation,
        name: &Name,
        write: Write,
    ) -> Checked {
        if trial.rows.contains_key(name) {
            return violated(INVARIANT, format!("{name:?} was inserted twice"));
        }
        let mut fields = BTreeMap::new();
        for field in &collection.fields {
            let given = mutation.set.get(&field.name).cloned();
            let value = given.unwrap_or_else(|| field.default_value().to_json(&field.kind));
            fields.insert(field.name.clone(), value);
        }
        let row = Row {
            version: 1,
            deleted: false,
            emptied: false,
            fields,
            scopes: BTreeSet::new(),
            meta: Json::Null,
        };
        trial.rows.insert(name.clone(), row);
        let history = History {
            version: write.version,
            born: Write { version: 1, ..write },
            fields: BTreeMap::new(),
            additions: BTreeMap::new(),
            deleted: None,
            restored: None,
        };
        self.rows.insert(name.clone(), history);
        Ok(())
    }
}

/// The scopes of a row that comes back: a child is where its parent is by then.
fn scopes_again(
    trial: &Trial<'_>,
    collection: &Collection,
    name: &Name,
    row: &Row,
) -> BTreeSet<Scope> {
    let mut fields = row.fields.clone();
    if let Some(parent) = &collection.parent
        && let Some(id) = fields.get(&parent.field).and_then(Json::as_str)
        && let Ok(id) = id.parse()
        && let Some(above) = trial.rows.get(&(parent.collection.clone(), id))
    {
        for field in collection.fields.iter().filter(|field| field.from_parent) {
            let value = above.fields.get(&field.name).cloned();
            fields.insert(field.name.clone(), value.unwrap_or_else(|| id.to_string().into()));
        }
    }
    scopes_of(collection, name.1, &fields)
}
