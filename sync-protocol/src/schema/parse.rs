//! Reads schema files into a [`Schema`].
//!
//! Each file goes through the same steps: TOML → known keys of the right types → [`Collection`]s
//! and roles, with the position of every key kept aside. When all files are read, [`super::check`]
//! looks at the whole. Nothing stops at the first mistake; what could not be understood is marked
//! broken, so that it does not drag further mistakes behind it.
//!
//! `docs/schema.md` is the format in words.

mod field;
mod flags;
mod reader;

use std::collections::BTreeSet;

use super::mistake::{Path, Places, path, shown};
use super::names::{self, NameOf};
use super::{
    Collection, DeleteConflict, Field, MergeRule, NaturalKey, OnDuplicate, Parent, Schema,
    ScopeRule, photos,
};
use reader::{Reader, Section};

pub(super) use field::is_ordered;

pub use super::mistake::Mistake;

/// One schema file. Who calls has read it: this crate does no I/O.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Its name, for mistakes.
    pub name: String,
    /// Its content.
    pub text: String,
}

const FILE_KEYS: &[&str] = &["vertical", "collections", "roles"];
const COLLECTION_KEYS: &[&str] = &[
    "label",
    "read",
    "write",
    "scopes",
    "parent",
    "priority",
    "natural_key",
    "on_delete_conflict",
    "atomic_review",
    "photos",
    "flags",
    "geofence",
    "fields",
];
/// Largest `priority`.
const PRIORITY_MAX: u32 = 1_000;

/// Reads all files of a schema and checks the whole.
///
/// # Errors
/// Every mistake, in the order of the files and their lines.
pub fn parse(files: &[SourceFile]) -> Result<Schema, Vec<Mistake>> {
    let mut all = Parsing::default();
    for file in files {
        all.file(file);
    }
    let Parsing { mut schema, places, mut mistakes, unreadable, .. } = all;
    inherit_required(&mut schema);
    // What an unreadable file declares would be missed all over the others.
    if !unreadable {
        mistakes.extend(super::check::check(&schema, &places));
    }
    let place = |m: &Mistake| (files.iter().position(|f| f.name == m.file), m.line, m.column);
    mistakes.sort_by_key(place);
    mistakes.dedup();
    if mistakes.is_empty() { Ok(schema) } else { Err(mistakes) }
}

#[derive(Default)]
struct Parsing {
    schema: Schema,
    places: Places,
    mistakes: Vec<Mistake>,
    verticals: BTreeSet<String>,
    unreadable: bool,
}

impl Parsing {
    fn file(&mut self, file: &SourceFile) {
        let mut reader = Reader::new(file, &mut self.places, &mut self.mistakes);
        let root = match toml_span::parse(&file.text) {
            Ok(root) => root,
            Err(error) => {
                self.unreadable = true;
                return reader.unreadable(&error);
            }
        };
        // Keys of the root come in every file: they get paths of their own.
        let here = path(&["file", &file.name]);
        reader.put(here.clone(), reader.place(0));
        let Some(root) = reader.section(&root, here, FILE_KEYS) else { return };
        let vertical = vertical(&mut reader, &root, &mut self.verticals);
        if root.get("collections").is_none() && root.get("roles").is_none() {
            let remedy = "add `[collections.…]` or `[roles]`";
            reader.wrong(&root.path, "the file declares nothing", remedy);
        }
        if let Some(collections) = root.get("collections") {
            for entry in reader.entries(collections, &root.at("collections")) {
                if let Some(first) = self.schema.collections.get(&entry.name) {
                    let name = shown(&entry.name);
                    let what = format!("`{}` has a collection {name} already", first.vertical);
                    let remedy = "choose another name: it is unique across verticals";
                    reader.wrong_at(&entry.place, what, remedy);
                    continue;
                }
                let at = path(&["collections", &entry.name]);
                reader.put(at.clone(), entry.place);
                if let Some(section) = reader.section(entry.value, at, COLLECTION_KEYS) {
                    let collection = collection(&mut reader, &section, &entry.name, &vertical);
                    self.schema.collections.insert(entry.name, collection);
                }
            }
        }
        if let Some(roles) = root.get("roles") {
            for entry in reader.entries(roles, &root.at("roles")) {
                if self.schema.roles.contains_key(&entry.name) {
                    let what = format!("the role {} is declared already", shown(&entry.name));
                    reader.wrong_at(&entry.place, what, "put its permissions into one list");
                    continue;
                }
                let at = path(&["roles", &entry.name]);
                reader.put(at.clone(), entry.place);
                let permissions = reader.texts_of(entry.value, &at).unwrap_or_default();
                self.schema.roles.insert(entry.name, permissions);
            }
        }
    }
}

fn vertical(reader: &mut Reader<'_>, root: &Section<'_>, seen: &mut BTreeSet<String>) -> String {
    if root.get("collections").is_some() {
        reader.needs(root, "vertical", "begin the file with `vertical = \"…\"`");
    }
    let Some(vertical) = reader.text(root, "vertical") else { return String::new() };
    let at = root.at("vertical");
    if let Some((what, remedy)) = names::problem(NameOf::Vertical, &vertical) {
        reader.wrong(&at, what, remedy);
    } else if !seen.insert(vertical.clone()) {
        let what = format!("the vertical {} has a file already", shown(&vertical));
        reader.wrong(&at, what, "move the collections there: a vertical has one file");
    }
    vertical
}

fn collection(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    name: &str,
    vertical: &str,
) -> Collection {
    for key in ["read", "write"] {
        reader.needs(section, key, "name the permission, such as `project:read`");
    }
    reader.needs(section, "fields", &format!("add `[collections.{name}.fields]`"));
    let mut fields = Vec::new();
    if let Some(value) = section.get("fields") {
        let at = section.at("fields");
        for entry in reader.entries(value, &at) {
            let mut at = at.clone();
            at.push(entry.name.clone());
            reader.put(at.clone(), entry.place);
            fields.extend(field::field(reader, &entry.name, entry.value, at));
        }
    }
    let parent = parent(reader, section);
    let of_photos = reader.boolean(section, "photos").unwrap_or_default();
    if of_photos {
        add_photo_fields(&mut fields, parent.as_ref());
    }
    Collection {
        name: name.to_owned(),
        vertical: vertical.to_owned(),
        label: reader.text(section, "label"),
        fields,
        scopes: scopes(reader, section),
        parent,
        read: reader.text(section, "read").unwrap_or_default(),
        write: reader.text(section, "write").unwrap_or_default(),
        priority: reader
            .integer(section, "priority", 0, PRIORITY_MAX)
            .unwrap_or_else(super::default_priority),
        on_delete_conflict: reader
            .word(
                section,
                "on_delete_conflict",
                &[
                    ("review", DeleteConflict::Review),
                    ("delete", DeleteConflict::Delete),
                    ("keep", DeleteConflict::Keep),
                ],
            )
            .unwrap_or_default(),
        natural_key: natural_key(reader, section),
        atomic_review: reader.boolean(section, "atomic_review").unwrap_or_default(),
        photos: of_photos,
        flags: flags::flags(reader, section),
        geofence: flags::geofence(reader, section),
    }
}

/// A photo has columns that nobody declares, and belongs to one record for good.
fn add_photo_fields(fields: &mut Vec<Field>, parent: Option<&Parent>) {
    for field in fields.iter_mut() {
        if parent.is_some_and(|parent| parent.field == field.name) {
            field.merge = MergeRule::Immutable;
        }
    }
    let declared: BTreeSet<String> = fields.iter().map(|field| field.name.clone()).collect();
    fields.extend(photos::fields().into_iter().filter(|f| !declared.contains(&f.name)));
}

fn scopes(reader: &mut Reader<'_>, section: &Section<'_>) -> Vec<ScopeRule> {
    let mut scopes = Vec::new();
    for (number, text) in reader.texts(section, "scopes").unwrap_or_default().iter().enumerate() {
        match text.split_once(':') {
            None if text == "tenant" => scopes.push(ScopeRule::Tenant),
            Some((kind, field)) if crate::scope::is_kind(kind) => {
                scopes.push(ScopeRule::Entity { kind: kind.to_owned(), field: field.to_owned() });
            }
            _ => {
                let mut at: Path = section.at("scopes");
                at.push(number.to_string());
                let remedy = "write `tenant`, or a kind and the column that holds its id, \
                              such as `project:proyecto_id`";
                reader.wrong(&at, format!("{} is no scope", shown(text)), remedy);
            }
        }
    }
    scopes
}

fn parent(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Parent> {
    let value = section.get("parent")?;
    let inner = reader.section(value, section.at("parent"), &["collection", "field"])?;
    reader.needs(&inner, "collection", "name the parent's collection");
    reader.needs(&inner, "field", "name the column that holds the parent's id");
    Some(Parent {
        collection: reader.text(&inner, "collection")?,
        field: reader.text(&inner, "field")?,
    })
}

fn natural_key(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<NaturalKey> {
    let value = section.get("natural_key")?;
    let inner = reader.section(value, section.at("natural_key"), &["fields", "on_duplicate"])?;
    reader.needs(&inner, "fields", "name the columns that are unique together");
    reader.needs(&inner, "on_duplicate", "write \"adopt\" or \"refuse\"");
    let choices = [("adopt", OnDuplicate::Adopt), ("refuse", OnDuplicate::Refuse)];
    let on_duplicate = reader.word(&inner, "on_duplicate", &choices);
    Some(NaturalKey { fields: reader.texts(&inner, "fields")?, on_duplicate: on_duplicate? })
}

/// A column that follows the parent's is required when the parent's is, up to the eldest.
fn inherit_required(schema: &mut Schema) {
    let mut inherited = Vec::new();
    for collection in schema.collections.values() {
        for field in collection.fields.iter().filter(|field| field.from_parent) {
            if ancestor_requires(schema, collection, &field.name) {
                inherited.push((collection.name.clone(), field.name.clone()));
            }
        }
    }
    for (collection, name) in inherited {
        let fields = schema.collections.get_mut(&collection).map(|c| &mut c.fields);
        for field in fields.into_iter().flatten().filter(|field| field.name == name) {
            field.required = true;
        }
    }
}

fn ancestor_requires(schema: &Schema, child: &Collection, name: &str) -> bool {
    let mut present = child;
    // Bounded, because a schema with a mistake may have a circle of parents.
    for _ in 0..schema.collections.len() {
        let parent = present.parent.as_ref().and_then(|p| schema.collection(&p.collection));
        match parent.and_then(|parent| Some((parent, parent.field(name)?))) {
            Some((parent, field)) if field.from_parent => present = parent,
            Some((_, field)) => return field.required,
            None => return false,
        }
    }
    false
}
