//! Reading columns from PostgreSQL's binary format, straight into a page's columns or a value.
//!
//! The bytes are borrowed from the row as it came; nothing goes through JSON but what is JSON.

use std::collections::BTreeSet;

use sqlx::ValueRef;
use sqlx::postgres::PgRow;
use sync_protocol::Value;
use sync_protocol::schema::FieldType;
use sync_protocol::wire::pull::Column;
use uuid::Uuid;

use super::error::store_error;
use crate::store::StoreError;

/// Microseconds from 1970 to 2000, where PostgreSQL's timestamps begin.
const EPOCH_US: i64 = 946_684_800_000_000;
/// Days from 1970 to 2000, where PostgreSQL's dates begin.
const EPOCH_DAYS: i32 = 10_957;

/// A row of the binary format, however it came.
pub(super) trait Cells {
    /// The bytes of a column; none for null.
    fn bytes(&self, index: usize) -> Result<Option<&[u8]>, StoreError>;
}

impl Cells for PgRow {
    fn bytes(&self, index: usize) -> Result<Option<&[u8]>, StoreError> {
        use sqlx::Row;
        let value = self.try_get_raw(index).map_err(store_error)?;
        if value.is_null() {
            return Ok(None);
        }
        value.as_bytes().map(Some).map_err(|e| StoreError::Internal(e.to_string()))
    }
}

/// The bytes of a column; none for null.
pub(super) fn bytes(row: &impl Cells, index: usize) -> Result<Option<&[u8]>, StoreError> {
    row.bytes(index)
}

/// Appends a column of a row to a page's column.
pub(super) fn push(
    column: &mut Column,
    kind: &FieldType,
    bytes: Option<&[u8]>,
) -> Result<(), StoreError> {
    match (column, kind, bytes) {
        (Column::Int(values), _, None) => values.push(None),
        (Column::Real(values), _, None) => values.push(None),
        (Column::Uuid(values), _, None) => values.push(None),
        (Column::Text(values), _, None) => values.push(None),
        (Column::Text(values), FieldType::Text | FieldType::Enum { .. }, Some(bytes)) => {
            values.push(Some(text(bytes)?));
        }
        (column, kind, Some(bytes)) => column.push(&value(kind, Some(bytes))?),
    }
    Ok(())
}

/// A column of a row as a value.
pub(super) fn value(kind: &FieldType, bytes: Option<&[u8]>) -> Result<Value, StoreError> {
    let Some(bytes) = bytes else { return Ok(Value::Null) };
    Ok(match kind {
        FieldType::Text | FieldType::Enum { .. } => Value::Text(text(bytes)?.to_owned()),
        FieldType::Integer => Value::Integer(i64::from_be_bytes(array(bytes)?)),
        FieldType::Decimal { scale } => Value::Decimal(decimal(bytes, *scale)?),
        FieldType::Real => {
            let real = f64::from_be_bytes(array(bytes)?);
            Value::Real(if real == 0.0 { 0.0 } else { real })
        }
        FieldType::Boolean => Value::Boolean(bytes.first() == Some(&1)),
        FieldType::Date => {
            Value::Date(i32::from_be_bytes(array(bytes)?).saturating_add(EPOCH_DAYS))
        }
        FieldType::Timestamp => {
            Value::Timestamp(i64::from_be_bytes(array(bytes)?).saturating_add(EPOCH_US))
        }
        FieldType::Uuid => Value::Uuid(uuid(bytes)?),
        FieldType::Set => Value::Set(set(bytes)?),
        FieldType::Json => Value::Json(json(bytes)?),
    })
}

pub(super) fn uuid(bytes: &[u8]) -> Result<Uuid, StoreError> {
    Ok(Uuid::from_bytes(array(bytes)?))
}

pub(super) fn bigint(bytes: &[u8]) -> Result<i64, StoreError> {
    Ok(i64::from_be_bytes(array(bytes)?))
}

pub(super) fn text(bytes: &[u8]) -> Result<&str, StoreError> {
    std::str::from_utf8(bytes).map_err(|_| damaged("text"))
}

/// `jsonb`: one byte of version, then text.
///
/// Plain SQL can write documents that no device could read: numbers beyond a float, nesting without
/// end. Such a one is answered as its text, so that the rest of the page is not held up by it.
pub(super) fn json(bytes: &[u8]) -> Result<serde_json::Value, StoreError> {
    let document = bytes.strip_prefix(&[1]).ok_or_else(|| damaged("jsonb"))?;
    match serde_json::from_slice(document) {
        Ok(json) => Ok(json),
        Err(_) => Ok(serde_json::Value::from(text(document)?)),
    }
}

/// `numeric`: digits to the base of 10,000, the first one weighing 10,000^weight.
fn decimal(bytes: &[u8], scale: u8) -> Result<i64, StoreError> {
    let word = |at: usize| -> Result<i16, StoreError> {
        Ok(i16::from_be_bytes(array(bytes.get(at..at + 2).ok_or_else(|| damaged("numeric"))?)?))
    };
    let (digits, weight, sign) = (word(0)?, word(2)?, word(4)?);
    // How many decimal places the first digit's unit lies above the last place of the scale.
    let mut places = 4 * i32::from(weight) + i32::from(scale);
    let mut units: i64 = 0;
    let mut position = 0;
    while position < digits && places > -4 {
        let digit = i64::from(word(8 + 2 * usize::try_from(position).unwrap_or(0))?);
        // The last digit that counts may reach below the scale.
        let (weight, digit) = match u32::try_from(-places) {
            Ok(below @ 1..) => (10i64.pow(4 - below), digit / 10i64.pow(below)),
            _ => (10_000, digit),
        };
        let raised = units.checked_mul(weight).and_then(|units| units.checked_add(digit));
        units = raised.ok_or_else(|| damaged("numeric"))?;
        places -= 4;
        position += 1;
    }
    // Digits of zero at the end are not sent.
    let missing = u32::try_from(places + 4).unwrap_or(0);
    if units != 0 && missing > 0 {
        let unit = 10i64.checked_pow(missing).ok_or_else(|| damaged("numeric"))?;
        units = units.checked_mul(unit).ok_or_else(|| damaged("numeric"))?;
    }
    match sign {
        0 => Ok(units),
        0x4000 => Ok(-units),
        _ => Err(damaged("numeric")),
    }
}

/// `text[]` with one dimension or none.
fn set(bytes: &[u8]) -> Result<BTreeSet<String>, StoreError> {
    let int = |at: usize| -> Result<i32, StoreError> {
        Ok(i32::from_be_bytes(array(bytes.get(at..at + 4).ok_or_else(|| damaged("text[]"))?)?))
    };
    let mut elements = BTreeSet::new();
    if int(0)? == 0 {
        return Ok(elements);
    }
    let count = int(12)?;
    let mut at = 20;
    for _ in 0..count {
        let length = int(at)?;
        at += 4;
        // Null, which the table's check refuses.
        let Ok(length) = usize::try_from(length) else { continue };
        let element = bytes.get(at..at + length).ok_or_else(|| damaged("text[]"))?;
        elements.insert(text(element)?.to_owned());
        at += length;
    }
    Ok(elements)
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], StoreError> {
    bytes.try_into().map_err(|_| damaged("a value"))
}

fn damaged(what: &str) -> StoreError {
    StoreError::Internal(format!("the database sent {what} that cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(weight: i16, sign: i16, scale: i16, digits: &[i16]) -> Vec<u8> {
        let head = [i16::try_from(digits.len()).expect("short"), weight, sign, scale];
        head.iter().chain(digits).flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn numerics_are_read_in_units_of_the_last_digit() {
        // 12345.67 = 1·10^4 + 2345 + 0.6700
        assert_eq!(decimal(&numeric(1, 0, 2, &[1, 2345, 6700]), 2).ok(), Some(1_234_567));
        assert_eq!(decimal(&numeric(0, 0x4000, 2, &[0, 5000]), 2).ok(), Some(-50));
        assert_eq!(decimal(&numeric(-1, 0, 3, &[50]), 3).ok(), Some(5));
        assert_eq!(decimal(&numeric(0, 0, 0, &[]), 2).ok(), Some(0));
        assert_eq!(decimal(&numeric(1, 0, 0, &[20]), 0).ok(), Some(200_000));
        // 0.00012 is nothing in hundredths, and 1.2399 is 1.23.
        assert_eq!(decimal(&numeric(-1, 0, 5, &[1, 2000]), 2).ok(), Some(0));
        assert_eq!(decimal(&numeric(0, 0, 4, &[1, 2399]), 2).ok(), Some(123));
        assert_eq!(decimal(&numeric(0, 0, 4, &[1, 2399]), 4).ok(), Some(12_399));
        assert_eq!(decimal(&numeric(0, 0, 9, &[1, 2399, 8765]), 9).ok(), Some(1_239_987_650));
        // 18 digits, and one more than fits.
        let largest = numeric(4, 0, 0, &[99, 9999, 9999, 9999, 9999]);
        assert_eq!(decimal(&largest, 0).ok(), Some(999_999_999_999_999_999));
        assert!(decimal(&numeric(4, 0, 0, &[9999, 9999, 9999, 9999, 9999]), 0).is_err());
        assert!(decimal(&numeric(0, -16384, 0, &[]), 0).is_err(), "NaN");
    }
}
