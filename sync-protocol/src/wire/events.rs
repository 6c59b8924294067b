//! `GET sync/events`: server-sent events that say when a pull would bring something.

use serde::{Deserialize, Serialize};

use crate::Scope;

/// Media type of the stream.
pub const EVENTS_MEDIA_TYPE: &str = "text/event-stream";
/// Name of the event that begins a stream: from here on nothing is missed. Its data is `{}`.
pub const OPENED: &str = "opened";
/// Name of the event whose data is [`Moved`].
pub const MOVED: &str = "moved";
/// Name of the event that ends a stream, whose data is [`Ended`].
pub const ENDED: &str = "ended";
/// Most scopes that an event names; more are `all`.
pub const MOVED_SCOPES_MAX: usize = 100;

/// Data of `moved`: a pull would bring something. A hint; what it brings is for the pull to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Scopes that the user holds in which rows came, changed or went.
    pub scopes: Vec<Scope>,
    /// Anything may have moved: too much to name, or the server does not know since when.
    pub all: bool,
    /// Something else of the user changed: grants, roles, what was decided about their edits.
    pub user: bool,
}

/// Data of `ended`: why the server ended the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Stable, in snake case: `token_expired`, `device_revoked`, `account_disabled`, `token_invalid`,
    /// `server_stopping`, `replaced`.
    pub code: String,
}
