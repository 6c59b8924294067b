//! Writing rows with set statements: one UNNEST of arrays for each kind of write.
//!
//! The capture triggers do the bookkeeping. They are told the edits' times by a transaction-local
//! setting, and that an INSERT brings a deleted row back by another.

use std::collections::BTreeMap;

use sqlx::postgres::PgArguments;
use sqlx::{Arguments, AssertSqlSafe, Postgres, Row, Transaction};
use sync_protocol::schema::{Collection, Field, FieldType};
use sync_protocol::value::format_timestamp;
use sync_protocol::{RecordId, RowVersion, TenantId, Value};
use uuid::Uuid;

use super::ddl::table;
use super::error::store_error;
use super::quote::ident;
use super::write::{Lock, rows};
use super::{decode, query};
use crate::store::error::ConstraintKind;
use crate::store::{RowWrite, StoreError, WriteKind};

type Tx = Transaction<'static, Postgres>;

/// See [`crate::store::WriteTx::write_rows`].
pub(super) async fn write_rows(
    tx: &mut Tx,
    tenant: TenantId,
    received_us: i64,
    collection: &Collection,
    writes: &[RowWrite],
) -> Result<Vec<RowVersion>, StoreError> {
    tell_times(tx, writes, received_us).await?;
    let of = |kind| -> Vec<&RowWrite> { writes.iter().filter(|w| w.kind == kind).collect() };
    // Deletions and changes first: they may free a natural key that an insertion takes.
    delete(tx, tenant, collection, &of(WriteKind::Delete)).await?;
    update(tx, tenant, collection, &of(WriteKind::Update)).await?;
    restore(tx, tenant, collection, &of(WriteKind::Restore)).await?;
    let inserts: Vec<(RecordId, &sync_protocol::Fields)> =
        of(WriteKind::Insert).iter().map(|w| (w.record, &w.set)).collect();
    insert(tx, tenant, collection, &inserts).await?;
    touch(tx, collection, writes).await?;
    versions(tx, tenant, collection, writes).await
}

async fn tell_times(tx: &mut Tx, writes: &[RowWrite], received_us: i64) -> Result<(), StoreError> {
    let times: serde_json::Map<String, serde_json::Value> = writes
        .iter()
        .map(|w| {
            let times = serde_json::json!([w.time.at_us, w.time.uncertain, received_us]);
            (w.record.to_string(), times)
        })
        .collect();
    set_local(tx, "campo.edit_times", &serde_json::Value::Object(times).to_string()).await
}

async fn set_local(tx: &mut Tx, name: &str, value: &str) -> Result<(), StoreError> {
    query("SELECT set_config($1, $2, true)")
        .bind(name.to_owned())
        .bind(value.to_owned())
        .execute(&mut **tx)
        .await
        .map_err(store_error)?;
    Ok(())
}

async fn delete(
    tx: &mut Tx,
    tenant: TenantId,
    collection: &Collection,
    writes: &[&RowWrite],
) -> Result<(), StoreError> {
    if writes.is_empty() {
        return Ok(());
    }
    let sql = format!("DELETE FROM {} WHERE tenant_id = $1 AND id = ANY($2)", table(collection));
    let ids: Vec<Uuid> = writes.iter().map(|w| w.record.0).collect();
    let done = query(sql).bind(tenant.0).bind(ids).execute(&mut **tx).await.map_err(store_error)?;
    all_there(done.rows_affected(), writes.len())
}

async fn update(
    tx: &mut Tx,
    tenant: TenantId,
    collection: &Collection,
    writes: &[&RowWrite],
) -> Result<(), StoreError> {
    if writes.is_empty() {
        return Ok(());
    }
    // Columns that follow the parent are filled by a trigger.
    let fields: Vec<&Field> = collection
        .fields
        .iter()
        .filter(|f| !f.from_parent && writes.iter().any(|w| w.set.contains_key(&f.name)))
        .collect();
    let mut unnest = Unnest::new(tenant, writes.iter().map(|w| w.record))?;
    let mut sets = Vec::new();
    for field in fields {
        let column = ident(&field.name);
        let values: Vec<&Value> =
            writes.iter().map(|w| w.set.get(&field.name).unwrap_or(&Value::Null)).collect();
        let value = unnest.values(field, &values)?;
        if writes.iter().all(|w| w.set.contains_key(&field.name)) {
            sets.push(format!("{column} = {value}"));
        } else {
            let named: Vec<bool> = writes.iter().map(|w| w.set.contains_key(&field.name)).collect();
            let named = unnest.column("boolean[]", named)?;
            sets.push(format!("{column} = CASE WHEN {named} THEN {value} ELSE t.{column} END"));
        }
    }
    if sets.is_empty() {
        // The row's version still grows: capture records every update that the server makes.
        sets.push("id = t.id".to_owned());
    }
    let sql = format!(
        "UPDATE {} t SET {} FROM {} WHERE t.tenant_id = $1 AND t.id = u.id",
        table(collection),
        sets.join(", "),
        unnest.from()
    );
    let done = unnest.run(tx, sql).await?;
    all_there(done, writes.len())
}

async fn restore(
    tx: &mut Tx,
    tenant: TenantId,
    collection: &Collection,
    writes: &[&RowWrite],
) -> Result<(), StoreError> {
    if writes.is_empty() {
        return Ok(());
    }
    let ids: Vec<RecordId> = writes.iter().map(|w| w.record).collect();
    let mut stored = rows(tx, tenant, collection, &ids, Lock::Write).await?;
    let mut inserts = Vec::with_capacity(writes.len());
    for write in writes {
        let Some(row) = stored.remove(&write.record).filter(|row| row.meta.deleted.is_some())
        else {
            return Err(StoreError::Constraint {
                kind: ConstraintKind::Unique,
                name: None,
                message: "a row that was not deleted cannot be restored".to_owned(),
            });
        };
        let mut fields = row.fields;
        fields.extend(write.set.iter().map(|(name, value)| (name.clone(), value.clone())));
        inserts.push((write.record, fields));
    }
    set_local(tx, "campo.restore", "on").await?;
    let borrowed: Vec<_> = inserts.iter().map(|(id, fields)| (*id, fields)).collect();
    insert(tx, tenant, collection, &borrowed).await?;
    set_local(tx, "campo.restore", "").await
}

async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    collection: &Collection,
    inserts: &[(RecordId, &sync_protocol::Fields)],
) -> Result<(), StoreError> {
    if inserts.is_empty() {
        return Ok(());
    }
    let mut unnest = Unnest::new(tenant, inserts.iter().map(|(id, _)| *id))?;
    let mut columns = vec!["tenant_id".to_owned(), "id".to_owned()];
    let mut values = vec!["$1".to_owned(), "u.id".to_owned()];
    for field in &collection.fields {
        let default = field.default_value();
        let of_field: Vec<&Value> =
            inserts.iter().map(|(_, set)| set.get(&field.name).unwrap_or(&default)).collect();
        columns.push(ident(&field.name));
        values.push(unnest.values(field, &of_field)?);
    }
    let sql = format!(
        "INSERT INTO {} ({}) SELECT {} FROM {}",
        table(collection),
        columns.join(", "),
        values.join(", "),
        unnest.from()
    );
    unnest.run(tx, sql).await?;
    Ok(())
}

/// Elements that were added again while present: the rows' changes are captured by now.
async fn touch(tx: &mut Tx, of: &Collection, writes: &[RowWrite]) -> Result<(), StoreError> {
    let touched: Vec<(Uuid, &str, &str)> = writes
        .iter()
        .flat_map(|w| w.touched.iter().map(|(f, e)| (w.record.0, f.as_str(), e.as_str())))
        .collect();
    if touched.is_empty() {
        return Ok(());
    }
    query("SELECT sync.touch($1, $2, $3, $4)")
        .bind(&of.name)
        .bind(touched.iter().map(|t| t.0).collect::<Vec<_>>())
        .bind(touched.iter().map(|t| t.1.to_owned()).collect::<Vec<_>>())
        .bind(touched.iter().map(|t| t.2.to_owned()).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await
        .map_err(store_error)?;
    Ok(())
}

async fn versions(
    tx: &mut Tx,
    tenant: TenantId,
    collection: &Collection,
    writes: &[RowWrite],
) -> Result<Vec<RowVersion>, StoreError> {
    let found = query(
        "SELECT record_id, version FROM sync.rows \
         WHERE tenant_id = $1 AND collection = $2 AND record_id = ANY($3)",
    )
    .bind(tenant.0)
    .bind(&collection.name)
    .bind(writes.iter().map(|w| w.record.0).collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await
    .map_err(store_error)?;
    let mut versions = BTreeMap::new();
    for row in &found {
        let id: Uuid = row.try_get(0).map_err(store_error)?;
        versions.insert(RecordId(id), row.try_get::<i64, _>(1).map_err(store_error)?);
    }
    let missing = || StoreError::Internal("a written row was not captured".to_owned());
    writes.iter().map(|w| versions.get(&w.record).copied().ok_or_else(missing)).collect()
}

/// See [`crate::store::WriteTx::find_by_natural_key`].
pub(super) async fn find_by_natural_key(
    tx: &mut Tx,
    tenant: TenantId,
    collection: &Collection,
    keys: &[Vec<Value>],
) -> Result<Vec<Option<RecordId>>, StoreError> {
    let mut found = vec![None; keys.len()];
    let Some(natural) = collection.natural_key.as_ref().filter(|_| !keys.is_empty()) else {
        return Ok(found);
    };
    // The position in `keys` goes in the place of an id.
    let positions = (0..keys.len()).map(|n| RecordId(Uuid::from_u128(n as u128)));
    let mut unnest = Unnest::new(tenant, positions)?;
    let mut conditions = Vec::new();
    for (index, name) in natural.fields.iter().enumerate() {
        let Some(field) = collection.field(name) else { continue };
        let values: Vec<&Value> =
            keys.iter().map(|key| key.get(index).unwrap_or(&Value::Null)).collect();
        conditions.push(format!("b.{} = {}", ident(name), unnest.values(field, &values)?));
    }
    let sql = format!(
        "SELECT u.id, b.id FROM {} JOIN {} b ON b.tenant_id = $1 AND {} \
         ORDER BY b.id FOR NO KEY UPDATE OF b",
        unnest.from(),
        table(collection),
        conditions.join(" AND ")
    );
    let rows = unnest.fetch(tx, sql).await?;
    for row in &rows {
        let position = decode::bytes(row, 0)?.map(decode::uuid).transpose()?.unwrap_or_default();
        let slot = usize::try_from(position.as_u128()).ok().and_then(|n| found.get_mut(n));
        if let Some(slot) = slot {
            *slot = decode::bytes(row, 1)?.map(decode::uuid).transpose()?.map(RecordId);
        }
    }
    Ok(found)
}

fn all_there(done: u64, wanted: usize) -> Result<(), StoreError> {
    if usize::try_from(done) == Ok(wanted) {
        Ok(())
    } else {
        Err(StoreError::Internal(format!("{done} of {wanted} rows were there to be written")))
    }
}

/// `unnest($2, $3, …) AS u (id, c3, …)` and its arguments. `$1` is the tenant.
struct Unnest {
    arguments: PgArguments,
    arrays: Vec<String>,
    columns: Vec<String>,
}

impl Unnest {
    fn new(tenant: TenantId, ids: impl Iterator<Item = RecordId>) -> Result<Self, StoreError> {
        let mut arguments = PgArguments::default();
        arguments.add(tenant.0).map_err(|e| StoreError::Internal(e.to_string()))?;
        let mut unnest = Self { arguments, arrays: Vec::new(), columns: Vec::new() };
        unnest.column("uuid[]", ids.map(|id| id.0).collect::<Vec<_>>())?;
        unnest.columns = vec!["id".to_owned()];
        Ok(unnest)
    }

    /// Adds an array; answers the column's name.
    fn column<T>(&mut self, of: &str, values: Vec<T>) -> Result<String, StoreError>
    where
        Vec<T>: sqlx::Type<Postgres> + for<'e> sqlx::Encode<'e, Postgres>,
    {
        self.arguments.add(values).map_err(|e| StoreError::Internal(e.to_string()))?;
        let number = self.arguments.len();
        self.arrays.push(format!("${number}::{of}"));
        self.columns.push(format!("c{number}"));
        Ok(format!("u.c{number}"))
    }

    /// Adds the values of a field; answers the expression that is of the field's type.
    fn values(&mut self, field: &Field, values: &[&Value]) -> Result<String, StoreError> {
        Ok(match &field.kind {
            FieldType::Text | FieldType::Enum { .. } => {
                let texts = values.iter().map(|v| match v {
                    Value::Text(text) => Some(text.clone()),
                    _ => None,
                });
                self.column("text[]", texts.collect::<Vec<_>>())?
            }
            FieldType::Integer => {
                self.column("bigint[]", values.iter().map(|v| v.units()).collect())?
            }
            FieldType::Decimal { scale } => {
                let units = self.column("bigint[]", values.iter().map(|v| v.units()).collect())?;
                let unit = if *scale == 0 {
                    "1".to_owned()
                } else {
                    format!("0.{:0>width$}", 1, width = usize::from(*scale))
                };
                format!("({units}::numeric * {unit})")
            }
            FieldType::Real => {
                let reals = values.iter().map(|v| match v {
                    Value::Real(real) => Some(*real),
                    _ => None,
                });
                self.column("double precision[]", reals.collect())?
            }
            FieldType::Boolean => {
                let booleans = values.iter().map(|v| match v {
                    Value::Boolean(b) => Some(*b),
                    _ => None,
                });
                self.column("boolean[]", booleans.collect())?
            }
            FieldType::Date => {
                let days = values.iter().map(|v| match v {
                    Value::Date(days) => Some(*days),
                    _ => None,
                });
                let days = self.column("integer[]", days.collect())?;
                format!("(date '1970-01-01' + {days})")
            }
            FieldType::Timestamp => {
                let texts = values.iter().map(|v| match v {
                    Value::Timestamp(us) => Some(format_timestamp(*us)),
                    _ => None,
                });
                format!("{}::timestamptz", self.column("text[]", texts.collect::<Vec<_>>())?)
            }
            FieldType::Uuid => {
                let ids = values.iter().map(|v| match v {
                    Value::Uuid(id) => Some(*id),
                    _ => None,
                });
                self.column("uuid[]", ids.collect())?
            }
            FieldType::Set => {
                let column = self.json(&field.kind, values)?;
                format!(
                    "CASE WHEN {column} IS NOT NULL \
                     THEN ARRAY(SELECT jsonb_array_elements_text({column}::jsonb)) END"
                )
            }
            FieldType::Json => format!("{}::jsonb", self.json(&field.kind, values)?),
        })
    }

    fn json(&mut self, kind: &FieldType, values: &[&Value]) -> Result<String, StoreError> {
        let texts = values.iter().map(|v| (!v.is_null()).then(|| v.to_json(kind).to_string()));
        self.column("text[]", texts.collect::<Vec<_>>())
    }

    fn from(&self) -> String {
        format!("unnest({}) AS u ({})", self.arrays.join(", "), self.columns.join(", "))
    }

    async fn run(self, tx: &mut Tx, sql: String) -> Result<u64, StoreError> {
        let done = sqlx::query_with(AssertSqlSafe(sql), self.arguments)
            .persistent(false)
            .execute(&mut **tx)
            .await
            .map_err(store_error)?;
        Ok(done.rows_affected())
    }

    async fn fetch(
        self,
        tx: &mut Tx,
        sql: String,
    ) -> Result<Vec<sqlx::postgres::PgRow>, StoreError> {
        sqlx::query_with(AssertSqlSafe(sql), self.arguments)
            .persistent(false)
            .fetch_all(&mut **tx)
            .await
            .map_err(store_error)
    }
}
