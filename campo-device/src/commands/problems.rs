//! `problems`: shows edits that somebody has to look at.

use mobile_core::Core;
use sync_protocol::problem::Problem;

use super::{problem, receipts};
use crate::output::Output;

pub fn run(core: &Core, output: Output) -> Result<(), Problem> {
    receipts::show(&core.problems().map_err(problem)?, "No problems.", output)
}
