//! `pending`: shows edits whose outcome is not in the tables yet, and why they wait.

use mobile_core::Core;
use sync_protocol::problem::Problem;

use super::{problem, receipts};
use crate::output::Output;

pub fn run(core: &Core, output: Output) -> Result<(), Problem> {
    receipts::show(&core.pending().map_err(problem)?, "Nothing waits.", output)
}
