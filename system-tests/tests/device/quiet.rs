//! Ways to a server whose events never come, or only fail: rounds are counted without them.

use std::sync::Arc;

use mobile_core::core::Connect;
use mobile_core::transport::exchange::{Answer, Exchange, Request};
use mobile_core::transport::http::HttpTransport;
use mobile_core::transport::reqwest::ReqwestExchange;
use mobile_core::transport::{OfflineReason, TransportError};

/// The real network, except for events.
struct WithoutEvents {
    real: ReqwestExchange,
    fails: bool,
}

#[async_trait::async_trait]
impl Exchange for WithoutEvents {
    async fn send(&self, request: Request) -> Result<Answer, TransportError> {
        if request.path != "sync/events" {
            return self.real.send(request).await;
        }
        if self.fails {
            let reason = OfflineReason::Interrupted;
            return Err(TransportError::Offline { reason, maybe_sent: true });
        }
        std::future::pending().await
    }
}

fn connect(fails: bool) -> Arc<Connect> {
    Arc::new(move |server| {
        let real = ReqwestExchange::new(server)?;
        Ok(Arc::new(HttpTransport::over(Arc::new(WithoutEvents { real, fails }))))
    })
}

/// Streams of events never begin.
pub fn silent() -> Arc<Connect> {
    connect(false)
}

/// Streams of events fail.
pub fn failing() -> Arc<Connect> {
    connect(true)
}
