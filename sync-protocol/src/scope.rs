//! Scopes: the unit in which data is granted to people and carried to their devices.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// `tenant`, `user:<uuid>`, or `<entity>:<uuid>` such as `project:0192…`.
///
/// Only this form can be built: the kind is lower-case ASCII, the id a UUID in canonical form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope(String);

/// A text that is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no scope: write `tenant`, or a kind and a UUID such as `project:0192…`")]
pub struct ScopeError(pub String);

impl Scope {
    /// The scope that holds what everybody in the company sees.
    #[must_use]
    pub fn tenant() -> Self {
        Self("tenant".to_owned())
    }

    /// The scope of one entity (or of one user, with the kind `user`).
    ///
    /// # Panics
    /// Never on a kind that a checked schema declares; debug builds assert its form.
    #[must_use]
    pub fn entity(kind: &str, id: Uuid) -> Self {
        debug_assert!(is_kind(kind), "scope kind {kind:?}");
        Self(format!("{kind}:{id}"))
    }

    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a text can be the kind of a scope: `[a-z][a-z_]{0,29}`, and not `tenant`.
#[must_use]
pub fn is_kind(text: &str) -> bool {
    text.len() <= 30
        && text != "tenant"
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        if text == "tenant" {
            return Ok(Self::tenant());
        }
        let error = || ScopeError(text.to_owned());
        let (kind, id) = text.split_once(':').ok_or_else(error)?;
        let id: Uuid = id.parse().map_err(|_| error())?;
        if !is_kind(kind) {
            return Err(error());
        }
        Ok(Self::entity(kind, id))
    }
}

impl TryFrom<String> for Scope {
    type Error = ScopeError;
    fn try_from(text: String) -> Result<Self, ScopeError> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scope({})", self.0)
    }
}
