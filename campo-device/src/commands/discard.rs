//! `discard`: takes back an edit: at once, or with the next sync if it may have been sent.

use mobile_core::Core;
use sync_protocol::ReceiptId;
use sync_protocol::problem::Problem;

use super::problem;
use crate::output::Output;

pub fn run(core: &Core, id: ReceiptId, output: Output) -> Result<(), Problem> {
    core.discard(id).map_err(problem)?;
    let view = core.receipt(id).map_err(problem)?;
    output.result(&view, |view| match &view.waiting_for {
        None => format!("{} was taken back.", view.id),
        Some(why) => format!("{} {}.", view.id, why.text),
    })
}
