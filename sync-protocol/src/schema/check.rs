//! Checks a whole schema: what its parts say about each other.
//!
//! [`super::parse`] has made sure that keys are known and of the right types; what is checked here
//! needs the finished collections: names, references, scopes and parents, natural keys, permissions,
//! and (in `field`) whether merge rule, default and limits fit a field's type. Each check reports
//! at the key that has to be changed. What parsing marked broken is passed over.

mod field;
mod flags;

use std::collections::BTreeSet;

use super::mistake::{Mistake, Places, did_you_mean, path, shown};
use super::names::{self, NameOf};
use super::{Collection, Field, FieldType, MergeRule, Schema, ScopeRule};

/// Permissions that the server itself asks for, besides those that collections name.
pub const SERVER_PERMISSIONS: &[&str] = &["conflict:resolve", "device:manage", "user:manage"];
/// Most fields of one collection: PostgreSQL allows 1,600 columns, SQLite 2,000 by default.
const FIELDS_MAX: usize = 500;
/// Longest text in a natural key, in characters: an entry of PostgreSQL's index has 2,704 bytes.
const NATURAL_KEY_CHARS_MAX: u32 = 200;
/// Most fields of a natural key, for the same reason.
const NATURAL_KEY_FIELDS_MAX: usize = 3;

/// Every mistake in a schema that was read.
pub(super) fn check(schema: &Schema, places: &Places) -> Vec<Mistake> {
    let mut check = Check { schema, places, mistakes: Vec::new() };
    for collection in schema.collections.values() {
        check.collection(collection);
    }
    check.roles();
    check.mistakes
}

struct Check<'a> {
    schema: &'a Schema,
    places: &'a Places,
    mistakes: Vec<Mistake>,
}

/// What a name of a column stands for.
enum Column<'a> {
    /// The implied `id`.
    Id,
    Field(&'a Field),
    /// It has a mistake of its own.
    Broken,
    Unknown,
}

impl<'a> Check<'a> {
    /// Leaves a mistake at a key, or the nearest around it.
    fn wrong(&mut self, at: &[&str], what: impl Into<String>, remedy: impl Into<String>) {
        self.mistakes.push(self.places.of(&path(at)).mistake(what, remedy));
    }

    fn column(&self, collection: &'a Collection, name: &str) -> Column<'a> {
        match collection.field(name) {
            _ if name == "id" => Column::Id,
            _ if self.places.is_broken(&["collections", &collection.name, "fields", name]) => {
                Column::Broken
            }
            Some(field) => Column::Field(field),
            None => Column::Unknown,
        }
    }

    /// Leaves a mistake about a column that is not there.
    fn unknown_column(&mut self, at: &[&str], collection: &Collection, name: &str) {
        let known = collection.fields.iter().map(|field| field.name.as_str());
        let remedy = did_you_mean(name, known, "its columns");
        let what = format!("`{}` has no column {}", collection.name, shown(name));
        self.wrong(at, what, remedy);
    }

    /// The collection of that name, or a mistake. Nothing if it is broken as a whole.
    fn known_collection(&mut self, at: &[&str], name: &str) -> Option<&'a Collection> {
        let found = self.schema.collection(name);
        if found.is_none() && !self.places.is_broken(&["collections", name]) {
            let known = self.schema.collections.keys().map(String::as_str);
            let remedy = did_you_mean(name, known, "the collections");
            self.wrong(at, format!("there is no collection {}", shown(name)), remedy);
        }
        found
    }

    fn collection(&mut self, collection: &'a Collection) {
        let at = ["collections", collection.name.as_str()];
        if let Some((what, remedy)) = names::problem(NameOf::Collection, &collection.name) {
            self.wrong(&at, what, remedy);
        }
        self.permission(&[at[0], at[1], "read"], &collection.read);
        self.permission(&[at[0], at[1], "write"], &collection.write);
        let fields_at = [at[0], at[1], "fields"];
        if collection.fields.is_empty() && !self.places.is_broken(&fields_at) {
            self.wrong(&fields_at, "a collection needs a field", "declare at least one");
        }
        if collection.fields.len() > FIELDS_MAX {
            let what = format!("{} fields", collection.fields.len());
            self.wrong(&fields_at, what, format!("a collection may have {FIELDS_MAX}"));
        }
        for field in &collection.fields {
            if !self.places.is_broken(&[at[0], at[1], "fields", &field.name]) {
                self.field(collection, field);
            } else if let Some((what, remedy)) = names::problem(NameOf::Field, &field.name) {
                self.wrong(&[at[0], at[1], "fields", &field.name], what, remedy);
            }
        }
        self.circles(collection);
        if !self.places.is_broken(&[at[0], at[1], "scopes"]) {
            self.scopes(collection);
        }
        if !self.places.is_broken(&[at[0], at[1], "parent"]) {
            self.parent(collection);
        }
        if !self.places.is_broken(&[at[0], at[1], "natural_key"]) {
            self.natural_key(collection);
        }
        self.photos(collection);
        self.flags(collection);
        self.geofence(collection);
    }

    /// A permission that a collection or field asks for: well formed, and somebody has it.
    fn permission(&mut self, at: &[&str], permission: &str) {
        if self.places.is_broken(at) {
            return;
        }
        if !names::is_permission(permission) {
            let what = format!("{} is no permission", shown(permission));
            self.wrong(at, what, "write a subject and a verb, such as `project:read`");
            return;
        }
        let mut held: BTreeSet<&str> = SERVER_PERMISSIONS.iter().copied().collect();
        held.extend(self.schema.roles.values().flatten().map(String::as_str));
        held.remove("");
        if !self.schema.roles.is_empty() && !held.contains(permission) {
            let what = format!("no role has the permission {}", shown(permission));
            let remedy = did_you_mean(permission, held, "the permissions that roles have");
            self.wrong(at, what, format!("give it to a role; {remedy}"));
        }
    }

    fn roles(&mut self) {
        let mut asked: BTreeSet<&str> = SERVER_PERMISSIONS.iter().copied().collect();
        for collection in self.schema.collections.values() {
            asked.extend([collection.read.as_str(), collection.write.as_str()]);
            asked.extend(
                collection
                    .fields
                    .iter()
                    .flat_map(|f| [&f.read, &f.write])
                    .flatten()
                    .map(String::as_str),
            );
        }
        asked.remove("");
        for (role, permissions) in &self.schema.roles {
            if let Some((what, remedy)) = names::problem(NameOf::Role, role) {
                self.wrong(&["roles", role], what, remedy);
            }
            for (number, permission) in permissions.iter().enumerate() {
                let at = ["roles", role, &number.to_string()];
                if self.places.is_broken(&at) {
                    continue;
                }
                if permissions[..number].contains(permission) {
                    let what = format!("{} is there twice", shown(permission));
                    self.wrong(&at, what, "remove one");
                } else if !asked.contains(permission.as_str()) {
                    let what = format!("nothing asks for the permission {}", shown(permission));
                    let known = asked.iter().copied();
                    self.wrong(&at, what, did_you_mean(permission, known, "the permissions"));
                }
            }
        }
    }

    fn scopes(&mut self, collection: &'a Collection) {
        let at = ["collections", &collection.name, "scopes"];
        if collection.scopes.is_empty() {
            let remedy = "write `scopes = [\"tenant\"]`, or name an entity by a column, \
                          such as `scopes = [\"project:proyecto_id\"]`";
            self.wrong(&at, format!("`{}` belongs to no scope", collection.name), remedy);
            return;
        }
        let mut always = false;
        for (number, rule) in collection.scopes.iter().enumerate() {
            let at = ["collections", &collection.name, "scopes", &number.to_string()];
            if collection.scopes[..number].contains(rule) {
                self.wrong(&at, "this scope is there twice", "remove one");
            }
            always |= match rule {
                ScopeRule::Tenant => true,
                ScopeRule::Entity { kind, field } => {
                    self.scope_column(&at, collection, kind, field)
                }
            };
        }
        if !always {
            let what = format!("a row of `{}` may be in no scope at all", collection.name);
            let remedy =
                "make one scope column `required = true`, or add a scope that always holds";
            self.wrong(&at, what, remedy);
        }
    }

    /// Checks a column that names a scope. Returns whether it always holds an id.
    fn scope_column(&mut self, at: &[&str], of: &'a Collection, kind: &str, name: &str) -> bool {
        let field = match self.column(of, name) {
            Column::Id | Column::Broken => return true,
            Column::Unknown => {
                self.unknown_column(at, of, name);
                return true;
            }
            Column::Field(field) => field,
        };
        let field_at = ["collections", &of.name, "fields", name];
        if field.kind != FieldType::Uuid {
            let what = format!("the scope column `{name}` is no UUID");
            self.wrong(&[&field_at[..], &["type"]].concat(), what, "write `type = \"uuid\"`");
        }
        let said = self.places.has(&[&field_at[..], &["required"]].concat());
        if !field.required && !field.from_parent && !said {
            let what = format!("the scope column `{name}` may be null, and then names no scope");
            let remedy = "write `required = true`, or `required = false` if that is meant";
            self.wrong(&field_at, what, remedy);
            return true;
        }
        if field.read.is_some() {
            let what = format!("the scope column `{name}` is hidden from some who get the row");
            let remedy = "remove its `read`: devices need it to know where the row belongs";
            self.wrong(&[&field_at[..], &["read"]].concat(), what, remedy);
        }
        let home = field.references.as_deref().and_then(|home| self.schema.collection(home));
        let homes = home.map(|home| home.scopes.iter().filter_map(home_kind).collect::<Vec<_>>());
        if let Some([home_kind]) = homes.as_deref()
            && *home_kind != kind
        {
            let references = field.references.as_deref().unwrap_or_default();
            let what =
                format!("`{name}` refers to `{references}`, whose scope is `{home_kind}:id`");
            self.wrong(at, what, format!("write `{home_kind}:{name}`"));
        }
        field.required || field.from_parent
    }

    /// Collections that refer to each other in a circle have no order in which rows could be written
    /// and deleted one by one. One that refers to itself has.
    fn circles(&mut self, collection: &'a Collection) {
        for field in &collection.fields {
            let Some(target) = field.references.as_deref() else { continue };
            let links = collection.parent.as_ref().is_some_and(|parent| parent.field == field.name);
            if target != collection.name && !links && self.reaches(target, &collection.name) {
                let at = ["collections", &collection.name, "fields", &field.name, "references"];
                let what = format!("`{}` and `{target}` refer to each other", collection.name);
                self.wrong(&at, what, "break the circle: leave out one of the references");
            }
        }
    }

    /// Whether a collection refers, over however many others, to another one.
    fn reaches(&self, from: &'a str, to: &str) -> bool {
        let mut seen = BTreeSet::from([from]);
        let mut open = vec![from];
        while let Some(name) = open.pop() {
            if name == to {
                return true;
            }
            let fields = self.schema.collection(name).into_iter().flat_map(|c| &c.fields);
            open.extend(fields.filter_map(|f| f.references.as_deref()).filter(|r| seen.insert(r)));
        }
        false
    }

    fn parent(&mut self, child: &'a Collection) {
        let name = child.name.as_str();
        let Some(link) = &child.parent else {
            for field in child.fields.iter().filter(|field| field.from_parent) {
                let at = ["collections", name, "fields", &field.name, "from_parent"];
                let what = format!("`{name}` has no parent");
                self.wrong(&at, what, "declare `parent = { collection = …, field = … }`");
            }
            return;
        };
        let at = ["collections", name, "parent", "collection"];
        let Some(parent) = self.known_collection(&at, &link.collection) else { return };
        if self.is_own_ancestor(child) {
            self.wrong(&at, format!("`{name}` is its own ancestor"), "break the circle of parents");
            return;
        }
        let linked = self.link(child, &link.field, parent);
        if linked && !self.places.is_broken(&["collections", &parent.name, "scopes"]) {
            for rule in &parent.scopes {
                self.follows(child, &link.field, parent, rule);
            }
        }
        let carried: BTreeSet<&str> = parent.scope_fields().collect();
        for field in child.fields.iter().filter(|field| field.from_parent) {
            let at = |key| ["collections", name, "fields", &field.name, key];
            let theirs = parent.field(&field.name).map(|theirs| &theirs.references);
            if !carried.contains(field.name.as_str()) {
                let what = format!("`{}` is no scope column of `{}`", field.name, parent.name);
                let remedy = "only scope columns follow the parent: remove it";
                self.wrong(&at("from_parent"), what, remedy);
            } else if field.references.is_some() && theirs.is_some_and(|t| *t != field.references) {
                let what = format!("`{}.{}` does not refer to that", parent.name, field.name);
                self.wrong(&at("references"), what, "refer to the same collection as the parent");
            }
        }
    }

    /// Checks the column that holds the parent's id. Returns whether it is there.
    fn link(&mut self, child: &'a Collection, name: &str, parent: &Collection) -> bool {
        let at = ["collections", &child.name, "parent", "field"];
        match self.column(child, name) {
            Column::Broken => true,
            Column::Id | Column::Unknown => {
                self.unknown_column(&at, child, name);
                false
            }
            Column::Field(field) => {
                let fits = field.kind == FieldType::Uuid
                    && field.required
                    && field.references.as_deref() == Some(&parent.name);
                if !fits {
                    let what = format!("`{name}` does not hold the id of the parent");
                    let remedy = format!(
                        "declare it as `{{ type = \"uuid\", required = true, references = \"{}\" }}`",
                        parent.name
                    );
                    self.wrong(&["collections", &child.name, "fields", name], what, remedy);
                }
                true
            }
        }
    }

    /// Checks that a child is in a scope of its parent: it goes where the parent goes.
    fn follows(&mut self, child: &Collection, link: &str, parent: &Collection, rule: &ScopeRule) {
        let wanted = match rule {
            ScopeRule::Entity { kind, field } if field == "id" => {
                ScopeRule::Entity { kind: kind.clone(), field: link.to_owned() }
            }
            rule => rule.clone(),
        };
        let at = ["collections", &child.name, "scopes"];
        if !child.scopes.contains(&wanted) && !self.places.is_broken(&at) {
            let written = written(&wanted);
            let what = format!("`{}` does not go where its parent goes", child.name);
            self.wrong(&at, what, format!("add \"{written}\", as `{}` has it", parent.name));
        }
        let ScopeRule::Entity { field, .. } = rule else { return };
        if let Some(column) = child.field(field)
            && !column.from_parent
        {
            let at = ["collections", &child.name, "fields", field];
            let what = format!("`{field}` is a scope column of the parent `{}`", parent.name);
            self.wrong(&at, what, "write `from_parent = true`, so that the two stay together");
        }
    }

    fn is_own_ancestor(&self, child: &Collection) -> bool {
        let mut present = child;
        for _ in 0..self.schema.collections.len() {
            let parent = present.parent.as_ref().map(|parent| parent.collection.as_str());
            match parent.and_then(|parent| self.schema.collection(parent)) {
                Some(parent) if parent.name == child.name => return true,
                Some(parent) => present = parent,
                None => return false,
            }
        }
        false
    }

    fn natural_key(&mut self, collection: &'a Collection) {
        let Some(key) = &collection.natural_key else { return };
        let at = ["collections", &collection.name, "natural_key", "fields"];
        if key.fields.is_empty() || key.fields.len() > NATURAL_KEY_FIELDS_MAX {
            let what = format!("a natural key of {} fields", key.fields.len());
            self.wrong(&at, what, format!("name 1 to {NATURAL_KEY_FIELDS_MAX}"));
        }
        for (number, name) in key.fields.iter().enumerate() {
            let at = [at[0], at[1], at[2], at[3], &number.to_string()];
            if key.fields[..number].contains(name) {
                self.wrong(&at, format!("{} is there twice", shown(name)), "remove one");
                continue;
            }
            match self.column(collection, name) {
                Column::Broken => {}
                Column::Id => {
                    self.wrong(&at, "`id` is unique by itself", "remove it");
                }
                Column::Unknown => self.unknown_column(&at, collection, name),
                Column::Field(field) => self.key_field(&at, collection, field),
            }
        }
    }

    fn key_field(&mut self, at: &[&str], collection: &Collection, field: &Field) {
        let name = &field.name;
        let (what, remedy) = match &field.kind {
            FieldType::Set | FieldType::Json | FieldType::Real => (
                format!("`{name}` can be in no natural key"),
                "only exact, ordered types can".into(),
            ),
            _ if field.merge == MergeRule::Counter => {
                (format!("the counter `{name}` can be in no natural key"), "name another".into())
            }
            _ if field.read.is_some() => (
                format!("`{name}` is hidden from some, who could not avoid duplicates"),
                "remove its `read`, or take it out of the natural key".into(),
            ),
            _ if !field.required => (
                format!("`{name}` may be null, but is in the natural key"),
                "write `required = true`".into(),
            ),
            FieldType::Text if field.max_length.is_none_or(|m| m > NATURAL_KEY_CHARS_MAX) => (
                format!("the text `{name}` is too long for a natural key"),
                format!("write `max_length = {NATURAL_KEY_CHARS_MAX}` or less"),
            ),
            _ => return,
        };
        let required = ["collections", &collection.name, "fields", name];
        self.wrong(if field.required { at } else { &required }, what, remedy);
    }
}

/// The kind of scope whose entities are the rows of a collection with this rule.
fn home_kind(rule: &ScopeRule) -> Option<&str> {
    match rule {
        ScopeRule::Entity { kind, field } if field == "id" => Some(kind),
        _ => None,
    }
}

/// A scope rule as it is written in a file.
fn written(rule: &ScopeRule) -> String {
    match rule {
        ScopeRule::Tenant => "tenant".to_owned(),
        ScopeRule::Entity { kind, field } => format!("{kind}:{field}"),
    }
}
