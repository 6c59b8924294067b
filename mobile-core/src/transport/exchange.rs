//! What the protocol needs of HTTP: one request, and an answer whose body comes piece by piece.
//!
//! [`super::reqwest::ReqwestExchange`] does it over a real network; the simulator's network, which
//! loses, doubles, delays and cuts, does it in memory. Everything above it is the same code.

use bytes::Bytes;
use futures::stream::BoxStream;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::TransportError;

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// How.
    pub method: Method,
    /// Where, from the root of the API on, with its query (`sync/push`).
    pub path: String,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, packed as the headers say.
    pub body: Bytes,
}

impl Request {
    /// A request without a body.
    #[must_use]
    pub fn new(method: Method, path: &str) -> Self {
        Self { method, path: path.to_owned(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// With this header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

/// An answer. Its head is here; its body is on the way.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body as it was sent. An error in it ends it.
    pub body: BoxStream<'static, Result<Bytes, TransportError>>,
}

impl Answer {
    /// A header, if it is readable text.
    #[must_use]
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Exchanges bytes with one server.
#[async_trait::async_trait]
pub trait Exchange: Send + Sync {
    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// [`TransportError::Offline`], with what is known about why; [`TransportError::Garbage`] for a
    /// request that cannot be sent. What the answer says, also a refusal, is no error here.
    async fn send(&self, request: Request) -> Result<Answer, TransportError>;
}
