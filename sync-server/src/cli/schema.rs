//! `schema check`, `schema typescript`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use sync_protocol::schema::Mistake;
use sync_protocol::schema::parse::{SourceFile, parse};
use sync_protocol::schema::typescript::typescript;

use super::Failure;
use super::output::Output;
use crate::schema_files::{SchemaError, built_in, load, read_directory, read_files};
use crate::store::{StoreError, postgres};

/// Collection schemas.
#[derive(Debug, Subcommand)]
pub(super) enum Schema {
    /// Tell every mistake with file, line and remedy.
    Check(Check),
    /// Print strict TypeScript types of all collections.
    Typescript(Typescript),
}

/// Tell every mistake.
#[derive(Args)]
pub(super) struct Check {
    /// Schema files, which are one schema together, or a directory of them; those built in by
    /// default.
    files: Vec<PathBuf>,
    /// Also compare the tables of this PostgreSQL with the schema.
    #[arg(long, hide_env_values = true, value_name = "URL")]
    database: Option<String>,
}

/// Without the URL: it holds a password.
impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Check({:?})", self.files)
    }
}

/// Print TypeScript types.
#[derive(Debug, Args)]
pub(super) struct Typescript {
    /// Directory of schema files instead of those built in.
    #[arg(long, env = "CAMPO_SCHEMAS", value_name = "DIR")]
    schemas: Option<PathBuf>,
}

impl Schema {
    pub(super) async fn run(self, output: Output) -> Result<(), Failure> {
        match self {
            Self::Check(check) => check.run(output).await,
            Self::Typescript(typescript) => typescript.run(output),
        }
    }
}

impl Check {
    async fn run(self, output: Output) -> Result<(), Failure> {
        match parse(&files(&self.files)?) {
            Ok(schema) => {
                if let Some(url) = &self.database {
                    let differences = postgres::verify(url, &schema).await?;
                    if !differences.is_empty() {
                        if output.json {
                            output.print("", &json!({ "differences": differences }))?;
                        }
                        return Err(StoreError::Setup(differences.join("\n")).into());
                    }
                }
                let fields: usize = schema.collections.values().map(|c| c.fields.len()).sum();
                let text = format!(
                    "{} collections with {fields} fields, {} roles: no mistake",
                    schema.collections.len(),
                    schema.roles.len()
                );
                let collections: Vec<&String> = schema.collections.keys().collect();
                output.print(&text, &json!({ "mistakes": [], "collections": collections }))?;
                Ok(())
            }
            Err(mistakes) => {
                if output.json {
                    let mistakes: Vec<Json> = mistakes.iter().map(in_json).collect();
                    output.print("", &json!({ "mistakes": mistakes }))?;
                }
                Err(SchemaError::Mistakes(mistakes).into())
            }
        }
    }
}

fn files(named: &[PathBuf]) -> Result<Vec<SourceFile>, SchemaError> {
    match named {
        [] => Ok(built_in()),
        [directory] if directory.is_dir() => read_directory(directory),
        files => read_files(files),
    }
}

fn in_json(mistake: &Mistake) -> Json {
    json!({
        "file": mistake.file, "line": mistake.line, "column": mistake.column,
        "what": mistake.what, "remedy": mistake.remedy,
    })
}

impl Typescript {
    fn run(self, output: Output) -> Result<(), Failure> {
        let schema = load(self.schemas.as_deref().map(Path::new))?;
        let text = typescript(&schema);
        output.print(text.trim_end(), &json!({ "typescript": text }))?;
        Ok(())
    }
}
