//! What can go wrong on a device: one enum, each case with a stable code, the cause and the cure.

use sync_protocol::problem::Problem;
use sync_protocol::value::ValueError;
use sync_protocol::{ReceiptId, RecordId};

use crate::photos::PhotoError;
use crate::transport::TransportError;

/// Any error of the device library.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// Nobody is signed in on this device.
    #[error("nobody is signed in: log in first")]
    SignedOut,
    /// The schema has no such collection (or this person may not see it).
    #[error("there is no collection `{0}`; `status` lists the collections, a sync brings new ones")]
    UnknownCollection(String),
    /// The collection has no such field.
    #[error("`{collection}` has no field `{field}`; it has {known}")]
    UnknownField {
        /// Collection that was named.
        collection: String,
        /// Field that it lacks.
        field: String,
        /// The fields that it has, separated by commas.
        known: String,
    },
    /// The field is filled by the server or the office.
    #[error("`{collection}.{field}` is set by the server and cannot be edited on a device")]
    FieldReadOnly {
        /// Collection of the field.
        collection: String,
        /// The field.
        field: String,
    },
    /// A value does not fit its field.
    #[error("{0}")]
    Value(#[from] ValueError),
    /// The record is not on this device, or was deleted.
    #[error("`{collection}` has no record {record} on this device")]
    NoSuchRecord {
        /// Collection that was searched.
        collection: String,
        /// Id that was not found.
        record: RecordId,
    },
    /// An insertion names the id of a record that exists.
    #[error("`{collection}` has a record {record} already: update it, or leave the id out")]
    RecordExists {
        /// Collection.
        collection: String,
        /// The id.
        record: RecordId,
    },
    /// The person may not do this. The server would refuse it too.
    #[error("this needs the permission `{0}`, which you do not have")]
    NotPermitted(String),
    /// The request itself makes no sense; the text says why.
    #[error("{0}")]
    BadRequest(String),
    /// A transaction is larger than one database transaction may be.
    #[error("a transaction may hold at most {max} edits; split it")]
    TransactionTooLarge {
        /// The limit.
        max: usize,
    },
    /// No photo collection belongs to the collection.
    #[error("`{0}` has no photos; its schema would need a photo collection")]
    NoPhotos(String),
    /// The photo is not on this device, and its record is not either.
    #[error("there is no such photo on this device, and no record that says where it is")]
    NoSuchPhoto,
    /// What the server sent is not the photo that its record describes.
    #[error("the server sent other bytes than those of the photo; try again")]
    PhotoUnlike,
    /// The photo cannot be read as one.
    #[error("{0}")]
    Photo(#[from] PhotoError),
    /// No transaction has this id.
    #[error("no receipt {0} on this device")]
    NoSuchReceipt(ReceiptId),
    /// The transaction is in a state in which this cannot be done.
    #[error("{receipt} is {state}: {reason}")]
    WrongState {
        /// The transaction.
        receipt: ReceiptId,
        /// Its state.
        state: String,
        /// What can be done instead.
        reason: String,
    },
    /// Other edits use the record that the discarded transaction makes.
    #[error("{} later edit(s) need it: discard them first, newest first: {}", heirs.len(), join(heirs))]
    HasHeirs {
        /// They, oldest first.
        heirs: Vec<ReceiptId>,
    },
    /// Somebody has work that only this device has.
    #[error(
        "{person} has {count} edit(s) or photo(s) that only this device has: sync, or correct or discard what was \
         refused, or export them, or sign out and keep the data"
    )]
    Unsent {
        /// How many transactions.
        count: usize,
        /// Whose.
        person: String,
    },
    /// Damaged databases were set aside, and no export has copied them.
    #[error(
        "{} damaged database(s) were set aside and may hold edits that only this device has: \
         export them first ({})", files.len(), files.join(", ")
    )]
    SetAside {
        /// The files.
        files: Vec<String>,
    },
    /// A sync is running; its result will do.
    #[error("a sync is running already")]
    AlreadyRunning,
    /// The caller stopped the sync. What was done stays.
    #[error("the sync was cancelled; what was done stays, the next sync goes on from there")]
    Cancelled,
    /// The server could not be reached or said no.
    #[error("{0}")]
    Transport(#[from] TransportError),
    /// SQL that is not a single reading statement, or does not compile.
    #[error("{0}")]
    Query(String),
    /// The database file is damaged or no database.
    #[error(
        "the database {path} is damaged ({cause}). It was left as it is; \
         set it aside explicitly to begin anew, the edits in it can still be exported by support"
    )]
    DatabaseCorrupt {
        /// The file.
        path: String,
        /// SQLite's words.
        cause: String,
    },
    /// Another process holds the database.
    #[error("another program holds the database; try again when it has finished")]
    DatabaseLocked,
    /// No space left.
    #[error("the disk is full: nothing was changed; free some space and try again")]
    DiskFull,
    /// The disk fails, or the file cannot be reached on it.
    #[error("the disk cannot be read or written ({0}): nothing was changed; try again")]
    DiskFailed(String),
    /// The database was written by a newer version of this library.
    #[error("the database has format {found}, this app knows up to {known}: update the app")]
    DatabaseTooNew {
        /// Format of the file.
        found: i64,
        /// Newest format known here.
        known: i64,
    },
    /// Any other failure of SQLite.
    #[error("the database failed: {0}")]
    Database(rusqlite::Error),
    /// A file besides the database could not be read or written.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: String,
        /// The system's words.
        cause: String,
    },
    /// Something that this library wrote itself cannot be read.
    #[error("stored data cannot be read: {0}")]
    Stored(String),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoRandomness,
}

fn join(ids: &[ReceiptId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl CoreError {
    /// Stable, in snake case, for programs.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::SignedOut => "signed_out",
            Self::UnknownCollection(_) => "unknown_collection",
            Self::UnknownField { .. } => "unknown_field",
            Self::FieldReadOnly { .. } => "field_read_only",
            Self::Value(error) => error.code(),
            Self::NoSuchRecord { .. } => "no_such_record",
            Self::RecordExists { .. } => "record_exists",
            Self::NotPermitted(_) => "not_permitted",
            Self::BadRequest(_) => "bad_request",
            Self::TransactionTooLarge { .. } => "transaction_too_large",
            Self::NoPhotos(_) => "no_photos",
            Self::NoSuchPhoto => "no_such_photo",
            Self::PhotoUnlike => "photo_unlike",
            Self::Photo(error) => error.code(),
            Self::NoSuchReceipt(_) => "no_such_receipt",
            Self::WrongState { .. } => "wrong_state",
            Self::HasHeirs { .. } => "has_heirs",
            Self::Unsent { .. } => "unsent_edits",
            Self::SetAside { .. } => "set_aside_not_exported",
            Self::AlreadyRunning => "already_running",
            Self::Cancelled => "cancelled",
            Self::Transport(error) => error.code(),
            Self::Query(_) => "bad_query",
            Self::DatabaseCorrupt { .. } => "database_corrupt",
            Self::DatabaseLocked => "database_locked",
            Self::DiskFull => "disk_full",
            Self::DiskFailed(_) => "disk_failed",
            Self::DatabaseTooNew { .. } => "database_too_new",
            Self::Database(_) => "database_failed",
            Self::File { .. } => "file_failed",
            Self::Stored(_) => "stored_data_unreadable",
            Self::NoRandomness => "no_randomness",
        }
    }

    /// Whether the same call may succeed later without being changed.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Transport(error) => error.retryable(),
            Self::AlreadyRunning
            | Self::Cancelled
            | Self::DatabaseLocked
            | Self::DiskFull
            | Self::PhotoUnlike
            | Self::DiskFailed(_) => true,
            _ => false,
        }
    }

    /// The error as a problem document, as command lines and bindings show it.
    #[must_use]
    pub fn to_problem(&self) -> Problem {
        match self {
            Self::Transport(TransportError::Problem(problem)) => return (**problem).clone(),
            Self::Transport(TransportError::Busy { problem: Some(problem), .. }) => {
                return Problem { retryable: true, ..(**problem).clone() };
            }
            _ => {}
        }
        let status = match self {
            Self::Transport(_) => 503,
            Self::NoSuchRecord { .. } | Self::NoSuchReceipt(_) | Self::NoSuchPhoto => 404,
            Self::SignedOut => 401,
            Self::NotPermitted(_) => 403,
            Self::AlreadyRunning
            | Self::WrongState { .. }
            | Self::HasHeirs { .. }
            | Self::Unsent { .. }
            | Self::SetAside { .. } => 409,
            Self::Database(_)
            | Self::DatabaseCorrupt { .. }
            | Self::DiskFailed(_)
            | Self::Stored(_) => 500,
            _ => 400,
        };
        let mut problem = Problem::new(status, self.code(), self.to_string());
        problem.retryable = self.retryable();
        if let Self::Unsent { count, .. } = self {
            problem.more.insert("unsent".to_owned(), (*count).into());
        }
        problem
    }
}

impl From<rusqlite::Error> for CoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        if is_unreadable(&error) {
            return Self::Stored(error.to_string());
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::DatabaseCorrupt { path: String::new(), cause: error.to_string() }
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::DatabaseLocked,
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied,
            ) => Self::DiskFailed(error.to_string()),
            _ => Self::Database(error),
        }
    }
}

/// Whether a value is not what its column should hold.
fn is_unreadable(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..)
    )
}

impl From<serde_json::Error> for CoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Stored(error.to_string())
    }
}
