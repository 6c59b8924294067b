//! What of a conflict a caller may see.

use std::collections::BTreeSet;

use serde_json::Value as Json;
use sync_protocol::schema::{Collection, Schema};
use sync_protocol::wire::review::{Authorship, Conflict, ConflictStatus, Keep};
use sync_protocol::{Fields, Scope, Value};

use super::RESOLVE_PERMISSION;
use crate::auth::caller::Caller;
use crate::push::row_in_json;
use crate::store::StoredRow;

/// Who looks.
pub(super) struct Viewer<'a> {
    pub caller: &'a Caller,
    /// Collections and fields that the caller may read.
    pub visible: Schema,
    pub scopes: BTreeSet<Scope>,
}

impl Viewer<'_> {
    /// The conflict as the caller may see it, with the row around it; none if it is hidden.
    ///
    /// `parent`: the row that one belongs to which a decision makes; it may have moved since.
    pub fn show(
        &self,
        (whole, parent): (&Collection, Option<&StoredRow>),
        mut conflict: Conflict,
        row: Option<&StoredRow>,
    ) -> Option<Conflict> {
        let collection = self.visible.collection(&conflict.collection)?;
        if !conflict.scopes.is_empty() {
            conflict.scopes = match (row, parent) {
                (Some(row), _) => whole.scopes_of(conflict.record, &row.fields),
                (None, Some(parent)) => follow(whole, &mut conflict, parent),
                (None, None) => conflict.scopes,
            };
            conflict.scopes.retain(|scope| self.scopes.contains(scope));
        }
        let in_scope = match row {
            Some(row) => self.in_scope(collection, &conflict, row),
            None => !conflict.scopes.is_empty(),
        };
        if !in_scope {
            return None;
        }
        let author = conflict.candidates.iter().any(|c| c.by.user == Some(self.caller.user));
        if !author && !self.caller.may(RESOLVE_PERMISSION) {
            return None;
        }
        if !self.caller.may(RESOLVE_PERMISSION) {
            let by = conflict.candidates.iter_mut().map(|candidate| &mut candidate.by);
            for by in by.chain(&mut conflict.current_by) {
                self.hide_whereabouts(by);
            }
        }
        if let Some(name) = &conflict.field {
            let field = collection.field(name)?;
            if conflict.status != ConflictStatus::Resolved
                && let Some(value) = row.and_then(|row| row.fields.get(name))
            {
                conflict.current = value.to_json(&field.kind);
            }
        } else {
            if let (Some(row), Json::Null) = (row, &conflict.current) {
                conflict.current = match row.meta.deleted {
                    Some(_) => Json::from("deleted"),
                    None => Json::Object(row_in_json(collection, &row.fields)),
                };
            }
            hide_fields(collection, &mut conflict.current);
            for candidate in &mut conflict.candidates {
                hide_fields(collection, &mut candidate.value);
            }
            if let Some(resolution) = &mut conflict.resolution {
                hide_fields(collection, &mut resolution.previous);
                if let Keep::Value(value) = &mut resolution.keep {
                    hide_fields(collection, value);
                }
            }
        }
        let is_there = row.filter(|row| conflict.scopes.is_empty() || row.meta.deleted.is_none());
        match is_there {
            Some(row) => conflict.row = row_in_json(collection, &row.fields),
            None => conflict.row.retain(|name, _| collection.field(name).is_some()),
        }
        Some(conflict)
    }

    /// Where somebody was, and with which device, is for who decides, and for themselves.
    fn hide_whereabouts(&self, by: &mut Authorship) {
        if by.user != Some(self.caller.user) {
            by.position = None;
            by.device = None;
            by.device_name = None;
            by.offline_us = None;
        }
    }

    fn in_scope(&self, collection: &Collection, conflict: &Conflict, row: &StoredRow) -> bool {
        let scopes = collection.scopes_of(conflict.record, &row.fields);
        scopes.iter().any(|scope| self.scopes.contains(scope))
    }
}

/// What a record that is not there would carry from its parent, and the scopes that it would be in by that.
fn follow(collection: &Collection, conflict: &mut Conflict, parent: &StoredRow) -> Vec<Scope> {
    let mut fields = Fields::new();
    for field in &collection.fields {
        if field.from_parent {
            let value = parent.fields.get(&field.name).cloned().unwrap_or(Value::Null);
            conflict.row.insert(field.name.clone(), value.to_json(&field.kind));
        }
        let json = conflict.row.get(&field.name).unwrap_or(&Json::Null);
        fields.insert(field.name.clone(), Value::read(field, json).unwrap_or(Value::Null));
    }
    collection.scopes_of(conflict.record, &fields)
}

/// Takes out of a document about a row what `collection`, reduced to the visible, does not declare.
fn hide_fields(collection: &Collection, document: &mut Json) {
    if let Json::Object(members) = document {
        members.retain(|name, _| collection.field(name).is_some());
    }
}
