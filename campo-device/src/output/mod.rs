//! How results and problems are shown: for people, or one JSON document for programs.

mod table;

use std::io::Write as _;

use serde::Serialize;
use serde_json::Value as Json;
use sync_protocol::problem::Problem;
use sync_protocol::value::format_timestamp;

pub use table::Table;

/// Where results go.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
}

impl Output {
    /// For programs if `json`, for people otherwise.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether programs read it.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// Shows a result: `value` to programs, the text that `for_people` makes to people.
    pub fn result<T: Serialize>(
        self,
        value: &T,
        for_people: impl FnOnce(&T) -> String,
    ) -> Result<(), Problem> {
        let mut text = if self.json {
            serde_json::to_string(value)
                .map_err(|error| Problem::new(500, "not_json", error.to_string()))?
        } else {
            harmless(&for_people(value))
        };
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            // Whoever read it has seen enough (`… | head`).
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(|error| Problem::new(500, "not_written", error.to_string())),
        }
    }

    /// Shows what went wrong, on standard error.
    pub fn problem(self, problem: &Problem) {
        let text = if self.json {
            serde_json::to_string(problem).unwrap_or_else(|_| problem.to_string())
        } else {
            let mut text = format!("error: {} ({})", problem.title, problem.code);
            if let Some(detail) = &problem.detail {
                text.push('\n');
                text.push_str(detail);
            }
            harmless(&text)
        };
        // Nothing can be done about a closed standard error.
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}

/// A text that somebody else wrote, in one line: it cannot pass for a line of ours.
pub fn line(text: &str) -> String {
    harmless(text).replace('\n', " ")
}

/// Without what a terminal would obey, or what turns the order of what is read around. Lines stay.
fn harmless(text: &str) -> String {
    let obeyed = |c: char| (c.is_control() && c != '\n') || TURNS.contains(&c);
    text.chars().map(|c| if obeyed(c) { ' ' } else { c }).collect()
}

/// Characters that change the direction of the text after them.
const TURNS: [char; 12] = [
    '\u{61c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}',
    '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
];

/// A JSON value as people read it, in one line: text without quotes, nothing for null.
pub fn plain(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => line(text),
        Json::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => line(&other.to_string()),
    }
}

/// A time as people read it, to the second, in UTC.
pub fn moment(us: i64) -> String {
    let text = format_timestamp(us);
    let seconds = text.split(['.', 'Z']).next().unwrap_or(&text);
    format!("{} UTC", seconds.replace('T', " "))
}

/// A length of time as people say it, in its two largest units.
pub fn duration(us: i64) -> String {
    let seconds = us.max(0) / 1_000_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, m) => format!("{m} min"),
        (0, h, m) => format!("{h} h {m} min"),
        (d, h, _) => format!("{d} d {h} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_to_the_second() {
        assert_eq!(moment(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(moment(1_700_000_000_123_456), "2023-11-14 22:13:20 UTC");
    }

    #[test]
    fn durations_name_two_units() {
        assert_eq!(duration(12_000_000), "12 s");
        assert_eq!(duration(3_720_000_000), "1 h 2 min");
        assert_eq!(duration(90_000_000_000), "1 d 1 h");
    }

    #[test]
    fn what_others_wrote_moves_no_cursor_and_makes_no_line() {
        let text = "a\u{1b}[2J\r\n  decided  yes\u{202e}";
        assert_eq!(plain(&Json::from(text)), "a [2J    decided  yes ");
        assert_eq!(harmless("one\ntwo\u{7}\n"), "one\ntwo \n");
        let nested = serde_json::json!([{ "k": "a\u{202e}b" }, ["\u{9b}2J"]]);
        assert_eq!(plain(&nested), "{\"k\":\"a b\"},  2J");
    }

    #[test]
    fn values_are_shown_without_json() {
        assert_eq!(plain(&Json::Null), "");
        assert_eq!(plain(&serde_json::json!(["Ana", "Juan"])), "Ana, Juan");
        assert_eq!(plain(&serde_json::json!(12.5)), "12.5");
    }
}
