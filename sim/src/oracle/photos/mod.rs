//! Photos: the pictures that records describe, on phones and at the server. Shares no code with either.
//!
//! * [`server`]: what an answer about pictures may change and tell, and to whom; what a record says is here is
//!   here, whole, and nobody else's;
//! * [`phone`]: a picture stays on its phone until the server has it, and leaves with its record;
//! * [`after_healing`]: every photo that was taken is stored, waits for something, or was given up.

pub mod phone;
pub mod server;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use sync_protocol::schema::{Schema, photos as columns};
use sync_protocol::wire::push::MutationKind;
use sync_protocol::{RecordId, UserId};

use self::phone::Seen;
use super::ledger::{Ledger, Place};
use super::snapshot::{Row, Snapshot};
use super::{Checked, violated};
use crate::schema::may;
use crate::shelf::Picture;

/// Both pictures of a photo, with the columns that hold their hash and length.
pub const VARIANTS: [(&str, &str, &str); 2] = [
    ("thumbnail", columns::THUMBNAIL_SHA256, columns::THUMBNAIL_BYTES),
    ("photo", columns::SHA256, columns::BYTES),
];

/// What is remembered of pictures.
#[derive(Debug, Default)]
pub struct Remembered {
    /// Those that the server had whole at some time.
    pub kept: BTreeSet<Picture>,
    /// Those that the run has lost or spoiled at the server, while the records do not say so.
    pub spoiled: BTreeSet<Picture>,
    /// Those that the run has ever lost or spoiled there.
    pub lost: BTreeSet<Picture>,
    /// Those to whose uploads somebody else than a phone has sent bytes.
    pub meddled: BTreeSet<Picture>,
    /// Bytes that phones sent and that the server took, and how often the upload began.
    pub sent: BTreeMap<Picture, Sent>,
    /// Files of phones that were found whole, as they were then.
    pub whole: BTreeMap<std::path::PathBuf, (u64, std::time::SystemTime)>,
    /// The state of the shelf that was looked at last.
    looked: u64,
}

/// What phones sent of a picture.
#[derive(Debug, Clone, Default)]
pub struct Sent {
    /// By phone, bytes in requests of which it had the answer that they were taken. Who has an equal picture may
    /// send it as well, and cannot know what others have sent before it asks.
    pub bytes: BTreeMap<usize, u64>,
    /// How often nothing of it was there any more, rightly, when somebody began.
    pub begun: u64,
}

/// A photo that a phone accepted.
#[derive(Debug, Clone)]
pub struct Taken {
    /// Where.
    pub place: Place,
    /// Its author discarded or deleted it, or it left the phone with all else there.
    pub given_up: bool,
    /// Hashes and lengths, as [`VARIANTS`] has them.
    pub pictures: [(String, u64); 2],
}

/// All photos that phones accepted, by their records.
#[must_use]
pub fn taken(ledger: &Ledger, schema: &Schema) -> BTreeMap<(String, RecordId), Taken> {
    let is_photo = |name: &str| schema.collection(name).is_some_and(|c| c.photos);
    let mut all: BTreeMap<(String, RecordId), Taken> = BTreeMap::new();
    let mutations = || ledger.edits.values().flat_map(|e| e.mutations.iter().map(move |m| (e, m)));
    for (edit, mutation) in mutations().filter(|(_, m)| is_photo(&m.collection)) {
        if mutation.kind != MutationKind::Insert {
            continue;
        }
        let picture = |hash: &str, bytes: &str| {
            let hash = mutation.set.get(hash).and_then(Json::as_str).unwrap_or_default();
            (hash.to_owned(), mutation.set.get(bytes).map_or(0, whole_number))
        };
        let name = (mutation.collection.clone(), mutation.record);
        let found = all.entry(name).or_insert_with(|| Taken {
            place: edit.place,
            given_up: false,
            pictures: VARIANTS.map(|(_, hash, bytes)| picture(hash, bytes)),
        });
        found.given_up |= edit.discarded || edit.withdrawn || edit.left;
    }
    for (edit, mutation) in mutations().filter(|(_, m)| m.kind == MutationKind::Delete) {
        let name = (mutation.collection.clone(), mutation.record);
        if let Some(found) = all.get_mut(&name) {
            found.given_up |= edit.place == found.place;
        }
    }
    all
}

/// A number in canonical JSON, where large ones are texts.
fn whole_number(json: &Json) -> u64 {
    json.as_u64().or_else(|| json.as_str()?.parse().ok()).unwrap_or(0)
}

/// Whether a record says that the server has this picture of it.
#[must_use]
pub fn says_it_is_here(row: &Row, variant: &str) -> bool {
    match row.fields.get(columns::STATE).and_then(Json::as_str) {
        Some(columns::STORED) => true,
        Some(columns::THUMBNAIL) => variant == "thumbnail",
        _ => false,
    }
}

/// The hash that a record has for one of its pictures.
fn hash_of<'r>(row: &'r Row, variant: &str) -> Option<&'r str> {
    let (_, column, _) = VARIANTS.iter().find(|(name, ..)| *name == variant)?;
    row.fields.get(*column)?.as_str()
}

/// Whether somebody may see a record, and change it.
fn rights(
    schema: &Schema,
    snapshot: &Snapshot,
    (user, role): (UserId, &str),
    name: &(String, RecordId),
) -> (bool, bool) {
    let Some(collection) = schema.collection(&name.0).filter(|found| found.photos) else {
        return (false, false);
    };
    let held = snapshot.grants.get(&user);
    let row = snapshot.rows.get(name).filter(|row| !row.deleted);
    let in_scope = row.is_some_and(|row| {
        held.is_some_and(|held| row.scopes.iter().any(|scope| held.contains(scope)))
    });
    let sees = in_scope && may(role, &collection.read);
    (sees, sees && may(role, &collection.write))
}

/// In the end: every photo that was taken is stored, waits for a reason, or was given up.
///
/// `phones` has what each person's phones have, after their last round, `here` what is at the server.
///
/// # Errors
/// The violation.
pub fn after_healing(
    schema: &Schema,
    snapshot: &Snapshot,
    ledger: &Ledger,
    people: &[(UserId, &'static str)],
    (phones, here): (&BTreeMap<Place, Seen>, &BTreeMap<Picture, String>),
) -> Checked {
    let remembered = &ledger.photos;
    for (name, taken) in taken(ledger, schema) {
        let (Some(phone), false) = (phones.get(&taken.place), taken.given_up) else { continue };
        let row = snapshot.rows.get(&name);
        let (_, may_send) = rights(schema, snapshot, people[taken.place.1], &name);
        let holder = |picture: &Picture| {
            phones.iter().find(|(place, phone)| {
                let (_, may_send) = rights(schema, snapshot, people[place.1], &name);
                may_send && phone.lines.contains_key(picture)
            })
        };
        for (variant, ..) in VARIANTS {
            let picture: Picture = (name.0.clone(), name.1, variant.to_owned());
            let is_here = row.is_some_and(|row| !row.deleted && says_it_is_here(row, variant));
            let line = phone.lines.get(&picture);
            // Without the other one, which nobody may send who has it, a record does not say that this one is
            // here.
            let other_cannot_come =
                VARIANTS.iter().filter(|(other, ..)| *other != variant).any(|(other, ..)| {
                    let is_here = row.is_some_and(|row| says_it_is_here(row, other));
                    !is_here && holder(&(name.0.clone(), name.1, (*other).to_owned())).is_none()
                });
            if may_send && line.is_some() && !is_here && !other_cannot_come {
                return violated(
                    "in the end every photo is at the server that can be",
                    format!("{picture:?} of {:?}: {line:?}", taken.place),
                );
            }
            let waits = line.is_some_and(|line| line.waits);
            if !(is_here || waits || remembered.kept.contains(&picture)) {
                return violated(
                    "every photo is stored, waits, or was given up",
                    format!("{picture:?} of {:?}: {line:?}, {row:?}", taken.place),
                );
            }
            // What the server has lost, it has again where anybody who may send it has it.
            if let (false, Some((place, phone))) = (is_here || other_cannot_come, holder(&picture))
            {
                return violated(
                    "in the end every photo is at the server that can be",
                    format!("{picture:?}, which {place:?} has: {:?}", phone.lines[&picture]),
                );
            }
            // It is there, and its record does not say so, because the other one waits where nobody may send it.
            let waits_for_other = other_cannot_come
                && here.contains_key(&picture)
                && VARIANTS.iter().filter(|(other, ..)| *other != variant).any(|(other, ..)| {
                    let other = (name.0.clone(), name.1, (*other).to_owned());
                    phones.values().any(|p| p.lines.get(&other).is_some_and(|line| line.waits))
                });
            if !is_here && row.is_some_and(|row| !row.deleted) && !waits && !waits_for_other {
                // Nobody has it: then the run must have lost it, or the other one, without which a record does
                // not say that this one is here.
                let is_lost = VARIANTS.iter().any(|(variant, ..)| {
                    let picture = (name.0.clone(), name.1, (*variant).to_owned());
                    remembered.lost.contains(&picture)
                });
                if !is_lost {
                    return violated(
                        "no photo is lost",
                        format!("{picture:?} of {:?}: {row:?}", taken.place),
                    );
                }
            }
        }
    }
    traffic(schema, ledger)
}

/// Bytes that arrived and of which their phone heard so are not sent again.
fn traffic(schema: &Schema, ledger: &Ledger) -> Checked {
    let all = taken(ledger, schema);
    for (picture, sent) in &ledger.photos.sent {
        let Some(taken) = all.get(&(picture.0.clone(), picture.1)) else { continue };
        if ledger.photos.meddled.contains(picture) {
            continue;
        }
        let length = VARIANTS
            .iter()
            .zip(&taken.pictures)
            .find_map(|((variant, ..), (_, bytes))| (*variant == picture.2).then_some(*bytes));
        let most = length.unwrap_or(0) * sent.begun.max(1);
        if sent.bytes.values().any(|bytes| *bytes > most) {
            return violated(
                "no byte of a picture is sent again that arrived",
                format!("{picture:?} has {length:?} bytes: {sent:?}"),
            );
        }
    }
    Ok(())
}
