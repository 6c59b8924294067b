//! `backup`: a copy of all data, made while the server works.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use sync_protocol::problem::Problem;
use time::OffsetDateTime;
use time::macros::format_description;

use super::Failure;
use super::output::Output;
use super::target::Target;
use crate::config::Database;
use crate::store::sqlite;

/// Copy all data to a directory, while the server works (SQLite; PostgreSQL has tools of its own).
#[derive(Debug, Args)]
pub(super) struct Backup {
    /// Where to: a directory of its own, named by the time, is made in it.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    #[command(flatten)]
    target: Target,
}

impl Backup {
    pub(super) async fn run(self, output: Output) -> Result<(), Failure> {
        let Database::Sqlite(data) = self.target.database() else {
            return Err(elsewhere().into());
        };
        let form = format_description!("campo-[year][month][day]T[hour][minute][second]Z");
        let name = OffsetDateTime::now_utc().format(form).map_err(|error| {
            Failure::Arguments(format!("the machine's clock is wrong: {error}"))
        })?;
        let made = sqlite::backup(&data, &self.to, &name).await?;
        let directory = made.directory.display().to_string();
        output.print(
            &format!(
                "{directory}: {} companies, {} bytes, checked. To restore, stop the server and put \
                 its content in the place of the data directory's.",
                made.tenants, made.bytes
            ),
            &json!({ "directory": directory, "tenants": made.tenants, "bytes": made.bytes }),
        )?;
        Ok(())
    }
}

fn elsewhere() -> Problem {
    Problem::new(422, "backup_elsewhere", "PostgreSQL is backed up by its own tools").detail(
        "take physical backups (pg_basebackup with WAL archiving, or your provider's snapshots): \
         they keep everything as it is, and after a restoration devices notice and send again what \
         is missing. A dump (pg_dump as a superuser: row level security hides rows from every other \
         role) is good for reading elsewhere; restored into another cluster its stamps would not \
         fit that cluster's transaction ids",
    )
}
