//! `COPY (SELECT …) TO STDOUT (FORMAT binary)`: for reading many rows, a third of the work of an
//! ordinary query. Nothing is allocated for a row, and the values stay in the bytes that came.
//!
//! Each message of the server is one row ("CopyData … from the backend will always correspond to
//! single data rows"): a count of columns, then each value's length (-1 for null) and bytes. The
//! first one begins with a header, the last one is a count of -1. COPY takes no parameters, so its
//! statement has literals only, written by [`super::quote`] and from UUIDs.
//!
//! A reader that goes away in the middle (its phone hung up) leaves rows on the connection, which
//! the next statement would take for its own answer. [`CutCopies`] counts such readers, and while
//! there are any, each connection that comes back to the pool is asked something before it is used
//! again; the one that answers something else is closed.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use futures::StreamExt as _;
use sqlx::postgres::PgConnection;
use sqlx::{Postgres, Row as _, Transaction};

use super::decode::Cells;
use super::error::store_error;
use super::query;
use crate::store::StoreError;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// How many connections of a store hold the rest of a COPY that was not read to its end.
#[derive(Debug, Clone, Default)]
pub(super) struct CutCopies(Arc<AtomicUsize>);

impl CutCopies {
    /// Whether a connection that comes back to the pool may be used again.
    pub async fn is_intact(&self, connection: &mut PgConnection) -> bool {
        if self.0.load(Ordering::Acquire) == 0 {
            return true;
        }
        static QUESTIONS: AtomicU64 = AtomicU64::new(0);
        let question = QUESTIONS.fetch_add(1, Ordering::Relaxed).to_string();
        let answer = query("SELECT $1::text").bind(question.clone()).fetch_one(connection).await;
        let intact =
            answer.and_then(|row| row.try_get::<String, _>(0)).is_ok_and(|a| a == question);
        if !intact {
            self.0.fetch_sub(1, Ordering::AcqRel);
        }
        intact
    }
}

/// Counts a COPY that is dropped before its end.
struct Reading<'a> {
    cut: &'a CutCopies,
    complete: bool,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if !self.complete {
            self.cut.0.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// One row, as it came.
#[derive(Default)]
pub(super) struct Tuple {
    message: bytes::Bytes,
    cells: Vec<Option<Range<usize>>>,
}

/// Runs a query, without parameters, and hands each row to `take`.
pub(super) async fn each(
    tx: &mut Transaction<'static, Postgres>,
    cut: &CutCopies,
    query: &str,
    mut take: impl FnMut(&Tuple) -> Result<(), StoreError> + Send,
) -> Result<(), StoreError> {
    let statement = format!("COPY ({query}) TO STDOUT (FORMAT binary)");
    let mut reading = Reading { cut, complete: false };
    let mut messages = tx.copy_out_raw(&statement).await.map_err(store_error)?;
    let mut tuple = Tuple::default();
    while let Some(message) = messages.next().await {
        let message = message.map_err(|error| {
            // The database ended it itself, and sqlx has read that.
            reading.complete = true;
            store_error(error)
        })?;
        if tuple.read(message).ok_or_else(damaged)? {
            take(&tuple)?;
        }
    }
    reading.complete = true;
    Ok(())
}

impl Tuple {
    /// Takes a message in; whether it holds a row. None for one that is damaged.
    fn read(&mut self, message: bytes::Bytes) -> Option<bool> {
        self.cells.clear();
        self.message = message;
        let all = &self.message[..];
        let mut at = 0;
        if all.starts_with(SIGNATURE) {
            // Signature, flags, length of an extension, extension.
            let extension = i32::from_be_bytes(*all.get(15..)?.first_chunk()?);
            at = 19 + usize::try_from(extension).ok()?;
        }
        let Some(count) = all.get(at..)?.first_chunk() else { return Some(false) };
        let count = i16::from_be_bytes(*count);
        at += 2;
        if count < 0 {
            return Some(false);
        }
        for _ in 0..count {
            let length = i32::from_be_bytes(*all.get(at..)?.first_chunk()?);
            at += 4;
            if length < 0 {
                self.cells.push(None);
                continue;
            }
            let end = at.checked_add(usize::try_from(length).ok()?).filter(|e| *e <= all.len())?;
            self.cells.push(Some(at..end));
            at = end;
        }
        Some(true)
    }
}

impl Cells for Tuple {
    fn bytes(&self, index: usize) -> Result<Option<&[u8]>, StoreError> {
        let range = self.cells.get(index).ok_or_else(damaged)?;
        Ok(range.clone().map(|range| &self.message[range]))
    }
}

fn damaged() -> StoreError {
    StoreError::Internal("a damaged row of COPY".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Option<(bool, Tuple)> {
        let mut tuple = Tuple::default();
        tuple.read(bytes::Bytes::copy_from_slice(bytes)).map(|is_row| (is_row, tuple))
    }

    #[test]
    fn rows_come_with_and_without_the_header() {
        let row = b"\0\x03\0\0\0\x02ab\xff\xff\xff\xff\0\0\0\0";
        let with = [SIGNATURE, &[0; 8], row].concat();
        for message in [&row[..], &with] {
            let (is_row, tuple) = read(message).unwrap();
            assert!(is_row);
            assert_eq!(tuple.bytes(0).unwrap(), Some(&b"ab"[..]));
            assert_eq!(tuple.bytes(1).unwrap(), None);
            assert_eq!(tuple.bytes(2).unwrap(), Some(&b""[..]));
            assert!(tuple.bytes(3).is_err());
        }
        assert!(!read(&[SIGNATURE, &[0; 8]].concat()).unwrap().0);
        assert!(!read(b"\xff\xff").unwrap().0);
    }

    #[test]
    fn a_cut_row_is_told() {
        let row = b"\0\x02\0\0\0\x02ab\0\0\0\x01c";
        for length in 2..row.len() {
            assert!(read(&row[..length]).is_none(), "{length}");
        }
    }
}
