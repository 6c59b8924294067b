//! The texts of decimals, dates and timestamps: read leniently, written in one form.

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, UtcOffset};

use crate::limits;

/// The days that have a canonical form, the years 1 to 9999.
const DATES: std::ops::RangeInclusive<i32> = -719_162..=2_932_896;
/// The microseconds that have a canonical form, the same years in UTC.
const TIMESTAMPS: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;
/// Days from 0001-01-01 to 1970-01-01, for [`Value::Date`].
const UNIX_EPOCH_JULIAN_DAY: i32 = 2_440_588;

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
