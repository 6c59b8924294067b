//! Answers as JSON, as a phone reads them from a server or whoever stands between.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sync_protocol::problem::Problem;
use sync_protocol::schema::Schema;
use sync_protocol::wire::auth::Session;
use sync_protocol::wire::push::PushAnswer;
use sync_protocol::wire::review::{Conflict, ConflictList, ResolveManyAnswer};

use crate::{Target, memory};

/// The target.
pub(super) const TARGET: Target = Target { name: "answers", input_bytes_max: 8192, run };

fn run(input: &[u8]) {
    is_read_as::<PushAnswer>(input);
    is_read_as::<Session>(input);
    is_read_as::<Conflict>(input);
    is_read_as::<ConflictList>(input);
    is_read_as::<ResolveManyAnswer>(input);
    is_read_as::<Problem>(input);
    is_read_as::<Schema>(input);
}

fn is_read_as<T: DeserializeOwned + Serialize + Debug>(input: &[u8]) {
    let read = memory::at_most(memory::FREE_BYTES + 400 * input.len(), || {
        serde_json::from_slice::<T>(input)
    });
    let Ok(answer) = read else { return };
    let written = match serde_json::to_string(&answer) {
        Ok(written) => written,
        Err(error) => panic!("what was read cannot be written: {error}\n{answer:?}"),
    };
    match serde_json::from_str::<T>(&written) {
        Ok(again) => assert_eq!(format!("{again:?}"), format!("{answer:?}"), "it changes"),
        Err(error) => panic!("what was written is not read: {error}\n{written}"),
    }
}
