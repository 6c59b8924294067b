//! When a device listens, what it makes of what it hears, and how it comes back.

#![allow(clippy::unwrap_used)]

mod model;
#[path = "model/own_pauses.rs"]
mod own_pauses;

use std::sync::Arc;
use std::time::Duration;

use mobile_core::clock::ManualClock;
use mobile_core::random::SeededRandom;
use mobile_core::sync::Engine;
use mobile_core::transport::{Event, OfflineReason, TransportError};
use mobile_core::{Config, Core, SignIn};
use sync_protocol::problem::Problem;
use sync_protocol::wire::events::Moved;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use model::{Link, START_US, Server};
use own_pauses::OwnPauses;

struct Phone {
    server: Arc<Server>,
    engine: Arc<Engine>,
    clock: Arc<ManualClock>,
    pauses: mpsc::UnboundedReceiver<(Duration, oneshot::Sender<()>)>,
    /// Pauses that have not ended.
    open: Vec<(Duration, oneshot::Sender<()>)>,
    _dir: tempfile::TempDir,
}

impl Phone {
    /// A phone whose loop runs; its first round has gone well and its stream is asked for.
    async fn start() -> Self {
        let server = Server::new();
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(START_US));
        let (begun, pauses) = mpsc::unbounded_channel();
        let (link_server, link_clock) = (Arc::clone(&server), Arc::clone(&clock));
        let core = Core::open(Config {
            dir: dir.path().to_owned(),
            // A pause lasts until the test drops what ends it.
            clock: OwnPauses::new(Arc::clone(&clock) as Arc<_>, move |duration| {
                let (end, ended) = oneshot::channel();
                // Nobody looks after the test.
                let _ = begun.send((duration, end));
                async move {
                    let _ = ended.await;
                }
            }),
            random: Arc::new(SeededRandom::new(1)),
            connect: Arc::new(move |_| {
                let (server, clock) = (Arc::clone(&link_server), Arc::clone(&link_clock));
                Ok(Arc::new(Link { server, clock }))
            }),
        })
        .unwrap();
        let sign_in = SignIn {
            server: "http://model".into(),
            tenant: "acme".into(),
            user: "ana".into(),
            password: "secret".into(),
            device_name: None,
        };
        core.login(sign_in).await.unwrap();
        let engine = core.engine().unwrap();
        let running = Arc::clone(&engine);
        tokio::spawn(async move { running.run(&CancellationToken::new()).await });
        let mut phone = Self { server, engine, clock, pauses, open: Vec::new(), _dir: dir };
        phone.pause_of(60..=60).await;
        phone.streams(1).await;
        phone.rounds(1).await;
        phone
    }

    /// Waits for a pause of so many seconds; others stay open.
    async fn pause_of(&mut self, seconds: std::ops::RangeInclusive<u64>) {
        loop {
            let (pause, end) = self.pauses.recv().await.expect("the loop runs");
            self.open.push((pause, end));
            if seconds.contains(&pause.as_secs()) {
                return;
            }
        }
    }

    /// Ends the last pause that began.
    fn end_pause(&mut self) {
        let (pause, end) = self.open.pop().expect("a pause");
        self.clock.advance(i64::try_from(pause.as_micros()).unwrap());
        drop(end);
    }

    /// Waits until so many streams were asked for; the mark of the last one.
    async fn streams(&self, count: usize) -> Option<String> {
        loop {
            let streams = self.server.with(|state| state.streams.clone());
            if streams.len() >= count {
                assert_eq!(streams.len(), count);
                return streams.last().cloned().flatten();
            }
            tokio::task::yield_now().await;
        }
    }

    /// Waits until so many rounds have pulled, and none is running.
    async fn rounds(&self, count: usize) {
        while self.server.with(|state| state.pulls) < count || self.engine.is_running() {
            tokio::task::yield_now().await;
        }
        assert_eq!(self.server.with(|state| state.pulls), count);
    }

    async fn listens(&self, expected: bool) {
        self.engine.listening().wait_for(|live| *live == expected).await.unwrap();
    }
}

fn moved() -> Event {
    Event::Moved(Moved { user: true, ..Moved::default() })
}

#[tokio::test]
async fn what_moves_begins_a_round_and_the_timer_is_slow_meanwhile() {
    let mut phone = Phone::start().await;
    phone.server.say(Ok((Event::Opened, Some("m1"))));
    phone.listens(true).await;
    // The stream is new: what moved before it is fetched by a round.
    phone.rounds(2).await;
    phone.server.say(Ok((moved(), Some("m2"))));
    phone.rounds(3).await;
    phone.pause_of(300..=300).await;
    // It breaks, and the timer is the quick one until another is open.
    let reason = OfflineReason::Interrupted;
    phone.server.say(Err(Some(TransportError::Offline { reason, maybe_sent: true })));
    phone.listens(false).await;
    phone.pause_of(1..=2).await;
    phone.end_pause();
    assert_eq!(phone.streams(2).await.as_deref(), Some("m2"), "it goes on after the last event");
    phone.server.say(Ok((Event::Opened, None)));
    phone.listens(true).await;
    phone.server.say(Ok((moved(), None)));
    phone.rounds(4).await;
}

#[tokio::test]
async fn a_stream_that_fails_is_tried_again_ever_more_seldom() {
    let mut phone = Phone::start().await;
    let reason = OfflineReason::CannotConnect;
    for longest in [2, 2, 2] {
        let error = TransportError::Offline { reason, maybe_sent: false };
        phone.server.say(Err(Some(error)));
        phone.pause_of(1..=longest).await;
        phone.end_pause();
    }
    phone.streams(4).await;
    // A server that has no events is asked every few minutes.
    let problem = Problem::new(404, "not_found", "There is nothing at this address");
    phone.server.say(Err(Some(TransportError::Problem(Box::new(problem)))));
    phone.pause_of(150..=300).await;
    phone.end_pause();
    phone.streams(5).await;
    phone.server.say(Ok((Event::Opened, None)));
    phone.listens(true).await;
}

#[tokio::test]
async fn a_token_that_ends_is_renewed_by_a_round() {
    let phone = Phone::start().await;
    let refreshes = || phone.server.with(|state| state.refreshes);
    phone.server.say(Ok((Event::Opened, Some("m1"))));
    phone.listens(true).await;
    phone.rounds(2).await;
    // All of it has passed; the server says so.
    phone.clock.advance(1_000_000 * 1_000_000);
    assert_eq!(refreshes(), 0);
    phone.server.say(Ok((Event::Ended("token_expired".to_owned()), None)));
    phone.server.say(Err(None));
    assert_eq!(phone.streams(2).await.as_deref(), Some("m1"));
    assert_eq!(refreshes(), 1);
    phone.server.say(Ok((Event::Opened, None)));
    phone.listens(true).await;
}

#[tokio::test]
async fn nobody_listens_in_the_background_or_without_a_network() {
    let phone = Phone::start().await;
    phone.server.say(Ok((Event::Opened, Some("m1"))));
    phone.listens(true).await;
    phone.engine.set_foreground(false);
    phone.listens(false).await;
    phone.engine.set_foreground(true);
    assert_eq!(phone.streams(2).await.as_deref(), Some("m1"));
    phone.server.say(Ok((Event::Opened, None)));
    phone.listens(true).await;
    phone.engine.set_network(Some(false));
    phone.listens(false).await;
    phone.engine.set_network(Some(true));
    phone.streams(3).await;
}
