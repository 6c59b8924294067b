//! The way to the server, as a trait: [`http::HttpTransport`] for real, a model server in tests. The
//! first goes over any [`exchange::Exchange`] of bytes.

pub mod exchange;
pub mod http;
pub mod reqwest;
pub mod sse;
mod tus;

use bytes::Bytes;
use sync_protocol::ConflictId;
use sync_protocol::problem::Problem;
use sync_protocol::wire::auth::{LoginRequest, LogoutRequest, RefreshRequest, Session};
use sync_protocol::wire::compare::{CompareAnswer, CompareRequest};
use sync_protocol::wire::events::Moved;
use sync_protocol::wire::pull::{PullPage, PullRequest};
use sync_protocol::wire::push::{PushAnswer, PushRequest};
use sync_protocol::wire::review::{
    ClaimRequest, Conflict, ConflictList, NoteRequest, ResolveManyAnswer, ResolveManyRequest,
    ResolveRequest, UndoRequest,
};

use crate::CoreError;
use crate::photos::PhotoName;

/// Why an exchange with the server did not end well.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TransportError {
    /// The server was not reached, or the answer did not come.
    #[error("offline: {reason}")]
    Offline {
        /// What exactly, as far as it is known.
        reason: OfflineReason,
        /// Whether the request may have reached the server all the same.
        maybe_sent: bool,
    },
    /// The server asks to come later.
    #[error("{}{}", why_busy(.problem.as_deref()), after(*.retry_after_s))]
    Busy {
        /// In how many seconds, if it said so.
        retry_after_s: Option<u64>,
        /// Why, if it said so.
        problem: Option<Box<Problem>>,
    },
    /// The access token is not good (any more).
    #[error("the session has ended: log in again. Edits are kept and will be sent then")]
    SessionEnded(Box<Problem>),
    /// The server said no.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// What came is not this protocol: a hotspot's login page, a proxy's error, half a page.
    #[error("the server's answer cannot be used: {0}")]
    Garbage(String),
}

fn why_busy(problem: Option<&Problem>) -> String {
    problem.map_or_else(|| "the server is busy".to_owned(), ToString::to_string)
}

fn after(seconds: Option<u64>) -> String {
    seconds.map_or_else(String::new, |s| format!("; it asks to come back in {s} s"))
}

/// Why the server was not reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OfflineReason {
    /// The system says that there is no network.
    NoNetwork,
    /// The server's name could not be resolved.
    NoDns,
    /// Nobody answered at the server's address.
    CannotConnect,
    /// The answer did not come in time.
    Timeout,
    /// The connection broke in the middle.
    Interrupted,
    /// Somebody answered at the server's address who cannot be the server: a hotel's login page, a proxy
    /// with a certificate of its own. Nothing was sent.
    Intercepted,
}

impl std::fmt::Display for OfflineReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoNetwork => "there is no network",
            Self::NoDns => "the server's name cannot be resolved",
            Self::CannotConnect => "the server cannot be reached",
            Self::Timeout => "the server did not answer in time",
            Self::Interrupted => "the connection broke",
            Self::Intercepted => {
                "somebody else answers in the server's place: does the network want a login, or is the \
                 phone's clock wrong?"
            }
        })
    }
}

impl TransportError {
    /// Stable, in snake case.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Offline { reason, .. } => match reason {
                OfflineReason::NoNetwork => "no_network",
                OfflineReason::NoDns => "no_dns",
                OfflineReason::CannotConnect => "cannot_connect",
                OfflineReason::Timeout => "timeout",
                OfflineReason::Interrupted => "interrupted",
                OfflineReason::Intercepted => "intercepted",
            },
            Self::SessionEnded(_) => "session_ended",
            Self::Problem(problem) | Self::Busy { problem: Some(problem), .. } => &problem.code,
            Self::Busy { problem: None, .. } => "server_busy",
            Self::Garbage(_) => "unusable_answer",
        }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Offline { .. } | Self::Busy { .. } | Self::Garbage(_) => true,
            Self::SessionEnded(_) => false,
            Self::Problem(problem) => problem.retryable || problem.status >= 500,
        }
    }
}

/// Takes the pages of a pull one after another. The transport waits while a page is taken, so
/// memory does not grow with the size of a sync.
#[async_trait::async_trait]
pub trait PageSink: Send {
    /// Takes a page. An error ends the pull.
    ///
    /// # Errors
    /// Whatever kept the page from being applied.
    async fn page(&mut self, page: PullPage) -> Result<(), CoreError>;
}

/// What the server says in a stream of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The stream has begun: from here on it misses nothing.
    Opened,
    /// A pull would bring something.
    Moved(Moved),
    /// Nothing moved.
    Quiet,
    /// The server ends the stream, for this reason.
    Ended(String),
}

/// Takes the events of a stream as they come.
pub trait EventSink: Send {
    /// Takes an event, and the mark that resumes after it, if there is a new one.
    fn event(&mut self, event: Event, mark: Option<&str>);
}

/// Exchanges with one server.
#[async_trait::async_trait]
pub trait Transport: Send + Sync {
    /// `POST auth/login`.
    async fn login(&self, request: &LoginRequest) -> Result<Session, TransportError>;
    /// `POST auth/refresh`.
    async fn refresh(&self, request: &RefreshRequest) -> Result<Session, TransportError>;
    /// `POST auth/logout`.
    async fn logout(&self, request: &LogoutRequest) -> Result<(), TransportError>;
    /// `POST sync/push`.
    async fn push(&self, token: &str, request: &PushRequest) -> Result<PushAnswer, TransportError>;
    /// `POST sync/pull`. Ends without error when the server ended the stream of pages properly.
    async fn pull(
        &self,
        token: &str,
        request: &PullRequest,
        sink: &mut dyn PageSink,
    ) -> Result<(), CoreError>;
    /// `POST sync/compare`.
    async fn compare(
        &self,
        token: &str,
        request: &CompareRequest,
    ) -> Result<CompareAnswer, TransportError>;
    /// `GET sync/events`, resumed with a mark. Ends without error when the server ended the stream.
    async fn events(
        &self,
        token: &str,
        mark: Option<&str>,
        sink: &mut dyn EventSink,
    ) -> Result<(), TransportError>;
    /// `POST uploads`: begins the upload of a picture of `length` bytes with the first of them. Answers how many
    /// the server has, which may be all: it knows the picture, or had begun before.
    async fn upload(
        &self,
        token: &str,
        name: &PhotoName,
        length: u64,
        first: Bytes,
    ) -> Result<u64, TransportError>;
    /// `HEAD uploads/…`: how many bytes of a picture the server has; `None` if no upload was begun, or it has
    /// expired.
    async fn uploaded(&self, token: &str, name: &PhotoName) -> Result<Option<u64>, TransportError>;
    /// `PATCH uploads/…`: sends the bytes of a picture from `offset` on. Answers how many the server has then.
    async fn upload_on(
        &self,
        token: &str,
        name: &PhotoName,
        offset: u64,
        bytes: Bytes,
    ) -> Result<u64, TransportError>;
    /// `GET photos/…`: a picture's bytes.
    async fn photo(&self, token: &str, name: &PhotoName) -> Result<Vec<u8>, TransportError>;
    /// `GET conflicts?<query>`; the query is made of URL-safe `name=value` pairs.
    async fn conflicts(&self, token: &str, query: &str) -> Result<ConflictList, TransportError>;
    /// `GET conflicts/{id}`.
    async fn conflict(&self, token: &str, id: ConflictId) -> Result<Conflict, TransportError>;
    /// `POST conflicts/{id}/…`.
    async fn review(
        &self,
        token: &str,
        id: ConflictId,
        request: &ReviewRequest,
    ) -> Result<Conflict, TransportError>;
    /// `POST conflicts/resolve`.
    async fn resolve_many(
        &self,
        token: &str,
        request: &ResolveManyRequest,
    ) -> Result<ResolveManyAnswer, TransportError>;
}

/// What is done with a conflict.
#[derive(Debug, Clone, PartialEq)]
pub enum ReviewRequest {
    /// `…/claim`.
    Claim(ClaimRequest),
    /// `…/ask`.
    Ask(NoteRequest),
    /// `…/answer`.
    Answer(NoteRequest),
    /// `…/resolve`.
    Resolve(ResolveRequest),
    /// `…/undo`.
    Undo(UndoRequest),
}
