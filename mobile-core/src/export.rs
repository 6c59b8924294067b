//! What only this device has, as a file that support can read.
//!
//! One JSON document: of everybody who has data in the folder, each transaction that the server has not
//! settled or has refused, with all that is known about it. A database that cannot be opened is named,
//! so that somebody looks at the file itself. What was exported may be wiped.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sync_protocol::{DeviceId, StreamId};

use crate::CoreError;
use crate::clock::Clock;
use crate::outbox::list::ReceiptView;
use crate::outbox::unsent;
use crate::store::file_error;
use crate::store::meta::{self, name};
use crate::store::registry::{self, Person, Registry};

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
}

/// A database that cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// Whose it is.
    pub person: Person,
    /// The file.
    pub path: PathBuf,
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
    /// People whose they are.
    pub people: usize,
    /// Databases that could not be opened.
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
    for person in &registry.people {
        let path = registry::database(dir, person.tenant, person.user);
        if !path.exists() {
            continue;
        }
        let read = registry.open(dir, person).and_then(|store| {
            let found = store.read(|db| {
                let stream = meta::get(db, name::STREAM)?.and_then(|id| id.parse().ok());
                Ok((stream, unsent::list(db)?))
            })?;
            Ok((store, found))
        });
        match read {
            Ok((_, (_, transactions))) if transactions.is_empty() => {}
            Ok((store, (stream, transactions))) => {
                stores.push(store);
                work.push(Work { person: person.clone(), stream, transactions });
            }
            Err(error) => unreadable.push(Unreadable {
                person: person.clone(),
                path,
                code: error.code().to_owned(),
                cause: error.to_string(),
            }),
        }
    }
    let document = Document {
        format: FORMAT,
        made_wall_us: clock.read().wall_us,
        device: registry.device,
        people: &work,
        unreadable: &unreadable,
    };
    write(to, &serde_json::to_vec_pretty(&document)?)?;
    for (store, work) in stores.iter().zip(&work) {
        store.write(|db| unsent::note_export(db, work.transactions.iter().map(|view| view.id)))?;
    }
    let transactions = work.iter().map(|work| work.transactions.len()).sum();
    Ok(Exported { transactions, people: work.len(), unreadable })
}

/// Whole and on the disk, or not there.
fn write(to: &Path, bytes: &[u8]) -> Result<(), CoreError> {
    let failed = |error: std::io::Error| file_error(to, &error);
    let mut file = fs::File::create_new(to).map_err(failed)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if let Err(error) = written {
        // Half a file must not pass for an export.
        let _ = fs::remove_file(to);
        return Err(failed(error));
    }
    Ok(())
}
