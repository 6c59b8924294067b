//! Connections: taking them, and what a client has to do to keep one.
//!
//! Only so many are open, and only so many of one address. A client that has one sends the next request's
//! headers in time, whole, or loses it; so a connection that is left is closed as well. One that takes
//! nothing of its answer for some time is closed too ([`stall`]).

pub mod descriptors;
pub mod stall;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::app::HttpSettings;
use super::limits::shares::Shares;
use stall::Unstalled;

/// Longest head of a request, in bytes, and most that is kept of one that was read ahead.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Pause after a connection could not be taken because the machine lacks something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves connections until the server stops, and then those that are at work until they are done.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    settings: HttpSettings,
    stopping: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(settings.connections_max));
    // A proxy's connections are many people's.
    let own_max = match settings.trust_forwarded_for {
        true => settings.connections_max,
        false => settings.connections_per_address_max,
    };
    let addresses: Shares<IpAddr> = Shares::new(own_max, 0);
    let open = GracefulShutdown::new();
    loop {
        let accepted = async {
            // Where all places are taken newcomers wait in the machine's queue.
            let place = places.clone().acquire_owned().await.ok()?;
            Some((place, listener.accept().await))
        };
        let (place, accepted) = tokio::select! {
            () = stopping.cancelled() => break,
            accepted = accepted => match accepted {
                Some(accepted) => accepted,
                None => break,
            },
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "a connection was not taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(own_place) = addresses.take(peer.ip().to_canonical()).await else {
            tracing::debug!(%peer, "it has too many connections");
            continue;
        };
        let connection = connection(stream, peer, router.clone(), &settings);
        let connection = open.watch(connection);
        tokio::spawn(async move {
            // What goes wrong on a connection is its client's to notice.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke");
            }
            drop((place, own_place));
        });
    }
    drop(listener);
    open.shutdown().await;
}

/// One connection, request by request.
fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    settings: &HttpSettings,
) -> http1::Connection<
    TokioIo<Unstalled<TcpStream>>,
    impl hyper::service::Service<
        hyper::Request<Incoming>,
        Response = axum::response::Response,
        Error = Infallible,
        Future: Send,
    > + use<>,
> {
    // Small answers and the ends of pages go out at once: held back, they would meet the phone's
    // delayed acknowledgement, 40 ms for each request. Without the option it is only slower.
    let _ = stream.set_nodelay(true);
    let stream = Unstalled::new(stream, settings.answer_stall_max);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let request: Request = request.map(Body::new);
        router.clone().oneshot(request)
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.header_time_max)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
}
