//! Columns of values, in the binary form.

use std::collections::HashMap;
use std::hash::Hash;

use uuid::Uuid;

use super::bytes::{Bytes, put_count, put_text, put_varint, unzigzag, utf8, varint_len, zigzag};
use super::{DecodeError, PAGE_TEXT_BYTES_MAX};
use crate::wire::pull::{Column, TextColumn};

const INTEGERS: u8 = 0;
const REALS: u8 = 1;
const UUIDS: u8 = 2;
const TEXTS: u8 = 3;
const UUID_DICTIONARY: u8 = 4;
const TEXT_DICTIONARY: u8 = 5;

const NONE_NULL: u8 = 0;
const SOME_NULL: u8 = 1;
const ALL_NULL: u8 = 2;

const PLAIN: u8 = 0;
const DIFFERENCES: u8 = 1;

/// Most entries of a dictionary: an index is one byte.
const DICTIONARY_MAX: usize = 255;
/// A dictionary pays where at most one in so many values is distinct.
const DICTIONARY_REPEATS_MIN: usize = 4;

pub(super) fn put_column(to: &mut Vec<u8>, column: &Column) {
    match column {
        Column::Int(values) => {
            to.push(INTEGERS);
            if put_nulls(to, values.iter().map(Option::is_none)) {
                put_integers(to, values.iter().filter_map(|value| *value));
            }
        }
        Column::Real(values) => {
            let finite = || values.iter().map(|value| value.filter(|real| real.is_finite()));
            to.push(REALS);
            if put_nulls(to, finite().map(|value| value.is_none())) {
                finite().flatten().for_each(|real| to.extend(real.to_le_bytes()));
            }
        }
        Column::Uuid(values) => {
            let dictionary = Dictionary::of(values.iter().filter_map(|value| *value));
            to.push(if dictionary.is_some() { UUID_DICTIONARY } else { UUIDS });
            if !put_nulls(to, values.iter().map(Option::is_none)) {
                return;
            }
            let uuids = values.iter().filter_map(|value| value.as_ref());
            if let Some(dictionary) = dictionary {
                put_count(to, dictionary.entries.len());
                dictionary.entries.iter().for_each(|id| to.extend_from_slice(id.as_bytes()));
                to.extend_from_slice(&dictionary.indexes);
            } else {
                uuids.for_each(|id| to.extend_from_slice(id.as_bytes()));
            }
        }
        Column::Text(values) => {
            let dictionary = Dictionary::of(values.iter().flatten());
            to.push(if dictionary.is_some() { TEXT_DICTIONARY } else { TEXTS });
            if !put_nulls(to, values.iter().map(|text| text.is_none())) {
                return;
            }
            if let Some(dictionary) = dictionary {
                put_count(to, dictionary.entries.len());
                dictionary.entries.iter().for_each(|text| put_text(to, text));
                to.extend_from_slice(&dictionary.indexes);
            } else {
                values.iter().flatten().for_each(|text| put_count(to, text.len()));
                to.extend_from_slice(values.all().as_bytes());
            }
        }
    }
}

/// Says which of the values are null; whether any is not.
fn put_nulls(to: &mut Vec<u8>, nulls: impl Iterator<Item = bool> + Clone) -> bool {
    let count = nulls.clone().count();
    let null_count = nulls.clone().filter(|null| *null).count();
    if null_count == 0 {
        to.push(NONE_NULL);
        return true;
    }
    if null_count == count {
        to.push(ALL_NULL);
        return false;
    }
    to.push(SOME_NULL);
    let start = to.len();
    to.resize(start + count.div_ceil(8), 0);
    for (position, null) in nulls.enumerate() {
        to[start + position / 8] |= u8::from(null) << (position % 8);
    }
    true
}

/// Integers without nulls, plain or as differences, whichever is shorter.
pub(super) fn put_integers(to: &mut Vec<u8>, values: impl Iterator<Item = i64> + Clone) {
    let mut before = 0i64;
    let (plain_len, differences_len) = values.clone().fold((0, 0), |(plain, differences), n| {
        let difference = n.wrapping_sub(std::mem::replace(&mut before, n));
        (plain + varint_len(zigzag(n)), differences + varint_len(zigzag(difference)))
    });
    if differences_len < plain_len {
        to.reserve(1 + differences_len);
        to.push(DIFFERENCES);
        before = 0;
        for n in values {
            put_varint(to, zigzag(n.wrapping_sub(std::mem::replace(&mut before, n))));
        }
    } else {
        to.reserve(1 + plain_len);
        to.push(PLAIN);
        values.for_each(|n| put_varint(to, zigzag(n)));
    }
}

struct Dictionary<T> {
    entries: Vec<T>,
    indexes: Vec<u8>,
}

impl<T: Hash + Eq + Copy> Dictionary<T> {
    /// The dictionary of these values, if it pays. Gives up as soon as it cannot.
    fn of(values: impl Iterator<Item = T> + Clone) -> Option<Self> {
        let count = values.clone().count();
        let entries_max = DICTIONARY_MAX.min(count / DICTIONARY_REPEATS_MIN);
        let mut known: HashMap<T, u8> = HashMap::new();
        let mut dictionary = Self { entries: Vec::new(), indexes: Vec::new() };
        let mut before: Option<(T, u8)> = None;
        for value in values {
            // Rows in key order often repeat the value before.
            let index = match before {
                Some((same, index)) if same == value => index,
                _ => match known.get(&value) {
                    Some(index) => *index,
                    None => {
                        if dictionary.entries.len() >= entries_max {
                            return None;
                        }
                        let index = u8::try_from(dictionary.entries.len()).ok()?;
                        known.insert(value, index);
                        dictionary.entries.push(value);
                        index
                    }
                },
            };
            before = Some((value, index));
            dictionary.indexes.push(index);
        }
        (!dictionary.entries.is_empty()).then_some(dictionary)
    }
}

/// Which values of a column are null.
enum Nulls<'a> {
    None,
    Some(&'a [u8]),
    All,
}

impl<'a> Nulls<'a> {
    fn read(from: &mut Bytes<'a>, rows: usize) -> Result<Self, DecodeError> {
        Ok(match from.byte("a column")? {
            NONE_NULL => Self::None,
            SOME_NULL => Self::Some(from.take(rows.div_ceil(8), "a column's nulls")?),
            ALL_NULL => Self::All,
            other => return Err(DecodeError::damaged(format!("nulls of the kind {other}"))),
        })
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::None => false,
            Self::Some(bitmap) => bitmap[row / 8] >> (row % 8) & 1 == 1,
            Self::All => true,
        }
    }

    /// Each row's value, read where it is not null.
    fn fill<T>(
        &self,
        rows: usize,
        mut read: impl FnMut() -> Result<T, DecodeError>,
    ) -> Result<Vec<Option<T>>, DecodeError> {
        let mut values = Vec::with_capacity(rows);
        for row in 0..rows {
            values.push(if self.is_null(row) { None } else { Some(read()?) });
        }
        Ok(values)
    }
}

/// Reads a column of `rows` values. `text_bytes_left` is what the page's texts may still take.
pub(super) fn column(
    from: &mut Bytes<'_>,
    rows: usize,
    text_bytes_left: &mut usize,
) -> Result<Column, DecodeError> {
    let kind = from.byte("a column")?;
    let nulls = Nulls::read(from, rows)?;
    let empty = matches!(nulls, Nulls::All);
    Ok(match kind {
        INTEGERS if empty => Column::Int(vec![None; rows]),
        REALS if empty => Column::Real(vec![None; rows]),
        UUIDS | UUID_DICTIONARY if empty => Column::Uuid(vec![None; rows]),
        TEXTS | TEXT_DICTIONARY if empty => Column::Text(TextColumn::nulls(rows)),
        INTEGERS => {
            let mut integers = Integers::read(from)?;
            Column::Int(nulls.fill(rows, || integers.next(from))?)
        }
        REALS => Column::Real(nulls.fill(rows, || {
            let real = f64::from_le_bytes(from.array("a real")?);
            if real.is_finite() {
                Ok(real)
            } else {
                Err(DecodeError::damaged("a real is infinite"))
            }
        })?),
        UUIDS => Column::Uuid(
            nulls.fill(rows, || Ok(Uuid::from_bytes(from.array("a column of uuids")?)))?,
        ),
        UUID_DICTIONARY => {
            let count = from.count(DICTIONARY_MAX, "a dictionary")?;
            let entries = (0..count)
                .map(|_| Ok(Uuid::from_bytes(from.array("a dictionary")?)))
                .collect::<Result<Vec<_>, DecodeError>>()?;
            Column::Uuid(nulls.fill(rows, || entry(from, &entries).copied())?)
        }
        TEXTS => Column::Text(texts(from, rows, &nulls, text_bytes_left)?),
        TEXT_DICTIONARY => {
            let count = from.count(DICTIONARY_MAX, "a dictionary")?;
            let entries =
                (0..count).map(|_| from.text("a dictionary")).collect::<Result<Vec<_>, _>>()?;
            let mut column = TextColumn::with_capacity(rows, 0);
            for row in 0..rows {
                if nulls.is_null(row) {
                    column.push(None);
                } else {
                    let text = entry(from, &entries)?;
                    spend(text_bytes_left, text.len())?;
                    column.push(Some(text));
                }
            }
            Column::Text(column)
        }
        other => return Err(DecodeError::damaged(format!("a column of the kind {other}"))),
    })
}

fn entry<'e, T>(from: &mut Bytes<'_>, entries: &'e [T]) -> Result<&'e T, DecodeError> {
    let index = from.byte("a column of a dictionary")?;
    entries
        .get(usize::from(index))
        .ok_or_else(|| DecodeError::damaged(format!("the dictionary has no entry {index}")))
}

fn spend(text_bytes_left: &mut usize, bytes: usize) -> Result<(), DecodeError> {
    *text_bytes_left = text_bytes_left.checked_sub(bytes).ok_or(DecodeError::TooLarge {
        what: "the text of the page",
        limit: PAGE_TEXT_BYTES_MAX,
    })?;
    Ok(())
}

/// Lengths first, so that all texts are checked and copied as one.
fn texts(
    from: &mut Bytes<'_>,
    rows: usize,
    nulls: &Nulls<'_>,
    text_bytes_left: &mut usize,
) -> Result<TextColumn, DecodeError> {
    let mut end = 0usize;
    let ends = nulls.fill(rows, || {
        let length = from.count(*text_bytes_left, "a text")?;
        spend(text_bytes_left, length)?;
        end += length;
        // Fits: the sum is within `PAGE_TEXT_BYTES_MAX`.
        Ok(u32::try_from(end).unwrap_or(u32::MAX))
    })?;
    let all = utf8(from.take(end, "a column of texts")?, "a column of texts")?;
    TextColumn::from_parts(all.to_owned(), ends)
        .ok_or_else(|| DecodeError::damaged("a text ends inside a character"))
}

/// Integers without nulls, as [`put_integers`] writes them.
pub(super) struct Integers {
    differences: bool,
    before: i64,
}

impl Integers {
    pub(super) fn read(from: &mut Bytes<'_>) -> Result<Self, DecodeError> {
        let differences = match from.byte("a column of integers")? {
            PLAIN => false,
            DIFFERENCES => true,
            other => return Err(DecodeError::damaged(format!("integers of the kind {other}"))),
        };
        Ok(Self { differences, before: 0 })
    }

    #[inline]
    pub(super) fn next(&mut self, from: &mut Bytes<'_>) -> Result<i64, DecodeError> {
        let n = unzigzag(from.varint("a column of integers")?);
        if self.differences {
            self.before = self.before.wrapping_add(n);
            return Ok(self.before);
        }
        Ok(n)
    }
}
