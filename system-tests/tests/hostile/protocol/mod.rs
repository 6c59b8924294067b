//! The rules of the protocol, broken by somebody who has an account.

mod bases;
mod builds_on;
mod cursors;
mod extremes;
mod logins;
mod natural_keys;
mod pulls;
mod receipts;
mod refreshes;
mod repeats;
mod reviews;
mod sizes;
mod times;
mod tokens;
mod withdraws;

use crate::stage::Attack;

/// All of them.
pub const ATTACKS: [Attack; 15] = [
    tokens::ATTACK,
    cursors::ATTACK,
    receipts::ATTACK,
    builds_on::ATTACK,
    withdraws::ATTACK,
    bases::ATTACK,
    times::ATTACK,
    extremes::ATTACK,
    sizes::ATTACK,
    natural_keys::ATTACK,
    repeats::ATTACK,
    pulls::ATTACK,
    reviews::ATTACK,
    refreshes::ATTACK,
    logins::ATTACK,
];
