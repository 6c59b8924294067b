//! What ends the pause between failed rounds, and what makes pauses begin anew.
#![allow(missing_docs, reason = "tests are named by what they show")]

mod model;
#[path = "model/own_pauses.rs"]
mod own_pauses;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mobile_core::clock::ManualClock;
use mobile_core::random::SeededRandom;
use mobile_core::sync::Engine;
use mobile_core::{Config, Core};
use model::{Fault, Link, Phone, START_US, Server, object};
use own_pauses::OwnPauses;
use serde_json::json;
use sync_protocol::problem::Problem;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A phone whose loop runs, with an edit that waits.
struct Looping {
    server: Arc<Server>,
    engine: Arc<Engine>,
    pauses: mpsc::UnboundedReceiver<Duration>,
    end_of_pause: Arc<Notify>,
    running: JoinHandle<()>,
    _core: Core,
}

impl Looping {
    /// After so many failures of this kind in a row; as many more are to come.
    async fn start(dir: &Path, fault: &Fault, failures: usize) -> Self {
        let server = Server::new();
        Phone::signed_in(&server, dir, 1).await;
        let (sender, pauses) = mpsc::unbounded_channel();
        let end_of_pause = Arc::new(Notify::new());
        let clock = Arc::new(ManualClock::new(START_US));
        let link = (Arc::clone(&server), Arc::clone(&clock));
        let core = Core::open(Config {
            dir: dir.to_owned(),
            clock: OwnPauses::new(clock, {
                let end_of_pause = Arc::clone(&end_of_pause);
                move |duration| {
                    // Nobody listens after the test.
                    let _ = sender.send(duration);
                    let end_of_pause = Arc::clone(&end_of_pause);
                    async move { end_of_pause.notified().await }
                }
            }),
            random: Arc::new(SeededRandom::new(1)),
            connect: Arc::new(move |_| {
                let (server, clock) = link.clone();
                Ok(Arc::new(Link { server, clock }))
            }),
        })
        .expect("the folder can be opened");
        core.put("articulos", &object(json!({ "nombre": "Tabla" }))).expect("it is valid");
        let engine = core.engine().expect("signed in");
        for _ in 0..2 * failures {
            server.fail_next(fault.clone());
        }
        let running = tokio::spawn({
            let engine = Arc::clone(&engine);
            async move { engine.run(&CancellationToken::new()).await }
        });
        let mut looping = Self { server, engine, pauses, end_of_pause, running, _core: core };
        looping.pause_s().await;
        for _ in 1..failures {
            looping.end_of_pause.notify_one();
            looping.pause_s().await;
        }
        looping
    }

    /// The pause that the loop makes after the round that is running.
    async fn pause_s(&mut self) -> f64 {
        self.pauses.recv().await.expect("the loop runs").as_secs_f64()
    }

    fn opened(&self) {
        self.engine.set_foreground(false);
        self.engine.set_foreground(true);
    }

    fn pushes(&self) -> usize {
        self.server.with(|state| state.pushes_begun)
    }
}

impl Drop for Looping {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// Lets the loop do whatever it would do.
async fn a_while() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn opening_the_app_behind_a_login_page_tries_nothing_and_pauses_go_on_doubling() {
    let dir = tempfile::tempdir().expect("dir");
    let mut phone = Looping::start(dir.path(), &Fault::PushIntercepted, 14).await;
    let before = phone.pushes();
    phone.opened();
    a_while().await;
    assert_eq!(phone.pushes(), before);
    phone.end_of_pause.notify_one();
    let pause = phone.pause_s().await;
    assert!((24.0..=48.0).contains(&pause), "{pause}");
    assert_eq!(phone.pushes(), before + 1);
}

#[tokio::test]
async fn a_press_and_a_validated_network_try_at_once_also_behind_a_login_page() {
    let dir = tempfile::tempdir().expect("dir");
    let mut phone = Looping::start(dir.path(), &Fault::PushIntercepted, 14).await;
    phone.engine.kick();
    let pause = phone.pause_s().await;
    assert!((1.0..=2.0).contains(&pause), "{pause}");
    phone.server.with(|state| state.faults.clear());
    phone.engine.set_network(Some(true));
    let pause = phone.pause_s().await;
    assert!((pause - 60.0).abs() < 1.0, "it went well: {pause}");
}

#[tokio::test]
async fn opening_the_app_in_a_dead_spot_tries_at_once_and_begins_pauses_anew() {
    let dir = tempfile::tempdir().expect("dir");
    let mut phone = Looping::start(dir.path(), &Fault::PushNeverArrives, 12).await;
    phone.opened();
    let pause = phone.pause_s().await;
    assert!((1.0..=2.0).contains(&pause), "{pause}");
}

#[tokio::test]
async fn opening_the_app_tries_a_server_that_failed_at_once_but_does_not_wear_it_down() {
    let dir = tempfile::tempdir().expect("dir");
    let problem = Problem::new(503, "busy", "The server is busy").retryable();
    let mut phone = Looping::start(dir.path(), &Fault::PushFails(Box::new(problem)), 5).await;
    phone.opened();
    let pause = phone.pause_s().await;
    assert!((32.0..=64.0).contains(&pause), "{pause}");
}
