//! What is known about a record that may be flagged, and the flags added to what is written.
//!
//! A record of a collection with `flags` has its own columns looked at; a photo has those of every photo, and
//! belongs to the place and the time of its parent. Parents and places are taken as this transaction leaves
//! them. They need not be visible to the author: what comes of it is not either.
//!
//! Flags go into the same write as what they are about, so they have its version and its writer, and make no
//! edit concurrent that was not. They are only ever added.

use std::collections::BTreeSet;

use sync_protocol::merge::FieldEdit;
use sync_protocol::schema::flags::PHOTO_SEEN_BEFORE;
use sync_protocol::schema::{Collection, Flags, photos};
use sync_protocol::{Fields, RecordId, Value};

use super::Work;
use super::flags::{Clocks, Dates, Facts, Spot, Whereabouts, flags};
use crate::push::check::CheckedMutation;
use crate::push::load::referenced_collection;
use crate::store::StoredRow;

/// The columns that say where a record was made.
struct PositionColumns<'a> {
    latitude: &'a str,
    longitude: &'a str,
    accuracy: Option<&'a str>,
}

/// The columns of a position, of a photo or of a flagged record.
fn position_columns(collection: &Collection) -> Option<PositionColumns<'_>> {
    if collection.photos {
        return Some(PositionColumns {
            latitude: photos::LATITUDE,
            longitude: photos::LONGITUDE,
            accuracy: Some(photos::ACCURACY_M),
        });
    }
    let flags = collection.flags.as_ref()?;
    let [latitude, longitude] = flags.position.as_ref()?;
    Some(PositionColumns { latitude, longitude, accuracy: flags.accuracy.as_deref() })
}

/// The column that says whether the location was made up.
fn mocked_column(collection: &Collection) -> Option<&str> {
    if collection.photos {
        return Some(photos::MOCKED);
    }
    collection.flags.as_ref()?.mocked.as_deref()
}

/// The column that a collection's flags go into.
pub(in crate::push) fn flags_column(collection: &Collection) -> Option<&str> {
    if collection.photos {
        return Some(photos::FLAGS);
    }
    collection.flags.as_ref().map(|flags| flags.field.as_str())
}

/// Whether a change of this column may say where, or when, a record happened.
pub(in crate::push) fn tells_of_place_or_date(collection: &Collection, column: &str) -> bool {
    let photo = collection.photos && column == photos::TAKEN_AT;
    let place = collection.flags.as_ref().and_then(|flags| flags.place.as_deref());
    photo || place == Some(column) || is_of_position(collection, column)
}

fn is_of_position(collection: &Collection, column: &str) -> bool {
    position_columns(collection).is_some_and(|columns| {
        [Some(columns.latitude), Some(columns.longitude), columns.accuracy].contains(&Some(column))
    })
}

impl Work<'_> {
    /// Adds the flags of a record that is inserted to its fields.
    pub(super) fn flag_insertion(&mut self, collection: &Collection, fields: &mut Fields) {
        let Some(column) = flags_column(collection) else { return };
        let found = self.flags_of_insertion(collection, fields);
        if let Some(flagged) = with_flags(fields.get(column), &found) {
            fields.insert(column.to_owned(), flagged);
        }
        if let Some(hash) = picture(collection, fields) {
            self.plan.pictures.insert(hash.to_owned());
        }
    }

    /// Adds the flags of an update to what it writes. `after`: the row as the update leaves it.
    pub(super) fn flag_update(
        &self,
        collection: &Collection,
        set: &mut Fields,
        after: &mut Fields,
    ) {
        let Some(column) = flags_column(collection) else { return };
        let whereabouts = set.keys().any(|name| {
            let place = collection.flags.as_ref().and_then(|flags| flags.place.as_ref());
            is_of_position(collection, name) || place == Some(name)
        });
        let mocked = mocked_column(collection).is_some_and(|name| set.contains_key(name));
        let dates = collection.photos && set.contains_key(photos::TAKEN_AT);
        let facts = Facts {
            whereabouts: whereabouts.then(|| self.whereabouts(collection, after)).flatten(),
            mocked: mocked && self.is_mocked(collection, after),
            dates: dates.then(|| self.dates(collection, after)).flatten(),
            ..Facts::default()
        };
        if let Some(flagged) = with_flags(after.get(column), &flags(&facts)) {
            set.insert(column.to_owned(), flagged.clone());
            after.insert(column.to_owned(), flagged);
        }
    }

    /// Adds the flags of an insertion that an existing row adopts: those that it would have had by itself.
    pub(super) fn flag_adoption(
        &self,
        mutation: &CheckedMutation<'_>,
        row: &StoredRow,
        set: &mut Fields,
    ) {
        let collection = mutation.collection;
        let Some(column) = flags_column(collection) else { return };
        let mut alone = defaults(collection);
        for (field, edit) in &mutation.edits {
            if let FieldEdit::Set(value) = edit {
                alone.insert(field.name.clone(), value.clone());
            }
        }
        self.follow_parent(collection, &mut alone);
        let mut found = self.flags_of_insertion(collection, &alone);
        if picture(collection, &alone) == picture(collection, &row.fields) {
            // It is the same photo, not another one of the same picture.
            found.remove(PHOTO_SEEN_BEFORE);
        }
        if let Some(flagged) = with_flags(row.fields.get(column), &found) {
            set.insert(column.to_owned(), flagged);
        }
    }

    fn flags_of_insertion(
        &self,
        collection: &Collection,
        fields: &Fields,
    ) -> BTreeSet<&'static str> {
        let seen_before = picture(collection, fields).is_some_and(|hash| {
            self.loaded.pictures.contains(hash) || self.plan.pictures.contains(hash)
        });
        flags(&Facts {
            whereabouts: self.whereabouts(collection, fields),
            mocked: self.is_mocked(collection, fields),
            dates: self.dates(collection, fields),
            seen_before,
            clocks: Some(Clocks {
                wall_us: self.transaction.wall_clock_us,
                told: self.transaction.edited,
                time: self.author.time,
            }),
        })
    }

    fn is_mocked(&self, collection: &Collection, fields: &Fields) -> bool {
        let column = mocked_column(collection);
        column.is_some_and(|name| fields.get(name) == Some(&Value::Boolean(true)))
    }

    fn whereabouts(&self, collection: &Collection, fields: &Fields) -> Option<Whereabouts> {
        let columns = position_columns(collection)?;
        let at = spot(fields, columns.latitude, columns.longitude)?;
        let (place, radius_m) = if collection.photos {
            let (parent, row) = self.parent(collection, fields)?;
            self.place(parent, parent.flags.as_ref()?, &row.fields)?
        } else {
            self.place(collection, collection.flags.as_ref()?, fields)?
        };
        let accuracy_m = columns.accuracy.and_then(|name| number(fields, name)).unwrap_or(0.0);
        Some(Whereabouts { at, accuracy_m: accuracy_m.max(0.0), place, radius_m })
    }

    /// Where a record of a flagged collection should have been made, and how far around that counts.
    fn place(
        &self,
        collection: &Collection,
        flags: &Flags,
        fields: &Fields,
    ) -> Option<(Spot, f64)> {
        let column = flags.place.as_deref()?;
        let target = referenced_collection(collection, column)?;
        let Some(Value::Uuid(id)) = fields.get(column) else { return None };
        let (target, row) = self.referenced_row(target, RecordId(*id))?;
        let fence = target?.geofence.as_ref()?;
        let at = spot(&row.fields, &fence.latitude, &fence.longitude)?;
        Some((at, number(&row.fields, &fence.radius_m)?))
    }

    /// When a photo was taken, and when its parent's record happened.
    ///
    /// It lasted from the earliest to the latest of what the parent's `at` says. Where that says nothing, it happened
    /// while it was written: from the insertion of the parent to that of the photo. Uncertain times are no times to
    /// measure by.
    fn dates(&self, collection: &Collection, fields: &Fields) -> Option<Dates> {
        let taken_us = photo_taken_us(collection, fields)?;
        let (parent, row) = self.parent(collection, fields)?;
        let moment = |name: &String| match row.fields.get(name) {
            Some(Value::Timestamp(at_us)) => Some(*at_us),
            _ => None,
        };
        let said: Vec<i64> =
            parent.flags.iter().flat_map(|flags| &flags.at).filter_map(moment).collect();
        if let (Some(first), Some(last)) = (said.iter().min(), said.iter().max()) {
            return Some(Dates { taken_us, happened_us: *first..=*last });
        }
        let (begun, ended) = (row.meta.born.time(), self.author.time);
        let certain = !begun.uncertain && !ended.uncertain;
        let happened_us = begun.at_us.min(ended.at_us)..=begun.at_us.max(ended.at_us);
        certain.then_some(Dates { taken_us, happened_us })
    }

    fn parent(
        &self,
        collection: &Collection,
        fields: &Fields,
    ) -> Option<(&Collection, &StoredRow)> {
        let link = collection.parent.as_ref()?;
        let Some(Value::Uuid(id)) = fields.get(&link.field) else { return None };
        let (parent, row) = self.referenced_row(&link.collection, RecordId(*id))?;
        Some((parent?, row))
    }
}

/// What a record holds that names no field.
pub(super) fn defaults(collection: &Collection) -> Fields {
    collection.fields.iter().map(|f| (f.name.clone(), f.default_value())).collect()
}

/// The hash of a photo's picture.
fn picture<'f>(collection: &Collection, fields: &'f Fields) -> Option<&'f str> {
    match fields.get(photos::PICTURE) {
        Some(Value::Text(hash)) if collection.photos => Some(hash),
        _ => None,
    }
}

fn photo_taken_us(collection: &Collection, fields: &Fields) -> Option<i64> {
    match fields.get(photos::TAKEN_AT) {
        Some(Value::Timestamp(at_us)) if collection.photos => Some(*at_us),
        _ => None,
    }
}

fn spot(fields: &Fields, latitude: &str, longitude: &str) -> Option<Spot> {
    Some(Spot { latitude: number(fields, latitude)?, longitude: number(fields, longitude)? })
}

fn number(fields: &Fields, name: &str) -> Option<f64> {
    match fields.get(name)? {
        Value::Real(real) => Some(*real),
        // A radius: far below where a float has no room for it.
        Value::Integer(whole) => Some(*whole as f64),
        _ => None,
    }
}

/// What the column holds with these words added; none if they are all there.
fn with_flags(present: Option<&Value>, found: &BTreeSet<&'static str>) -> Option<Value> {
    let mut all = match present {
        Some(Value::Set(words)) => words.clone(),
        _ => BTreeSet::new(),
    };
    let before = all.len();
    all.extend(found.iter().map(|word| (*word).to_owned()));
    (all.len() > before).then_some(Value::Set(all))
}

#[cfg(test)]
mod tests;
