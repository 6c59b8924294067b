//! `answer`: answers a question about a conflict, as the author of one of its edits.

use mobile_core::Core;
use sync_protocol::ConflictId;
use sync_protocol::problem::Problem;

use super::{conflicts, problem};
use crate::output::Output;

pub async fn run(core: &Core, id: ConflictId, text: &str, output: Output) -> Result<(), Problem> {
    output.result(&core.answer(id, text).await.map_err(problem)?, conflicts::describe)
}
