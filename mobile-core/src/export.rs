//! What only this device has, as a file that support can read.
//!
//! One JSON document: of everybody who has data in the folder, each transaction that the server has not
//! settled or has refused, with all that is known about it. Photos that the server has not confirmed are copied
//! into a folder beside it. A database that cannot be opened is named,
//! so that somebody looks at the file itself; one that was set aside is copied beside the document. What
//! was exported may be wiped.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;
use sync_protocol::{DeviceId, StreamId};

use crate::CoreError;
use crate::clock::Clock;
use crate::outbox::list::ReceiptView;
use crate::outbox::unsent;
use crate::photos::files::PhotoFiles;
use crate::photos::queue::{self, Item};
use crate::store::meta::{self, name};
use crate::store::registry::{self, Person, Registry};
use crate::store::{Store, aside, file_error, private};
use crate::verify::damage::{self, Damage};

/// What the file begins with.
const FORMAT: &str = "campo-unsent-1";

/// The document.
#[derive(Debug, Serialize)]
struct Document<'a> {
    format: &'static str,
    /// The phone's wall clock, in microseconds since 1970.
    made_wall_us: i64,
    device: DeviceId,
    people: &'a [Work],
    unreadable: &'a [Unreadable],
}

/// One person's.
#[derive(Debug, Serialize)]
struct Work {
    person: Person,
    stream: Option<StreamId>,
    transactions: Vec<ReceiptView>,
    /// Damage that was found on this device, newest first.
    damage: Vec<Damage>,
    /// What is left of edits that could not be read.
    lost: Vec<String>,
    /// Photos that only this device has, beside the document.
    photos: Vec<PhotoCopy>,
}

/// A file of a photo, and its copy.
#[derive(Debug, Serialize)]
struct PhotoCopy {
    #[serde(flatten)]
    item: Item,
    /// None, if the file is damaged or gone: there is nothing left of it to be saved.
    copy: Option<PathBuf>,
}

/// A database that cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// Whose it is, if this device still knows them.
    pub person: Option<Person>,
    /// The file.
    pub path: PathBuf,
    /// Its copy beside the document, for one that was set aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy: Option<PathBuf>,
    /// Why, as a stable code and for people.
    pub code: String,
    /// For people.
    pub cause: String,
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// Transactions in the file.
    pub transactions: usize,
    /// Files of photos, in a folder beside it.
    pub photos: usize,
    /// People whose they are.
    pub people: usize,
    /// Databases that could not be opened, or were set aside.
    pub unreadable: Vec<Unreadable>,
}

/// Writes the file, which must not exist.
///
/// # Errors
/// [`CoreError::File`] when it exists or cannot be written; those of the registry. A database that cannot
/// be read is no error: the file and the answer name it.
pub fn unsent(
    dir: &Path,
    registry: &Registry,
    clock: &dyn Clock,
    to: &Path,
) -> Result<Exported, CoreError> {
    let (mut work, mut unreadable, mut stores) = (Vec::new(), Vec::new(), Vec::new());
    let mut copies = Copies::default();
    for person in &registry.people {
        let path = registry::database(dir, person.tenant, person.user);
        if !path.exists() {
            continue;
        }
        let read = registry.open(dir, person).and_then(|store| {
            let found = store.read(|db| {
                let stream = meta::get(db, name::STREAM)?.and_then(|id| id.parse().ok());
                let photos = queue::waiting_files(db)?;
                Ok((stream, unsent::list(db)?, damage::log(db)?, damage::lost_edits(db)?, photos))
            })?;
            Ok((store, found))
        });
        match read {
            Ok((_, (_, transactions, damage, _, photos)))
                if transactions.is_empty() && damage.is_empty() && photos.is_empty() => {}
            Ok((store, (stream, transactions, damage, lost, items))) => {
                let photos = pictures(&store, items, to, &mut copies);
                stores.push(store);
                work.push(Work {
                    person: person.clone(),
                    stream,
                    transactions,
                    damage,
                    lost,
                    photos,
                });
            }
            Err(error) => unreadable.push(Unreadable {
                person: Some(person.clone()),
                path,
                copy: None,
                code: error.code().to_owned(),
                cause: error.to_string(),
            }),
        }
    }
    for file in aside::list(dir)? {
        let copy = beside(to, copies.databases.len() + 1);
        let photos = PhotoFiles::at(aside::photos_of(&file.path));
        for hash in photos.list()? {
            let of = PathBuf::from(format!("{}.photos", copy.display()));
            copies.pictures.insert(of.join(format!("{hash}.jpg")), photos.path(&hash));
        }
        unreadable.push(Unreadable {
            person: registry.people.iter().find(|person| file.is_of(person)).cloned(),
            path: file.path.clone(),
            copy: Some(copy.clone()),
            code: "set_aside".to_owned(),
            cause: "it was damaged and set aside".to_owned(),
        });
        copies.databases.push((file.path, copy));
    }
    let document = Document {
        format: FORMAT,
        made_wall_us: clock.read().wall_us,
        device: registry.device,
        people: &work,
        unreadable: &unreadable,
    };
    write(to, &mut serde_json::to_vec_pretty(&document)?.as_slice())?;
    copy_all(&copies).inspect_err(|_| {
        // An export without its copies must not pass for one.
        let _ = fs::remove_file(to);
    })?;
    for (from, _) in &copies.databases {
        aside::note_exported(from)?;
    }
    for (store, work) in stores.iter().zip(&work) {
        store.write(|db| {
            queue::note_export(db, work.photos.iter().map(|photo| &photo.item.name))?;
            unsent::note_export(db, work.transactions.iter().map(|view| view.id))
        })?;
    }
    let transactions = work.iter().map(|work| work.transactions.len()).sum();
    let photos = work.iter().map(|work| work.photos.len()).sum();
    Ok(Exported { transactions, photos, people: work.len(), unreadable })
}

/// What is copied beside the document.
#[derive(Default)]
struct Copies {
    /// Databases and their copies.
    databases: Vec<(PathBuf, PathBuf)>,
    /// Files of photos by their copies: equal ones are copied once.
    pictures: BTreeMap<PathBuf, PathBuf>,
}

/// Files of photos, with the copies that they will have. Of such as are damaged or gone the document says so, which
/// is all that can be saved of them.
fn pictures(store: &Store, items: Vec<Item>, to: &Path, copies: &mut Copies) -> Vec<PhotoCopy> {
    let folder = PathBuf::from(format!("{}.photos", to.display()));
    let mut saved = Vec::new();
    for item in items {
        let whole = matches!(store.photos().read(&item.sha256), Ok(Some(_)));
        let copy = whole.then(|| folder.join(format!("{}.jpg", item.sha256)));
        if let Some(copy) = &copy {
            copies.pictures.insert(copy.clone(), store.photos().path(&item.sha256));
        }
        saved.push(PhotoCopy { item, copy });
    }
    saved
}

/// The name of the copy of a database, `….json.1.db`.
fn beside(to: &Path, number: usize) -> PathBuf {
    PathBuf::from(format!("{}.{number}.db", to.display()))
}

/// Copies photos, and databases with their logs: all of them, or none.
fn copy_all(copies: &Copies) -> Result<(), CoreError> {
    let with = |path: &Path, part: &str| PathBuf::from(format!("{}{part}", path.display()));
    let mut made: Vec<PathBuf> = Vec::new();
    let undo = |made: Vec<PathBuf>| {
        for copy in made {
            let _ = fs::remove_file(copy);
        }
    };
    for (to, from) in &copies.pictures {
        let folder = to.parent().unwrap_or(to);
        let copied = private::create_folder(folder)
            .and_then(|()| fs::File::open(from))
            .map_err(|error| file_error(from, &error))
            .and_then(|mut bytes| write(to, &mut bytes));
        if let Err(error) = copied {
            undo(made);
            return Err(error);
        }
        made.push(to.clone());
    }
    for (from, to) in &copies.databases {
        for part in ["-wal", ""] {
            let (from, to) = (with(from, part), with(to, part));
            let copied = match fs::File::open(&from) {
                Err(error) if error.kind() == ErrorKind::NotFound && !part.is_empty() => continue,
                Err(error) => Err(file_error(&from, &error)),
                Ok(mut bytes) => write(&to, &mut bytes),
            };
            if let Err(error) = copied {
                undo(made);
                return Err(error);
            }
            made.push(to);
        }
    }
    Ok(())
}

/// Whole and on the disk, or not there.
fn write(to: &Path, bytes: &mut dyn Read) -> Result<(), CoreError> {
    let failed = |error: std::io::Error| file_error(to, &error);
    let mut file = private::create_file(to).map_err(failed)?;
    let written = std::io::copy(bytes, &mut file).and_then(|_| file.sync_all());
    if let Err(error) = written {
        // Half a file must not pass for an export.
        let _ = fs::remove_file(to);
        return Err(failed(error));
    }
    Ok(())
}
