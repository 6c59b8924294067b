//! The network of one phone. A request waits here until the run decides what becomes of it.
//!
//! ```text
//!  core ── request ──► parked ──(the run: lost? doubled? late? …)──► server ──► answer
//!  core ◄─ pieces ──── resumed ◄─(the run: whole? cut after n bytes? lost? garbage?)──┘
//! ```
//! Only what the run resumes goes on, so one thing happens at a time and a run can be repeated.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use bytes::Bytes;
use futures::StreamExt as _;
use mobile_core::transport::TransportError;
use mobile_core::transport::exchange::{Answer, Exchange, Request};

use crate::server::Response;

/// What a phone's loop asks for beside its rounds.
const EVENTS: &str = "sync/events";

/// How an answer's body ends.
#[derive(Debug, Clone)]
pub enum End {
    /// Properly.
    Whole,
    /// With this error.
    Broken(TransportError),
    /// Not at all: the phone waits until somebody kills it.
    Never,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Fate {
    /// It fails without an answer.
    Fails(TransportError),
    /// Its answer comes.
    Answered(Response, End),
}

#[derive(Default)]
struct State {
    parked: Option<Request>,
    fate: Option<Fate>,
    /// The body of an answer has come to a stop that nothing follows.
    stuck: bool,
    waker: Option<Waker>,
}

/// A phone's line. Clones share it.
#[derive(Clone, Default)]
pub struct Line(Arc<Mutex<State>>);

impl Line {
    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the phone waits for the run.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.with(|state| state.fate.is_none() && (state.parked.is_some() || state.stuck))
    }

    /// Whether the phone waits for bytes that never come.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.with(|state| state.stuck)
    }

    /// The request that waits.
    #[must_use]
    pub fn parked(&self) -> Option<Request> {
        self.with(|state| state.parked.clone())
    }

    /// Decides what becomes of the request.
    pub fn resume(&self, fate: Fate) {
        let waker = self.with(|state| {
            state.parked = None;
            state.fate = Some(fate);
            state.waker.take()
        });
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The phone was killed: nothing of it waits any more.
    pub fn reset(&self) {
        self.with(|state| *state = State::default());
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.with(|state| {
            let parked = state.parked.as_ref().map(|request| &request.path);
            f.debug_struct("Line")
                .field("parked", &parked)
                .field("fate", &state.fate)
                .field("stuck", &state.stuck)
                .finish()
        })
    }
}

#[async_trait::async_trait]
impl Exchange for Line {
    async fn send(&self, request: Request) -> Result<Answer, TransportError> {
        // Events are hints, and here they never come: rounds must do without.
        if request.path == EVENTS {
            return std::future::pending().await;
        }
        self.with(|state| state.parked = Some(request));
        let fate = futures::future::poll_fn(|cx| {
            self.with(|state| match state.fate.take() {
                Some(fate) => Poll::Ready(fate),
                None => {
                    state.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            })
        })
        .await;
        let (response, end) = match fate {
            Fate::Fails(error) => return Err(error),
            Fate::Answered(response, end) => (response, end),
        };
        // In pieces of uneven size, as a network brings them.
        let pieces: VecDeque<Bytes> = (0..response.body.len())
            .step_by(1_500)
            .map(|at| response.body.slice(at..response.body.len().min(at + 1_500)))
            .collect();
        let line = self.clone();
        let body = futures::stream::unfold((pieces, Some(end)), move |(mut pieces, end)| {
            let line = line.clone();
            async move {
                if let Some(piece) = pieces.pop_front() {
                    return Some((Ok(piece), (pieces, end)));
                }
                match end? {
                    End::Whole => None,
                    End::Broken(error) => Some((Err(error), (pieces, None))),
                    End::Never => {
                        line.with(|state| state.stuck = true);
                        std::future::pending().await
                    }
                }
            }
        });
        Ok(Answer { status: response.status, headers: response.headers, body: body.boxed() })
    }
}
