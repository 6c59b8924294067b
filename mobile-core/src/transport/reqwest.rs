//! The real network: exchanges over `reqwest`.

use std::error::Error;
use std::io;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use reqwest::Client;

use super::exchange::{Answer, Exchange, Request};
use super::{OfflineReason, TransportError};
use crate::CoreError;

/// Where the protocol lives on a server.
const ROOT: &str = "mobile/api/v1";
/// How long to wait for a connection, the server's name included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait for the next bytes. A push of a thousand edits to a busy server takes a while.
pub const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// A connection that is silent for so long is probed: a busy server's system answers, one behind a dead
/// spot does not. Without this a round that lost its network waits for [`READ_TIMEOUT`], and so does
/// the first one after it on a connection that is kept.
pub const PROBE_AFTER: Duration = Duration::from_secs(4);
/// The pause between probes.
pub const PROBE_EVERY: Duration = Duration::from_secs(2);
/// Probes without an answer after which the connection is given up.
pub const PROBES_MAX: u32 = 3;
/// A connection is given up when what was sent is not acknowledged for so long. Apple's systems have no
/// such setting; there the read timeout does it.
pub const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(10);

/// Exchanges with one server over HTTP.
pub struct ReqwestExchange {
    client: Client,
    root: String,
}

impl ReqwestExchange {
    /// Exchanges with this address (`https://campo.example`).
    ///
    /// # Errors
    /// [`CoreError::BadRequest`] when the address is none.
    pub fn new(server: &str) -> Result<Self, CoreError> {
        let bad = |why: String| CoreError::BadRequest(format!("`{server}` is no server: {why}"));
        let url = reqwest::Url::parse(server).map_err(|error| bad(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("write http:// or https:// before it".to_owned()));
        }
        // Another part of the program may have installed one already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .tcp_keepalive(PROBE_AFTER)
            .tcp_keepalive_interval(PROBE_EVERY)
            .tcp_keepalive_retries(PROBES_MAX)
            .user_agent(concat!("campo/", env!("CARGO_PKG_VERSION")));
        #[cfg(any(target_os = "android", target_os = "linux"))]
        let client = client.tcp_user_timeout(UNACKNOWLEDGED_MAX);
        let client = client.build().map_err(|error| bad(error.to_string()))?;
        Ok(Self { client, root: format!("{}/{ROOT}", server.trim_end_matches('/')) })
    }
}

#[async_trait::async_trait]
impl Exchange for ReqwestExchange {
    async fn send(&self, request: Request) -> Result<Answer, TransportError> {
        let Request { method, path, headers, body } = request;
        let has_body = !body.is_empty();
        let mut request =
            self.client.request(method, format!("{}/{path}", self.root)).headers(headers);
        if has_body {
            request = request.body(body);
        }
        let response = request.send().await.map_err(|error| classify(&error))?;
        Ok(Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes_stream().map_err(|error| classify(&error)).boxed(),
        })
    }
}

fn classify(error: &reqwest::Error) -> TransportError {
    let (reason, maybe_sent) = if error.is_connect() && is_dns(error) {
        (OfflineReason::NoDns, false)
    } else if error.is_connect() && is_handshake(error) {
        (OfflineReason::Intercepted, false)
    } else if error.is_connect() {
        (OfflineReason::CannotConnect, false)
    } else if error.is_timeout() {
        (OfflineReason::Timeout, true)
    } else if error.is_builder() {
        return TransportError::Garbage(error.to_string());
    } else {
        (OfflineReason::Interrupted, true)
    };
    TransportError::Offline { reason, maybe_sent }
}

fn is_dns(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.to_string().contains("dns error") {
            return true;
        }
        cause = inner.source();
    }
    false
}

/// Whether somebody answered and the handshake failed all the same: with a certificate that is not the
/// server's, with something that is no handshake, or by hanging up.
fn is_handshake(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(inner) = cause {
        let io = inner.downcast_ref::<io::Error>();
        if inner.is::<rustls::Error>()
            || io.is_some_and(|io| io.kind() == io::ErrorKind::UnexpectedEof)
        {
            return true;
        }
        // What an I/O error holds is not among its sources.
        let held = io.and_then(io::Error::get_ref);
        cause = held.map(|held| held as &(dyn Error + 'static)).or_else(|| inner.source());
    }
    false
}
