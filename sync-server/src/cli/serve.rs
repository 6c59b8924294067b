//! `serve`: runs the server until it is told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::Failure;
use super::output::Output;
use super::photo_target::PhotoTarget;
use super::target::Target;
use crate::auth::issuer::IssuerConfig;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::events::EventSettings;
use crate::http::HttpSettings;
use crate::http::connections::descriptors;
use crate::photos::PhotoSettings;
use crate::server;

/// Bytes.
const GIB: u64 = 1024 * 1024 * 1024;

/// Run the server.
#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    photos: PhotoTarget,
    /// Most GiB of photos of one tenant.
    #[arg(long, env = "CAMPO_PHOTO_QUOTA_GIB", default_value_t = PhotoSettings::QUOTA_BYTES_DEFAULT / GIB)]
    photo_quota_gib: u64,
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, env = "CAMPO_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Address to tell metrics on, for Prometheus (`GET /metrics`). It asks for no token: keep it to yourself.
    #[arg(long, env = "CAMPO_METRICS", value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// Accept access tokens of another issuer (several times for several):
    /// `ISSUER;audience=NAME;algorithm=RS256|ES256|EdDSA;jwks=FILE|https://…`.
    #[arg(long = "issuer", env = "CAMPO_ISSUERS", value_delimiter = ' ', value_name = "ISSUER")]
    issuers: Vec<IssuerConfig>,
    /// A proxy in front of the server names the client in `X-Forwarded-For`.
    #[arg(long, env = "CAMPO_TRUST_FORWARDED_FOR")]
    trust_forwarded_for: bool,
    /// Most requests at work at once.
    #[arg(long, env = "CAMPO_REQUESTS_MAX", default_value_t = HttpSettings::default().requests_max)]
    requests_max: usize,
    /// Most requests of one tenant at work at once.
    #[arg(long, env = "CAMPO_REQUESTS_PER_TENANT_MAX",
        default_value_t = HttpSettings::default().requests_per_tenant_max)]
    requests_per_tenant_max: usize,
    /// Most requests of one user at work at once.
    #[arg(long, env = "CAMPO_REQUESTS_PER_USER_MAX",
        default_value_t = HttpSettings::default().requests_per_user_max)]
    requests_per_user_max: usize,
    /// Most pulls at work at once.
    #[arg(long, env = "CAMPO_PULLS_MAX", default_value_t = HttpSettings::default().pulls_max)]
    pulls_max: usize,
    /// Most pulls of one tenant at work at once.
    #[arg(long, env = "CAMPO_PULLS_PER_TENANT_MAX",
        default_value_t = HttpSettings::default().pulls_per_tenant_max)]
    pulls_per_tenant_max: usize,
    /// Most pulls of one user at work at once.
    #[arg(long, env = "CAMPO_PULLS_PER_USER_MAX",
        default_value_t = HttpSettings::default().pulls_per_user_max)]
    pulls_per_user_max: usize,
    /// Most devices that listen to events at once, each on a connection of its own.
    #[arg(long, env = "CAMPO_LISTENERS_MAX",
        default_value_t = EventSettings::default().listeners_max)]
    listeners_max: usize,
    /// Most devices of one tenant that listen to events at once.
    #[arg(long, env = "CAMPO_LISTENERS_PER_TENANT_MAX",
        default_value_t = EventSettings::default().listeners_per_tenant_max)]
    listeners_per_tenant_max: usize,
    /// Most streams of events of one user.
    #[arg(long, env = "CAMPO_LISTENERS_PER_USER_MAX",
        default_value_t = EventSettings::default().listeners_per_user_max)]
    listeners_per_user_max: usize,
    /// Most connections open at once; never more than half of the files that the system allows.
    #[arg(long, env = "CAMPO_CONNECTIONS_MAX",
        default_value_t = HttpSettings::default().connections_max)]
    connections_max: usize,
    /// Most connections of one address; not looked at with --trust-forwarded-for.
    #[arg(long, env = "CAMPO_CONNECTIONS_PER_ADDRESS_MAX",
        default_value_t = HttpSettings::default().connections_per_address_max)]
    connections_per_address_max: usize,
    /// How long the head of a request may take to come, and a connection may be idle, in seconds.
    #[arg(long, env = "CAMPO_HEADER_TIME_S_MAX",
        default_value_t = HttpSettings::default().header_time_max.as_secs())]
    header_time_s_max: u64,
    /// How long a body may take to come, besides a second for each KiB, in seconds.
    #[arg(long, env = "CAMPO_BODY_PATIENCE_S",
        default_value_t = HttpSettings::default().body_patience.as_secs())]
    body_patience_s: u64,
    /// How long a client may take nothing of its answer, in seconds.
    #[arg(long, env = "CAMPO_ANSWER_STALL_S_MAX",
        default_value_t = HttpSettings::default().answer_stall_max.as_secs())]
    answer_stall_s_max: u64,
    /// How long a request may take, in seconds.
    #[arg(long, env = "CAMPO_REQUEST_TIME_S_MAX",
        default_value_t = HttpSettings::default().request_time_max.as_secs())]
    request_time_s_max: u64,
    /// After how long a stream of pages ends itself, in seconds.
    #[arg(long, env = "CAMPO_STREAM_TIME_S_MAX",
        default_value_t = HttpSettings::default().stream_time_max.as_secs())]
    stream_time_s_max: u64,
}

impl Serve {
    pub(super) async fn run(self, output: Output) -> Result<(), Failure> {
        let config = Config {
            database: self.target.database(),
            listen: self.listen,
            metrics: self.metrics,
            schemas: self.target.schemas.clone(),
            issuers: self.issuers,
            photos: PhotoSettings {
                location: self.photos.location(&self.target.database()),
                quota_bytes: self.photo_quota_gib.saturating_mul(GIB),
            },
            http: HttpSettings {
                requests_max: self.requests_max,
                requests_per_tenant_max: self.requests_per_tenant_max,
                requests_per_user_max: self.requests_per_user_max,
                pulls_max: self.pulls_max,
                pulls_per_tenant_max: self.pulls_per_tenant_max,
                pulls_per_user_max: self.pulls_per_user_max,
                connections_max: self.connections_max.min(descriptors::raise_limit() / 2).max(1),
                connections_per_address_max: self.connections_per_address_max,
                header_time_max: Duration::from_secs(self.header_time_s_max),
                body_patience: Duration::from_secs(self.body_patience_s),
                answer_stall_max: Duration::from_secs(self.answer_stall_s_max),
                request_time_max: Duration::from_secs(self.request_time_s_max),
                stream_time_max: Duration::from_secs(self.stream_time_s_max),
                events: EventSettings {
                    listeners_max: self.listeners_max,
                    listeners_per_tenant_max: self.listeners_per_tenant_max,
                    listeners_per_user_max: self.listeners_per_user_max,
                    ..EventSettings::default()
                },
                trust_forwarded_for: self.trust_forwarded_for,
                ..HttpSettings::default()
            },
            clock: Arc::new(SystemClock),
        };
        // Before the address is told: who has it may send the signal at once.
        let stop = StopSignal::listen()?;
        let server = server::serve(config).await?;
        let url = server.url();
        match server.metrics {
            None => {
                output.print(&format!("listening on {url}"), &json!({ "listening": url }))?;
            }
            Some(address) => {
                let metrics = format!("http://{address}/metrics");
                output.print(
                    &format!("listening on {url}, metrics at {metrics}"),
                    &json!({ "listening": url, "metrics": metrics }),
                )?;
            }
        }
        stop.received().await;
        tracing::info!("stopping");
        server.shutdown().await;
        Ok(())
    }
}

/// Ctrl-C, and on Unix SIGTERM.
struct StopSignal {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl StopSignal {
    #[cfg(unix)]
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    #[cfg(not(unix))]
    fn listen() -> std::io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(unix)]
    async fn received(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    #[cfg(not(unix))]
    async fn received(self) {
        // Without the signal there is no way to be told to stop, so nothing ends.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
