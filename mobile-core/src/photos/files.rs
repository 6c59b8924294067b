//! The files of one person's photos: `<dir>/<tenant>/<user>.photos/<sha256>.jpg`.
//!
//! A file is written under another name (`….new`) and flushed, inside the writing SQLite transaction that makes its
//! record, and renamed when that is committed. So one with the right name is whole and somebody's, and after a crash
//! the database says which of the others are. Removing is done inside a writing transaction as well: its lock keeps
//! two processes from writing and removing the same file at once.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::CoreError;
use crate::store::{file_error, private};

/// The files beside one database.
#[derive(Debug, Clone)]
pub struct PhotoFiles {
    folder: PathBuf,
}

impl PhotoFiles {
    /// Those beside this database.
    #[must_use]
    pub fn beside(database: &Path) -> Self {
        Self { folder: database.with_extension("photos") }
    }

    /// Those in this folder.
    #[must_use]
    pub fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where they are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file with this hash, whether it is there or not.
    #[must_use]
    pub fn path(&self, sha256: &str) -> PathBuf {
        self.folder.join(format!("{sha256}.jpg"))
    }

    /// Makes sure that the file is on the disk, under a name that says that its record is not committed yet.
    /// [`PhotoFiles::settle`] gives it its own. One that is there already counts if it is what its hash says.
    ///
    /// # Errors
    /// [`CoreError::DiskFull`], [`CoreError::File`]: nothing is there that was not there before.
    pub fn put(&self, sha256: &str, bytes: &[u8]) -> Result<(), CoreError> {
        let path = self.path(sha256);
        if matches!(self.read(sha256), Ok(Some(_))) {
            return Ok(());
        }
        let new = self.begun(sha256);
        let written = private::create_folder(&self.folder)
            .and_then(|()| match fs::remove_file(&new) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            })
            .and_then(|()| {
                let mut file = private::create_file(&new)?;
                file.write_all(bytes)?;
                file.sync_all()?;
                // The name itself has to survive a power cut.
                File::open(&self.folder)?.sync_all()
            });
        written.map_err(|error| {
            let _ = fs::remove_file(&new);
            file_error(&path, &error)
        })
    }

    fn begun(&self, sha256: &str) -> PathBuf {
        self.folder.join(format!("{sha256}.new"))
    }

    /// Gives files their own names whose records are committed, and removes those of a crash before that. Nobody may
    /// be writing one.
    ///
    /// # Errors
    /// [`CoreError::File`].
    pub fn settle(&self, wanted: &BTreeSet<String>) -> Result<(), CoreError> {
        for sha256 in self.named_like(".new")? {
            let begun = self.begun(&sha256);
            let done = match wanted.contains(&sha256) {
                true => fs::rename(&begun, self.path(&sha256)),
                false => fs::remove_file(&begun),
            };
            done.map_err(|error| file_error(&begun, &error))?;
        }
        Ok(())
    }

    /// Whether files wait for their own names.
    ///
    /// # Errors
    /// [`CoreError::File`].
    pub fn has_begun(&self) -> Result<bool, CoreError> {
        Ok(!self.named_like(".new")?.is_empty())
    }

    /// The file's bytes, if it is there and they are what the hash says.
    ///
    /// # Errors
    /// [`CoreError::File`] when it is there and cannot be read.
    pub fn read(&self, sha256: &str) -> Result<Option<Vec<u8>>, CoreError> {
        for path in [self.path(sha256), self.begun(sha256)] {
            match fs::read(&path) {
                Ok(bytes) if hash(&bytes) == sha256 => return Ok(Some(bytes)),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(file_error(&path, &error)),
            }
        }
        Ok(None)
    }

    /// The hashes of all files that have their own names.
    ///
    /// # Errors
    /// [`CoreError::File`].
    pub fn list(&self) -> Result<Vec<String>, CoreError> {
        self.named_like(".jpg")
    }

    fn named_like(&self, ending: &str) -> Result<Vec<String>, CoreError> {
        let failed = |error: std::io::Error| file_error(&self.folder, &error);
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut hashes = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            hashes.extend(name.strip_suffix(ending).map(str::to_owned));
        }
        hashes.sort();
        Ok(hashes)
    }

    /// Whether no file is there, whole or begun.
    ///
    /// # Errors
    /// [`CoreError::File`].
    pub fn is_empty(&self) -> Result<bool, CoreError> {
        match fs::read_dir(&self.folder) {
            Ok(mut entries) => Ok(entries.next().is_none()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            Err(error) => Err(file_error(&self.folder, &error)),
        }
    }

    /// Removes the file with this hash, if it is there.
    ///
    /// # Errors
    /// [`CoreError::File`].
    pub fn remove(&self, sha256: &str) -> Result<(), CoreError> {
        let path = self.path(sha256);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(file_error(&path, &error)),
            _ => Ok(()),
        }
    }

    /// Removes the folder with all that is in it.
    ///
    /// # Errors
    /// [`CoreError::File`].
    pub fn remove_all(&self) -> Result<(), CoreError> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(file_error(&self.folder, &error))
            }
            _ => Ok(()),
        }
    }
}

/// SHA-256 in hexadecimal digits.
#[must_use]
pub fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes in hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_whole_or_not_there_and_a_damaged_one_is_replaced() {
        let dir = tempfile::tempdir().expect("a folder");
        let files = PhotoFiles::beside(&dir.path().join("u.db"));
        assert_eq!(files.list().expect("no folder yet"), Vec::<String>::new());
        let (one, two) = (hash(b"one"), hash(b"two"));
        files.put(&one, b"one").expect("written");
        files.put(&two, b"two").expect("written");
        assert_eq!(files.read(&one).expect("read").as_deref(), Some(&b"one"[..]));
        assert!(files.has_begun().expect("a look"));
        files.settle(&BTreeSet::from([one.clone()])).expect("the other's record was not committed");
        assert_eq!(files.list().expect("a list"), std::slice::from_ref(&one));
        assert_eq!(files.read(&two).expect("read"), None);
        fs::write(files.path(&one), b"eno").expect("damage");
        assert_eq!(files.read(&one).expect("read"), None);
        files.put(&one, b"one").expect("as long as it was");
        files.settle(&BTreeSet::from([one.clone()])).expect("renamed over the damaged one");
        assert_eq!(files.read(&one).expect("read").as_deref(), Some(&b"one"[..]));
        files.remove(&one).expect("removed");
        files.remove(&one).expect("it is gone");
        assert!(files.is_empty().expect("a look"));
    }
}
