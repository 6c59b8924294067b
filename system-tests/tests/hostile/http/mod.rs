//! The rules of HTTP, and of good manners on a socket.

mod bombs;
mod crowds;
mod endless_bodies;
mod garbage;
mod half_closed;
mod lying_lengths;
mod slow_bodies;
mod slow_headers;
mod wrong_forms;

use crate::stage::Attack;

/// All of them.
pub const ATTACKS: [Attack; 9] = [
    slow_headers::ATTACK,
    slow_bodies::ATTACK,
    endless_bodies::ATTACK,
    lying_lengths::ATTACK,
    bombs::ATTACK,
    wrong_forms::ATTACK,
    crowds::ATTACK,
    garbage::ATTACK,
    half_closed::ATTACK,
];
