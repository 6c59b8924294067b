//! Which bytes a request asks for (RFC 9110, single ranges).

use std::ops::Range;

/// What `Range` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Everything: no range, several, or one that is not understood, which is to be ignored.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Bytes behind the end.
    Outside,
}

/// Reads the header's text against the length of what there is.
#[must_use]
pub fn read(text: Option<&str>, length: u64) -> Asked {
    let Some(range) = text.and_then(|text| text.trim().strip_prefix("bytes=")) else {
        return Asked::Whole;
    };
    let Some((from, to)) = range.trim().split_once('-') else { return Asked::Whole };
    let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse::<u64>().ok(),
        false => None,
    };
    match (number(from), number(to)) {
        (Some(from), Some(to)) if from > to => Asked::Whole,
        (Some(from), _) if from >= length && (to.is_empty() || number(to).is_some()) => {
            Asked::Outside
        }
        (Some(from), Some(to)) => Asked::Part(from..to.saturating_add(1).min(length)),
        (Some(from), None) if to.is_empty() => Asked::Part(from..length),
        (None, Some(0)) if from.is_empty() => Asked::Outside,
        (None, Some(last)) if from.is_empty() => Asked::Part(length.saturating_sub(last)..length),
        _ => Asked::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_against_the_length() {
        for (text, expected) in [
            ("bytes=0-9", Asked::Part(0..10)),
            ("bytes=90-", Asked::Part(90..100)),
            ("bytes=90-500", Asked::Part(90..100)),
            ("bytes=-10", Asked::Part(90..100)),
            ("bytes=-500", Asked::Part(0..100)),
            ("bytes=99-99", Asked::Part(99..100)),
            ("bytes=100-", Asked::Outside),
            ("bytes=100-200", Asked::Outside),
            ("bytes=-0", Asked::Outside),
            ("bytes=9-0", Asked::Whole),
            ("bytes=0-9,20-29", Asked::Whole),
            ("bytes=+1-9", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
            ("items=0-9", Asked::Whole),
        ] {
            assert_eq!(read(Some(text), 100), expected, "{text}");
        }
        assert_eq!(read(None, 100), Asked::Whole);
    }
}
