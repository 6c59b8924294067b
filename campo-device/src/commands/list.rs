//! `list`: shows all records of a collection, by id.
//!
//! The core returns at most so many rows at once; longer lists are read in pages, each after the last
//! id of the one before.

use mobile_core::Core;
use mobile_core::query::QueryResult;
use serde_json::{Map, Value as Json};
use sync_protocol::problem::Problem;

use super::problem;
use super::query::table;
use crate::output::Output;

pub fn run(core: &Core, collection: &str, output: Output) -> Result<(), Problem> {
    let mut all = core.list(collection).map_err(problem)?;
    let names: Vec<String> = all.columns.iter().map(|name| quoted(name)).collect();
    let sql = format!(
        "SELECT {} FROM {} WHERE id > ?1 ORDER BY id",
        names.join(", "),
        quoted(collection)
    );
    while all.truncated {
        let last = all.rows.last().and_then(|row| row.first()).cloned().unwrap_or(Json::Null);
        let page = core.query(&sql, &[last]).map_err(problem)?;
        all.truncated = page.truncated;
        all.rows.extend(page.rows);
    }
    if output.is_json() {
        return output.result(&records(all), |_| String::new());
    }
    output.result(&all, |all| table(all).show("No records."))
}

fn records(all: QueryResult) -> Vec<Map<String, Json>> {
    let columns = all.columns;
    all.rows.into_iter().map(|row| columns.iter().cloned().zip(row).collect()).collect()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
