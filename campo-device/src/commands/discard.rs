//! `discard`: takes back an edit that the server does not have.

use mobile_core::Core;
use sync_protocol::ReceiptId;
use sync_protocol::problem::Problem;

use super::problem;
use crate::output::Output;

pub fn run(core: &Core, id: ReceiptId, output: Output) -> Result<(), Problem> {
    core.discard(id).map_err(problem)?;
    let view = core.receipt(id).map_err(problem)?;
    output.result(&view, |view| format!("{} was taken back.", view.id))
}
