//! Hearing that something moved, beside the rounds.
//!
//! While the app is in the foreground and rounds go well, a stream of the server's events is open; each
//! `moved` begins a round, and the timer is slow ([`super::INTERVAL_LISTENING`]). A stream that opens
//! anew begins one as well, because something may have moved since the last; one that is resumed with a
//! mark needs none, the server tells. Events are hints: where there are none, the timer does it all.
//!
//! The stream ends with a failed round, in the background, without a network and at a logout. It is
//! tried again after the next round that goes well; a stream that fails by itself after a pause, which
//! grows. Tokens are the rounds' to renew: when the token has ended, one is begun for it.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::backoff::transport_cause;
use super::{Engine, backoff};
use crate::CoreError;
use crate::transport::{Event, EventSink, TransportError};

/// A stream that lasted so long has not failed.
const LASTED: Duration = Duration::from_secs(60);
/// Failures that a server counts for that has no events: the longest pause.
const FAILURES_MANY: u32 = 20;

/// How a stream ended.
enum End {
    /// The token is not good any more.
    Token,
    /// The server ended it, or it broke.
    Stream(Option<TransportError>),
}

impl Engine {
    /// Listens until it is cancelled.
    pub(super) async fn listen(&self, cancel: &CancellationToken) {
        tokio::select! {
            () = cancel.cancelled() => {}
            () = self.listen_on() => {}
        }
        self.set_live(false);
    }

    fn set_live(&self, live: bool) {
        self.live.send_if_modified(|now| std::mem::replace(now, live) != live);
    }

    async fn listen_on(&self) {
        let mut mark = None;
        let mut failures = 0u32;
        let mut standing = self.standing.subscribe();
        loop {
            if standing.wait_for(|standing| standing.may_listen()).await.is_err() {
                return;
            }
            let began_us = self.clock.boot_us();
            let end = tokio::select! {
                end = self.stream(&mut mark) => Some(end),
                _ = standing.wait_for(|standing| !standing.may_listen()) => None,
            };
            self.set_live(false);
            let Some(end) = end else { continue };
            let lasted_us = self.clock.boot_us().saturating_sub(began_us);
            if u64::try_from(lasted_us).is_ok_and(|us| Duration::from_micros(us) >= LASTED) {
                failures = 0;
            }
            let (token_ended, error) = match end {
                End::Token => (true, None),
                End::Stream(error) => (false, error),
            };
            // Of tokens that end one after another not each has a round of its own at once.
            let at_once = token_ended && failures == 0;
            failures = match &error {
                Some(TransportError::Problem(problem)) if !problem.retryable => FAILURES_MANY,
                _ => failures.saturating_add(1),
            };
            if !at_once {
                let unit = self.random.unit().unwrap_or(0.5);
                let cause = error.as_ref().map_or(backoff::Cause::Unreached, transport_cause);
                tokio::select! {
                    () = self.clock.sleep(backoff::pause(failures, unit, cause)) => {}
                    _ = standing.wait_for(|standing| !standing.may_listen()) => {}
                }
            }
            if token_ended {
                // A round renews it, or finds out that the session has ended.
                self.standing.send_modify(|standing| standing.in_touch = false);
                self.kick();
            }
        }
    }

    /// One stream, to its end.
    async fn stream(&self, mark: &mut Option<String>) -> End {
        let token = match self.present_token() {
            Ok(Some(token)) => token,
            Ok(None) | Err(CoreError::SignedOut) => return End::Token,
            Err(error) => {
                tracing::debug!(code = error.code(), "no token for events");
                return End::Token;
            }
        };
        let from = mark.clone();
        let mut sink = Sink { engine: self, resumed: from.is_some(), mark, token_ended: false };
        let result = self.transport.events(&token, from.as_deref(), &mut sink).await;
        match result {
            Err(TransportError::SessionEnded(_)) => End::Token,
            Ok(()) if sink.token_ended => End::Token,
            result => End::Stream(result.err()),
        }
    }
}

struct Sink<'a> {
    engine: &'a Engine,
    resumed: bool,
    mark: &'a mut Option<String>,
    token_ended: bool,
}

impl EventSink for Sink<'_> {
    fn event(&mut self, event: Event, mark: Option<&str>) {
        match event {
            Event::Opened => {
                self.engine.set_live(true);
                if !self.resumed {
                    self.engine.moved();
                }
            }
            Event::Moved(_) => self.engine.moved(),
            Event::Quiet => {}
            // All other reasons are for the next attempt to find out.
            Event::Ended(code) => self.token_ended = code == "token_expired",
        }
        if let Some(mark) = mark {
            *self.mark = Some(mark.to_owned());
        }
    }
}
