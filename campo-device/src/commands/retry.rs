//! `retry`: sends a refused edit again, corrected.

use mobile_core::Core;
use serde_json::{Map, Value as Json, json};
use sync_protocol::ReceiptId;
use sync_protocol::problem::Problem;

use super::problem;
use crate::output::Output;

pub fn run(
    core: &Core,
    id: ReceiptId,
    correction: Option<&Map<String, Json>>,
    output: Output,
) -> Result<(), Problem> {
    let new = core.retry(id, correction).map_err(problem)?;
    output.result(&json!({ "receipt": new, "replaces": id }), |_| {
        format!("Waits for the next sync as {new}.")
    })
}
