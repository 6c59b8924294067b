//! `export`: writes what only this phone has into a file that support can read.
//!
//! It needs no database that can be opened: one that cannot is named in the file.

use std::path::Path;

use mobile_core::Config;
use mobile_core::export;
use mobile_core::store::registry::Registry;
use sync_protocol::problem::Problem;

use super::problem;
use crate::output::Output;

pub fn run(config: &Config, to: &Path, output: Output) -> Result<(), Problem> {
    let registry = Registry::load(&config.dir, config.random.as_ref()).map_err(problem)?;
    let done = export::unsent(&config.dir, &registry, config.clock.as_ref(), to);
    output.result(&done.map_err(problem)?, |done| {
        let mut text =
            format!("{} edits of {} people are in the file.\n", done.transactions, done.people);
        if done.photos > 0 {
            text.push_str(&format!("{} pictures are in a folder beside it.\n", done.photos));
        }
        for database in &done.unreadable {
            let whose = database.person.as_ref().map_or("somebody", |p| p.display_name.as_str());
            let kept = match &database.copy {
                Some(copy) => format!("it was copied to {}", copy.display()),
                None => format!("keep the file {}", database.path.display()),
            };
            text.push_str(&format!(
                "The database of {whose} could not be read ({}): {kept}\n",
                database.cause
            ));
        }
        text
    })
}
