//! Named fault points: between any two steps that must survive a crash stands one, at which the
//! simulator kills the process.
//!
//! The places call [`reached`]. Without the feature `fault-points` that does nothing. With it, one
//! point can be armed in the whole process: when it is reached for the nth time, the process "dies" by
//! a panic that the simulator catches, and everything on that side that reaches another point dies
//! as well, until the simulator has started it again from what is durable.

#[cfg(all(feature = "fault-points", not(debug_assertions)))]
compile_error!("fault points are for the simulator: build without the feature `fault-points`");

/// What dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The app on a phone.
    Device,
    /// The server.
    Server,
}

macro_rules! points {
    ($($side:ident { $($(#[doc = $what:literal])+ $name:ident,)+ })+) => {
        /// A place where a process can be killed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Point {
            $($($(#[doc = $what])+ $name,)+)+
        }

        impl Point {
            /// All of them.
            pub const ALL: &'static [Self] = &[$($(Self::$name,)+)+];

            /// Who dies there.
            #[must_use]
            pub const fn side(self) -> Side {
                match self {
                    $($(Self::$name => Side::$side,)+)+
                }
            }
        }
    };
}

points! {
    Device {
        /// A transaction of the phone's database is complete, but not committed.
        DeviceBeforeCommit,
        /// It is committed, and nobody was told.
        DeviceAfterCommit,
        /// Edits are marked as sent, and the request has not gone out.
        PushTaken,
        /// The answer of a push is here, and not stored.
        PushAnswered,
        /// A page is here, and not applied.
        PageArrived,
        /// The cursor is useless, and the tables are not marked.
        CursorUseless,
        /// A new token is here, and the old one is stored.
        TokenAnswered,
        /// Somebody signed in, the session is stored, and they are not the active person yet.
        SessionKept,
        /// The list of people is written beside the old one.
        RegistryWritten,
        /// The files of a photo are on the disk, and its record is not committed.
        PhotoWritten,
        /// An upload is noted as begun, and nothing of it has gone out.
        PhotoTaken,
        /// The server has said how much of a photo it has, and that is not noted.
        PhotoAnswered,
        /// What became of photos at a checkpoint is noted, and their files are still here.
        PhotosFollowed,
    }
    Server {
        /// A transaction of the store is complete, but not committed.
        ServerBeforeCommit,
        /// It is committed, and nobody was told.
        ServerAfterCommit,
        /// A chunk of a push is settled, and the next has not begun.
        ChunkSettled,
        /// All chunks are settled, and what the phone has seen is not noted.
        PushSettled,
        /// A refresh token was exchanged, and the next one has not gone out.
        TokenExchanged,
        /// A part of an upload is kept, and nobody was told.
        PhotoPartKept,
        /// A photo is whole and was found good, and is no object yet.
        PhotoChecked,
        /// It is an object, and its record says nothing of it.
        PhotoKept,
        /// Its record says that it is here, and the parts are still there.
        PhotoMarked,
    }
}

/// Why a simulated process died; the payload of the panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crash(pub Point);

#[cfg(feature = "fault-points")]
mod armed {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use super::{Crash, Point, Side};

    #[derive(Clone, Copy)]
    struct State {
        point: Option<Point>,
        /// How often the point may be reached before it kills.
        left: u32,
        /// How often it kills.
        times: u32,
        dead: Option<Point>,
        fired: u32,
    }

    static STATE: Mutex<State> =
        Mutex::new(State { point: None, left: 0, times: 0, dead: None, fired: 0 });

    fn state() -> MutexGuard<'static, State> {
        STATE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills who reaches the point for the `nth` time (from 1), and again the next time, so often.
    pub fn arm(point: Point, nth: u32, times: u32) {
        let left = nth.saturating_sub(1);
        *state() = State { point: Some(point), left, times, dead: None, fired: 0 };
    }

    /// Kills nobody any more.
    pub fn disarm() {
        *state() = State { point: None, left: 0, times: 0, dead: None, fired: 0 };
    }

    /// How often the armed point has killed.
    #[must_use]
    pub fn fired() -> u32 {
        state().fired
    }

    /// Where this side died, if it is dead.
    #[must_use]
    pub fn died(side: Side) -> Option<Point> {
        state().dead.filter(|point| point.side() == side)
    }

    /// Whoever is dead lives again.
    pub fn revive() {
        state().dead = None;
    }

    /// Dies here if the point is armed, or if this side is dead.
    pub fn reached(point: Point) {
        let dies = {
            let mut state = state();
            match state.dead {
                Some(dead) => (dead.side() == point.side()).then_some(dead),
                None if state.point == Some(point) && state.times > 0 => {
                    if state.left > 0 {
                        state.left -= 1;
                        None
                    } else {
                        state.times -= 1;
                        state.fired += 1;
                        state.dead = Some(point);
                        Some(point)
                    }
                }
                None => None,
            }
        };
        if let Some(point) = dies {
            std::panic::panic_any(Crash(point));
        }
    }
}
#[cfg(feature = "fault-points")]
pub use armed::{arm, died, disarm, fired, reached, revive};

/// Nothing.
#[cfg(not(feature = "fault-points"))]
#[inline(always)]
pub const fn reached(_: Point) {}
