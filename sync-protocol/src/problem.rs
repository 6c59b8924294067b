//! Problem documents (RFC 9457): how the server says no, and what a refused receipt carries.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// One problem. `code` is stable and for programs; `title` and `detail` are for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// `https://campo.dev/problems/<code>`: an identifier, not an address to fetch.
    #[serde(rename = "type")]
    pub kind: String,
    /// Stable, in snake case.
    pub code: String,
    /// One line for people.
    pub title: String,
    /// What exactly was wrong and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The HTTP status that goes with it.
    pub status: u16,
    /// Whether the same request may succeed later without being changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retryable: bool,
    /// The transaction, collection, record or field that it is about, as far as one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Location>,
    /// Further members of this code, such as the present revision of a conflict.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub more: serde_json::Map<String, Json>,
}

/// What a problem is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// Position of the mutation in its transaction, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mutation: Option<usize>,
    /// Collection name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// Record id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<crate::RecordId>,
    /// Field name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl Problem {
    /// A problem with this status and code.
    #[must_use]
    pub fn new(status: u16, code: &str, title: impl Into<String>) -> Self {
        Self {
            kind: format!("https://campo.dev/problems/{code}"),
            code: code.to_owned(),
            title: title.into(),
            detail: None,
            status,
            retryable: false,
            at: None,
            more: serde_json::Map::new(),
        }
    }

    /// Adds what exactly was wrong and what to do.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Marks a passing failure.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }

    /// Says what it is about.
    #[must_use]
    pub fn at(mut self, at: Location) -> Self {
        self.at = Some(at);
        self
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.title, self.code)?;
        match &self.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}
