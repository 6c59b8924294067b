//! Deliberately planted bugs, by which the simulator is tested: one that it does not find within a
//! stated number of seeds means that the simulator looks away (`docs/simulation.md`).
//!
//! The places where they are planted ask [`is`]. Without the feature `planted-bugs` that is the
//! constant `false`; with it, one bug at a time can be switched on in the whole process. The feature
//! does not compile without debug assertions, so no build that is shipped can have it.

#[cfg(all(feature = "planted-bugs", not(debug_assertions)))]
compile_error!("planted bugs are for the simulator: build without the feature `planted-bugs`");

macro_rules! bugs {
    ($($(#[doc = $what:literal])+ $name:ident,)+) => {
        /// A bug that can be planted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Bug {
            $($(#[doc = $what])+ $name,)+
        }

        impl Bug {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// What is wrong with it on.
            #[must_use]
            pub fn what(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($what),+).trim_ascii(),)+
                }
            }
        }
    };
}

bugs! {
    /// merge: a device's own earlier edit counts as somebody else's
    OwnStreamIsForeign,
    /// merge: what others wrote before the last writer's edit is forgotten
    OtherWriterForgotten,
    /// merge: a removal from a set takes elements that the remover had not seen
    SetRemoveUnseen,
    /// merge: a counter is set to the difference
    CounterAbsolute,
    /// merge: an uncertain time is as good as a certain one
    UncertainTimeCounts,
    /// push: a time ahead of the server is not clamped
    ClampRemoved,
    /// push: a transaction that was settled is settled again when it comes again
    LostAnswerAppliedTwice,
    /// push: an edit that joins a conflict replaces the candidates before it
    ConflictCandidateLost,
    /// push: an edit of a record that waits to be made is handed over without the edits before it
    PendingForgetsEdits,
    /// review: undoing a decision leaves the decided value in the row
    UndoForgetsRow,
    /// pull: a round that was cut and resumed ends with the newest snapshot, as a checkpoint
    ResumedRoundEndsNewest,
    /// pull: rows that left are not told
    TombstoneNotSent,
    /// pull: receipts are not told to a device that begins anew
    ReceiptDroppedOnResync,
    /// pull: a scope that was lost and regained in between is not fetched again
    RegainedScopeKept,
    /// pull: what changes behind a running backfill is not told
    BackfilledPartForgotten,
    /// device: pages of a delta are visible before their checkpoint
    PageVisibleEarly,
    /// device: a second edit of a field is based on the row's newest version
    BaseNotInherited,
    /// device: staged rows survive beginning anew
    StagedRowsKept,
    /// device: an answered edit leaves the view before its rows are here
    SettledBeforeRows,
    /// device: the outbox is sent in the order of ids
    OutboxOrderById,
    /// device: a record whose insertion was handed over stays in sight
    HandedOverStaysSeen,
    /// device: rows of a lost scope stay
    DropIgnored,
    /// device: a backfill shows what was decided besides the edit itself
    BackfillShowsTwice,
    /// device: an edit that was sent counts as not sent
    SentNotNoted,
    /// device: records merged into others keep their old ids
    AliasIgnored,
    /// device: rows that did not come again after beginning anew stay
    StaleRowsKept,
    /// device: a refused edit keeps everything behind it from being sent
    RefusalBlocks,
    /// device: setting a counter adds the whole value instead of the difference
    CounterSetAddsAll,
    /// digest: a deleted row stays in its scope's digest
    DigestCountsDeleted,
    /// compare: one bucket that differs is left out
    CompareLeavesOutBucket,
    /// pull: rows that are asked for again come whoever may see them
    RefetchOutOfScope,
    /// pull: another role goes on from its cursor, without the rows that it sees more of
    VisibilityUnnoticed,
    /// pull: a scope that is lost while it is being brought goes on being brought
    LostScopeGoesOn,
    /// office: children stay where their parent was
    MovedChildrenStay,
    /// device: a row in several scopes leaves with the first that is lost
    FirstLostScopeTakesRow,
    /// device: the scrub sees no damage
    ScrubLooksAway,
    /// device: damage of a staged row is shown
    StagedDamageShown,
    /// device: a damaged edit is removed instead of written from its copy
    RepairDropsEdit,
    /// device: an outcome counts as told for good before its rows are here
    SeenBeforeSettled,
    /// device: pictures that only it has go when space is short
    UnsentPhotoEvicted,
    /// device: a photo counts as confirmed with its first piece
    PhotoStoredEarly,
    /// device: a photo that the server asks for is not sent again
    PhotoAskedInVain,
    /// device: files of photos whose records left stay
    PhotoLeftBehind,
    /// device: the photo of a refused record goes
    RefusedPhotoDropped,
    /// photos: who does not see a record may still send its pictures
    UploadOutlivesGrant,
    /// photos: who does not see a record may still look at its pictures
    DownloadOutlivesGrant,
    /// photos: a picture's hash is not compared with its record's
    PhotoHashIgnored,
    /// photos: a picture is kept as the record's other one
    PictureUnderOther,
    /// photos: a piece that comes twice is kept twice
    DoubledPieceKept,
    /// photos: a lost picture is not asked for again
    LostPhotoForgotten,
    /// housekeeping: a row that is still to be decided about loses its content
    ContentInReviewForgotten,
    /// housekeeping: receipts lose their details before their devices have seen them
    UnseenReceiptForgotten,
    /// pull: what was settled when the server's clock was ahead is not told
    FutureReceiptUntold,
    /// device: a wipe takes edits that only it has, although nobody exported them
    WipeTakesUnsent,
    /// device: what was put back from a backup goes on as the stream that it was
    CopyKeepsStream,
    /// photos: a picture that cannot be looked at counts as lost
    StorageFailureIsLoss,
    /// photos: a picture that could not be written counts as here
    UnwrittenPictureStored,
}

#[cfg(feature = "planted-bugs")]
mod switch {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::Bug;

    /// 0: none.
    static PLANTED: AtomicUsize = AtomicUsize::new(0);

    /// Switches a bug on in this process, and every other one off.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.store(bug.map_or(0, |bug| bug as usize + 1), Ordering::SeqCst);
    }

    /// Whether a bug is on.
    #[must_use]
    pub fn is(bug: Bug) -> bool {
        PLANTED.load(Ordering::Relaxed) == bug as usize + 1
    }
}
#[cfg(feature = "planted-bugs")]
pub use switch::{is, plant};

/// Whether a bug is on: never.
#[cfg(not(feature = "planted-bugs"))]
#[must_use]
#[inline(always)]
pub const fn is(_: Bug) -> bool {
    false
}
