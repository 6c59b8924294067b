//! A page of a pull in the binary form, unfolded: what a phone reads from a server or whoever
//! stands between.

use sync_protocol::columnar::{
    DecodeError, PAGE_CELLS_MAX, PAGE_TEXT_BYTES_MAX, decode_page, encode_page, page_from_json,
    page_to_json,
};
use sync_protocol::schema::FieldType;
use sync_protocol::wire::pull::{PageTable, PullPage};
use sync_protocol::{Value, limits};

use super::samples::SCHEMA;
use crate::{Target, memory};

/// The target.
pub(super) const TARGET: Target = Target { name: "page_binary", input_bytes_max: 4096, run };

/// The codes of `DecodeError` that bytes alone can lead to.
const CODES: &[&str] = &["page_truncated", "page_too_large", "page_damaged"];

/// Days of the years 1 to 9999, from 1970.
const DAYS: std::ops::RangeInclusive<i32> = -719_162..=2_932_896;
/// Microseconds of the same years.
const TIMES_US: std::ops::Range<i64> = -62_135_596_800_000_000..253_402_300_800_000_000;

fn run(input: &[u8]) {
    match memory::at_most(bytes_justified(input.len()), || decode_page(input)) {
        Ok(page) => {
            survives_binary(&page);
            agrees_with_json(&page);
        }
        Err(error) => is_documented(&error),
    }
}

/// Columns of nulls and dictionaries unfold: `r` rows of `c` columns take at least `r + 3c` bytes,
/// and `r` times a text of `t` bytes at least `r + t`. So what is held may grow with the square of
/// the input, up to the constants.
pub(super) fn bytes_justified(input_bytes: usize) -> usize {
    let square = input_bytes * input_bytes;
    let cells = (square / 12).min(PAGE_CELLS_MAX) * 40;
    // A text that grows by doubling is held twice for a moment.
    let texts = (square / 4).min(PAGE_TEXT_BYTES_MAX) * 3;
    memory::FREE_BYTES + 100 * input_bytes + cells + texts
}

pub(super) fn is_documented(error: &DecodeError) {
    assert!(CODES.contains(&error.code()), "{}: {error}", error.code());
    assert!(!error.to_string().is_empty());
}

/// What was read is written and read again as the same.
pub(super) fn survives_binary(page: &PullPage) {
    match decode_page(&encode_page(page)) {
        Ok(again) => assert_eq!(&again, page, "another page came back"),
        Err(error) => panic!("what was read cannot be read again: {error}\n{page:?}"),
    }
}

/// Where a page fits its schema, the JSON form says the same.
fn agrees_with_json(page: &PullPage) {
    if !page.tables.iter().all(|table| fits(page, table)) {
        return;
    }
    let json = page_to_json(page, &SCHEMA);
    let from_json = match page_from_json(&json, &SCHEMA) {
        Ok(from_json) => from_json,
        Err(error) => panic!("the JSON form of a page is not read: {error:?}\n{json}"),
    };
    assert_eq!(page_to_json(&from_json, &SCHEMA), json, "the JSON form says something else");
    survives_binary(&from_json);
}

/// Whether a table's columns are what the schema declares, each once. Others go no way through JSON.
fn fits(page: &PullPage, table: &PageTable) -> bool {
    let own = page.schema.as_ref().and_then(|own| own.collection(&table.collection));
    let Some(collection) = own.or_else(|| SCHEMA.collection(&table.collection)) else {
        return false;
    };
    let mut seen = std::collections::BTreeSet::new();
    table.fields.iter().zip(&table.columns).all(|(name, column)| {
        let field = collection.field(name).filter(|_| seen.insert(name));
        field.is_some_and(|field| {
            let values = column.values(&field.kind);
            values.is_some_and(|values| values.iter().all(|value| has_json(value, &field.kind)))
        })
    })
}

/// Whether JSON has a form for a value. Plain SQL can write others, which are clamped.
fn has_json(value: &Value, kind: &FieldType) -> bool {
    match (value, kind) {
        (Value::Text(word), FieldType::Enum { values }) => values.contains(word),
        (Value::Decimal(units), _) => {
            units.unsigned_abs() <= limits::DECIMAL_UNITS_MAX.unsigned_abs()
        }
        (Value::Date(days), _) => DAYS.contains(days),
        (Value::Timestamp(us), _) => TIMES_US.contains(us),
        _ => true,
    }
}
