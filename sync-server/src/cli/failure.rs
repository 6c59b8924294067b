//! Why a command failed.

use std::io;

use sync_protocol::problem::Problem;

use crate::schema_files::SchemaError;
use crate::server::ServeError;
use crate::store::StoreError;

/// A command that failed, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The server did not start.
    #[error("{0}")]
    Serve(#[from] ServeError),
    /// The database.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The schema.
    #[error("{0}")]
    Schema(#[from] SchemaError),
    /// What an endpoint would have refused as well.
    #[error("{0}")]
    Problem(Problem),
    /// The arguments do not fit what there is.
    #[error("{0}")]
    Arguments(String),
    /// A terminal, pipe or file.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl Failure {
    /// Stable, in snake case.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Serve(_) => "not_started",
            Self::Store(StoreError::Busy(_) | StoreError::Locked(_)) => "busy",
            Self::Store(StoreError::Exists(_)) => "exists",
            Self::Store(StoreError::NotFound(_)) => "not_found",
            Self::Store(StoreError::Setup(_)) => "setup",
            Self::Store(StoreError::Storage(_)) => "storage_failed",
            Self::Store(_) => "internal",
            Self::Schema(_) => "schema",
            Self::Problem(problem) => &problem.code,
            Self::Arguments(_) => "arguments",
            Self::Io(_) => "io",
        }
    }

    /// As a problem document, for `--json`.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::Problem(problem) => problem.clone(),
            other => {
                Problem::new(500, other.code(), "The command failed").detail(other.to_string())
            }
        }
    }
}
