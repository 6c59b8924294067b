//! Checksums: whether what is read is what was written.
//!
//! CRC-32, which finds what flash memory and a careless hand do to a file; the server's digests find the
//! rest. A row's is the exclusive or of its fields', so it does not depend on their order, and a field
//! that is null counts nothing, so that a new column changes none.

use crc32fast::Hasher;
use rusqlite::types::ValueRef;

/// Of what an older version wrote, or what came in parts.
pub const UNKNOWN: i64 = 0;

/// Of a text that is kept whole.
#[must_use]
pub fn of_text(text: &str) -> i64 {
    known(crc32fast::hash(text.as_bytes()))
}

/// Of an optional text: where there is none, of nothing.
#[must_use]
pub fn of_optional(text: Option<&str>) -> i64 {
    of_text(text.unwrap_or_default())
}

/// Begins the checksum of each value of a field.
#[derive(Debug, Clone)]
pub struct FieldChecksum(Hasher);

impl FieldChecksum {
    /// For the field of that name.
    #[must_use]
    pub fn new(field: &str) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(field.as_bytes());
        Self(hasher)
    }

    /// What a value, as SQLite gives it back, adds to its row's checksum.
    #[must_use]
    pub fn of(&self, value: ValueRef<'_>) -> u32 {
        let mut hasher = self.0.clone();
        match value {
            ValueRef::Null => return 0,
            ValueRef::Integer(n) => hasher.update(&n.to_le_bytes()),
            // SQLite gives a zero back without its sign, and no number as null.
            ValueRef::Real(real) if real.is_nan() => return 0,
            ValueRef::Real(real) => hasher.update(&(real + 0.0).to_bits().to_be_bytes()),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => hasher.update(bytes),
        }
        hasher.finalize()
    }
}

/// A row's checksum from the exclusive or of its fields'.
#[must_use]
pub fn of_row(fields: u32) -> i64 {
    known(fields)
}

fn known(checksum: u32) -> i64 {
    i64::from(checksum) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_with_its_field_and_its_type() {
        let (nota, obra) = (FieldChecksum::new("nota"), FieldChecksum::new("obra"));
        let text = ValueRef::Text(b"lluvia");
        assert_ne!(nota.of(text), obra.of(text));
        assert_ne!(nota.of(text), nota.of(ValueRef::Text(b"lluvias")));
        assert_ne!(nota.of(ValueRef::Integer(1)), nota.of(ValueRef::Integer(2)));
        assert_eq!(nota.of(ValueRef::Real(-0.0)), nota.of(ValueRef::Real(0.0)));
        assert_eq!(nota.of(ValueRef::Null), 0);
    }

    #[test]
    fn a_checksum_is_never_the_unknown_one() {
        assert_ne!(of_row(0), 0);
        assert_ne!(of_text(""), 0);
    }
}
