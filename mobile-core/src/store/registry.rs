//! Which people use this device, who is active, and where their databases are: `<dir>/device.json`.
//!
//! The file is replaced as a whole, through a new file that is flushed and renamed over it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sync_protocol::fault::{self, Point};
use sync_protocol::{DeviceId, TenantId, UserId};

use super::{Store, aside, file_error, private};
use crate::CoreError;
use crate::photos::files::PhotoFiles;
use crate::random::Random;

/// Content of `device.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    /// This installation.
    pub device: DeviceId,
    /// Who is using it now.
    #[serde(default)]
    pub active: Option<Person>,
    /// Everybody who has data here.
    #[serde(default)]
    pub people: Vec<Person>,
}

/// A person who signed in on this device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Their server, without a slash at the end.
    pub server: String,
    /// Their company.
    pub tenant: TenantId,
    /// The company's short name, as it was typed.
    pub tenant_name: String,
    /// Themselves.
    pub user: UserId,
    /// Their user name, as it was typed.
    pub user_name: String,
    /// Their name for display.
    pub display_name: String,
}

impl Registry {
    /// Reads the registry of a folder, or begins one with a new device id.
    ///
    /// # Errors
    /// [`CoreError::File`] when it cannot be read or written, [`CoreError::Stored`] when it is
    /// damaged (it is then left as it is).
    pub fn load(dir: &Path, random: &dyn Random) -> Result<Self, CoreError> {
        let path = file(dir);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| CoreError::Stored(format!("{}: {error}", path.display()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let device = DeviceId(random.uuid()?);
                let registry = Self { device, active: None, people: Vec::new() };
                registry.save(dir)?;
                Ok(registry)
            }
            Err(error) => Err(file_error(&path, &error)),
        }
    }

    /// Writes the registry.
    ///
    /// # Errors
    /// [`CoreError::File`]; the old content stays then.
    pub fn save(&self, dir: &Path) -> Result<(), CoreError> {
        private::create_folder(dir).map_err(|error| file_error(dir, &error))?;
        let path = file(dir);
        let new = dir.join("device.json.new");
        let write = || -> std::io::Result<()> {
            // One that is there was cut.
            match fs::remove_file(&new) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = private::create_file(&new)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.sync_all()?;
            fault::reached(Point::RegistryWritten);
            fs::rename(&new, &path)?;
            fs::File::open(dir)?.sync_all()
        };
        write().map_err(|error| file_error(&path, &error))
    }

    /// Adds a person, or replaces what was known of them, and makes them the active one.
    pub fn activate(&mut self, person: Person) {
        self.people.retain(|p| (p.tenant, p.user) != (person.tenant, person.user));
        self.people.push(person.clone());
        self.active = Some(person);
    }
}

impl Registry {
    /// Opens a person's database.
    ///
    /// # Errors
    /// As [`Store::open`]; also for a file that is empty although the person has used it, which SQLite
    /// would take for a new database.
    pub fn open(&self, dir: &Path, person: &Person) -> Result<Store, CoreError> {
        let path = database(dir, person.tenant, person.user);
        let known = self.people.iter().any(|p| (p.tenant, p.user) == (person.tenant, person.user));
        if known && fs::metadata(&path).is_ok_and(|file| file.len() == 0) {
            let cause = "it was in use, and is empty now".to_owned();
            return Err(CoreError::DatabaseCorrupt { path: path.display().to_string(), cause });
        }
        Store::open(&path)
    }

    /// Takes a user out, who has no data here any more.
    pub fn forget(&mut self, tenant: TenantId, user: UserId) {
        let same = |p: &Person| (p.tenant, p.user) == (tenant, user);
        self.people.retain(|p| !same(p));
        if self.active.as_ref().is_some_and(same) {
            self.active = None;
        }
    }
}

/// Removes all files of a user, whose database has been emptied.
///
/// # Errors
/// [`CoreError::File`].
pub fn remove(dir: &Path, tenant: TenantId, user: UserId) -> Result<(), CoreError> {
    let main = database(dir, tenant, user);
    PhotoFiles::beside(&main).remove_all()?;
    let mut files = data_files(dir)?;
    files.retain(|file| (file.tenant, file.user) == (tenant, user));
    // The log goes before its database: without it, it would be taken for that of the next one.
    files.sort_by_key(|file| file.path == main);
    for DataFile { path, .. } in files {
        if aside::is_aside(&path) {
            PhotoFiles::at(aside::photos_of(&path)).remove_all()?;
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(file_error(&path, &error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Removes folders of photos beside which no database is any more.
///
/// # Errors
/// [`CoreError::File`].
pub fn remove_photos_left(dir: &Path) -> Result<(), CoreError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error: std::io::Error| file_error(&path, &error)
    };
    for tenant in fs::read_dir(dir).map_err(failed(dir))? {
        let tenant = tenant.map_err(failed(dir))?.path();
        if !tenant.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&tenant).map_err(failed(&tenant))? {
            let path = entry.map_err(failed(&tenant))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some((user, rest)) = name.split_once(".photos") else { continue };
            let database = path.with_file_name(format!("{user}.db{rest}"));
            if path.is_dir() && !database.exists() {
                PhotoFiles::at(path).remove_all()?;
            }
        }
    }
    Ok(())
}

fn file(dir: &Path) -> PathBuf {
    dir.join("device.json")
}

/// Where a person's database is.
#[must_use]
pub fn database(dir: &Path, tenant: TenantId, user: UserId) -> PathBuf {
    dir.join(tenant.to_string()).join(format!("{user}.db"))
}

/// A file with data of somebody who used this device, whether the registry still knows them or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// Their company.
    pub tenant: TenantId,
    /// Themselves.
    pub user: UserId,
    /// The file: a database, its log, or one that was set aside.
    pub path: PathBuf,
}

impl DataFile {
    /// Whether it is this person's.
    #[must_use]
    pub fn is_of(&self, person: &Person) -> bool {
        (self.tenant, self.user) == (person.tenant, person.user)
    }
}

/// All files with people's data, by name.
///
/// # Errors
/// [`CoreError::File`].
pub fn data_files(dir: &Path) -> Result<Vec<DataFile>, CoreError> {
    let names = |folder: &Path| -> Result<Vec<(String, PathBuf)>, CoreError> {
        let failed = |error: std::io::Error| file_error(folder, &error);
        let mut names = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            names.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
        names.sort();
        Ok(names)
    };
    let mut files = Vec::new();
    for (tenant, folder) in names(dir)? {
        let Ok(tenant) = tenant.parse::<TenantId>() else { continue };
        for (name, path) in names(&folder)? {
            let user = name.split_once(".db").and_then(|(user, _)| user.parse::<UserId>().ok());
            files.extend(user.map(|user| DataFile { tenant, user, path }));
        }
    }
    Ok(files)
}
