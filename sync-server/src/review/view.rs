//! What of a conflict a caller may see.

use std::collections::BTreeSet;

use serde_json::Value as Json;
use sync_protocol::Scope;
use sync_protocol::schema::{Collection, Schema};
use sync_protocol::wire::review::{Authorship, Conflict, ConflictStatus, Keep};

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
    pub fn show(&self, mut conflict: Conflict, row: Option<&StoredRow>) -> Option<Conflict> {
        let collection = self.visible.collection(&conflict.collection)?;
        conflict.scopes.retain(|scope| self.scopes.contains(scope));
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
        match row {
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

/// Takes out of a document about a row what `collection`, reduced to the visible, does not declare.
fn hide_fields(collection: &Collection, document: &mut Json) {
    if let Json::Object(members) = document {
        members.retain(|name, _| collection.field(name).is_some());
    }
}
