//! What the phone's and the server's systems do beneath HTTP: resolve a name, connect, send again, probe a
//! silent connection, give up. The times at which the phone's does so are those that the real transport
//! sets; those at which packets are sent again are Linux's.
//!
//! All of it is computed from when it begins, because cuts are known beforehand ([`Link`]), and each
//! attempt is charged to the phone's [`Meter`].

use mobile_core::transport::reqwest::{
    CONNECT_TIMEOUT, PROBE_AFTER, PROBE_EVERY, PROBES_MAX, READ_TIMEOUT, UNACKNOWLEDGED_MAX,
};
use mobile_core::transport::{OfflineReason, TransportError};

use super::link::{Break, Link};
use crate::time::SECOND_US;

/// When an unanswered packet is sent again, after it was first sent.
const AGAIN_US: [i64; 10] = {
    let ms = [0, 200, 600, 1_400, 3_000, 6_200, 12_600, 25_400, 51_000, 102_200];
    let (mut all, mut index) = ([0; 10], 0);
    while index < all.len() {
        all[index] = ms[index] * 1_000;
        index += 1;
    }
    all
};
/// When a request for a connection is sent again.
const CONNECT_AGAIN_US: [i64; 4] = [0, SECOND_US, 3 * SECOND_US, 7 * SECOND_US];
/// When a name is asked for again.
const RESOLVE_AGAIN_US: [i64; 2] = [0, 5 * SECOND_US];
/// How long the client keeps a connection without work.
const IDLE_MAX_US: i64 = 90 * SECOND_US;

/// Bytes of a packet besides its load: IPv6 and TCP headers with timestamps.
const PACKET_HEAD_BYTES: u64 = 72;
/// Load of a full packet.
const PACKET_BYTES: u64 = 1_428;
/// A question for a name's addresses of both kinds, and the answers to it.
const NAME_BYTES: (u64, u64) = (2 * 95, 2 * 150);
/// A handshake of TLS: what the phone sends, and the server with its certificates.
const TLS_BYTES: (u64, u64) = (700, 4_000);
/// Method, path, host and the like of a request, or status and the like of an answer.
const HTTP_HEAD_BYTES: u64 = 150;

fn micros(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Bytes that went over a phone's line, in both directions, with the headers of the packets.
#[derive(Debug, Clone, Copy, Default)]
pub struct Meter {
    /// All of them.
    pub bytes: u64,
    /// Connections that were tried.
    pub attempts: u64,
}

impl Meter {
    fn load(&mut self, bytes: u64) {
        // Every other packet is acknowledged.
        let packets = bytes.div_ceil(PACKET_BYTES).max(1);
        self.bytes += bytes + packets * PACKET_HEAD_BYTES + packets.div_ceil(2) * PACKET_HEAD_BYTES;
    }

    fn packets(&mut self, packets: u64) {
        self.bytes += packets * PACKET_HEAD_BYTES;
    }
}

/// An attempt that failed: when the phone knows, and why.
#[derive(Debug, Clone)]
pub struct Failed {
    /// When.
    pub at_us: i64,
    /// What the transport says.
    pub error: TransportError,
}

fn failed<T>(at_us: i64, reason: OfflineReason, maybe_sent: bool) -> Result<T, Failed> {
    Err(Failed { at_us, error: TransportError::Offline { reason, maybe_sent } })
}

/// A request that arrives.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    /// When its first byte left, over a connection that was there.
    pub begun_us: i64,
    /// When it is at the server.
    pub there_us: i64,
}

/// A phone's connection and its way.
#[derive(Debug, Clone, Default)]
pub struct Wire {
    /// Its cuts.
    pub link: Link,
    /// A packet there and its answer back.
    pub round_trip_us: i64,
    /// What an answer's body takes.
    pub bytes_per_s: i64,
    /// When the connection that is kept was used last.
    kept: Option<i64>,
    /// What it cost.
    pub meter: Meter,
}

impl Wire {
    /// A way without a connection yet.
    #[must_use]
    pub fn new(link: Link, round_trip_us: i64, bytes_per_s: i64) -> Self {
        Self { link, round_trip_us, bytes_per_s, kept: None, meter: Meter::default() }
    }

    /// The app ended, and its connections with it.
    pub fn hang_up(&mut self) {
        self.kept = None;
    }

    /// A request is sent.
    ///
    /// # Errors
    /// When it does not arrive.
    pub fn send(&mut self, at_us: i64, bytes: usize) -> Result<Sent, Failed> {
        let bytes = HTTP_HEAD_BYTES + bytes as u64;
        let begin_us = match self.connection(at_us) {
            true => at_us,
            false => self.connect(at_us)?,
        };
        self.kept = None;
        let give_up_us = begin_us + micros(UNACKNOWLEDGED_MAX);
        for again_us in AGAIN_US.map(|us| begin_us + us).into_iter().filter(|us| *us < give_up_us) {
            if again_us == begin_us {
                self.meter.load(bytes);
            } else {
                self.meter.load(bytes.min(PACKET_BYTES));
            }
            if self.link.passes_out(again_us) {
                return Ok(Sent {
                    begun_us: begin_us,
                    there_us: again_us + self.round_trip_us / 2,
                });
            }
        }
        failed(give_up_us, OfflineReason::Interrupted, true)
    }

    /// Whether the connection that is kept is there and still good, as far as the phone's system knows.
    fn connection(&self, at_us: i64) -> bool {
        let Some(used_us) = self.kept else { return false };
        let routed = self.link.cut_at(at_us) != Some(Break::NoRoute);
        routed && at_us - used_us < IDLE_MAX_US && self.silent_until(used_us, at_us) >= at_us
    }

    /// A connection is silent from `since_us` on. Answers when the phone's system gives it up, or
    /// `until_us` if it does not before that.
    fn silent_until(&self, since_us: i64, until_us: i64) -> i64 {
        let mut heard_us = since_us;
        'heard: loop {
            let mut probe_us = heard_us + micros(PROBE_AFTER);
            for _ in 0..PROBES_MAX {
                if probe_us >= until_us {
                    return until_us;
                }
                if self.link.passes(probe_us) {
                    heard_us = probe_us;
                    continue 'heard;
                }
                probe_us += micros(PROBE_EVERY);
            }
            return probe_us.min(until_us);
        }
    }

    /// A new connection. Answers when it is there.
    fn connect(&mut self, at_us: i64) -> Result<i64, Failed> {
        self.meter.attempts += 1;
        let give_up_us = at_us + micros(CONNECT_TIMEOUT);
        match self.link.cut_at(at_us) {
            Some(Break::NoRoute) => return failed(at_us, OfflineReason::CannotConnect, false),
            Some(Break::NoDns) => return failed(at_us, OfflineReason::NoDns, false),
            _ => {}
        }
        let mut resolved = None;
        for again_us in RESOLVE_AGAIN_US.map(|us| at_us + us) {
            if matches!(self.link.cut_at(again_us), Some(Break::NoRoute | Break::NoDns)) {
                return failed(again_us, OfflineReason::NoDns, false);
            }
            self.meter.bytes += NAME_BYTES.0;
            let silent = self.link.cut_at(again_us) == Some(Break::SilentDns);
            if self.link.passes(again_us) && !silent {
                self.meter.bytes += NAME_BYTES.1;
                resolved = Some(again_us + self.round_trip_us);
                break;
            }
        }
        let Some(resolved_us) = resolved else {
            return failed(give_up_us, OfflineReason::CannotConnect, false);
        };
        let tries = CONNECT_AGAIN_US.map(|us| resolved_us + us);
        for again_us in tries.into_iter().filter(|us| *us < give_up_us) {
            self.meter.packets(1);
            if !self.link.passes(again_us) {
                continue;
            }
            self.meter.packets(2);
            self.meter.load(TLS_BYTES.0);
            self.meter.load(TLS_BYTES.1);
            let there_us = again_us + 2 * self.round_trip_us;
            if self.link.cut_at(again_us) == Some(Break::Hotel) {
                return failed(there_us, OfflineReason::Intercepted, false);
            }
            return Ok(there_us);
        }
        failed(give_up_us, OfflineReason::CannotConnect, false)
    }

    /// The server answers a request. Answers when the phone has all of it; if the connection ends before,
    /// how much of the body it has by then.
    ///
    /// # Errors
    /// When the answer does not come, or is cut.
    pub fn answer(
        &mut self,
        sent: Sent,
        answered_us: i64,
        bytes: usize,
    ) -> Result<i64, (Failed, usize)> {
        // Until something comes back, what was sent is not acknowledged.
        let half_us = self.round_trip_us / 2;
        let acknowledged = AGAIN_US.map(|us| sent.begun_us + us);
        let acknowledged = acknowledged.into_iter().find(|us| self.link.passes(*us));
        let mut give_up_us = sent.begun_us + micros(UNACKNOWLEDGED_MAX);
        let mut read_us = sent.begun_us + micros(READ_TIMEOUT);
        let mut at_us = answered_us;
        let mut left = bytes as u64 + HTTP_HEAD_BYTES;
        let mut heard_us = acknowledged.unwrap_or(i64::MAX).saturating_add(self.round_trip_us);
        loop {
            let next =
                AGAIN_US.map(|us| at_us + us).into_iter().find(|us| self.link.passes_in(*us));
            let next_us = next.map_or(i64::MAX, |next| next + half_us);
            let dead_us = match heard_us.min(next_us) > give_up_us {
                true => give_up_us,
                false => self.silent_until(heard_us.min(next_us), next_us.min(read_us)),
            };
            if dead_us < next_us {
                self.meter.packets(2 * u64::from(PROBES_MAX));
                let got = usize::try_from((bytes as u64).saturating_sub(left)).unwrap_or(0);
                let error = TransportError::Offline {
                    reason: OfflineReason::Interrupted,
                    maybe_sent: true,
                };
                return Err((Failed { at_us: dead_us, error }, got));
            }
            let takes_us = i64::try_from(left).unwrap_or(0) * SECOND_US / self.bytes_per_s.max(1);
            match self.link.next_inbound_cut(next_us).filter(|cut| *cut < next_us + takes_us) {
                None => {
                    self.meter.load(left);
                    self.kept = Some(next_us + takes_us);
                    return Ok(next_us + takes_us);
                }
                Some(cut_us) => {
                    let came = (cut_us - next_us) * self.bytes_per_s / SECOND_US;
                    let came = u64::try_from(came).unwrap_or(0).min(left);
                    self.meter.load(came);
                    left -= came;
                    (heard_us, at_us) = (cut_us, cut_us);
                    read_us = cut_us + micros(READ_TIMEOUT);
                    give_up_us = i64::MAX;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::link::Cut;
    use super::*;

    const S: i64 = SECOND_US;

    fn wire(cuts: &[(i64, i64, Break)]) -> Wire {
        let cut = |&(from, until, what): &(i64, i64, Break)| Cut {
            from_us: from * S,
            until_us: until * S,
            what,
        };
        Wire::new(Link { cuts: cuts.iter().map(cut).collect() }, 100_000, 100_000)
    }

    #[test]
    fn an_exchange_over_a_good_line_takes_some_round_trips() {
        let mut wire = wire(&[]);
        let sent = wire.send(0, 500).expect("it arrives");
        let back = wire.answer(sent, sent.there_us, 1_000).expect("it comes back");
        assert!(back < S, "{back}");
        assert_eq!(wire.meter.attempts, 1);
        // The connection is kept.
        wire.send(back + S, 500).expect("it arrives");
        assert_eq!(wire.meter.attempts, 1);
    }

    #[test]
    fn a_silent_cut_is_noticed_and_one_without_a_route_at_once() {
        let mut silent = wire(&[(0, 60, Break::All)]);
        assert_eq!(silent.send(0, 500).expect_err("it is cut").at_us, 10 * S);
        let mut none = wire(&[(0, 60, Break::NoRoute)]);
        assert_eq!(none.send(0, 500).expect_err("it is cut").at_us, 0);
        assert_eq!(none.meter.bytes, 0);
    }

    /// A wire whose connection is there.
    fn connected(cuts: &[(i64, i64, Break)]) -> Wire {
        let mut wire = wire(cuts);
        let sent = wire.send(0, 500).expect("it arrives");
        wire.answer(sent, sent.there_us, 100).expect("it comes");
        wire
    }

    #[test]
    fn an_answer_that_is_lost_comes_again_or_the_phone_gives_up() {
        let mut short = connected(&[(2, 5, Break::Inbound)]);
        let sent = short.send(2 * S, 500).expect("over the connection that is kept");
        let again = short.answer(sent, sent.there_us, 100).expect("it is sent again");
        assert!((5 * S..6 * S).contains(&again), "{again}");
        let mut long = connected(&[(2, 90, Break::Inbound)]);
        let sent = long.send(2 * S, 500).expect("over the connection that is kept");
        let (failed, _) = long.answer(sent, sent.there_us, 100).expect_err("it does not come");
        assert_eq!(failed.at_us, 12 * S);
    }

    #[test]
    fn an_answer_is_cut_where_the_line_is() {
        let mut wire = connected(&[(2, 90, Break::All)]);
        let sent = wire.send(S, 500).expect("it arrives");
        let (failed, got) = wire.answer(sent, sent.there_us, 1_000_000).expect_err("it is cut");
        assert!((10_000..100_000).contains(&got), "{got}");
        assert!((11 * S..=12 * S).contains(&failed.at_us), "{}", failed.at_us);
    }

    #[test]
    fn a_kept_connection_that_died_meanwhile_is_not_used() {
        let mut wire = connected(&[(2, 30, Break::All)]);
        wire.send(31 * S, 500).expect("over a new connection");
        assert_eq!(wire.meter.attempts, 2);
    }
}
