//! Digests: short numbers by which two ends see whether they hold the same rows.
//!
//! A row counts as MD5 of its id (16 bytes) and its version (8 bytes, big endian). A set of rows is the
//! number of rows and the exclusive or of their digests, so rows can come and go one by one, in any
//! order. MD5 guards against accidents here, not against an attacker: who can forge a row's version can
//! write the row as well. It was chosen because PostgreSQL computes it without an extension.
//!
//! Two ends that differ narrow it down by [`BUCKETS`]: the rows of each last byte of an id apart.

use std::fmt;
use std::str::FromStr;

use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};

use crate::schema::Collection;
use crate::value::fields_to_json;
use crate::{Fields, RecordId, RowVersion};

/// How many buckets a set of rows is divided into.
pub const BUCKETS: usize = 256;

/// 128 bits; 32 hexadecimal digits in JSON.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub u128);

impl Digest {
    /// Of a row: its id and its version.
    #[must_use]
    pub fn of_row(record: RecordId, version: RowVersion) -> Self {
        let mut md5 = Md5::new();
        md5.update(record.0.as_bytes());
        md5.update(version.to_be_bytes());
        Self(u128::from_be_bytes(md5.finalize().into()))
    }

    /// Of a row's content: MD5 of the canonical JSON of the collection's fields.
    #[must_use]
    pub fn of_content(collection: &Collection, fields: &Fields) -> Self {
        let json = serde_json::Value::Object(fields_to_json(&collection.fields, fields));
        let mut md5 = Md5::new();
        md5.update(json.to_string());
        Self(u128::from_be_bytes(md5.finalize().into()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0:.40}` is no digest: write 32 hexadecimal digits")]
pub struct DigestError(String);

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() != 32 || !text.bytes().all(lower_hex) {
            return Err(DigestError(text.to_owned()));
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| DigestError(text.to_owned()))
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// A set of rows: how many, and the exclusive or of their digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RowSet {
    /// How many.
    pub rows: u64,
    /// Of all of them.
    pub digest: Digest,
}

impl RowSet {
    /// Adds a row.
    pub fn add(&mut self, record: RecordId, version: RowVersion) {
        self.rows += 1;
        self.digest.0 ^= Digest::of_row(record, version).0;
    }
}

/// A set of rows in its [`BUCKETS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buckets(Vec<Digest>);

impl Default for Buckets {
    fn default() -> Self {
        Self(vec![Digest::default(); BUCKETS])
    }
}

impl Buckets {
    /// The bucket of a record: the last byte of its id, which is random in a UUIDv7.
    #[must_use]
    pub fn of(record: RecordId) -> u8 {
        record.0.as_bytes()[15]
    }

    /// Adds a row.
    pub fn add(&mut self, record: RecordId, version: RowVersion) {
        self.0[usize::from(Self::of(record))].0 ^= Digest::of_row(record, version).0;
    }

    /// In order.
    #[must_use]
    pub fn digests(&self) -> &[Digest] {
        &self.0
    }

    /// Those that differ from another end's; all that hold something where that end tells none.
    #[must_use]
    pub fn differing(&self, other: &[Digest]) -> Vec<u8> {
        (0..=u8::MAX)
            .filter(|bucket| self.0.get(usize::from(*bucket)) != other.get(usize::from(*bucket)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rows_digest_is_portable() {
        // Python: hashlib.md5(uuid.UUID(id).bytes + (3).to_bytes(8, "big")).hexdigest()
        let id: RecordId = "0193a000-0000-7000-8000-00000000002a".parse().unwrap();
        assert_eq!(Digest::of_row(id, 3).to_string(), "f693a4468578f743c93a085a32cdf5d4");
    }

    #[test]
    fn rows_come_and_go_in_any_order() {
        let ids: Vec<RecordId> = (1..=3).map(|n| RecordId(uuid::Uuid::from_u128(n))).collect();
        let mut there = RowSet::default();
        let mut back = RowSet::default();
        ids.iter().for_each(|id| there.add(*id, 1));
        ids.iter().rev().for_each(|id| back.add(*id, 1));
        assert_eq!(there, back);
        let mut other = RowSet::default();
        ids.iter().for_each(|id| other.add(*id, 2));
        assert_ne!(there, other);
    }

    #[test]
    fn only_the_differing_buckets_are_named() {
        let (mut here, mut there) = (Buckets::default(), Buckets::default());
        for n in 0..1_000 {
            here.add(RecordId(uuid::Uuid::from_u128(n)), 1);
            there.add(RecordId(uuid::Uuid::from_u128(n)), if n == 300 { 2 } else { 1 });
        }
        assert_eq!(here.differing(there.digests()), [44]);
        assert_eq!(here.differing(&[]).len(), BUCKETS);
    }

    #[test]
    fn only_a_digests_own_form_is_read() {
        let digest = Digest(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for text in
            ["", "0", "+123456789abcdef0123456789abcdef", "0123456789ABCDEF0123456789ABCDEF"]
        {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }
}
