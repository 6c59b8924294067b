//! Taking in a piece of an upload from a request's body.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use sync_protocol::problem::Problem;
use tokio::time::Instant;

use super::tus::Refused;
use crate::auth::caller::Caller;
use crate::http::app::App;
use crate::http::limits::Ticket;
use crate::http::limits::budget::UNCOUNTED_BYTES_MAX;
use crate::photos::intake::{self, Checksum, PART_BYTES, Place};
use crate::photos::permit::{Permitted, Purpose, permit};
use crate::photos::upload::{Standing, standing};

/// How many bytes of a piece earn it a second more to come.
const BYTES_PER_S_MIN: u64 = 1024;
/// How much of the time that a request has is left for what follows the last byte.
const LEFT_FOR_THE_REST: u32 = 4;

/// Most bytes that are read of a refused piece: three prepared photos.
const DRAINED_BYTES_MAX: usize = 1024 * 1024;
/// How long a refused piece may take to come.
const DRAINING_MAX: Duration = Duration::from_secs(10);

/// A piece that comes.
pub struct Piece {
    /// Which upload it belongs to.
    pub permitted: Permitted,
    /// Where it begins.
    pub offset: u64,
    /// What it must be.
    pub checksum: Option<Checksum>,
    /// Bytes at its beginning that are here already.
    pub skip: u64,
    /// It.
    pub body: Body,
}

/// Takes it in, and finishes the upload if that was all. Answers how far it is then.
///
/// It goes on by itself: who asked may be gone, and what they sent is kept all the same.
///
/// # Errors
/// Those of [`intake`] and [`standing`].
pub async fn receive(
    app: Arc<App>,
    caller: Caller,
    ticket: Arc<Ticket>,
    piece: Piece,
) -> Result<Standing, Refused> {
    let work = tokio::spawn(async move {
        let Piece { permitted, offset, checksum, skip, body } = piece;
        let length = permitted.expected.bytes;
        let held = usize::try_from(length - offset).unwrap_or(usize::MAX);
        let held = if checksum.is_some() { held } else { held.min(PART_BYTES) };
        if held > UNCOUNTED_BYTES_MAX {
            ticket.count(held)?;
        }
        // The sender's pace is nobody's turn.
        ticket.rest();
        let patience = ticket.body_patience();
        let time_max = app.settings.request_time_max;
        let body = arriving(body, patience, time_max - time_max / LEFT_FOR_THE_REST);
        let body = body_from(body, skip);
        let upload = permitted.upload();
        let place = Place { objects: &app.photos.objects, upload: &upload, offset, length };
        let taken = match &checksum {
            Some(checksum) => intake::take_checked(place, body, checksum).await,
            None => intake::take(place, body).await,
        };
        let context = app.photo_context(&caller);
        if let Err(problem) = taken {
            return Err(Refused::at(problem, offset_now(&app, &permitted).await));
        }
        ticket.begin().await?;
        // An upload does not outlive its grant, however long this took.
        let permitted = permit(context, &permitted.key, Purpose::Write).await?;
        Ok(standing(context, &permitted).await?)
    });
    match work.await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(Problem::new(503, "busy", "The server is stopping").retryable().into()),
    }
}

/// Reads a body that nobody needs, within bounds: a client that is still sending when the connection is
/// closed learns nothing of the answer.
pub async fn drain(ticket: &Ticket, body: Body) {
    ticket.rest();
    let mut body = std::pin::pin!(arriving(body, DRAINING_MAX, DRAINING_MAX));
    let mut drained = 0;
    while let Some(Ok(bytes)) = body.next().await {
        drained += bytes.len();
        if drained > DRAINED_BYTES_MAX {
            break;
        }
    }
}

/// Where an upload is, for who was refused.
async fn offset_now(app: &App, permitted: &Permitted) -> Option<u64> {
    let parts = crate::photos::upload::Parts::read(&app.photos.objects, &permitted.upload()).await;
    parts.ok().flatten().map(|parts| parts.end)
}

/// The bytes of a body as they come, until it ends or takes too long.
fn arriving(
    body: Body,
    patience: Duration,
    time_max: Duration,
) -> impl Stream<Item = Result<Bytes, Problem>> {
    let began = Instant::now();
    let chunks = body.into_data_stream();
    futures::stream::unfold((chunks, 0_u64, false), move |(mut chunks, came, ended)| async move {
        if ended {
            return None;
        }
        let earned = Duration::from_secs(came / BYTES_PER_S_MIN);
        let until = began + (patience + earned).min(time_max);
        match tokio::time::timeout_at(until, chunks.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(bytes))) => {
                let came = came + bytes.len() as u64;
                Some((Ok(bytes), (chunks, came, false)))
            }
            Ok(Some(Err(error))) => Some((Err(cut(&error)), (chunks, came, true))),
            Err(_) => Some((Err(too_slow()), (chunks, came, true))),
        }
    })
}

/// Without its first bytes.
fn body_from(
    body: impl Stream<Item = Result<Bytes, Problem>>,
    skip: u64,
) -> impl Stream<Item = Result<Bytes, Problem>> {
    let mut left = skip;
    body.map(move |bytes| {
        bytes.map(|mut bytes| {
            let gone = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            left -= gone as u64;
            bytes.split_off(gone)
        })
    })
}

fn cut(error: &axum::Error) -> Problem {
    Problem::new(400, "body_unreadable", "The body did not arrive whole").detail(format!(
        "{error}; what arrived is kept: ask how far the upload is, and go on there"
    ))
}

fn too_slow() -> Problem {
    Problem::new(408, "body_too_slow", "The body comes too slowly")
        .detail("what arrived is kept: ask how far the upload is, and go on there")
        .retryable()
}
