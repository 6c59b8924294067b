//! What can go wrong in a store.

/// A failure of a store. Nothing was changed by the transaction that it ends.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Passing: busy, deadlock, serialization failure, timeout, connection lost. Try again.
    #[error("the database is busy: {0}")]
    Busy(String),
    /// Passing: another session holds a row (or a table) for longer than this transaction wanted to
    /// wait for it. What does not need it can go on.
    #[error("another session holds what this needs: {0}")]
    Locked(String),
    /// The tables' own constraints or triggers said no. `message` is theirs.
    #[error("{message}")]
    Constraint {
        /// What kind it is.
        kind: ConstraintKind,
        /// Name of the constraint or trigger, where the database tells it.
        name: Option<String>,
        /// The database's message, without values of other rows.
        message: String,
    },
    /// Something by that name or id exists already.
    #[error("{0} exists already")]
    Exists(String),
    /// The tenant, user or device does not exist.
    #[error("{0} does not exist")]
    NotFound(String),
    /// The tables do not fit the schema, or the database is not set up. The text says the remedy.
    #[error("{0}")]
    Setup(String),
    /// The disk is full or fails. Nothing is lost that was confirmed; writing stops until it is mended.
    #[error("the storage failed: {0}")]
    Storage(String),
    /// Stored data that cannot be read, or a fault of this program.
    #[error("internal: {0}")]
    Internal(String),
}

/// Kinds of constraints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConstraintKind {
    /// A unique index.
    Unique,
    /// A foreign key: the referenced row does not exist (or cannot be seen).
    ForeignKey,
    /// Not null.
    NotNull,
    /// A check, or an exception raised by a trigger.
    Check,
}

impl StoreError {
    /// Whether the same transaction may succeed when it is tried again.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::Locked(_))
    }
}
