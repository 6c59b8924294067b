//! `set-aside`: renames a database that cannot be opened, so that its person can begin anew. Nothing is
//! deleted: support may still find unsent edits in the file.

use mobile_core::Config;
use mobile_core::store::registry::{self, Registry};
use serde_json::json;
use sync_protocol::problem::Problem;

use super::problem;
use crate::output::Output;

pub fn run(config: &Config, output: Output) -> Result<(), Problem> {
    let registry = Registry::load(&config.dir, config.random.as_ref()).map_err(problem)?;
    let nobody = || Problem::new(401, "signed_out", "nobody is signed in: there is no database");
    let person = registry.active.as_ref().ok_or_else(nobody)?;
    if registry.open(&config.dir, person).is_ok() {
        let detail =
            "only one that cannot be opened is set aside; `logout` or `wipe` leave in order";
        return Err(Problem::new(409, "wrong_state", "The database can be opened").detail(detail));
    }
    let path = registry::database(&config.dir, person.tenant, person.user);
    let aside = registry::set_aside(&path).map_err(problem)?;
    output.result(&json!({ "set_aside": aside }), |_| {
        format!("Renamed to {}. Keep it for support, and log in to begin anew.", aside.display())
    })
}
