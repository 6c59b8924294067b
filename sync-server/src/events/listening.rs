//! One stream, from its listener's side.

use std::sync::Arc;

use sync_protocol::wire::events::Moved;
use tokio::time::Instant;

use super::Events;
use super::hub::{Next, Taken};

/// What a stream says.
#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// It has begun: from here on nothing is missed.
    Opened,
    /// A pull would bring something.
    Moved(Moved),
    /// Nothing moved for some time.
    Quiet,
    /// It ends, for this reason.
    Ended(&'static str),
}

/// A place in the hub; dropped, it is given back.
pub struct Listening {
    events: Arc<Events>,
    pub(super) place: Taken,
    /// When something was said last; nothing yet.
    said: Option<Instant>,
    /// The mark that was said last.
    mark: Option<Arc<str>>,
    ended: bool,
}

impl Listening {
    pub(super) fn new(events: Arc<Events>, place: Taken) -> Self {
        Self { events, place, said: None, mark: None, ended: false }
    }

    /// Waits for what is to be said next, and the mark that goes with it: who comes back with it is
    /// told everything later. None when the stream has ended.
    pub async fn next(&mut self) -> Option<(Signal, Option<Arc<str>>)> {
        while !self.ended {
            let now = Instant::now();
            let (next, mark) = self.events.hub().next(&self.place, self.said.is_some(), now);
            let due = match next {
                Next::End(why) => return self.end(why),
                Next::Tell(moved) => return self.say(Signal::Moved(moved), mark, now),
                Next::Wait(due) => due,
            };
            let Some(said) = self.said else { return self.say(Signal::Opened, mark, now) };
            let quiet = said + self.events.settings.heartbeat;
            if quiet <= now {
                return self.say(Signal::Quiet, mark, now);
            }
            let wake = due.map_or(quiet, |due| due.min(quiet));
            let changed = Arc::clone(&self.place.changed);
            let stopped = tokio::select! {
                () = changed.notified() => false,
                () = tokio::time::sleep_until(wake) => false,
                () = self.events.stopping.cancelled() => true,
            };
            if stopped {
                return self.end("server_stopping");
            }
        }
        None
    }

    fn say(
        &mut self,
        signal: Signal,
        mark: Option<Arc<str>>,
        now: Instant,
    ) -> Option<(Signal, Option<Arc<str>>)> {
        self.said = Some(now);
        let mark = mark.filter(|mark| self.mark.as_ref() != Some(mark));
        self.mark = mark.clone().or(self.mark.take());
        Some((signal, mark))
    }

    fn end(&mut self, why: &'static str) -> Option<(Signal, Option<Arc<str>>)> {
        self.ended = true;
        Some((Signal::Ended(why), None))
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.events.hub().gone(&self.place);
    }
}
