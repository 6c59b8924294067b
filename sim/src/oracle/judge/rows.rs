//! The judge's rows beside the server's, after a push and after what was written beside pushes.

use std::sync::Arc;

use sync_protocol::schema::{Field, photos};

use super::history::{History, Write};
use super::{INVARIANT, Judge, Trial};
use crate::oracle::snapshot::Snapshot;
use crate::oracle::{Checked, violated};

impl Judge {
    /// Compares what the judge found with the server's rows.
    pub(super) fn compare(
        &mut self,
        trial: &Trial<'_>,
        before: &Arc<Snapshot>,
        after: &Arc<Snapshot>,
    ) -> Checked {
        for (name, row) in &after.rows {
            let Some(collection) = trial.schema.collection(&name.0) else { continue };
            let old = before.rows.get(name);
            if old.is_some_and(|old| Arc::ptr_eq(old, row)) && !trial.rows.contains_key(name) {
                continue;
            }
            let should = trial.rows.get(name);
            if let Some(should) = should {
                if should.deleted != row.deleted {
                    return violated(
                        INVARIANT,
                        format!("{name:?} should be deleted: {}, but is not so", should.deleted),
                    );
                }
                // What a new photo is flagged with is for `oracle/photos` to judge.
                let is_flags = |field: &&Field| {
                    collection.photos && old.is_none() && field.name == photos::FLAGS
                };
                let fields = collection.fields.iter().filter(|field| !field.from_parent);
                for field in fields.filter(|field| !is_flags(field)) {
                    let (wanted, is) = (&should.fields[&field.name], &row.fields[&field.name]);
                    if wanted != is {
                        return violated(
                            INVARIANT,
                            format!("{name:?}.{} should be {wanted}, but is {is}", field.name),
                        );
                    }
                }
                // What followed a parent is taken over.
                let history = self.rows.entry(name.clone());
                let history = history.or_insert_with(|| History::taken_over(row));
                for field in collection.fields.iter().filter(|field| field.from_parent) {
                    let (was, is) = (&should.fields[&field.name], &row.fields[&field.name]);
                    if was != is && old.is_some() {
                        let writer = trial.stream;
                        let write =
                            Write { version: row.version, writer, at_us: 0, uncertain: false };
                        history.change(&field.name, write, was, is);
                    }
                }
                history.version = row.version;
            } else {
                let history = self.rows.entry(name.clone());
                let history = history.or_insert_with(|| History::taken_over(row));
                history.take_over(old.map(AsRef::as_ref), row);
            }
        }
        match trial.rows.keys().find(|name| !after.rows.contains_key(*name)) {
            Some(name) => violated(INVARIANT, format!("{name:?} should be there")),
            None => Ok(()),
        }
    }

    /// Takes over what was written beside pushes: by the office, or by a decision.
    pub fn wrote(&mut self, before: &Snapshot, after: &Snapshot) {
        for (name, row) in &after.rows {
            let old = before.rows.get(name);
            if old.is_some_and(|old| Arc::ptr_eq(old, row)) {
                continue;
            }
            let history = self.rows.entry(name.clone());
            let history = history.or_insert_with(|| History::taken_over(row));
            if old.is_some() {
                history.take_over(old.map(AsRef::as_ref), row);
            }
        }
    }
}
