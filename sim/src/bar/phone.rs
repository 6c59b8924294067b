//! A phone whose real sync loop runs.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use mobile_core::sync::Engine;
use tokio_util::sync::CancellationToken;

use super::tcp::Wire;
use crate::device::Device;
use crate::server::Response;

/// A loop that neither pauses nor waits for the network for so long, in real time, is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(60);

/// An answer that is on its way to the phone.
#[derive(Debug)]
pub struct Coming {
    /// What of it comes.
    pub response: Response,
    /// When the first byte left the server.
    pub from_us: i64,
}

/// The running app of a phone.
pub struct App {
    engine: Arc<Engine>,
    rounds: Pin<Box<dyn Future<Output = ()>>>,
}

/// What the bar knows of a phone besides [`Device`].
pub struct Phone {
    /// The app, unless it was killed.
    pub app: Option<App>,
    /// Its way to the server.
    pub wire: Wire,
    /// Counts lives of the app: what was on its way to an earlier one is lost.
    pub life: u32,
    /// Its request is on its way, or the answer.
    pub asked: bool,
    /// The answer that is on its way.
    pub coming: Option<Coming>,
    /// A round is running, and something of it was sent.
    pub in_round: bool,
    /// Whether its system says that there is a network, if it says anything.
    pub told: Option<bool>,
}

impl Phone {
    /// A phone whose app does not run yet.
    #[must_use]
    pub fn new(wire: Wire) -> Self {
        Self { app: None, wire, life: 0, asked: false, coming: None, in_round: false, told: None }
    }

    /// The app starts: its sync loop runs from now on.
    ///
    /// # Errors
    /// When nobody is signed in.
    pub fn start(&mut self, device: &Device) -> Result<(), mobile_core::CoreError> {
        let engine = device.core().engine()?;
        engine.set_network(self.told);
        let running = engine.clone();
        // Without a budget: the runtime must not put off a poll that the bar takes for a pause.
        let rounds = async move { running.run(&CancellationToken::new()).await };
        let rounds = Box::pin(tokio::task::unconstrained(rounds));
        self.app = Some(App { engine, rounds });
        Ok(())
    }

    /// The system says whether there is a network.
    pub fn tell(&mut self, network: bool) {
        self.told = Some(network);
        if let Some(app) = &self.app {
            app.engine.set_network(self.told);
        }
    }

    /// The app comes to the foreground again.
    pub fn open(&self) {
        if let Some(app) = &self.app {
            app.engine.set_foreground(false);
            app.engine.set_foreground(true);
        }
    }

    /// Lets the loop go on until it waits for the network or pauses.
    pub async fn go_on(&mut self, device: &Device) {
        let Some(app) = &mut self.app else { return };
        device.clock.clear_alarm();
        let settled = std::future::poll_fn(|cx| {
            let ended = app.rounds.as_mut().poll(cx).is_ready();
            // Otherwise a page is being applied, and its thread wakes the loop.
            let settled = device.line.waits() || !app.engine.is_running();
            if ended || settled { Poll::Ready(()) } else { Poll::Pending }
        });
        if tokio::time::timeout(STUCK_AFTER, settled).await.is_err() {
            let progress = *app.engine.progress().borrow();
            panic!("phone {} is stuck: {progress:?}, {:?}", device.number, device.line);
        }
        if !app.engine.is_running() {
            self.in_round = false;
        }
    }
}
