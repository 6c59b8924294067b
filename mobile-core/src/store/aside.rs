//! Damaged databases that were set aside: `<user>.db.corrupt-<n>`, beside the one that took their place.
//!
//! Edits that exist nowhere else may be in such a file. Nothing opens it any more, so an export copies
//! it as it is ([`crate::export`]); until one has, signing out and wiping refuse. A copied one leaves
//! with the rest of its person's data.

use std::fs;
use std::path::{Path, PathBuf};

use super::file_error;
use super::registry::{self, DataFile, Person, Registry};
use crate::CoreError;
use crate::photos::files::PhotoFiles;

/// What follows a database's name.
const SUFFIX: &str = ".corrupt-";

/// Renames a person's database that is damaged, with its log, and returns the new name; `None` for one
/// that can be opened. Only on an explicit act of the user.
///
/// # Errors
/// Whatever else keeps the database from being opened (somebody holds it, the disk is full or fails, a
/// newer version wrote it): it is whole then, and stays. [`CoreError::File`] when it cannot be renamed.
pub fn set_aside(
    registry: &Registry,
    dir: &Path,
    person: &Person,
) -> Result<Option<PathBuf>, CoreError> {
    match registry.open(dir, person) {
        Ok(_) => Ok(None),
        Err(CoreError::DatabaseCorrupt { .. }) => {
            rename(&registry::database(dir, person.tenant, person.user)).map(Some)
        }
        Err(other) => Err(other),
    }
}

fn rename(path: &Path) -> Result<PathBuf, CoreError> {
    let named = |suffix: &str| PathBuf::from(format!("{}{suffix}", path.display()));
    let mut n = 1;
    while named(&format!("{SUFFIX}{n}")).exists() {
        n += 1;
    }
    // First: a database that begins anew would remove photos that it knows nothing of.
    let photos = PhotoFiles::beside(path);
    let aside = photos_of(&named(&format!("{SUFFIX}{n}")));
    if photos.folder().exists() {
        fs::rename(photos.folder(), &aside).map_err(|error| file_error(photos.folder(), &error))?;
    }
    for part in ["-wal", "-shm", ""] {
        let from = named(part);
        if from.exists() {
            fs::rename(&from, named(&format!("{SUFFIX}{n}{part}")))
                .map_err(|error| file_error(&from, &error))?;
        }
    }
    Ok(named(&format!("{SUFFIX}{n}")))
}

/// The folder with the photos of a database that was set aside: `<user>.photos.corrupt-<n>`.
#[must_use]
pub fn photos_of(aside: &Path) -> PathBuf {
    let name = aside.file_name().unwrap_or_default().to_string_lossy();
    aside.with_file_name(name.replacen(".db", ".photos", 1))
}

/// All of a folder, without their logs.
///
/// # Errors
/// [`CoreError::File`].
pub fn list(dir: &Path) -> Result<Vec<DataFile>, CoreError> {
    let mut files = registry::data_files(dir)?;
    files.retain(|file| is_aside(&file.path));
    Ok(files)
}

/// Those that no export has copied.
///
/// # Errors
/// [`CoreError::File`].
pub fn unexported(dir: &Path) -> Result<Vec<DataFile>, CoreError> {
    let mut files = list(dir)?;
    files.retain(|file| !mark_of(&file.path).exists());
    Ok(files)
}

/// Notes that an export has copied one.
///
/// # Errors
/// [`CoreError::File`].
pub fn note_exported(path: &Path) -> Result<(), CoreError> {
    let mark = mark_of(path);
    fs::write(&mark, []).map_err(|error| file_error(&mark, &error))
}

fn mark_of(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}.exported", path.display()))
}

/// Whether this is a database that was set aside, without its log.
#[must_use]
pub(super) fn is_aside(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split_once(SUFFIX)
        .is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}
