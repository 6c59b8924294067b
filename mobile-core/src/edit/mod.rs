//! What an app wants to change, as mutations of one transaction.
//!
//! An [`Edit`] lives inside one SQLite transaction. Each of its calls checks what is wanted against
//! the schema and the person's permissions, turns it into a mutation ([`wanted`]) and shows it at
//! once: the row is recomputed, so that later calls of the same transaction see it. [`Edit::finish`]
//! writes the transaction into the outbox. If anything fails, all of it is undone.
//!
//! **Bases.** A mutation names for each field the version of the row that the author saw. While a
//! field has an edit in the view, what the author sees is their own value on an older base, so a
//! later edit inherits that base. A row whose insertion is not settled has base 0: its author has
//! seen nothing of anybody else.
//!
//! **Builds on.** For each record that it touches, a transaction names the latest earlier one whose
//! edit of that record is not settled, and the one that inserts it; for each record it refers to, the
//! one that inserts it. Decided is not settled: until the checkpoint the device does not know the
//! record that an insertion was merged into, so the server has to find it through the receipt. Those
//! between are reached through the latest. If what it builds on is refused, it waits ("parked").
//!
//! **Ids.** A record that was merged into another one may still be named as it was when it was made here
//! ([`alias::present`]).

pub mod wanted;

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::{Map, Value as Json};
use sync_protocol::limits::TRANSACTION_MUTATIONS_MAX;
use sync_protocol::planted::{self, Bug};
use sync_protocol::schema::{Collection, FieldType, MergeRule, Schema};
use sync_protocol::wire::push::{Mutation, MutationKind, Position};
use sync_protocol::{ReceiptId, RecordId, RowVersion, Value};

use crate::CoreError;
use crate::clock::Reading;
use crate::outbox::{alias, entry};
use crate::photos::files::PhotoFiles;
use crate::random::Random;
use crate::store::rows;

/// A transaction of edits that is being made.
pub struct Edit<'a> {
    db: &'a Connection,
    schema: &'a Schema,
    permissions: &'a BTreeSet<String>,
    random: &'a dyn Random,
    files: &'a PhotoFiles,
    now: Reading,
    seq: i64,
    id: ReceiptId,
    mutations: Vec<Mutation>,
    builds_on: BTreeSet<ReceiptId>,
    /// Where the phone is.
    pub position: Option<Position>,
}

impl<'a> Edit<'a> {
    /// Begins a transaction inside a SQLite transaction.
    ///
    /// # Errors
    /// Those of SQLite and of the random source.
    pub fn begin(
        db: &'a Connection,
        schema: &'a Schema,
        permissions: &'a BTreeSet<String>,
        random: &'a dyn Random,
        files: &'a PhotoFiles,
        now: Reading,
    ) -> Result<Self, CoreError> {
        let id = ReceiptId(random.uuid()?);
        let seq = entry::begin(db, id, &now)?;
        Ok(Self {
            db,
            schema,
            permissions,
            random,
            files,
            now,
            seq,
            id,
            mutations: Vec::new(),
            builds_on: BTreeSet::new(),
            position: None,
        })
    }

    /// Makes a record and returns its id: the one that `fields` names under `id`, or a new one.
    ///
    /// # Errors
    /// Says which field is wrong and how, or that the record exists or is not permitted.
    pub fn insert(
        &mut self,
        collection: &str,
        fields: &Map<String, Json>,
    ) -> Result<RecordId, CoreError> {
        let collection = self.writable(collection)?;
        let mut fields = self.by_present_ids(collection, fields)?;
        let record = match fields.remove("id") {
            Some(id) => record_id(&id)?,
            None => RecordId(self.random.uuid_at(self.now.wall_us)?),
        };
        if rows::read_legible(self.db, collection, record)?.is_some() {
            let collection = collection.name.clone();
            return Err(CoreError::RecordExists { collection, record });
        }
        let set = wanted::insertion(collection, self.permissions, &fields)?;
        let mutation = Mutation { set, ..blank(collection, record, MutationKind::Insert) };
        let mut shown = mutation.clone();
        fill_in(self.db, self.schema, collection, &mut shown)?;
        self.add(collection, mutation, &shown)?;
        Ok(record)
    }

    /// Changes fields of a record. Fields that have the value already are left out; returns whether
    /// anything was left.
    ///
    /// Counters and sets take a whole value, which is compared with what the author sees, or the
    /// change itself: `{"add": "-3"}`, `{"add": ["ana"], "remove": ["luis"]}`.
    ///
    /// # Errors
    /// Says which field is wrong and how, or that the record is not there or not permitted.
    pub fn update(
        &mut self,
        collection: &str,
        record: RecordId,
        fields: &Map<String, Json>,
    ) -> Result<bool, CoreError> {
        let collection = self.writable(collection)?;
        let named = record;
        let record = alias::present(self.db, collection, named)?;
        let row = self.seen(collection, record)?;
        let mut fields = self.by_present_ids(collection, fields)?;
        if let Some(id) = fields.remove("id")
            && ![named, record].contains(&record_id(&id)?)
        {
            return Err(CoreError::BadRequest("the id of a record cannot be changed".to_owned()));
        }
        let mut mutation = blank(collection, record, MutationKind::Update);
        wanted::update(collection, self.permissions, &row.fields, &fields, &mut mutation)?;
        let names: Vec<String> = mutation
            .set
            .keys()
            .chain(mutation.add.keys())
            .chain(mutation.elements.keys())
            .cloned()
            .collect();
        if names.is_empty() {
            return Ok(false);
        }
        let earlier = rows::edits_in_view(self.db, &collection.name, record)?;
        note_what_was_seen(collection, &row, &earlier, &names, &mut mutation);
        let shown = mutation.clone();
        self.add(collection, mutation, &shown)?;
        Ok(true)
    }

    /// Deletes a record, and its photos that are here with it: none of them would have a place any more.
    ///
    /// # Errors
    /// That it is not there or not permitted.
    pub fn delete(&mut self, collection: &str, record: RecordId) -> Result<(), CoreError> {
        for (photos, photo) in self.photos_of(collection, record)? {
            self.delete_one(&photos, photo)?;
        }
        self.delete_one(collection, record)
    }

    fn delete_one(&mut self, collection: &str, record: RecordId) -> Result<(), CoreError> {
        let collection = self.writable(collection)?;
        let record = alias::present(self.db, collection, record)?;
        let row = self.seen(collection, record)?;
        let row_base = Some(self.row_base(collection, record, row.version)?);
        let mutation = Mutation { row_base, ..blank(collection, record, MutationKind::Delete) };
        let shown = mutation.clone();
        self.add(collection, mutation, &shown)
    }

    /// Brings a deleted record back as it was. One that was deleted by a settled edit shows with the
    /// next pull.
    ///
    /// # Errors
    /// That it exists or is not permitted.
    pub fn restore(&mut self, collection: &str, record: RecordId) -> Result<(), CoreError> {
        let collection = self.writable(collection)?;
        let record = alias::present(self.db, collection, record)?;
        if rows::read_legible(self.db, collection, record)?.is_some() {
            let collection = collection.name.clone();
            return Err(CoreError::RecordExists { collection, record });
        }
        let known = rows::server_state(self.db, collection, record)?.map(|row| row.version);
        let mutation =
            Mutation { row_base: known, ..blank(collection, record, MutationKind::Restore) };
        let shown = mutation.clone();
        self.add(collection, mutation, &shown)
    }

    /// Whether the record is on this device.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn exists(&self, collection: &str, record: RecordId) -> Result<bool, CoreError> {
        let collection = known_collection(self.schema, collection)?;
        let record = alias::present(self.db, collection, record)?;
        Ok(rows::read_legible(self.db, collection, record)?.is_some())
    }

    /// Writes the transaction into the outbox; `None` if nothing was changed.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn finish(self) -> Result<Option<ReceiptId>, CoreError> {
        if self.mutations.is_empty() {
            entry::abandon(self.db, self.seq)?;
            return Ok(None);
        }
        let builds_on: Vec<ReceiptId> = self.builds_on.iter().copied().collect();
        entry::complete(self.db, self.seq, &self.mutations, &builds_on, self.position)?;
        Ok(Some(self.id))
    }

    pub(crate) fn schema(&self) -> &'a Schema {
        self.schema
    }

    pub(crate) fn db(&self) -> &'a Connection {
        self.db
    }

    /// Where files of photos go.
    pub(crate) fn files(&self) -> &'a PhotoFiles {
        self.files
    }

    fn writable(&self, collection: &str) -> Result<&'a Collection, CoreError> {
        let collection = known_collection(self.schema, collection)?;
        if !self.permissions.contains(&collection.write) {
            return Err(CoreError::NotPermitted(collection.write.clone()));
        }
        Ok(collection)
    }

    /// What an app wants, with the ids that the records which it refers to have by now.
    fn by_present_ids(
        &self,
        collection: &Collection,
        fields: &Map<String, Json>,
    ) -> Result<Map<String, Json>, CoreError> {
        let mut fields = fields.clone();
        alias::refer_to_present(self.db, self.schema, collection, &mut fields)?;
        Ok(fields)
    }

    fn seen(&self, collection: &Collection, record: RecordId) -> Result<rows::Row, CoreError> {
        rows::read(self.db, collection, record)?
            .ok_or_else(|| CoreError::NoSuchRecord { collection: collection.name.clone(), record })
    }

    fn add(
        &mut self,
        collection: &Collection,
        mutation: Mutation,
        shown: &Mutation,
    ) -> Result<(), CoreError> {
        if self.mutations.len() == TRANSACTION_MUTATIONS_MAX {
            return Err(CoreError::TransactionTooLarge { max: TRANSACTION_MUTATIONS_MAX });
        }
        self.note_what_it_builds_on(collection, &mutation)?;
        rows::keep_server_state(self.db, collection, mutation.record)?;
        entry::show_mutation(self.db, self.seq, self.mutations.len(), shown)?;
        rows::recompute(self.db, collection, mutation.record)?;
        self.mutations.push(mutation);
        Ok(())
    }

    fn note_what_it_builds_on(
        &mut self,
        collection: &Collection,
        mutation: &Mutation,
    ) -> Result<(), CoreError> {
        let found = builds_on(self.db, self.schema, collection, mutation, self.seq, i64::MAX)?;
        self.builds_on.extend(found);
        Ok(())
    }

    fn row_base(
        &self,
        collection: &Collection,
        record: RecordId,
        version: RowVersion,
    ) -> Result<RowVersion, CoreError> {
        let earlier = rows::edits_in_view(self.db, &collection.name, record)?;
        let inserted = earlier.iter().any(|m| m.kind == MutationKind::Insert);
        Ok(if inserted { 0 } else { version })
    }
}

/// What the server will fill in, so that the app's queries find the new row: defaults, and the
/// columns that follow the parent.
pub(crate) fn fill_in(
    db: &Connection,
    schema: &Schema,
    collection: &Collection,
    shown: &mut Mutation,
) -> Result<(), CoreError> {
    if shown.kind != MutationKind::Insert {
        return Ok(());
    }
    for field in &collection.fields {
        if !shown.set.contains_key(&field.name)
            && let Some(default) = &field.default
        {
            shown.set.insert(field.name.clone(), default.clone());
        }
    }
    let Some(parent) = &collection.parent else { return Ok(()) };
    let Some(above) = schema.collection(&parent.collection) else { return Ok(()) };
    let Some(id) = shown.set.get(&parent.field).and_then(Json::as_str) else { return Ok(()) };
    let Ok(id) = id.parse() else { return Ok(()) };
    // Also below a row that is damaged there is work: what it cannot say comes with the server's row.
    let Some(row) = rows::read_legible(db, above, id)? else { return Ok(()) };
    for field in collection.fields.iter().filter(|f| f.from_parent) {
        if let Some(value) = row.fields.get(&field.name) {
            shown.set.insert(field.name.clone(), value.to_json(&field.kind));
        } else if parent_scope_is_id(above, &field.name) {
            shown.set.insert(field.name.clone(), Json::from(id.to_string()));
        }
    }
    Ok(())
}

/// Notes for each of these fields the version, and for those with the rule `review` the value, that the
/// author saw before the record's edits in the view.
pub(crate) fn note_what_was_seen(
    collection: &Collection,
    row: &rows::Row,
    earlier: &[Mutation],
    names: &[String],
    mutation: &mut Mutation,
) {
    for name in names {
        mutation.base.insert(name.clone(), base_of(earlier, name, row.version));
        let Some(field) = collection.field(name).filter(|f| f.merge == MergeRule::Review) else {
            continue;
        };
        let before = earlier.iter().rev().find_map(|m| m.seen.get(name)).cloned();
        let shown = row.fields.get(name).unwrap_or(&Value::Null).to_json(&field.kind);
        mutation.seen.insert(name.clone(), before.unwrap_or(shown));
    }
}

/// The version that the author of an edit of `field` saw, given the record's earlier edits in view.
#[must_use]
pub fn base_of(earlier: &[Mutation], field: &str, version: RowVersion) -> RowVersion {
    if planted::is(Bug::BaseNotInherited) {
        return version;
    }
    if earlier.iter().any(|m| m.kind == MutationKind::Insert) {
        return 0;
    }
    earlier.iter().rev().find_map(|m| m.base.get(field)).copied().unwrap_or(version)
}

/// The transactions before place `ord_max` (but not `seq` itself) that a mutation needs.
///
/// # Errors
/// Those of SQLite.
pub fn builds_on(
    db: &Connection,
    schema: &Schema,
    collection: &Collection,
    mutation: &Mutation,
    seq: i64,
    ord_max: i64,
) -> Result<Vec<ReceiptId>, CoreError> {
    let own = (collection.name.as_str(), mutation.record);
    let mut found = Vec::from_iter(touching(db, own, seq, ord_max)?);
    if mutation.kind != MutationKind::Insert {
        // The server finds what an insertion was merged into only through its receipt.
        found.extend(inserting(db, own, seq, ord_max)?);
    }
    for target in references(schema, collection, mutation) {
        found.extend(inserting(db, target, seq, ord_max)?);
    }
    Ok(found)
}

/// The records of known collections that a mutation refers to.
fn references<'s>(
    schema: &'s Schema,
    collection: &'s Collection,
    mutation: &Mutation,
) -> Vec<(&'s str, RecordId)> {
    let target = |(name, json): (&String, &Json)| {
        let field = collection.field(name).filter(|field| field.kind == FieldType::Uuid)?;
        let target = schema.collection(field.references.as_deref()?)?;
        Some((target.name.as_str(), json.as_str()?.parse().ok()?))
    };
    mutation.set.iter().filter_map(target).collect()
}

/// The latest other transaction on a record of which a condition holds, or that waits as a whole for a
/// review.
macro_rules! latest_sql {
    ($mutation:literal, $transaction:literal) => {
        concat!(
            "SELECT o.id FROM campo_mutation m JOIN campo_outbox o ON o.seq = m.seq
             WHERE m.collection = ?1 AND m.record = ?2 AND o.seq <> ?3 AND o.ord < ?4 ",
            $mutation,
            " AND (",
            $transaction,
            " OR (o.state = 'in_review' AND json_extract(o.receipt, '$.held')))
             ORDER BY o.ord DESC, o.seq DESC LIMIT 1"
        )
    };
}

/// The latest transaction that edits a record and is not settled.
fn touching(
    db: &Connection,
    record: (&str, RecordId),
    seq: i64,
    ord_max: i64,
) -> Result<Option<ReceiptId>, CoreError> {
    latest(db, latest_sql!("", "o.settled = 0"), record, seq, ord_max)
}

/// The transaction that inserts a record, unless it is settled with effect.
fn inserting(
    db: &Connection,
    record: (&str, RecordId),
    seq: i64,
    ord_max: i64,
) -> Result<Option<ReceiptId>, CoreError> {
    let sql = latest_sql!("AND m.kind = 'insert'", "o.settled = 0 OR o.state = 'refused'");
    latest(db, sql, record, seq, ord_max)
}

fn latest(
    db: &Connection,
    sql: &'static str,
    (collection, record): (&str, RecordId),
    seq: i64,
    ord_max: i64,
) -> Result<Option<ReceiptId>, CoreError> {
    let id: Option<String> = db
        .prepare_cached(sql)?
        .query_row(params![collection, record.to_string(), seq, ord_max], |row| row.get(0))
        .optional()?;
    Ok(id.and_then(|id| id.parse().ok()))
}

/// The collection of that name.
///
/// # Errors
/// [`CoreError::UnknownCollection`].
pub fn known_collection<'s>(schema: &'s Schema, name: &str) -> Result<&'s Collection, CoreError> {
    schema.collection(name).ok_or_else(|| CoreError::UnknownCollection(name.to_owned()))
}

fn parent_scope_is_id(parent: &Collection, column: &str) -> bool {
    parent.field(column).is_none()
        && parent.scopes.iter().any(|rule| {
            matches!(rule, sync_protocol::schema::ScopeRule::Entity { field, .. } if field == "id")
        })
}

fn record_id(json: &Json) -> Result<RecordId, CoreError> {
    json.as_str()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| CoreError::BadRequest(format!("`id` must be a UUID, but {json} was given")))
}

fn blank(collection: &Collection, record: RecordId, kind: MutationKind) -> Mutation {
    Mutation {
        collection: collection.name.clone(),
        record,
        kind,
        set: Map::new(),
        add: Map::new(),
        elements: BTreeMap::new(),
        base: BTreeMap::new(),
        seen: Map::new(),
        row_base: None,
    }
}

/// Whether a value is the one in the row.
pub(crate) fn is_same(row: &sync_protocol::Fields, name: &str, value: &Value) -> bool {
    row.get(name).unwrap_or(&Value::Null) == value
}
