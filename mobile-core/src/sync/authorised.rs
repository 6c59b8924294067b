//! Exchanges that need an access token.

use crate::CoreError;
use crate::transport::TransportError;

/// Runs an exchange with the access token, and once more with a fresh one if the server says that it
/// has ended.
macro_rules! authorised {
    ($engine:expr, |$token:ident| $exchange:expr) => {{
        let mut failed: Option<String> = None;
        loop {
            let token = $engine.token(failed.as_deref()).await?;
            let $token = token.as_str();
            match $exchange.await {
                Err(error) if failed.is_none() && $crate::sync::authorised::ended(&error) => {
                    failed = Some(token);
                }
                other => break other,
            }
        }
    }};
}
pub(crate) use authorised;

/// Whether an error says that the access token is not good any more.
pub(crate) trait SessionError {
    /// Whether it does.
    fn is_session_ended(&self) -> bool;
}

impl SessionError for TransportError {
    fn is_session_ended(&self) -> bool {
        matches!(self, Self::SessionEnded(_))
    }
}

impl SessionError for CoreError {
    fn is_session_ended(&self) -> bool {
        matches!(self, Self::Transport(error) if error.is_session_ended())
    }
}

/// Whether the access token was not taken.
pub(crate) fn ended(error: &impl SessionError) -> bool {
    error.is_session_ended()
}
