//! What a phone may lose, and what not: a wipe takes only what the server or an export has, and a folder that is put
//! back from a backup has what was in that backup.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use mobile_core::outbox::entry::State;
use mobile_core::outbox::list::ReceiptView;
use serde_json::Value as Json;
use sync_protocol::schema::Schema;
use sync_protocol::wire::push::PushRequest;
use sync_protocol::wire::receipt::ReceiptState;
use sync_protocol::{ReceiptId, StreamId};

use super::damage::Standing;
use super::ledger::{Edit, Known, Ledger, Place};
use super::photos::phone::Seen;
use super::photos::{VARIANTS, taken};
use super::snapshot::Snapshot;
use super::{Checked, violated};
use crate::shelf::{Picture, sha256};

/// What exports of phones hold.
#[derive(Debug, Default)]
pub struct Exports {
    /// Transactions.
    pub edits: BTreeSet<ReceiptId>,
    /// Pictures that are beside the documents, whole.
    pub pictures: BTreeSet<Picture>,
}

impl Exports {
    /// Looks at a document and the files beside it, and keeps what they hold.
    ///
    /// # Errors
    /// When it cannot be read, or a copy of a picture is not that picture.
    pub fn read(&mut self, document: &Path) -> Checked {
        let invariant = "an export can be read";
        let beside = document.parent().unwrap_or(document);
        let read = std::fs::read(document).ok();
        let Some(all) = read.and_then(|bytes| serde_json::from_slice::<Json>(&bytes).ok()) else {
            return violated(invariant, document.display().to_string());
        };
        for work in all["people"].as_array().into_iter().flatten() {
            for edit in work["transactions"].as_array().into_iter().flatten() {
                let id = edit["id"].as_str().and_then(|id| id.parse().ok());
                let Some(id) = id else { return violated(invariant, edit.to_string()) };
                self.edits.insert(id);
            }
            for photo in work["photos"].as_array().into_iter().flatten() {
                let text = |name: &str| photo[name].as_str().unwrap_or_default().to_owned();
                let copy =
                    photo["copy"].as_str().and_then(|file| std::fs::read(beside.join(file)).ok());
                let is_whole = copy.is_some_and(|bytes| sha256(&bytes) == text("sha256"));
                let Ok(record) = text("record").parse() else {
                    return violated(invariant, photo.to_string());
                };
                if !is_whole {
                    return violated("an export holds the pictures", photo.to_string());
                }
                self.pictures.insert((text("collection"), record, text("variant")));
            }
        }
        Ok(())
    }
}

/// An export that was just made has what only the phone has, as its user's receipts and pictures say.
///
/// # Errors
/// The violation.
pub fn is_exported(exports: &Exports, receipts: &[ReceiptView], pictures: &Seen) -> Checked {
    let invariant = "an export has what only this phone has";
    for receipt in receipts {
        let only_here = match receipt.state {
            State::Waiting | State::Sending | State::Parked => !receipt.settled,
            State::Refused => receipt.replaced_by.is_none() && receipt.problem.is_some(),
            _ => false,
        };
        let is_open = only_here && !super::view::is_withdrawn(receipt);
        if is_open && !exports.edits.contains(&receipt.id) {
            return violated(invariant, format!("{} is {:?}", receipt.id, receipt.state));
        }
    }
    let waiting = pictures.lines.iter().filter(|(_, line)| line.waits);
    for (picture, line) in waiting {
        if !exports.pictures.contains(picture) {
            return violated(invariant, format!("{picture:?}: {line:?}"));
        }
    }
    Ok(())
}

/// A phone was wiped: whatever was there is at the server, in an export, or was given up.
///
/// # Errors
/// The violation.
pub fn wiped(ledger: &mut Ledger, device: usize, schema: &Schema, server: &Snapshot) -> Checked {
    let invariant = "a wipe takes nothing that only this phone has";
    for (id, edit) in ledger.edits.iter().filter(|(_, edit)| edit.place.0 == device && !edit.left) {
        let is_there = server.receipts.get(id).is_some_and(|receipt| {
            !matches!(receipt.state, ReceiptState::Refused | ReceiptState::Parked)
        });
        let is_over = edit.discarded || edit.withdrawn || edit.replaced;
        if !(is_there || is_over || ledger.exports.edits.contains(id)) {
            return violated(invariant, format!("{id}: {edit:?}"));
        }
    }
    for ((collection, record), taken) in taken(ledger, schema) {
        if taken.place.0 != device || taken.given_up {
            continue;
        }
        for (variant, ..) in VARIANTS {
            let picture = (collection.clone(), record, variant.to_owned());
            let photos = &ledger.photos;
            if !photos.kept.contains(&picture) && !ledger.exports.pictures.contains(&picture) {
                return violated(invariant, format!("{picture:?}"));
            }
        }
    }
    for edit in ledger.edits.values_mut().filter(|edit| edit.place.0 == device) {
        edit.left = true;
    }
    ledger.known.retain(|place, _| place.0 != device);
    Ok(())
}

/// Only an older copy goes on as another stream: whoever is told what it waits for has no reason to.
///
/// # Errors
/// The violation.
pub fn stays_in_its_stream(known: &mut Known, stream: Option<StreamId>) -> Checked {
    let before = std::mem::replace(&mut known.stream, stream);
    match (before, stream) {
        (Some(before), Some(now)) if before != now && !known.older => violated(
            "only an older copy goes on as another stream",
            format!("{now} instead of {before}"),
        ),
        _ => Ok(()),
    }
}

/// Which phone's stream brought which edit, and which streams go on without the phone that wrote in them.
#[derive(Debug, Default)]
pub struct Streams {
    of: BTreeMap<ReceiptId, StreamId>,
    /// Streams whose phone was set back to before some of what it wrote in them, with all edits until then.
    ended: BTreeMap<StreamId, BTreeSet<ReceiptId>>,
}

impl Streams {
    /// A push was answered. Whoever was set back has not seen what it wrote since, and writes as another stream.
    ///
    /// # Errors
    /// The violation.
    pub fn pushed(&mut self, asked: &PushRequest, before: &Snapshot, after: &Snapshot) -> Checked {
        for transaction in &asked.transactions {
            let id = transaction.id;
            if before.receipts.contains_key(&id) || !after.receipts.contains_key(&id) {
                continue;
            }
            self.of.insert(id, asked.stream);
            if self.ended.get(&asked.stream).is_some_and(|until| !until.contains(&id)) {
                return violated(
                    "what was set back writes as another stream",
                    format!("{id} as {}", asked.stream),
                );
            }
        }
        Ok(())
    }

    /// These edits are not on the phone any more that made them.
    fn forgotten(&mut self, left: &BTreeSet<ReceiptId>, all: &BTreeSet<ReceiptId>) {
        for stream in left.iter().filter_map(|id| self.of.get(id)) {
            self.ended.entry(*stream).or_insert_with(|| all.clone());
        }
    }
}

/// What was known of a database: what its user sees, its cursor, and whether it is sound.
type Stood = (Option<Arc<Snapshot>>, Option<String>, Standing);

/// What was known of a phone when its folder was copied.
#[derive(Default)]
pub struct Backup {
    edits: BTreeMap<ReceiptId, Edit>,
    known: BTreeMap<Place, Stood>,
}

impl Backup {
    /// What is known now.
    #[must_use]
    pub fn of(ledger: &Ledger, device: usize) -> Self {
        let edits = ledger.edits.iter().filter(|(_, edit)| edit.place.0 == device);
        let known = ledger.known.iter().filter(|(place, _)| place.0 == device);
        Self {
            edits: edits.map(|(id, edit)| (*id, edit.clone())).collect(),
            known: known
                .map(|(place, known)| {
                    (*place, (known.base.clone(), known.cursor.clone(), known.damage))
                })
                .collect(),
        }
    }

    /// The folder is put back: what was made since is gone from the phone, and what went since is back. Whatever
    /// was taken back in the meantime may have been in time at the server.
    pub fn put_back(&self, ledger: &mut Ledger, device: usize) {
        for (id, edit) in ledger.edits.iter_mut().filter(|(_, edit)| edit.place.0 == device) {
            match self.edits.get(id) {
                Some(then) => {
                    let withdrawn = then.withdrawn || edit.withdrawn || edit.discarded;
                    let heard = edit.heard;
                    *edit = Edit { withdrawn, heard, copied: true, ..then.clone() };
                }
                None => edit.left = true,
            }
        }
        let of_device = || ledger.edits.iter().filter(|(_, edit)| edit.place.0 == device);
        let left = of_device().filter(|(id, _)| !self.edits.contains_key(id)).map(|(id, _)| *id);
        let (left, all) = (left.collect(), of_device().map(|(id, _)| *id).collect());
        ledger.streams.forgotten(&left, &all);
        // It does not know any more what it has sent.
        for sent in ledger.photos.sent.values_mut() {
            sent.begun += u64::from(sent.bytes.contains_key(&device));
        }
        ledger.known.retain(|place, _| place.0 != device || self.known.contains_key(place));
        for (place, (base, cursor, damage)) in &self.known {
            let known = ledger.known.entry(*place).or_default();
            (known.base, known.cursor, known.damage) = (base.clone(), cursor.clone(), *damage);
            (known.stream, known.older) = (None, true);
        }
    }
}
