//! `logout`: ends the session and wipes the person's data, once nothing is here that exists nowhere else.

use mobile_core::Core;
use serde_json::json;
use sync_protocol::problem::Problem;

use super::problem;
use crate::output::Output;

/// What becomes of the data.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Keep the data and unsent edits for the person's next login.
    #[arg(long)]
    keep: bool,
}

pub async fn run(core: &Core, args: &Args, output: Output) -> Result<(), Problem> {
    if !args.keep {
        core.logout().await.map_err(problem)?;
        return output.result(&json!({ "signed_in": false, "kept": false }), |_| {
            "Signed out; the data was wiped from this phone.".to_owned()
        });
    }
    let pending = core.pending().map_err(problem)?.len();
    core.logout_keeping_data().await.map_err(problem)?;
    let told = json!({ "signed_in": false, "kept": true, "pending": pending });
    output.result(&told, |_| match pending {
        0 => "Signed out; the data is kept.".to_owned(),
        n => format!("Signed out. {n} edits are kept here and are sent after the next login."),
    })
}
