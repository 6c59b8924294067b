//! Every edit that a phone accepted, and what phones were told.

use std::collections::BTreeMap;
use std::sync::Arc;

use sync_protocol::wire::push::Mutation;
use sync_protocol::{ReceiptId, StreamId};

use super::damage::Standing;
use super::leaving::{Backup, Exports, Streams};
use super::photos::Remembered;
use super::retention::Deletions;
use super::snapshot::Snapshot;
use super::visibility::Sees;

/// A phone's database of one person: the number of the phone and of the person.
pub type Place = (usize, usize);

/// An accepted edit.
#[derive(Debug, Clone)]
pub struct Edit {
    /// Where it was made.
    pub place: Place,
    /// What it does.
    pub mutations: Vec<Mutation>,
    /// Its author took it back, and the phone agreed.
    pub discarded: bool,
    /// Its author took it back when it may have been sent: the server says whether in time.
    pub withdrawn: bool,
    /// A later one corrects it.
    pub replaced: bool,
    /// Its phone does not have it any more: it was wiped, or set back to before.
    pub left: bool,
    /// Its phone had what came of it, settled, when it was looked at. It may have told the server so, and a folder
    /// that is put back does not take that back.
    pub heard: bool,
    /// An older folder that has it was put back: its phone need not know that it was sent since.
    pub copied: bool,
}

impl Edit {
    /// One that was just made.
    #[must_use]
    pub fn made(place: Place, mutations: Vec<Mutation>) -> Self {
        Self {
            place,
            mutations,
            discarded: false,
            withdrawn: false,
            replaced: false,
            left: false,
            heard: false,
            copied: false,
        }
    }

    /// Its author took it back; `at_once` says that the phone counts it as discarded. What an older copy knows of it
    /// may not be all: then the server says whether in time.
    pub fn take_back(&mut self, at_once: bool) {
        self.discarded = at_once && !self.copied;
        self.withdrawn |= !self.discarded;
    }
}

/// A page that left the server.
#[derive(Debug, Clone)]
pub struct Page {
    /// The snapshot that it was read from.
    pub snapshot: Arc<Snapshot>,
    /// Nothing more was to come from that snapshot.
    pub checkpoint: bool,
    /// What is visible does not change before the next checkpoint: only pages of a delta, without
    /// drops, since the last one.
    pub quiet: bool,
    /// What its user could read then.
    pub sees: Arc<Sees>,
    /// Sets of rows whose digests it told.
    pub digests: u64,
}

/// What is known of one phone's database of one person.
#[derive(Default)]
pub struct Known {
    /// Pages by their cursors.
    pub pages: BTreeMap<String, Page>,
    /// The snapshot that the visible rows are of, while that is certain.
    pub base: Option<Arc<Snapshot>>,
    /// The cursor at the last look.
    pub cursor: Option<String>,
    /// Whether its file is as it was written.
    pub damage: Standing,
    /// The stream that it wrote in at the last look.
    pub stream: Option<StreamId>,
    /// It was put back from a backup, or damaged: it may have to ask anew what its stream was told.
    pub older: bool,
    /// Sets of rows that it has compared with digests, since that was counted last.
    pub compared: u64,
}

impl Ledger {
    /// A phone may have to ask anew what its stream was told.
    pub fn may_be_older(&mut self, device: usize) {
        for (_, known) in self.known.iter_mut().filter(|(place, _)| place.0 == device) {
            known.older = true;
        }
    }

    /// What is damaged now.
    #[must_use]
    pub fn damaged(&self) -> Vec<Place> {
        let damaged = self.known.iter().filter(|(_, known)| known.damage == Standing::Damaged);
        damaged.map(|(place, _)| *place).collect()
    }

    /// A phone has what came of these.
    pub fn heard(&mut self, settled: impl Iterator<Item = ReceiptId>) {
        for id in settled {
            if let Some(edit) = self.edits.get_mut(&id) {
                edit.heard = true;
            }
        }
    }

    /// Nothing is expected of a phone's database until it is mended. Answers how it stood.
    pub fn damage(&mut self, place: Place) -> Standing {
        let known = self.known.entry(place).or_default();
        std::mem::replace(&mut known.damage, Standing::Damaged)
    }
}

/// All edits and pages of a run.
#[derive(Default)]
pub struct Ledger {
    /// Edits by their receipts.
    pub edits: BTreeMap<ReceiptId, Edit>,
    /// What phones have.
    pub known: BTreeMap<Place, Known>,
    /// Which rows are deleted, and since when.
    pub deletions: Deletions,
    /// The phone that is being wiped: nothing is expected of it until that is done.
    pub wiping: Option<usize>,
    /// What exports hold.
    pub exports: Exports,
    /// Which streams phones write in.
    pub streams: Streams,
    /// What was known of phones whose folders were copied.
    pub backups: BTreeMap<usize, Backup>,
    /// What became of pictures.
    pub photos: Remembered,
}
