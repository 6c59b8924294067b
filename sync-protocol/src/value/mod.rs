//! Values of fields, their checks, and their canonical JSON form.
//!
//! | type | canonical JSON |
//! |---|---|
//! | text, enum | string |
//! | integer | number; beyond ±(2^53−1) a string |
//! | decimal | string with exactly `scale` digits after the point, `"-0.50"` |
//! | real | number |
//! | boolean | `true`, `false` |
//! | date | `"2026-11-24"` |
//! | timestamp | `"2026-11-24T16:05:09.000000Z"`: UTC, six digits |
//! | uuid | lower case with hyphens |
//! | set | array, sorted, each element once |
//! | json | any document, keys sorted |
//!
//! Parsing accepts the obvious variants (a decimal as a number or with fewer digits, a timestamp
//! with an offset); writing always gives the canonical form.

mod error;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use uuid::Uuid;

use crate::limits;
use crate::schema::{Field, FieldType, MergeRule};

pub use error::{Limit, ValueError};
pub use text::{
    format_date, format_decimal, format_timestamp, parse_date, parse_decimal, parse_timestamp,
};

/// The fields of a row or of an edit, by name.
pub type Fields = BTreeMap<String, Value>;

const INTEGER_AS_NUMBER_MAX: i64 = (1 << 53) - 1;
/// One value. Which variant a field holds is fixed by its [`FieldType`]; `Null` goes with each.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// `text` and `enum`.
    Text(String),
    /// `integer`.
    Integer(i64),
    /// `decimal`, counted in units of its last digit: 12.50 with scale 2 is 1250.
    Decimal(i64),
    /// `real`; always finite.
    Real(f64),
    /// `boolean`.
    Boolean(bool),
    /// `date`: days since 1970-01-01.
    Date(i32),
    /// `timestamp`: microseconds since 1970 in UTC.
    Timestamp(i64),
    /// `uuid`.
    Uuid(Uuid),
    /// `set`.
    Set(BTreeSet<String>),
    /// `json`.
    Json(Json),
}

impl Value {
    /// Whether it is [`Value::Null`].
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The number in an `integer` or `decimal`, in units of its last digit.
    #[must_use]
    pub fn units(&self) -> Option<i64> {
        match self {
            Self::Integer(units) | Self::Decimal(units) => Some(*units),
            _ => None,
        }
    }

    /// Reads JSON for this field: type, then limits. Does not check `required`.
    ///
    /// # Errors
    /// [`ValueError`] names the field and what was expected.
    pub fn from_json(field: &Field, json: &Json) -> Result<Self, ValueError> {
        let value = Self::read(field, json)?;
        value.check_limits(field)?;
        Ok(value)
    }

    /// Reads a difference for a `counter` field: as [`Value::from_json`], without `min` and `max`.
    ///
    /// # Errors
    /// [`ValueError`] names the field and what was expected.
    pub fn difference_from_json(field: &Field, json: &Json) -> Result<i64, ValueError> {
        Self::read(field, json)?.units().ok_or_else(|| wrong(field, json))
    }

    /// Reads JSON by type alone, without limits.
    ///
    /// # Errors
    /// [`ValueError`] for a value of another type.
    pub fn read(field: &Field, json: &Json) -> Result<Self, ValueError> {
        if json.is_null() {
            return Ok(Self::Null);
        }
        let bad = || wrong(field, json);
        Ok(match &field.kind {
            FieldType::Text => Self::Text(text(field, json)?.to_owned()),
            FieldType::Enum { values } => {
                let word = text(field, json)?;
                if !values.iter().any(|v| v == word) {
                    return Err(bad());
                }
                Self::Text(word.to_owned())
            }
            FieldType::Integer => Self::Integer(match json {
                Json::Number(n) => n.as_i64().ok_or_else(bad)?,
                Json::String(s) => s.parse().map_err(|_| bad())?,
                _ => return Err(bad()),
            }),
            FieldType::Decimal { scale } => Self::Decimal(match json {
                Json::Number(n) => parse_decimal(&n.to_string(), *scale).ok_or_else(bad)?,
                Json::String(s) => parse_decimal(s, *scale).ok_or_else(bad)?,
                _ => return Err(bad()),
            }),
            FieldType::Real => {
                let real = json.as_f64().filter(|r| r.is_finite()).ok_or_else(bad)?;
                Self::Real(if real == 0.0 { 0.0 } else { real })
            }
            FieldType::Boolean => Self::Boolean(json.as_bool().ok_or_else(bad)?),
            FieldType::Date => Self::Date(parse_date(text(field, json)?).ok_or_else(bad)?),
            FieldType::Timestamp => {
                Self::Timestamp(parse_timestamp(text(field, json)?).ok_or_else(bad)?)
            }
            FieldType::Uuid => Self::Uuid(text(field, json)?.parse().map_err(|_| bad())?),
            FieldType::Set => {
                let elements = json.as_array().ok_or_else(bad)?;
                let texts: Option<BTreeSet<String>> =
                    elements.iter().map(|e| e.as_str().map(str::to_owned)).collect();
                Self::Set(texts.ok_or_else(bad)?)
            }
            FieldType::Json => Self::Json(json.clone()),
        })
    }

    /// The canonical JSON form.
    #[must_use]
    pub fn to_json(&self, kind: &FieldType) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Text(text) => Json::from(text.as_str()),
            Self::Integer(n) if n.abs_diff(0) > INTEGER_AS_NUMBER_MAX.unsigned_abs() => {
                Json::from(n.to_string())
            }
            Self::Integer(n) => Json::from(*n),
            Self::Decimal(units) => Json::from(format_decimal(
                *units,
                match kind {
                    FieldType::Decimal { scale } => *scale,
                    _ => 0,
                },
            )),
            Self::Real(real) => Json::from(*real),
            Self::Boolean(b) => Json::from(*b),
            Self::Date(days) => Json::from(format_date(*days)),
            Self::Timestamp(us) => Json::from(format_timestamp(*us)),
            Self::Uuid(id) => Json::from(id.to_string()),
            Self::Set(elements) => elements.iter().cloned().collect(),
            Self::Json(json) => json.clone(),
        }
    }

    fn check_limits(&self, field: &Field) -> Result<(), ValueError> {
        let beyond = |limit: Limit, problem: String| {
            Err(ValueError::OutOfLimits { field: field.name.clone(), limit, problem })
        };
        match self {
            Self::Text(text) => {
                let max = field.max_length.map_or(limits::TEXT_CHARS_MAX, |max| max as usize);
                let length = text.chars().count();
                if length > max {
                    return beyond(
                        Limit::Length,
                        format!("may have at most {max} characters, but has {length}"),
                    );
                }
                if text.contains('\0') {
                    return beyond(Limit::Nul, "may not contain a NUL character".to_owned());
                }
            }
            Self::Set(elements) => {
                if elements.len() > limits::SET_ELEMENTS_MAX {
                    return beyond(
                        Limit::Elements,
                        format!(
                            "may have at most {} elements, but has {}",
                            limits::SET_ELEMENTS_MAX,
                            elements.len()
                        ),
                    );
                }
                let max = field.max_length.map_or(limits::SET_ELEMENT_CHARS_MAX, |m| m as usize);
                for element in elements {
                    check_element(field, element, max)?;
                }
            }
            Self::Json(json) => {
                if depth(json) > limits::JSON_DEPTH_MAX {
                    return beyond(
                        Limit::Depth,
                        format!("is nested deeper than {}", limits::JSON_DEPTH_MAX),
                    );
                }
                let bytes = json.to_string().len();
                if bytes > limits::JSON_BYTES_MAX {
                    return beyond(
                        Limit::Length,
                        format!(
                            "may have at most {} bytes, but has {bytes}",
                            limits::JSON_BYTES_MAX,
                        ),
                    );
                }
                if holds_nul(json) {
                    return beyond(Limit::Nul, "may not contain a NUL character".to_owned());
                }
            }
            // A counter that leaves its limits raises a flag: the sale has happened.
            _ if field.merge == MergeRule::Counter => {}
            Self::Null => {}
            _ => {
                if let Some(min) = field.limit(field.min.as_ref())
                    && self.compare(&min).is_some_and(std::cmp::Ordering::is_lt)
                {
                    return beyond(
                        Limit::Range,
                        format!(
                            "must be at least {}, but is {}",
                            min.to_json(&field.kind),
                            self.to_json(&field.kind)
                        ),
                    );
                }
                if let Some(max) = field.limit(field.max.as_ref())
                    && self.compare(&max).is_some_and(std::cmp::Ordering::is_gt)
                {
                    return beyond(
                        Limit::Range,
                        format!(
                            "must be at most {}, but is {}",
                            max.to_json(&field.kind),
                            self.to_json(&field.kind)
                        ),
                    );
                }
            }
        }
        Ok(())
    }

    /// The order of two values of one ordered type; `None` for anything else.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b))
            | (Self::Decimal(a), Self::Decimal(b))
            | (Self::Timestamp(a), Self::Timestamp(b)) => Some(a.cmp(b)),
            (Self::Date(a), Self::Date(b)) => Some(a.cmp(b)),
            (Self::Real(a), Self::Real(b)) => a.partial_cmp(b),
            _ => None,
        }
    }
}

impl Field {
    /// A declared limit as a value of the field's type.
    #[must_use]
    pub fn limit(&self, json: Option<&Json>) -> Option<Value> {
        json.and_then(|json| Value::read(self, json).ok())
    }

    /// The default as a value, `Null` where none is declared.
    #[must_use]
    pub fn default_value(&self) -> Value {
        self.limit(self.default.as_ref()).unwrap_or(Value::Null)
    }
}

/// Checks one element of a set, as an edit may add it.
///
/// # Errors
/// [`ValueError::OutOfLimits`] when it is too long or holds a NUL.
pub fn check_element(field: &Field, element: &str, chars_max: usize) -> Result<(), ValueError> {
    let (limit, problem) = if element.chars().count() > chars_max {
        (Limit::Length, format!("may have elements of at most {chars_max} characters"))
    } else if element.contains('\0') {
        (Limit::Nul, "may not contain a NUL character".to_owned())
    } else {
        return Ok(());
    };
    Err(ValueError::OutOfLimits { field: field.name.clone(), limit, problem })
}

fn text<'a>(field: &Field, json: &'a Json) -> Result<&'a str, ValueError> {
    json.as_str().ok_or_else(|| wrong(field, json))
}

fn wrong(field: &Field, json: &Json) -> ValueError {
    let expected = match &field.kind {
        FieldType::Text => "a text".to_owned(),
        FieldType::Integer => "a 64-bit integer".to_owned(),
        FieldType::Decimal { scale } => {
            format!("a decimal such as \"12.5\" with at most {scale} digits after the point")
        }
        FieldType::Real => "a finite number".to_owned(),
        FieldType::Boolean => "true or false".to_owned(),
        FieldType::Date => "a date such as \"2026-11-24\"".to_owned(),
        FieldType::Timestamp => "a timestamp such as \"2026-11-24T16:05:09.000000Z\"".to_owned(),
        FieldType::Uuid => "a UUID".to_owned(),
        FieldType::Enum { values } => format!("one of {}", values.join(", ")),
        FieldType::Set => "an array of texts".to_owned(),
        FieldType::Json => "JSON".to_owned(),
    };
    let mut found: String = json.to_string().chars().take(60).collect();
    if found.len() < json.to_string().len() {
        found.push('…');
    }
    ValueError::WrongType { field: field.name.clone(), expected, found }
}

/// Nesting of a document: 0 for a scalar. Not recursive: input decides the depth.
fn depth(json: &Json) -> usize {
    let mut deepest = 0;
    let mut open = vec![(json, 0)];
    while let Some((node, level)) = open.pop() {
        deepest = deepest.max(level);
        match node {
            Json::Array(items) => open.extend(items.iter().map(|i| (i, level + 1))),
            Json::Object(map) => open.extend(map.values().map(|i| (i, level + 1))),
            _ => {}
        }
    }
    deepest
}

/// Whether a text or a key holds a NUL. Not recursive: input decides the depth.
fn holds_nul(json: &Json) -> bool {
    let mut open = vec![json];
    while let Some(node) = open.pop() {
        match node {
            Json::String(text) if text.contains('\0') => return true,
            Json::Array(items) => open.extend(items),
            Json::Object(map) if map.keys().any(|key| key.contains('\0')) => return true,
            Json::Object(map) => open.extend(map.values()),
            _ => {}
        }
    }
    false
}

/// The fields of a row in canonical JSON, those that `fields` declares.
#[must_use]
pub fn fields_to_json(declared: &[Field], row: &Fields) -> serde_json::Map<String, Json> {
    declared
        .iter()
        .filter_map(|f| row.get(&f.name).map(|v| (f.name.clone(), v.to_json(&f.kind))))
        .collect()
}
