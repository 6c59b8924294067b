//! When an edit was made, as far as it is known.

use serde::{Deserialize, Serialize};

use crate::planted::{self, Bug};

/// The corrected time of an edit, frozen with its transaction (DESIGN 6).
///
/// Times order edits of *different* streams only; a stream's own edits are ordered by position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EditTime {
    /// Microseconds since 1970 in UTC, corrected by what the device measured against the server.
    pub at_us: i64,
    /// True when the device never met the server since it was started: the time is only bounded
    /// by its neighbours and loses against every certain time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncertain: bool,
}

impl EditTime {
    /// A time that is known.
    #[must_use]
    pub const fn certain(at_us: i64) -> Self {
        Self { at_us, uncertain: false }
    }

    /// The same time, but not after `latest_us`.
    #[must_use]
    pub fn clamped(self, latest_us: i64) -> Self {
        Self { at_us: self.at_us.min(latest_us), ..self }
    }

    /// Whether an edit at this time wins over a concurrent one at `other`.
    ///
    /// A certain time wins over an uncertain one, a later over an earlier; at equal times `tie`
    /// (any fixed order of the two streams) decides, so that every server decides alike.
    #[must_use]
    pub fn beats(self, other: Self, tie: bool) -> bool {
        match (self.uncertain, other.uncertain) {
            _ if planted::is(Bug::UncertainTimeCounts) && self.at_us != other.at_us => {
                self.at_us > other.at_us
            }
            (false, true) => true,
            (true, false) => false,
            _ if self.at_us != other.at_us => self.at_us > other.at_us,
            _ => tie,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_are_not_known_are_refused() {
        let read = |json: &str| serde_json::from_str::<EditTime>(json);
        assert_eq!(read(r#"{"at_us":5}"#).expect("a time"), EditTime::certain(5));
        let error = read(r#"{"at_us":5,"uncertian":true}"#).expect_err("a member is unknown");
        assert!(error.to_string().starts_with("unknown field"), "{error}");
    }
}
