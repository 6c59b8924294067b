//! What Campo's server and its devices share: identifiers, collection schemas, values in canonical
//! form, the wire types of the protocol, and the merge rules.
//!
//! Nothing here does I/O, reads a clock or draws a random number. Both ends depend on this crate
//! and never on each other. `docs/protocol.md` is the same content in words.

pub mod columnar;
pub mod digest;
pub mod edit_time;
pub mod fault;
pub mod ids;
pub mod limits;
pub mod merge;
pub mod planted;
pub mod problem;
pub mod schema;
pub mod scope;
pub mod value;
pub mod wire;

pub use edit_time::EditTime;
pub use ids::{
    ConflictId, DeviceId, PushId, ReceiptId, RecordId, RowVersion, StreamId, TenantId, UserId,
};
pub use scope::Scope;
pub use value::{Fields, Value};
