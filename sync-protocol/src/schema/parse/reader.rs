//! Typed reading of one TOML file: each getter either gives the value or leaves a mistake.

use toml_span::value::{Table, ValueInner};
use toml_span::{ErrorKind, Value};

use super::super::mistake::{Mistake, Path, Place, Places, did_you_mean, shown};
use super::SourceFile;

/// Reads one file, and puts what it finds on the way into the places and mistakes of all.
pub(super) struct Reader<'a> {
    file: &'a SourceFile,
    line_starts: Vec<usize>,
    places: &'a mut Places,
    mistakes: &'a mut Vec<Mistake>,
}

/// A table with known keys.
pub(super) struct Section<'v> {
    pub path: Path,
    table: &'v Table<'v>,
}

/// One entry of a table whose keys are names.
pub(super) struct Entry<'v> {
    pub name: String,
    pub place: Place,
    pub value: &'v Value<'v>,
}

impl<'v> Section<'v> {
    /// The path of one of its keys.
    pub fn at(&self, key: &str) -> Path {
        let mut path = self.path.clone();
        path.push(key.to_owned());
        path
    }

    /// The value of one of its keys.
    pub fn get(&self, key: &str) -> Option<&'v Value<'v>> {
        self.table.get(key)
    }
}

impl<'a> Reader<'a> {
    pub fn new(
        file: &'a SourceFile,
        places: &'a mut Places,
        mistakes: &'a mut Vec<Mistake>,
    ) -> Self {
        let after_breaks = file.text.match_indices('\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(after_breaks).collect();
        Self { file, line_starts, places, mistakes }
    }

    /// The position of a byte.
    pub fn place(&self, offset: usize) -> Place {
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self.line_starts[line - 1];
        let before = self.file.text.get(start..offset).unwrap_or_default();
        Place { file: self.file.name.clone(), line, column: before.chars().count() + 1 }
    }

    /// Records where something stands.
    pub fn put(&mut self, path: Path, place: Place) {
        self.places.put(path, place);
    }

    /// Leaves a mistake at a key (or the nearest around it) and marks it broken.
    pub fn wrong(&mut self, path: &[String], what: impl Into<String>, remedy: impl Into<String>) {
        self.mistakes.push(self.places.of(path).mistake(what, remedy));
        self.places.break_at(path.to_vec());
    }

    /// Leaves a mistake at a position.
    pub fn wrong_at(&mut self, place: &Place, what: impl Into<String>, remedy: impl Into<String>) {
        self.mistakes.push(place.mistake(what, remedy));
    }

    /// The file is no TOML.
    pub fn unreadable(&mut self, error: &toml_span::Error) {
        let remedy = match &error.kind {
            ErrorKind::DuplicateKey { first, .. } | ErrorKind::DuplicateTable { first, .. } => {
                format!("the first one is in line {}", self.place(first.start).line)
            }
            _ => "correct the TOML; nothing else in this file was looked at".to_owned(),
        };
        let what = format!("this is no TOML: {error}");
        self.mistakes.push(self.place(error.span.start).mistake(what, remedy));
    }

    /// A table that may have these keys only.
    pub fn section<'v>(
        &mut self,
        value: &'v Value<'v>,
        path: Path,
        keys: &[&str],
    ) -> Option<Section<'v>> {
        let Some(table) = value.as_table() else {
            self.wrong_type(&path, "a table", value);
            return None;
        };
        for key in table.keys() {
            let place = self.place(key.span.start);
            if keys.contains(&&*key.name) {
                let mut at = path.clone();
                at.push(key.name.to_string());
                self.put(at, place);
            } else {
                let what = format!("unknown key {}", shown(&key.name));
                let remedy = did_you_mean(&key.name, keys.iter().copied(), "the keys here");
                self.wrong_at(&place, what, remedy);
            }
        }
        Some(Section { path, table })
    }

    /// The entries of a table whose keys are names, in the order of the file.
    pub fn entries<'v>(&mut self, value: &'v Value<'v>, path: &[String]) -> Vec<Entry<'v>> {
        let Some(table) = value.as_table() else {
            self.wrong_type(path, "a table", value);
            return Vec::new();
        };
        let mut keys: Vec<_> = table.iter().collect();
        keys.sort_by_key(|(key, _)| key.span.start);
        keys.into_iter()
            .map(|(key, value)| Entry {
                name: key.name.to_string(),
                place: self.place(key.span.start),
                value,
            })
            .collect()
    }

    pub fn text(&mut self, section: &Section<'_>, key: &str) -> Option<String> {
        self.get(section, key, "a text", |value| value.as_str().map(str::to_owned))
    }

    pub fn boolean(&mut self, section: &Section<'_>, key: &str) -> Option<bool> {
        self.get(section, key, "true or false", |value| value.as_bool())
    }

    /// An integer within these bounds.
    pub fn integer(&mut self, section: &Section<'_>, key: &str, min: u32, max: u32) -> Option<u32> {
        let expected = format!("an integer from {min} to {max}");
        self.get(section, key, &expected, |value| {
            let integer = u32::try_from(value.as_integer()?).ok()?;
            (min..=max).contains(&integer).then_some(integer)
        })
    }

    /// One of these words.
    pub fn word<T: Copy>(
        &mut self,
        section: &Section<'_>,
        key: &str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let word = self.text(section, key)?;
        let found = words.iter().find(|(known, _)| *known == word).map(|(_, value)| *value);
        if found.is_none() {
            let known = words.iter().map(|(known, _)| *known);
            let remedy = did_you_mean(&word, known, "the choices");
            self.wrong(&section.at(key), format!("unknown `{key}` {}", shown(&word)), remedy);
        }
        found
    }

    pub fn texts(&mut self, section: &Section<'_>, key: &str) -> Option<Vec<String>> {
        let value = section.get(key)?;
        self.texts_of(value, &section.at(key))
    }

    /// An array of texts. The position of each is recorded under its number.
    pub fn texts_of(&mut self, value: &Value<'_>, path: &[String]) -> Option<Vec<String>> {
        let Some(array) = value.as_array() else {
            self.wrong_type(path, "an array of texts", value);
            return None;
        };
        let mut texts = Vec::new();
        for (number, element) in array.iter().enumerate() {
            let mut at = path.to_vec();
            at.push(number.to_string());
            // The span of a text begins behind its quote.
            let quote = usize::from(element.as_str().is_some());
            self.put(at.clone(), self.place(element.span.start.saturating_sub(quote)));
            match element.as_str() {
                Some(text) => texts.push(text.to_owned()),
                None => {
                    // Its place is kept, so that the numbers of the others stay true.
                    texts.push(String::new());
                    self.wrong_type(&at, "a text", element);
                }
            }
        }
        Some(texts)
    }

    /// Leaves a mistake if a key is not there.
    pub fn needs(&mut self, section: &Section<'_>, key: &str, remedy: &str) {
        if section.get(key).is_none() {
            self.wrong(&section.at(key), format!("`{key}` is missing"), remedy);
        }
    }

    fn get<T>(
        &mut self,
        section: &Section<'_>,
        key: &str,
        expected: &str,
        read: impl Fn(&Value<'_>) -> Option<T>,
    ) -> Option<T> {
        let value = section.get(key)?;
        let read = read(value);
        if read.is_none() {
            self.wrong_type(&section.at(key), expected, value);
        }
        read
    }

    fn wrong_type(&mut self, path: &[String], expected: &str, value: &Value<'_>) {
        let name = match path.last() {
            Some(key) if key.parse::<usize>().is_err() => shown(key),
            _ => "an element".to_owned(),
        };
        let found = match value.as_ref() {
            ValueInner::String(text) => format!("the text {}", shown(text)),
            ValueInner::Integer(integer) => format!("`{integer}`"),
            ValueInner::Float(float) => format!("`{float}`"),
            ValueInner::Boolean(boolean) => format!("`{boolean}`"),
            ValueInner::Array(_) => "an array".to_owned(),
            ValueInner::Table(_) => "a table".to_owned(),
        };
        self.wrong(path, format!("{name} is {found}"), format!("write {expected}"));
    }
}
