//! What became of edits, and what their author can do about it.

use serde_json::{Map, Value as Json};
use sync_protocol::ReceiptId;

use super::Core;
use super::edits::permissions;
use crate::CoreError;
use crate::outbox::correct;
use crate::outbox::list::{self, ReceiptView, Which};
use crate::photos::{follow, sweep};

impl Core {
    fn receipt_list(&self, which: Which) -> Result<Vec<ReceiptView>, CoreError> {
        let engine = self.engine()?;
        let why = engine.why_waiting()?;
        engine.store().read(|db| list::list(db, which, why.as_ref()))
    }

    /// All receipts, in the order of sending.
    ///
    /// # Errors
    /// Those of the database.
    pub fn receipts(&self) -> Result<Vec<ReceiptView>, CoreError> {
        self.receipt_list(Which::All)
    }

    /// One receipt.
    ///
    /// # Errors
    /// [`CoreError::NoSuchReceipt`]; those of the database.
    pub fn receipt(&self, id: ReceiptId) -> Result<ReceiptView, CoreError> {
        let engine = self.engine()?;
        let why = engine.why_waiting()?;
        engine.store().read(|db| list::get(db, id, why.as_ref()))
    }

    /// Edits whose outcome is not in the tables.
    ///
    /// # Errors
    /// Those of the database.
    pub fn pending(&self) -> Result<Vec<ReceiptView>, CoreError> {
        self.receipt_list(Which::Pending)
    }

    /// Edits that somebody has to look at.
    ///
    /// # Errors
    /// Those of the database.
    pub fn problems(&self) -> Result<Vec<ReceiptView>, CoreError> {
        self.receipt_list(Which::Problems)
    }

    /// Corrects a refused edit and sends it again; returns the new receipt's id.
    ///
    /// # Errors
    /// As [`correct::retry`].
    pub fn retry(
        &self,
        id: ReceiptId,
        correction: Option<&Map<String, Json>>,
    ) -> Result<ReceiptId, CoreError> {
        let engine = self.engine()?;
        let corrected = engine.store().write(|db| {
            let schema = engine.store().schema_in(db)?;
            let permissions = permissions(db)?;
            let author = correct::Author {
                permissions: &permissions,
                random: self.config.random.as_ref(),
                now: self.config.clock.read(),
            };
            correct::retry(db, &schema, &author, id, correction)
        })?;
        engine.edited();
        Ok(corrected)
    }

    /// Takes back an edit: at once, or with the next push if the server may have it already.
    ///
    /// # Errors
    /// As [`correct::discard`].
    pub fn discard(&self, id: ReceiptId) -> Result<(), CoreError> {
        let engine = self.engine()?;
        let store = engine.store();
        store.write(|db| {
            let schema = store.schema_in(db)?;
            correct::discard(db, &schema, id)?;
            follow::discarded(db, &schema)
        })?;
        sweep::released(store)?;
        engine.edited();
        Ok(())
    }
}
