//! `wipe`: wipes everybody's data, once nothing is here that exists nowhere else.

use mobile_core::Core;
use sync_protocol::problem::Problem;

use super::problem;
use crate::output::Output;

pub async fn run(core: &Core, output: Output) -> Result<(), Problem> {
    output.result(&core.wipe().await.map_err(problem)?, |people| match people.len() {
        0 => "Nobody's data is on this phone.".to_owned(),
        n => format!("The data of {n} people was wiped from this phone."),
    })
}
