//! Which names collections, fields and verticals may have.
//!
//! Names become tables, columns and PostgreSQL schemas. The generators quote them, so a hostile
//! name would not be dangerous; but people also type them into psql and into the device's
//! read-only SQL, and one that needs quotes there is refused here.

use super::mistake::shown;

/// Longest name, in characters: leaves room within PostgreSQL's 63 bytes for `_` and a suffix.
const NAME_CHARS_MAX: usize = 51;

/// What a name is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum NameOf {
    Vertical,
    Collection,
    Field,
    Role,
}

/// Columns that every table has, or that the databases keep for themselves.
const COLUMNS_TAKEN: &[&str] =
    &["id", "tenant_id", "rowid", "oid", "tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"];
/// Schemas of PostgreSQL and of Campo's own bookkeeping.
const SCHEMAS_TAKEN: &[&str] = &["public", "information_schema", "sync", "main", "temp"];
/// Table names of SQLite, PostgreSQL and of Campo's own bookkeeping begin so.
const PREFIXES_TAKEN: &[&str] = &["campo_", "sync_", "sqlite_", "pg_"];

/// Words that PostgreSQL or SQLite do not take as a bare name of a table or column.
const SQL_WORDS: &str = "\
    add all alter analyse analyze and any array as asc asymmetric authorization autoincrement \
    between binary both case cast check collate collation column commit concurrently constraint \
    create cross current_catalog current_date current_role current_schema current_time \
    current_timestamp current_user default deferrable delete desc distinct do drop else end \
    escape except exists false fetch for foreign freeze from full glob grant group having if \
    ilike in index initially inner insert intersect into is isnull join lateral leading left \
    like limit localtime localtimestamp natural not nothing notnull null offset on only or order \
    outer overlaps placing primary raise references returning right select session_user set similar \
    some symmetric system_user table tablesample then to trailing transaction true union unique \
    update user using values variadic verbose when where window with";

/// What is wrong with a name and what to do, or `None` for a good one.
pub(super) fn problem(of: NameOf, name: &str) -> Option<(String, String)> {
    let shown = shown(name);
    if !is_plain(name) {
        return Some((
            format!("{shown} is no {}", of.noun()),
            format!(
                "use lower-case ASCII letters, digits and `_`, beginning with a letter, \
                 at most {NAME_CHARS_MAX} characters"
            ),
        ));
    }
    let rename = "choose another name".to_owned();
    if of != NameOf::Role && SQL_WORDS.split(' ').any(|word| word == name) {
        return Some((format!("{shown} is a word of SQL and would need quotes there"), rename));
    }
    let taken = match of {
        NameOf::Vertical => SCHEMAS_TAKEN.contains(&name),
        NameOf::Field => COLUMNS_TAKEN.contains(&name),
        NameOf::Collection | NameOf::Role => false,
    };
    let prefix = PREFIXES_TAKEN.iter().find(|prefix| name.starts_with(**prefix));
    match prefix {
        _ if taken && name == "id" => Some((
            "`id` is implied and may not be declared".to_owned(),
            "remove it: every row has a UUID `id`".to_owned(),
        )),
        _ if taken => Some((format!("{shown} is reserved"), rename)),
        Some(prefix) if of != NameOf::Role => {
            Some((format!("{shown}: names that begin with `{prefix}` are reserved"), rename))
        }
        _ => None,
    }
}

fn is_plain(name: &str) -> bool {
    (1..=NAME_CHARS_MAX).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Whether a text is a permission: two words and a colon, such as `project:write`.
pub(super) fn is_permission(text: &str) -> bool {
    text.split_once(':').is_some_and(|(what, may)| is_plain(what) && is_plain(may))
}

impl NameOf {
    fn noun(self) -> &'static str {
        match self {
            Self::Vertical => "name for a vertical",
            Self::Collection => "name for a collection",
            Self::Field => "name for a field",
            Self::Role => "name for a role",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_refused_for_everything() {
        let long = "a".repeat(NAME_CHARS_MAX + 1);
        for name in [
            "",
            " ",
            "Proyectos",
            "1a",
            "_x",
            "año",
            "a-b",
            "a.b",
            "a b",
            "a\"b",
            "a'b",
            "a;b",
            "a\0b",
            "a\nb",
            "a`b",
            "a--",
            "*",
            "🦀",
            "x\"; DROP TABLE y; --",
            long.as_str(),
        ] {
            for of in [NameOf::Vertical, NameOf::Collection, NameOf::Field, NameOf::Role] {
                let (what, _) = problem(of, name).unwrap_or_else(|| panic!("{name:?} passed"));
                assert!(!what.chars().any(char::is_control), "{what:?} would garble a terminal");
            }
        }
        assert_eq!(problem(NameOf::Field, &"a".repeat(NAME_CHARS_MAX)), None);
    }

    #[test]
    fn the_words_of_sql_are_sorted_and_each_there_once() {
        assert!(SQL_WORDS.split(' ').is_sorted_by(|a, b| a < b));
    }
}
