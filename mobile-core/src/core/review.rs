//! Conflicts: they are at the server, so all of this needs the network.

use std::collections::BTreeMap;

use sync_protocol::wire::review::{
    ClaimRequest, Conflict, ConflictList, ConflictStatus, Keep, NoteRequest, ResolveManyRequest,
    ResolveRequest, ResolveResult, Severity, UndoRequest,
};
use sync_protocol::{ConflictId, Scope};

use super::Core;
use crate::CoreError;
use crate::sync::authorised;
use crate::transport::ReviewRequest;

/// Which conflicts to list. Everything is optional; see [`ConflictFilter::to_query`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConflictFilter {
    /// Only these statuses; open and claimed ones where empty.
    pub status: Vec<ConflictStatus>,
    /// Only this severity.
    pub severity: Option<Severity>,
    /// Only this collection.
    pub collection: Option<String>,
    /// Only rows of this scope.
    pub scope: Option<Scope>,
    /// Opened not before, in microseconds since 1970.
    pub opened_after_us: Option<i64>,
    /// Opened before, in microseconds since 1970.
    pub opened_before_us: Option<i64>,
    /// [`ConflictList::next`] of the page before.
    pub after: Option<String>,
    /// Most conflicts in a page, 1 to 200.
    pub limit: Option<usize>,
}

impl ConflictFilter {
    /// The query part of an address.
    #[must_use]
    pub fn to_query(&self) -> String {
        let word = |word: Result<serde_json::Value, serde_json::Error>| {
            word.ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
        };
        let status: Vec<String> =
            self.status.iter().map(|status| word(serde_json::to_value(status))).collect();
        let parts = [
            ("status", (!status.is_empty()).then(|| status.join(","))),
            ("severity", self.severity.map(|severity| word(serde_json::to_value(severity)))),
            ("collection", self.collection.clone()),
            ("scope", self.scope.as_ref().map(ToString::to_string)),
            ("opened_after_us", self.opened_after_us.map(|us| us.to_string())),
            ("opened_before_us", self.opened_before_us.map(|us| us.to_string())),
            ("after", self.after.clone()),
            ("limit", self.limit.map(|limit| limit.to_string())),
        ];
        let given = parts.into_iter().filter_map(|(name, value)| Some((name, value?)));
        given
            .map(|(name, value)| format!("{name}={}", encoded(&value)))
            .collect::<Vec<_>>()
            .join("&")
    }
}

fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b',' => {
                encoded.push(char::from(byte));
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

impl Core {
    /// A page of conflicts, oldest first: those in one's scopes for who may decide them, otherwise those
    /// in which one's own edit is a candidate.
    ///
    /// # Errors
    /// The server's problem; those of the way to it.
    pub async fn conflicts(&self, filter: &ConflictFilter) -> Result<ConflictList, CoreError> {
        let engine = self.engine()?;
        let transport = engine.transport();
        let query = filter.to_query();
        Ok(authorised!(engine, |token| transport.conflicts(token, &query))?)
    }

    /// One conflict.
    ///
    /// # Errors
    /// The server's problem; those of the way to it.
    pub async fn conflict(&self, id: ConflictId) -> Result<Conflict, CoreError> {
        let engine = self.engine()?;
        let transport = engine.transport();
        Ok(authorised!(engine, |token| transport.conflict(token, id))?)
    }

    async fn review(&self, id: ConflictId, request: ReviewRequest) -> Result<Conflict, CoreError> {
        let engine = self.engine()?;
        let transport = engine.transport();
        Ok(authorised!(engine, |token| transport.review(token, id, &request))?)
    }

    /// Takes an open conflict, from whoever has it if `take_over`.
    ///
    /// # Errors
    /// The server's problem (409 `conflict_claimed`); those of the way.
    pub async fn claim(&self, id: ConflictId, take_over: bool) -> Result<Conflict, CoreError> {
        self.review(id, ReviewRequest::Claim(ClaimRequest { release: false, take_over })).await
    }

    /// Gives a claimed conflict back.
    ///
    /// # Errors
    /// The server's problem; those of the way.
    pub async fn release(&self, id: ConflictId) -> Result<Conflict, CoreError> {
        let request = ClaimRequest { release: true, take_over: false };
        self.review(id, ReviewRequest::Claim(request)).await
    }

    /// Asks the authors of a conflict's edits; they see it with their receipts until they answer.
    ///
    /// # Errors
    /// The server's problem; those of the way.
    pub async fn ask(&self, id: ConflictId, text: &str) -> Result<Conflict, CoreError> {
        self.review(id, ReviewRequest::Ask(NoteRequest { text: text.to_owned() })).await
    }

    /// Answers as an author. The question leaves the receipts with the next sync.
    ///
    /// # Errors
    /// The server's problem; those of the way.
    pub async fn answer(&self, id: ConflictId, text: &str) -> Result<Conflict, CoreError> {
        self.review(id, ReviewRequest::Answer(NoteRequest { text: text.to_owned() })).await
    }

    /// Decides a conflict as the person saw it: `revision` is that of the conflict on their screen.
    ///
    /// # Errors
    /// The server's problem (409 when the conflict has changed since); those of the way.
    pub async fn resolve(
        &self,
        id: ConflictId,
        revision: i64,
        keep: Keep,
        reason: &str,
    ) -> Result<Conflict, CoreError> {
        let request = ResolveRequest { revision, keep, reason: reason.to_owned() };
        self.review(id, ReviewRequest::Resolve(request)).await
    }

    /// Decides many conflicts, each on its own; answers for each what became of it.
    ///
    /// # Errors
    /// The server's problem; those of the way.
    pub async fn resolve_many(
        &self,
        decisions: BTreeMap<ConflictId, ResolveRequest>,
    ) -> Result<BTreeMap<ConflictId, ResolveResult>, CoreError> {
        let request = ResolveManyRequest { conflicts: decisions };
        let engine = self.engine()?;
        let transport = engine.transport();
        Ok(authorised!(engine, |token| transport.resolve_many(token, &request))?.results)
    }

    /// Opens a decided conflict again, with the value that was in force before.
    ///
    /// # Errors
    /// The server's problem (409 when the conflict or the row has changed since); those of the way.
    pub async fn undo(
        &self,
        id: ConflictId,
        revision: i64,
        reason: &str,
    ) -> Result<Conflict, CoreError> {
        let request = UndoRequest { revision, reason: reason.to_owned() };
        self.review(id, ReviewRequest::Undo(request)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_names_only_what_is_asked_for() {
        assert_eq!(ConflictFilter::default().to_query(), "");
        let filter = ConflictFilter {
            status: vec![ConflictStatus::Open, ConflictStatus::Claimed],
            severity: Some(Severity::Collision),
            collection: Some("a&b=ñ".to_owned()),
            limit: Some(7),
            ..ConflictFilter::default()
        };
        assert_eq!(
            filter.to_query(),
            "status=open,claimed&severity=collision&collection=a%26b%3D%C3%B1&limit=7"
        );
    }
}
