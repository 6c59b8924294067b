//! Every transaction of edits and its receipt, from the moment it is made for the life of the
//! database.
//!
//! # States
//! ```text
//!             ┌──────── provably not sent ────────┐
//!             ▼                                   │
//! made ──► waiting ──► sending ──answer or pull──►│ applied · superseded · in_review   (take effect)
//!             ▲           │  ▲                     refused                            (a problem)
//!             │           └──┘ answer lost:        handed_over · discarded
//!             │                sent again by the same id
//!          parked ◄── builds on a refused one; waits until that is corrected or discarded
//! ```
//! A transaction is in exactly one state ([`entry::State`]). "Decided" (the push's answer) and
//! "settled" are different moments: an edit that took effect stays in the view until a checkpoint
//! brings the server's rows that include it ([`settle`]). A *refused* one had no effect on the
//! server, so it leaves the view with the answer, and stays under problems with its content until it
//! is corrected ([`correct::retry`]) or discarded. Fields *in review* stay in their author's view
//! until a person has decided.
//!
//! Ids and states are kept for the life of the database, contents for 7 days after they are settled: after
//! a restoration of the server (its history has ended), what it may have lost goes again under the same
//! ids, that is what is not settled and what was settled within that time ([`push::send_again`],
//! [`push::forget_content`]). What a person decided on keeps its content (a decision can be
//! taken back), and so does an insertion that became another record.
//!
//! Most of the outbox is settled, so nothing that runs often looks through all of it: what waits is in the
//! index of open entries, what somebody has to look at in that of problems. SQLite uses the latter only
//! where a query has its very condition (`is_problem`).
//!
//! [`correct::discard`] takes an edit back: at once if the server cannot have it, otherwise it is withdrawn
//! with the next push, which tells whether in time.
//!
//! A transaction never changes once it is made: what is shown as sent is what was sent. A correction
//! is a new transaction that takes the place of the old one in the order.
//!
//! [`push`] chooses what is sent and takes in answers, [`stream`] notices that this database is a copy,
//! [`parking`] finds what waits for whom, [`list`] shows receipts, [`unsent`] knows what exists nowhere else.

/// The condition of the index of problems, word for word.
macro_rules! is_problem {
    () => {
        "state IN ('refused', 'parked', 'in_review')"
    };
}

pub mod alias;
pub mod copy;
pub mod correct;
pub mod entry;
pub mod list;
pub mod parking;
pub mod push;
pub mod settle;
pub mod stream;
pub mod unsent;
