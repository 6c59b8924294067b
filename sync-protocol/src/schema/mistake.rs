//! A mistake in a schema file, and where in the files each key stands.

use std::collections::{BTreeMap, BTreeSet};

/// Something wrong in a schema file, with its place and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {what}; {remedy}")]
pub struct Mistake {
    /// The file's name, as it was handed in.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// The way to a key, such as `collections` → `avances` → `fields` → `medida`. A vector and not a
/// dotted text, because a name with a mistake in it may hold a dot.
pub(super) type Path = Vec<String>;

/// A path from its parts.
pub(super) fn path(parts: &[&str]) -> Path {
    parts.iter().map(|part| (*part).to_owned()).collect()
}

/// A position in one of the files.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub file: String,
    pub line: usize,
    pub column: usize,
}

impl Place {
    /// A mistake at this place.
    pub fn mistake(&self, what: impl Into<String>, remedy: impl Into<String>) -> Mistake {
        Mistake {
            file: self.file.clone(),
            line: self.line,
            column: self.column,
            what: printable(&what.into()),
            remedy: printable(&remedy.into()),
        }
    }
}

/// Where every key that was read stands, and which of them could not be understood.
///
/// [`super::check`] works on the finished [`super::Schema`] and asks here for positions. What is
/// broken already has its mistake: checks that would only repeat it look here and stay silent.
#[derive(Debug, Default)]
pub(super) struct Places {
    places: BTreeMap<Path, Place>,
    broken: BTreeSet<Path>,
}

impl Places {
    /// Records a key.
    pub fn put(&mut self, path: Path, place: Place) {
        self.places.insert(path, place);
    }

    /// Records that what stands at this path was not understood.
    pub fn break_at(&mut self, path: Path) {
        self.broken.insert(path);
    }

    /// Whether the files say something at exactly this path.
    pub fn has(&self, parts: &[&str]) -> bool {
        self.places.contains_key(&path(parts))
    }

    /// Whether anything at this path or below it was not understood.
    pub fn is_broken(&self, parts: &[&str]) -> bool {
        let path = path(parts);
        self.broken.range(path.clone()..).next().is_some_and(|next| next.starts_with(&path))
    }

    /// The position of a key, or of the nearest key around it when it is missing.
    pub fn of(&self, path: &[String]) -> Place {
        let nearest = (1..=path.len()).rev().find_map(|length| self.places.get(&path[..length]));
        nearest.cloned().unwrap_or(Place { file: String::new(), line: 1, column: 1 })
    }
}

/// `did you mean …?` for a word that is not among those known, or the list of them.
pub(super) fn did_you_mean<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
    which: &str,
) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let nearest = known.iter().map(|k| (edits_between(word, k), *k)).min();
    match nearest {
        Some((edits, near)) if edits <= near.len().div_ceil(3) => {
            format!("did you mean `{near}`?")
        }
        Some(_) => format!("{which} are {}", known.join(", ")),
        None => "none is declared".to_owned(),
    }
}

/// Levenshtein's distance. Words are cut at 60 characters: input decides their length.
fn edits_between(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(60).collect();
    let mut row: Vec<usize> = (0..=a.len()).collect();
    for (i, y) in b.chars().take(60).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, x) in a.iter().enumerate() {
            let substituted = diagonal + usize::from(*x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[a.len()]
}

/// A word from a file for an error text: in backticks, cut, with control characters escaped.
pub(super) fn shown(word: &str) -> String {
    let mut text: String = word.chars().take(60).flat_map(char::escape_debug).collect();
    if word.chars().nth(60).is_some() {
        text.push('…');
    }
    format!("`{text}`")
}

/// With control characters escaped: a file must not reach into the terminal that shows its mistakes.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            printable.extend(c.escape_default());
        } else {
            printable.push(c);
        }
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_listed() {
        let known = ["required", "references", "merge"];
        assert_eq!(did_you_mean("requird", known, "keys"), "did you mean `required`?");
        assert_eq!(did_you_mean("megre", known, "keys"), "did you mean `merge`?");
        assert_eq!(did_you_mean("xyz", known, "keys"), "keys are required, references, merge");
        assert_eq!(did_you_mean("xyz", [], "keys"), "none is declared");
    }

    #[test]
    fn only_what_lies_below_a_path_breaks_it() {
        let mut places = Places::default();
        places.break_at(path(&["a", "b", "c"]));
        assert!(places.is_broken(&["a", "b"]) && places.is_broken(&["a"]));
        assert!(!places.is_broken(&["a", "bb"]) && !places.is_broken(&["a", "b", "c", "d"]));
    }
}
