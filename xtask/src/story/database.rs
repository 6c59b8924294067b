//! The server's database: files, or a database made for the story in a PostgreSQL cluster.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Result, Stage, program, telling};

/// The role that the server works as, which `migrate` makes.
const SERVER_ROLE: &str = "campo_server";

/// Where the server keeps its data.
pub struct Database(Kind);

enum Kind {
    Sqlite { folder: PathBuf },
    Postgres { superuser_url: String, server_url: String },
}

impl Database {
    /// Files in a folder.
    pub fn sqlite(folder: PathBuf) -> Self {
        Self(Kind::Sqlite { folder })
    }

    /// A new database in the cluster whose superuser's URL this is.
    ///
    /// # Errors
    /// When the URL is none, or PostgreSQL refuses.
    pub fn postgres(cluster_url: &str, name: &str) -> Result<Self> {
        psql(cluster_url, &format!("CREATE DATABASE \"{name}\""))?;
        let (who_and_where, _) =
            cluster_url.rsplit_once('/').ok_or("a URL ends with the database's name")?;
        let (scheme, host) = match who_and_where.split_once("://") {
            Some((scheme, rest)) => (scheme, rest.rsplit_once('@').map_or(rest, |(_, host)| host)),
            None => return Err("a URL begins with postgres://".into()),
        };
        Ok(Self(Kind::Postgres {
            superuser_url: format!("{who_and_where}/{name}"),
            server_url: format!("{scheme}://{SERVER_ROLE}@{host}/{name}"),
        }))
    }

    /// Makes the tables.
    ///
    /// # Errors
    /// With what the server's program says.
    pub fn prepare(&self, stage: &Stage) -> Result {
        let Kind::Postgres { superuser_url, .. } = &self.0 else { return Ok(()) };
        telling::typed("office", "sync-server migrate --database postgres://…");
        let mut migrate = Command::new(stage.programs.join("sync-server"));
        program::answer(migrate.args(["--json", "migrate", "--database", superuser_url]))?;
        Ok(())
    }

    /// The arguments that name it.
    pub fn arguments(&self) -> [String; 2] {
        match &self.0 {
            Kind::Sqlite { folder } => ["--data".to_owned(), folder.display().to_string()],
            Kind::Postgres { server_url, .. } => ["--database".to_owned(), server_url.clone()],
        }
    }

    /// Where its photos are: of PostgreSQL in this folder.
    pub fn photos(&self, beside: &Path) -> PathBuf {
        match &self.0 {
            Kind::Sqlite { folder } => folder.join("photos"),
            Kind::Postgres { .. } => beside.join("photos"),
        }
    }

    /// Whether others can write to it with SQL.
    pub fn has_sql(&self) -> bool {
        matches!(self.0, Kind::Postgres { .. })
    }

    /// Its superuser's URL, if it has one.
    pub fn url(&self) -> Option<&str> {
        match &self.0 {
            Kind::Sqlite { .. } => None,
            Kind::Postgres { superuser_url, .. } => Some(superuser_url),
        }
    }

    /// Writes as another service of the company does: plain SQL, past the server.
    ///
    /// # Errors
    /// With PostgreSQL's message.
    pub fn office_sql(&self, sql: &str) -> Result<String> {
        let url = self.url().ok_or("only PostgreSQL has other writers")?;
        telling::typed("office", &format!("psql -c \"{sql}\""));
        psql(url, sql)
    }
}

fn psql(url: &str, sql: &str) -> Result<String> {
    let mut command = Command::new("psql");
    command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql, url]);
    let output = command.output().map_err(|error| format!("psql: {error}"))?;
    if !output.status.success() {
        return Err(format!("psql: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
