//! The cursor: what a device hands back to say what it has. Opaque to devices.
//!
//! It is not signed: it only says what its bearer has already. What a pull answers is decided by
//! the grants in the database, whatever the cursor says.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sync_protocol::planted::{self, Bug};
use sync_protocol::problem::Problem;
use sync_protocol::{Scope, TenantId, UserId};

use crate::auth::caller::Caller;
use crate::store::page::GrantChange;
use crate::store::{Position, RowKey, SettledKey};

/// Longest cursor, in characters: a backfill of some ten thousand scopes at once.
pub(super) const CURSOR_CHARS_MAX: usize = 2 * 1024 * 1024;

/// Where a page ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// Whose it is.
    pub tenant: TenantId,
    /// Whose it is.
    pub user: UserId,
    /// Hash of the collections and fields that the user could see.
    pub visibility: String,
    /// Everything up to here is on the device, in the scopes that it holds.
    pub since: Position,
    /// Receipts up to here were told; none before the first checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Position>,
    /// How far receipts were told since then, where that takes several pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telling: Option<Telling>,
    /// A delta that was cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round: Option<CutDelta>,
    /// Scopes that are being brought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfill: Option<Backfill>,
    /// Changes of grants after `since` that were dealt with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<GrantChange>,
}

/// Receipts of which some pages were sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telling {
    /// Position of the snapshot in which it began. What was settled later comes after.
    pub end: Position,
    /// The last receipt that was told.
    pub after: SettledKey,
}

/// A delta of which some pages were sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CutDelta {
    /// Position of the first page's snapshot, where the delta will end.
    pub end: Position,
    /// The last key that was sent.
    pub after: RowKey,
}

/// Scopes that are being brought, and those that wait.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backfill {
    /// Those that are being brought.
    pub scopes: Vec<Scope>,
    /// The last key that was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<RowKey>,
    /// Gained since this backfill began: brought after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queued: Vec<Scope>,
}

impl Cursor {
    /// The places in history that it names. All have to be in the history that there is: what was
    /// restored may have forgotten the end of a delta that was cut, and not its beginning.
    pub fn positions(&self) -> impl Iterator<Item = &Position> {
        let told = self.told.iter().chain(self.telling.iter().map(|telling| &telling.end));
        let cut = self.round.iter().map(|cut| &cut.end);
        std::iter::once(&self.since).chain(told).chain(cut)
    }

    /// The text that goes to the device.
    #[must_use]
    pub fn write(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// Reads a text that came from a device.
    ///
    /// # Errors
    /// `cursor_malformed`, `cursor_foreign`, `cursor_visibility_changed`.
    pub fn read(text: &str, caller: &Caller, visibility: &str) -> Result<Self, Problem> {
        if text.len() > CURSOR_CHARS_MAX {
            return Err(malformed());
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed())?;
        let cursor: Self = serde_json::from_slice(&bytes).map_err(|_| malformed())?;
        if cursor.tenant != caller.tenant || cursor.user != caller.user {
            return Err(Problem::new(403, "cursor_foreign", "The cursor is somebody else's")
                .detail("each user of each company has a cursor of their own; begin without one"));
        }
        // It goes into a query: only what this kind of store makes.
        if cursor.telling.as_ref().is_some_and(|telling| !telling.after.is_of(&cursor.since)) {
            return Err(malformed());
        }
        if cursor.visibility != visibility && !planted::is(Bug::VisibilityUnnoticed) {
            return Err(Problem::new(
                410,
                "cursor_visibility_changed",
                "What you may see has changed",
            )
            .detail("begin anew without a cursor, keeping unsent edits"));
        }
        Ok(cursor)
    }
}

fn malformed() -> Problem {
    Problem::new(400, "cursor_malformed", "The cursor is damaged")
        .detail("send the cursor of the last page unchanged, or none to begin anew")
}

/// The problem of a cursor that this database's history does not hold.
pub(super) fn history_ended() -> Problem {
    Problem::new(410, "cursor_history_ended", "The server's history does not hold this cursor")
        .detail(
            "the server was restored from an older state or replaced; \
             begin anew without a cursor, keeping unsent edits",
        )
}
