//! `get`: shows one record, all of it.

use mobile_core::Core;
use sync_protocol::RecordId;
use sync_protocol::problem::Problem;

use super::problem;
use crate::output::{Output, plain};

pub fn run(core: &Core, collection: &str, id: RecordId, output: Output) -> Result<(), Problem> {
    let record = core.get(collection, id).map_err(problem)?;
    output.result(&record, |record| {
        let width = record.keys().map(|name| name.chars().count()).max().unwrap_or(0);
        let line = |(name, value)| format!("{name:<width$}  {}\n", plain(value));
        record.iter().map(line).collect()
    })
}
