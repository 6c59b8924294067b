//! Fair limits: what one party may have of the server at once, so that nobody's flood is another's drought.
//!
//! ```text
//!  connection ─► headers ─► whose? ─► body, in time, within a budget ─► turn ─► work ─► answer, within a budget
//!  connections/             route.rs  body.rs, budget.rs                turns.rs        budget.rs
//! ```
//!
//! A *party* is who asks: a user of a tenant, or an address where nobody has said who they are. Whoever
//! has its share waits in line behind its own requests only ([`shares`]), for some seconds, and is then
//! told to come back. What is not the server's own work (a body that comes slowly, an answer that nobody
//! reads) is no turn, and costs bytes of a budget instead.

pub mod budget;
pub mod shares;
pub mod ticket;
pub mod turns;

pub use ticket::{Party, Ticket};
pub use turns::Turns;
