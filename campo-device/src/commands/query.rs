//! `query`: runs a SELECT on this phone's tables.

use mobile_core::Core;
use mobile_core::query::{QUERY_ROWS_MAX, QueryResult};
use serde_json::Value as Json;
use sync_protocol::problem::Problem;

use super::problem;
use crate::output::{Output, Table, plain};

pub fn run(core: &Core, sql: &str, parameters: &[Json], output: Output) -> Result<(), Problem> {
    let result = core.query(sql, parameters).map_err(problem)?;
    output.result(&result, |result| {
        let mut text = table(result).show("No rows.");
        if result.truncated {
            text.push_str(&format!("… and more: a query returns at most {QUERY_ROWS_MAX} rows.\n"));
        }
        text
    })
}

/// Rows under the names of their columns.
pub fn table(result: &QueryResult) -> Table {
    let mut table = Table::new(result.columns.iter().cloned());
    for row in &result.rows {
        table.row(row.iter().map(plain));
    }
    table
}
