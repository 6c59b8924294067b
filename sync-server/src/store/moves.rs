//! What moved, for the event streams: a hint, so that devices pull at once instead of now and then.
//!
//! A *look* asks for all tenants that somebody listens to, and goes on where the look before ended
//! ([`Place`]). On PostgreSQL it is one small query on the scope log, whoever wrote and through
//! whichever server; on SQLite a look at each tenant's newest commit. A *mark* is the same place in
//! short, which a device gives back when it comes again: it names a witness of the history, as cursors
//! do, so it says nothing about anybody, and one of a history that is gone is unknown.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use async_trait::async_trait;
use sync_protocol::{Scope, TenantId, UserId};

use super::StoreError;

/// Most scopes and users that a look tells one by one; beyond that everything counts as moved.
pub const MOVED_MAX: usize = 10_000;

/// The scopes that somebody listens for, by tenant.
pub type Watched = BTreeMap<TenantId, BTreeSet<Scope>>;

/// What moved in one tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moved {
    /// Scopes in which rows came, changed or went, each with the collections of these rows.
    pub scopes: BTreeMap<Scope, BTreeSet<String>>,
    /// Users of whom something else changed: grants, roles, whether they and their devices may sync,
    /// receipts that somebody else settled.
    pub users: BTreeSet<UserId>,
}

/// What a look found.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// What moved, by tenant. A tenant that was not watched before has nothing.
    pub moved: BTreeMap<TenantId, Moved>,
    /// Tenants in which anything may have moved: it was too much to tell, or their history is another.
    pub all: BTreeSet<TenantId>,
    /// Where the next look goes on.
    pub place: Place,
}

/// Where a look ended.
#[derive(Debug, Clone, Default)]
pub struct Place(pub(super) At);

#[derive(Debug, Clone, Default)]
pub(super) enum At {
    /// Nobody has looked yet.
    #[default]
    Nowhere,
    /// One snapshot of all tenants.
    Postgres {
        /// System identifier and timeline.
        epoch: String,
        /// The look's own snapshot.
        snapshot: String,
        /// The newest witness that it saw.
        witness: String,
    },
    /// A place in each tenant's history.
    Sqlite(BTreeMap<TenantId, SqlitePlace>),
}

/// A place in one tenant's history.
#[derive(Debug, Clone)]
pub(super) struct SqlitePlace {
    /// The newest commit.
    pub commit: i64,
    /// The newest line of the users' log.
    pub user_line: i64,
    /// The mark.
    pub mark: String,
    /// When somebody looked.
    pub at: Instant,
}

impl Place {
    /// The mark that a device of this tenant comes back with.
    #[must_use]
    pub fn mark(&self, tenant: TenantId) -> Option<String> {
        match &self.0 {
            At::Nowhere => None,
            At::Postgres { epoch, witness, .. } => Some(format!("{epoch}/{witness}")),
            At::Sqlite(places) => places.get(&tenant).map(|place| place.mark.clone()),
        }
    }
}

/// What event streams ask a store. A store implements it beside [`super::Store`].
#[async_trait]
pub trait Moves {
    /// What moved in these tenants since a look. A tenant that fails is left out and keeps its place.
    ///
    /// # Errors
    /// What the database says; then nobody's place has changed.
    async fn look(&self, watched: &Watched, since: &Place) -> Result<Look, StoreError>;

    /// The scopes that users hold now. Unknown users hold none.
    async fn held(
        &self,
        tenant: TenantId,
        users: &[UserId],
    ) -> Result<BTreeMap<UserId, BTreeSet<Scope>>, StoreError>;

    /// What moved since a mark in these scopes, and whether anything of this user. None if the
    /// history does not hold the mark, or it is too old to tell.
    async fn moved_since(
        &self,
        tenant: TenantId,
        user: UserId,
        scopes: &BTreeSet<Scope>,
        mark: &str,
    ) -> Result<Option<Moved>, StoreError>;
}
