//! `put`: inserts a record, or updates the one that the JSON names.

use mobile_core::Core;
use serde_json::{Map, Value as Json, json};
use sync_protocol::problem::Problem;

use super::problem;
use crate::output::Output;

pub fn run(
    core: &Core,
    collection: &str,
    fields: &Map<String, Json>,
    output: Output,
) -> Result<(), Problem> {
    let id = core.put(collection, fields).map_err(problem)?;
    output.result(&json!({ "id": id }), |_| id.to_string())
}
