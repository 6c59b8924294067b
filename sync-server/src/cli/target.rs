//! Which database a command works on.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::Failure;
use crate::config::Database;
use crate::database::OpenStore;
use crate::schema_files;

/// Where the data is, and what it looks like.
#[derive(Args, Clone)]
pub(super) struct Target {
    /// PostgreSQL, as the server's role.
    #[arg(long, env = "CAMPO_DATABASE", hide_env_values = true, value_name = "URL")]
    database: Option<String>,
    /// Directory of SQLite files, where there is no --database.
    #[arg(long, env = "CAMPO_DATA", value_name = "DIR", default_value = "campo-data")]
    data: PathBuf,
    /// Directory of schema files instead of those built in.
    #[arg(long, env = "CAMPO_SCHEMAS", value_name = "DIR")]
    pub(super) schemas: Option<PathBuf>,
}

/// Never the URL: it holds a password.
impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Target({:?})", self.database())
    }
}

impl Target {
    /// Which database.
    pub(super) fn database(&self) -> Database {
        match &self.database {
            Some(url) => Database::Postgres(url.clone()),
            None => Database::Sqlite(self.data.clone()),
        }
    }

    /// Opens it.
    pub(super) async fn open(&self) -> Result<OpenStore, Failure> {
        let schema = Arc::new(schema_files::load(self.schemas.as_deref())?);
        Ok(OpenStore::open(&self.database(), schema).await?)
    }
}
