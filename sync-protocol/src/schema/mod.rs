//! Collection schemas: what a synced table holds, who may see and write it, and how edits merge.
//!
//! One TOML file per vertical is read by [`parse`], checked by [`check`] (every mistake with file,
//! line and remedy), sent to devices as JSON, and turned into tables at both ends. Adding a
//! collection or a field needs no Rust code.

pub mod check;
pub mod flags;
mod mistake;
mod names;
pub mod parse;
pub mod photos;
pub mod typescript;

use std::collections::BTreeMap;

pub use flags::{Flags, Geofence};
pub use mistake::Mistake;
use serde::{Deserialize, Serialize};

/// All collections that a server (or, reduced to what a user may see, a device) knows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    /// By collection name, which is unique across verticals.
    pub collections: BTreeMap<String, Collection>,
    /// What each role may do: role name → permissions such as `project:write`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<String, Vec<String>>,
}

/// One synced table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Collection {
    /// Its name: the table's name on the device, on SQLite, and within [`Self::vertical`] on PostgreSQL.
    pub name: String,
    /// The vertical, which is the table's schema on PostgreSQL.
    pub vertical: String,
    /// What people call it, in Spanish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// In the order of declaration, which is the order of columns. `id` is implied.
    pub fields: Vec<Field>,
    /// Which scopes a row belongs to; at least one.
    pub scopes: Vec<ScopeRule>,
    /// The parent whose scope columns this collection carries (see [`Field::from_parent`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// Permission needed to receive the collection at all.
    pub read: String,
    /// Permission needed to insert, update, delete or restore rows.
    pub write: String,
    /// First syncs bring lower numbers first. Default 100.
    #[serde(default = "default_priority")]
    pub priority: u32,
    /// What happens when a deletion meets a concurrent edit.
    #[serde(default)]
    pub on_delete_conflict: DeleteConflict,
    /// Fields that together are unique among live rows of the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub natural_key: Option<NaturalKey>,
    /// A conflict in one field holds back the whole transaction until it is decided.
    #[serde(default)]
    pub atomic_review: bool,
    /// Each record describes a photo of the parent's record ([`photos`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub photos: bool,
    /// What the server notes about each record for supervisors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<Flags>,
    /// Where a record is, if it is a place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geofence: Option<Geofence>,
}

fn default_priority() -> u32 {
    100
}

/// One column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// Column name.
    pub name: String,
    /// Type with its parameters.
    #[serde(rename = "type")]
    pub kind: FieldType,
    /// May not be null.
    #[serde(default)]
    pub required: bool,
    /// Value that an insert which does not name the field gets, in canonical JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<serde_json::Value>,
    /// How concurrent edits of it are merged.
    #[serde(default)]
    pub merge: MergeRule,
    /// The collection whose record id it holds (type `uuid`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references: Option<String>,
    /// Longest text, in characters (types `text`, and elements of `set`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u32>,
    /// Smallest number, in canonical JSON. On a `counter`, falling below raises a flag instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<serde_json::Value>,
    /// Largest number, in canonical JSON. On a `counter`, rising above raises a flag instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<serde_json::Value>,
    /// Filled by the server from the parent's column of the same name; devices never write it.
    /// [`Self::required`] is then the parent's.
    #[serde(default)]
    pub from_parent: bool,
    /// Permission needed to receive this field, besides the collection's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<String>,
    /// Permission needed to write this field, besides the collection's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<String>,
}

/// The type of a field, and with it its canonical form (see [`crate::value`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum FieldType {
    /// Unicode text without NUL.
    Text,
    /// 64-bit signed integer.
    Integer,
    /// Exact decimal with this many digits after the point.
    Decimal {
        /// Digits after the point, 0 to [`crate::limits::DECIMAL_SCALE_MAX`].
        scale: u8,
    },
    /// Finite 64-bit float.
    Real,
    /// True or false.
    Boolean,
    /// Calendar day without a zone.
    Date,
    /// Instant, UTC, microseconds.
    Timestamp,
    /// UUID, usually a reference.
    Uuid,
    /// One of these words.
    Enum {
        /// The words, in order of display.
        values: Vec<String>,
    },
    /// Set of short texts.
    Set,
    /// Any JSON document.
    Json,
}

/// What decides when a field was changed by two at once (DESIGN 4, Merge).
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum MergeRule {
    /// The later edit time wins; the loser's receipt keeps its value.
    #[default]
    Lww,
    /// Differences add up. Types `integer` and `decimal`.
    Counter,
    /// Elements are added and removed one by one. Type `set`.
    Set,
    /// The larger value stays. Numbers, dates and timestamps.
    Max,
    /// The smaller value stays. Numbers, dates and timestamps.
    Min,
    /// Set once, at insertion or from null; a different later value is refused.
    Immutable,
    /// Devices may not write it.
    Server,
    /// A person decides.
    Review,
}

/// Names a scope of a row by one of its columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "scope", rename_all = "snake_case")]
pub enum ScopeRule {
    /// Everybody in the company.
    Tenant,
    /// The entity whose id the column `field` holds (`id` for the entity's own table).
    Entity {
        /// `project`, `warehouse`, `user`, …
        kind: String,
        /// The column.
        field: String,
    },
}

/// A parent whose scopes its children follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The parent's collection.
    pub collection: String,
    /// The child's column that holds the parent's id.
    pub field: String,
}

/// A natural key and what a second row with the same one does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NaturalKey {
    /// Columns, all required.
    pub fields: Vec<String>,
    /// What to do with a duplicate.
    pub on_duplicate: OnDuplicate,
}

/// What a second row with the same natural key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDuplicate {
    /// Merge into the row that is there, if its author may see it, and answer an alias.
    Adopt,
    /// Refuse with `duplicate_key`.
    Refuse,
}

/// What happens when a deletion meets a concurrent edit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeleteConflict {
    /// A person decides.
    #[default]
    Review,
    /// The deletion stands; the edit's receipt says superseded.
    Delete,
    /// The edit restores the row.
    Keep,
}

impl Schema {
    /// The collection of that name.
    #[must_use]
    pub fn collection(&self, name: &str) -> Option<&Collection> {
        self.collections.get(name)
    }

    /// The collections that hold photos of a collection's records, by name.
    pub fn photos_of<'a>(&'a self, collection: &'a str) -> impl Iterator<Item = &'a Collection> {
        self.collections.values().filter(move |photos| {
            photos.photos && photos.parent.as_ref().is_some_and(|p| p.collection == collection)
        })
    }

    /// The collections in the order in which a first sync brings them: by priority, then name.
    #[must_use]
    pub fn by_priority(&self) -> Vec<&Collection> {
        let mut all: Vec<&Collection> = self.collections.values().collect();
        all.sort_by(|a, b| (a.priority, &a.name).cmp(&(b.priority, &b.name)));
        all
    }

    /// The collections in an order in which each comes after those it refers to, so that rows can
    /// be inserted in this order and deleted in the opposite one. A cycle of references is cut
    /// where its first collection by name comes.
    #[must_use]
    pub fn referenced_first(&self) -> Vec<&Collection> {
        let mut order: Vec<&Collection> = Vec::with_capacity(self.collections.len());
        let mut left: Vec<&Collection> = self.collections.values().collect();
        while !left.is_empty() {
            let waits = |c: &&Collection| {
                let references = c.fields.iter().filter_map(|f| f.references.as_deref());
                let parent = c.parent.iter().map(|p| p.collection.as_str());
                references
                    .chain(parent)
                    .any(|name| name != c.name && left.iter().any(|other| other.name == name))
            };
            let next = left.iter().position(|c| !waits(c)).unwrap_or(0);
            order.push(left.remove(next));
        }
        order
    }

    /// What somebody with these permissions may see: collections and fields they may read, no roles.
    #[must_use]
    pub fn visible_to(&self, may: impl Fn(&str) -> bool) -> Self {
        let mut collections = self.collections.clone();
        collections.retain(|_, collection| may(&collection.read));
        for collection in collections.values_mut() {
            collection.fields.retain(|f| f.read.as_deref().is_none_or(&may));
        }
        Self { collections, roles: BTreeMap::new() }
    }

    /// A hash over everything in this schema. Of the result of [`Self::visible_to`] it is the
    /// *visibility hash*: another one at the next pull adds and drops like a grant.
    #[must_use]
    pub fn hash(&self) -> String {
        use md5::{Digest, Md5};
        let canonical = serde_json::to_vec(self).unwrap_or_default();
        Md5::digest(&canonical).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Collection {
    /// The field of that name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Whether the server writes this column by itself, without anybody's edit: how far a photo is, and flags.
    #[must_use]
    pub fn is_noted_by_server(&self, field: &str) -> bool {
        (self.photos && [photos::STATE, photos::FLAGS].contains(&field))
            || self.flags.as_ref().is_some_and(|flags| flags.field == field)
    }

    /// The columns that name scopes, without `id`.
    pub fn scope_fields(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().filter_map(|rule| match rule {
            ScopeRule::Entity { field, .. } if field != "id" => Some(field.as_str()),
            _ => None,
        })
    }

    /// The scopes of a row with this id and these values. Null columns name none.
    #[must_use]
    pub fn scopes_of(&self, id: crate::RecordId, row: &crate::Fields) -> Vec<crate::Scope> {
        let mut scopes: Vec<crate::Scope> = self
            .scopes
            .iter()
            .filter_map(|rule| match rule {
                ScopeRule::Tenant => Some(crate::Scope::tenant()),
                ScopeRule::Entity { kind, field } if field == "id" => {
                    Some(crate::Scope::entity(kind, id.0))
                }
                ScopeRule::Entity { kind, field } => match row.get(field) {
                    Some(crate::Value::Uuid(entity)) => Some(crate::Scope::entity(kind, *entity)),
                    _ => None,
                },
            })
            .collect();
        scopes.sort();
        scopes.dedup();
        scopes
    }
}
