//! Children are where their parent is: what they carry of it is what it has.

use sync_protocol::schema::Schema;

use super::snapshot::Snapshot;
use super::{Checked, violated};

/// Looks at all live children of live parents.
///
/// # Errors
/// The violation.
pub fn check(schema: &Schema, snapshot: &Snapshot) -> Checked {
    for ((name, record), row) in snapshot.rows.iter().filter(|(_, row)| !row.deleted) {
        let Some(collection) = schema.collection(name) else { continue };
        let Some(link) = &collection.parent else { continue };
        let parent = row.fields.get(&link.field).and_then(|id| id.as_str()?.parse().ok());
        let above = parent.and_then(|id| snapshot.rows.get(&(link.collection.clone(), id)));
        let Some(above) = above.filter(|above| !above.deleted) else { continue };
        for field in collection.fields.iter().filter(|field| field.from_parent) {
            let (carries, has) = (row.fields.get(&field.name), above.fields.get(&field.name));
            if carries != has {
                return violated(
                    "children are where their parent is",
                    format!("{name}/{record}.{}: {carries:?}, its parent's: {has:?}", field.name),
                );
            }
        }
    }
    Ok(())
}
