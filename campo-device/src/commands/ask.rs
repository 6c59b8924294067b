//! `ask`: asks the authors of a conflict's edits something.

use mobile_core::Core;
use sync_protocol::ConflictId;
use sync_protocol::problem::Problem;

use super::{conflicts, problem};
use crate::output::Output;

pub async fn run(core: &Core, id: ConflictId, text: &str, output: Output) -> Result<(), Problem> {
    output.result(&core.ask(id, text).await.map_err(problem)?, conflicts::describe)
}
