//! `set-aside`: renames a damaged database, so that its person can begin anew. Nothing is deleted: support
//! may still find unsent edits in the file. One that cannot be opened for another reason (somebody holds
//! it, the disk is full) is whole, and stays where it is.

use mobile_core::Config;
use mobile_core::store::aside;
use mobile_core::store::registry::Registry;
use serde_json::json;
use sync_protocol::problem::Problem;

use super::problem;
use crate::output::Output;

pub fn run(config: &Config, output: Output) -> Result<(), Problem> {
    let registry = Registry::load(&config.dir, config.random.as_ref()).map_err(problem)?;
    let nobody = || Problem::new(401, "signed_out", "nobody is signed in: there is no database");
    let person = registry.active.as_ref().ok_or_else(nobody)?;
    let Some(path) = aside::set_aside(&registry, &config.dir, person).map_err(problem)? else {
        let detail = "only a damaged one is set aside; `logout` or `wipe` leave in order";
        return Err(Problem::new(409, "wrong_state", "The database can be opened").detail(detail));
    };
    output.result(&json!({ "set_aside": path }), |_| {
        format!(
            "Renamed to {}. `export` copies it for support; log in to begin anew.",
            path.display()
        )
    })
}
