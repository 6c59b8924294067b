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

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, UtcOffset};
use uuid::Uuid;

use crate::limits;
use crate::schema::{Field, FieldType, MergeRule};

/// The fields of a row or of an edit, by name.
pub type Fields = BTreeMap<String, Value>;

const INTEGER_AS_NUMBER_MAX: i64 = (1 << 53) - 1;
/// The days that have a canonical form, the years 1 to 9999.
const DATES: std::ops::RangeInclusive<i32> = -719_162..=2_932_896;
/// The microseconds that have a canonical form, the same years in UTC.
const TIMESTAMPS: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;
/// Days from 0001-01-01 to 1970-01-01, for [`Value::Date`].
const UNIX_EPOCH_JULIAN_DAY: i32 = 2_440_588;

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

/// Why a value does not fit its field. The text says what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Another JSON type, or a text that does not parse.
    #[error("`{field}` must be {expected}, but {found} was given")]
    WrongType {
        /// The field.
        field: String,
        /// What would have been right.
        expected: String,
        /// What came.
        found: String,
    },
    /// Longer, larger or deeper than allowed.
    #[error("`{field}` {problem}")]
    OutOfLimits {
        /// The field.
        field: String,
        /// Which kind of limit.
        limit: Limit,
        /// What it allows, and what was given.
        problem: String,
    },
    /// Null, or missing at insertion, where a value is required.
    #[error("`{field}` is required and may not be null")]
    Required {
        /// The field.
        field: String,
    },
}

/// What a value can be too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Characters of a text, bytes of a document.
    Length,
    /// Elements of a set.
    Elements,
    /// A NUL character, of which there may be none.
    Nul,
    /// A number, date or time outside of `min` and `max`, or of what its type holds.
    Range,
    /// Nesting of a document.
    Depth,
}

impl Limit {
    fn code(self) -> &'static str {
        match self {
            Self::Length => "too_long",
            Self::Elements => "too_many_elements",
            Self::Nul => "nul_character",
            Self::Range => "out_of_range",
            Self::Depth => "too_deep",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Length => "A value is too long",
            Self::Elements => "A set has too many elements",
            Self::Nul => "A text holds a NUL character",
            Self::Range => "A value is out of range",
            Self::Depth => "A document is nested too deeply",
        }
    }
}

impl ValueError {
    /// The stable code that goes into a problem document.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::WrongType { .. } => "wrong_type",
            Self::OutOfLimits { limit, .. } => limit.code(),
            Self::Required { .. } => "field_required",
        }
    }

    /// One line for people, the same for each code.
    #[must_use]
    pub fn title(&self) -> &'static str {
        match self {
            Self::WrongType { .. } => "A value has the wrong type",
            Self::OutOfLimits { limit, .. } => limit.title(),
            Self::Required { .. } => "A value is required",
        }
    }

    /// The field that the error is about.
    #[must_use]
    pub fn field(&self) -> &str {
        match self {
            Self::WrongType { field, .. }
            | Self::OutOfLimits { field, .. }
            | Self::Required { field } => field,
        }
    }
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

/// Reads a decimal into units of its last digit; `None` if it does not fit exactly.
#[must_use]
pub fn parse_decimal(text: &str, scale: u8) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction =
        if fraction.len() > usize::from(scale) { fraction.trim_end_matches('0') } else { fraction };
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    if digits.ends_with('.') || fraction.len() > usize::from(scale) || whole.len() > 40 {
        return None;
    }
    let padding = usize::from(scale) - fraction.len();
    let mut units: i64 = 0;
    let zeros = std::iter::repeat_n(b'0', padding);
    for digit in whole.bytes().chain(fraction.bytes()).chain(zeros) {
        units = units.checked_mul(10)?.checked_add(i64::from(digit - b'0'))?;
    }
    (units <= limits::DECIMAL_UNITS_MAX).then_some(if negative { -units } else { units })
}

/// Writes units of the last digit as a decimal with exactly `scale` digits after the point.
#[must_use]
pub fn format_decimal(units: i64, scale: u8) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", units.unsigned_abs(), width = usize::from(scale) + 1);
    let (whole, fraction) = digits.split_at(digits.len() - usize::from(scale));
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// Reads `YYYY-MM-DD` into days since 1970-01-01.
#[must_use]
pub fn parse_date(text: &str) -> Option<i32> {
    let date = Date::parse(text, format_description!("[year]-[month]-[day]")).ok()?;
    (date.year() >= 1 && text.len() == 10).then(|| date.to_julian_day() - UNIX_EPOCH_JULIAN_DAY)
}

/// Writes days since 1970-01-01 as `YYYY-MM-DD`. Days outside the years 1–9999 are clamped.
#[must_use]
pub fn format_date(days: i32) -> String {
    let days = days.clamp(*DATES.start(), *DATES.end());
    let date = Date::from_julian_day(days + UNIX_EPOCH_JULIAN_DAY).unwrap_or(Date::MAX);
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}

/// Reads an RFC 3339 timestamp into microseconds since 1970; finer digits are cut off. `None` also
/// where its offset takes it out of the years 1–9999 in UTC: it would have no canonical form.
#[must_use]
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let instant = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let us = i64::try_from(instant.unix_timestamp_nanos().div_euclid(1_000)).ok()?;
    TIMESTAMPS.contains(&us).then_some(us)
}

/// Writes microseconds since 1970 as UTC with six digits. Times outside the years 1–9999 are clamped.
#[must_use]
pub fn format_timestamp(us: i64) -> String {
    let us = us.clamp(*TIMESTAMPS.start(), *TIMESTAMPS.end());
    let instant = OffsetDateTime::from_unix_timestamp_nanos(i128::from(us) * 1_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
        .to_offset(UtcOffset::UTC);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
        instant.year(),
        u8::from(instant.month()),
        instant.day(),
        instant.hour(),
        instant.minute(),
        instant.second(),
        instant.microsecond()
    )
}

/// The fields of a row in canonical JSON, those that `fields` declares.
#[must_use]
pub fn fields_to_json(declared: &[Field], row: &Fields) -> serde_json::Map<String, Json> {
    declared
        .iter()
        .filter_map(|f| row.get(&f.name).map(|v| (f.name.clone(), v.to_json(&f.kind))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_their_scale_and_sign() {
        for (text, scale, units, canonical) in [
            ("12.5", 2, 1250, "12.50"),
            ("-0.5", 2, -50, "-0.50"),
            ("7", 0, 7, "7"),
            ("1.500", 1, 15, "1.5"),
            ("0", 3, 0, "0.000"),
        ] {
            assert_eq!(parse_decimal(text, scale), Some(units), "{text}");
            assert_eq!(format_decimal(units, scale), canonical);
        }
        for bad in ["", ".", "1.", ".5", "1e3", "1.555", "--1", "9999999999999999999"] {
            assert_eq!(parse_decimal(bad, 2), None, "{bad}");
        }
    }

    #[test]
    fn dates_and_timestamps_round_trip() {
        assert_eq!(parse_date("1970-01-01"), Some(0));
        assert_eq!(format_date(parse_date("2024-02-29").expect("leap day")), "2024-02-29");
        assert_eq!(parse_date("2026-02-30"), None);
        let us = parse_timestamp("2026-11-24T10:05:09.1234567-06:00").expect("offset");
        assert_eq!(format_timestamp(us), "2026-11-24T16:05:09.123456Z");
        assert_eq!(format_timestamp(-1), "1969-12-31T23:59:59.999999Z");
    }

    #[test]
    fn what_lies_beyond_the_canonical_years_is_refused_and_clamped() {
        for beyond in ["9999-12-31T23:59:59-06:00", "0001-01-01T00:00:00+06:00"] {
            assert_eq!(parse_timestamp(beyond), None, "{beyond}");
        }
        for edge in ["0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"] {
            assert_eq!(format_timestamp(parse_timestamp(edge).expect("has a form")), edge);
        }
        assert_eq!(format_timestamp(i64::MIN), "0001-01-01T00:00:00.000000Z");
        assert_eq!(format_timestamp(i64::MAX), "9999-12-31T23:59:59.999999Z");
        assert_eq!(
            (format_date(i32::MIN), format_date(i32::MAX)),
            ("0001-01-01".into(), "9999-12-31".into())
        );
        assert_eq!(parse_date("0001-01-01"), Some(*DATES.start()));
        assert_eq!(parse_date("9999-12-31"), Some(*DATES.end()));
    }
}
