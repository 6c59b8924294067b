//! Whether this device holds what the server has.

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::Core;
use crate::verify::damage::{self, Damage};
use crate::verify::{checkpoint, content, mend, scrub};
use crate::{CoreError, photos};

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Whether all is as it should be now.
    pub clean: bool,
    /// Bookkeeping that could not be read or did not fit, and was mended.
    pub mended: u64,
    /// Rows whose content was not what was written here, and files of photos.
    pub damaged: u64,
    /// Sets of rows (of a collection in a scope) that were not what the server counts.
    pub differing: u64,
    /// Rows whose content was compared with the server's.
    pub compared: u64,
    /// Of those: were not the same.
    pub unlike: u64,
    /// Edits of which neither the original nor the copy is whole.
    pub lost: u64,
    /// All that was ever found, newest first.
    pub log: Vec<Damage>,
}

impl Core {
    /// Looks at everything, repairs what is damaged, and compares the rows with the server's, one by one.
    ///
    /// Waiting edits are sent first, as with each sync.
    ///
    /// # Errors
    /// [`CoreError::DatabaseCorrupt`] if the file itself is damaged; as [`Core::sync`].
    pub async fn verify(&self, cancel: &CancellationToken) -> Result<Verification, CoreError> {
        let engine = self.engine()?;
        let store = engine.store();
        store.read(|db| {
            let said: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
            let path = store.path().display().to_string();
            if said == "ok" {
                return Ok(());
            }
            Err(CoreError::DatabaseCorrupt { path, cause: said })
        })?;
        let (mended, damaged) = store.write_schema(|db| {
            let mended = mend::all(db)?;
            let schema = store.schema_in(db)?;
            let mended = mended + photos::mend::queue(db, &schema, store.photos())?;
            let damaged = scrub::all(db, &schema)? + photos::mend::files(db, store.photos())?;
            checkpoint::make_due(db)?;
            Ok((mended, damaged))
        })?;
        let first = engine.sync(cancel).await?;
        let (compared, unlike) = tokio::select! {
            () = cancel.cancelled() => return Err(CoreError::Cancelled),
            found = content::compare(&engine) => found?,
        };
        let mut differing = first.differing;
        if unlike > 0 {
            store.write(|db| checkpoint::make_due(db))?;
            differing += engine.sync(cancel).await?.differing;
        }
        let (log, lost) = store.read(|db| Ok((damage::log(db)?, damage::lost_edits(db)?.len())))?;
        Ok(Verification {
            clean: log.iter().all(|damage| damage.repaired_us.is_some()),
            mended: mended + first.mended,
            damaged,
            differing,
            compared,
            unlike,
            lost: u64::try_from(lost).unwrap_or(u64::MAX),
            log,
        })
    }
}
