//! `delete`: deletes a record.

use mobile_core::Core;
use serde_json::json;
use sync_protocol::RecordId;
use sync_protocol::problem::Problem;

use super::problem;
use crate::output::Output;

pub fn run(core: &Core, collection: &str, id: RecordId, output: Output) -> Result<(), Problem> {
    let receipt = core.delete(collection, id).map_err(problem)?;
    output.result(&json!({ "id": id, "receipt": receipt }), |_| {
        format!("Deleted here; the server hears of it at the next sync (receipt {receipt}).")
    })
}
