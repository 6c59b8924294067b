//! `logout`: ends the session; data and unsent edits stay for the next login.

use mobile_core::Core;
use serde_json::json;
use sync_protocol::problem::Problem;

use super::problem;
use crate::output::Output;

pub async fn run(core: &Core, output: Output) -> Result<(), Problem> {
    let unsent = core.pending().map_err(problem)?.len();
    core.logout().await.map_err(problem)?;
    output.result(&json!({ "signed_in": false, "pending": unsent }), |_| match unsent {
        0 => "Signed out.".to_owned(),
        n => format!("Signed out. {n} edits are kept here and are sent after the next login."),
    })
}
