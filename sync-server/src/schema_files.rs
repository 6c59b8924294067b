//! Where the collection schemas come from: those built into the program, or files of a directory.

use std::path::{Path, PathBuf};

use sync_protocol::schema::parse::{SourceFile, parse};
use sync_protocol::schema::{Mistake, Schema};

/// The verticals and roles that come with the program.
const BUILT_IN: &[(&str, &str)] = &[
    ("almacen.toml", include_str!("../../schemas/almacen.toml")),
    ("construccion.toml", include_str!("../../schemas/construccion.toml")),
    ("mecanicas.toml", include_str!("../../schemas/mecanicas.toml")),
    ("retail.toml", include_str!("../../schemas/retail.toml")),
    ("roles.toml", include_str!("../../schemas/roles.toml")),
    ("vidrio_templado.toml", include_str!("../../schemas/vidrio_templado.toml")),
];

/// Why there is no schema.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// A file or directory cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A directory without schema files.
    #[error("{}: there is no file that ends in .toml", .0.display())]
    Empty(PathBuf),
    /// Mistakes in the files, each with its place and remedy.
    #[error("{}", lines(.0))]
    Mistakes(Vec<Mistake>),
}

fn lines(mistakes: &[Mistake]) -> String {
    let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// Reads and checks the schema of a directory, or the one built in.
///
/// # Errors
/// Files that cannot be read, and every mistake in those that can.
pub fn load(directory: Option<&Path>) -> Result<Schema, SchemaError> {
    let files = match directory {
        Some(directory) => read_directory(directory)?,
        None => built_in(),
    };
    parse(&files).map_err(SchemaError::Mistakes)
}

/// The files built into the program.
#[must_use]
pub fn built_in() -> Vec<SourceFile> {
    let file = |(name, text): &(&str, &str)| SourceFile {
        name: (*name).to_owned(),
        text: (*text).to_owned(),
    };
    BUILT_IN.iter().map(file).collect()
}

/// All `*.toml` files of a directory, by name.
///
/// # Errors
/// What cannot be read.
pub fn read_directory(directory: &Path) -> Result<Vec<SourceFile>, SchemaError> {
    let unreadable = |source| SchemaError::Unreadable { path: directory.to_owned(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(SchemaError::Empty(directory.to_owned()));
    }
    paths.sort();
    read_files(&paths)
}

/// These files.
///
/// # Errors
/// What cannot be read.
pub fn read_files(paths: &[PathBuf]) -> Result<Vec<SourceFile>, SchemaError> {
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path)
            .map_err(|source| SchemaError::Unreadable { path: path.clone(), source })?;
        Ok(SourceFile { name: path.display().to_string(), text })
    };
    paths.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_in_is_what_lies_in_the_repository() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas");
        let names = |files: Vec<SourceFile>| -> Vec<String> {
            let name = |file: SourceFile| file.name.rsplit('/').next().map(str::to_owned);
            files.into_iter().filter_map(name).collect()
        };
        assert_eq!(names(built_in()), names(read_directory(&directory).unwrap()));
        assert_eq!(load(None).unwrap(), load(Some(&directory)).unwrap());
    }

    #[test]
    fn a_directory_without_schemas_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let error = load(Some(directory.path())).unwrap_err();
        assert!(matches!(error, SchemaError::Empty(_)), "{error}");
        std::fs::write(directory.path().join("x.toml"), "vertical = 7\n").unwrap();
        let error = load(Some(directory.path())).unwrap_err().to_string();
        assert!(error.contains("x.toml:1:"), "{error}");
    }
}
