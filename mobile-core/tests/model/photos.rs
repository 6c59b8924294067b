//! The model's uploads: strict about offsets and hashes, and only for records that it has.

use std::collections::BTreeMap;

use mobile_core::photos::files::hash;
use mobile_core::photos::{PhotoName, Variant};
use mobile_core::transport::{OfflineReason, TransportError};
use sync_protocol::Value;
use sync_protocol::problem::Problem;

use super::{Fault, State};

/// Uploads by their names, and what was counted.
#[derive(Default)]
pub struct Uploads {
    /// Bytes that came, whole or not.
    pub parts: BTreeMap<PhotoName, Vec<u8>>,
    /// Whole and checked.
    pub stored: BTreeMap<PhotoName, Vec<u8>>,
    /// Bytes that were sent, also those that were lost or came twice.
    pub bytes_sent: usize,
    /// Names in the order in which they were stored.
    pub order: Vec<PhotoName>,
    /// Requests of any kind.
    pub requests: usize,
    /// Nothing more is taken.
    pub is_full: bool,
}

fn problem(status: u16, code: &str) -> TransportError {
    TransportError::Problem(Box::new(Problem::new(status, code, code.replace('_', " "))))
}

/// What the record says of the picture: hash and length.
fn described(state: &State, name: &PhotoName) -> Result<(String, usize), TransportError> {
    let row = state.rows.get(&(name.collection.clone(), name.record));
    let row = row.filter(|row| row.meta.deleted.is_none());
    let row = row.ok_or_else(|| problem(404, "unknown_photo"))?;
    let (hash, bytes) = name.variant.columns();
    match (row.fields.get(hash), row.fields.get(bytes)) {
        (Some(Value::Text(hash)), Some(Value::Integer(bytes))) => {
            Ok((hash.clone(), usize::try_from(*bytes).expect("a length")))
        }
        other => panic!("a photo without a hash: {other:?}"),
    }
}

/// Takes bytes as far as the way lets them come.
fn take(state: &mut State, name: &PhotoName, bytes: &[u8]) -> Result<u64, TransportError> {
    state.uploads.requests += 1;
    let fault =
        state.fault(|fault| matches!(fault, Fault::UploadCutAfter(_) | Fault::UploadAnswerLost));
    let offline =
        || TransportError::Offline { reason: OfflineReason::Interrupted, maybe_sent: true };
    let arrives = match fault {
        Some(Fault::UploadCutAfter(n)) => n.min(bytes.len()),
        _ => bytes.len(),
    };
    state.uploads.bytes_sent += arrives;
    state.uploads.parts.entry(name.clone()).or_default().extend(&bytes[..arrives]);
    if matches!(fault, Some(Fault::UploadCutAfter(_))) {
        return Err(offline());
    }
    let has = settle(state, name)?;
    if fault.is_some() { Err(offline()) } else { Ok(has) }
}

fn settle(state: &mut State, name: &PhotoName) -> Result<u64, TransportError> {
    let (sha256, length) = described(state, name)?;
    let part = state.uploads.parts.get(name).expect("it was begun");
    if part.len() < length {
        return Ok(part.len() as u64);
    }
    let bytes = state.uploads.parts.remove(name).expect("it is there");
    if bytes.len() > length || hash(&bytes) != sha256 {
        return Err(problem(422, "photo_mismatch"));
    }
    state.uploads.stored.insert(name.clone(), bytes);
    state.uploads.order.push(name.clone());
    let has = |variant| {
        let name = PhotoName { variant, ..name.clone() };
        state.uploads.stored.contains_key(&name)
    };
    let said = match (has(Variant::Thumbnail), has(Variant::Photo)) {
        (true, true) => "stored",
        (true, false) => "thumbnail",
        _ => "pending",
    };
    let record = name.record;
    state.sql(&name.collection, record, "estado", Value::Text(said.to_owned()));
    Ok(length as u64)
}

pub fn begin(
    state: &mut State,
    name: &PhotoName,
    length: u64,
    first: &[u8],
) -> Result<u64, TransportError> {
    let (_, bytes) = described(state, name)?;
    if let Some(Fault::UploadFails(error)) = state.fault(|f| matches!(f, Fault::UploadFails(_))) {
        return Err(error);
    }
    assert_eq!(length, bytes as u64, "the length of the record");
    if state.uploads.stored.contains_key(name) {
        state.uploads.requests += 1;
        return Ok(length);
    }
    if state.uploads.is_full {
        return Err(problem(413, "photo_quota"));
    }
    assert!(!state.uploads.parts.contains_key(name), "begun twice: {name:?}");
    take(state, name, first)
}

pub fn offset(state: &mut State, name: &PhotoName) -> Result<Option<u64>, TransportError> {
    state.uploads.requests += 1;
    let (_, length) = described(state, name)?;
    if state.uploads.stored.contains_key(name) {
        return Ok(Some(length as u64));
    }
    // What is whole and not checked yet is checked now: all bytes means that it is stored.
    if state.uploads.parts.contains_key(name) {
        return settle(state, name).map(Some);
    }
    Ok(None)
}

pub fn append(
    state: &mut State,
    name: &PhotoName,
    offset: u64,
    bytes: &[u8],
) -> Result<u64, TransportError> {
    described(state, name)?;
    match state.uploads.parts.get(name).map(|part| part.len() as u64) {
        None => Err(problem(404, "unknown_upload")),
        Some(has) if has != offset => Err(problem(409, "upload_offset")),
        Some(_) => take(state, name, bytes),
    }
}

pub fn read(state: &mut State, name: &PhotoName) -> Result<Vec<u8>, TransportError> {
    described(state, name)?;
    let stored = state.uploads.stored.get(name);
    stored.cloned().ok_or_else(|| problem(404, "photo_not_stored"))
}
