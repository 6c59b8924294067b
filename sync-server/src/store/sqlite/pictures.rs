//! Which pictures photos of this file have.

use std::collections::BTreeSet;

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;
use sync_protocol::schema::photos::PICTURE;

use super::error::{damaged, failed};
use super::tables::{Table, generated, quote};
use crate::store::StoreError;

/// See [`crate::store::WriteTx::known_pictures`]. `tables` are those of the photo collections, with their numbers in
/// this file.
pub(super) async fn known(
    connection: &mut SqliteConnection,
    tables: &[(&Table, i64)],
    hashes: &BTreeSet<String>,
) -> Result<BTreeSet<String>, StoreError> {
    if tables.is_empty() || hashes.is_empty() {
        return Ok(BTreeSet::new());
    }
    let wanted = serde_json::to_string(hashes).map_err(damaged)?;
    let rows = sqlx::query(generated(statement(tables)))
        .bind(wanted)
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    rows.iter().map(|row| row.try_get(0).map_err(failed)).collect()
}

fn statement(tables: &[(&Table, i64)]) -> String {
    let column = quote(PICTURE);
    let live: String = tables
        .iter()
        .map(|(table, _)| {
            format!("EXISTS (SELECT 1 FROM {} t WHERE t.{column} = w.value) OR ", table.quoted())
        })
        .collect();
    let numbers: Vec<String> = tables.iter().map(|(_, number)| number.to_string()).collect();
    // The conditions of the index of deleted photos, in its words.
    format!(
        "SELECT w.value FROM json_each(?) w WHERE {live}EXISTS (SELECT 1 FROM sync_rows r \
         WHERE r.deleted = 1 AND r.tombstone <> '{{}}' \
         AND json_extract(r.tombstone, '$.{PICTURE}') = w.value AND r.collection IN ({}))",
        numbers.join(",")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::tables::{Tables, create_indexes, create_table};
    use sqlx::Connection as _;
    use sync_protocol::schema::parse::{SourceFile, parse};

    #[tokio::test]
    async fn pictures_are_looked_up_by_indexes_alone() {
        let file = SourceFile {
            name: "construccion.toml".to_owned(),
            text: include_str!("../../../../schemas/construccion.toml").to_owned(),
        };
        let schema = parse(&[file]).expect("a schema");
        let mut connection = SqliteConnection::connect(":memory:").await.expect("a database");
        for migration in [
            include_str!("../../../../migrations/sqlite/tenant/0001_bookkeeping.sql"),
            include_str!("../../../../migrations/sqlite/tenant/0006_deleted_pictures.sql"),
        ] {
            sqlx::raw_sql(migration).execute(&mut connection).await.expect("bookkeeping");
        }
        for collection in schema.collections.values() {
            let table = create_table(collection, &collection.name);
            let indexes = create_indexes(collection).into_iter().map(|index| index.sql);
            for sql in std::iter::once(table).chain(indexes) {
                sqlx::raw_sql(generated(sql)).execute(&mut connection).await.expect("made");
            }
        }
        let tables = Tables::new(&schema);
        let photos: Vec<(&Table, i64)> = tables
            .tables
            .iter()
            .filter(|table| table.collection.photos)
            .map(|table| (table, 1))
            .collect();
        assert_eq!(photos.len(), 2);
        let plan = sqlx::query(generated(format!("EXPLAIN QUERY PLAN {}", statement(&photos))))
            .bind("[]")
            .fetch_all(&mut connection)
            .await
            .expect("a plan");
        let steps: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        let searches = |index: &str| steps.iter().filter(|step| step.contains(index)).count();
        assert_eq!(searches("avance_fotos_miniatura_sha256!"), 1, "{steps:#?}");
        assert_eq!(searches("asistencia_fotos_miniatura_sha256!"), 1, "{steps:#?}");
        assert_eq!(searches("sync_rows_pictures (<expr>=?"), 1, "{steps:#?}");
        let scans = steps.iter().filter(|step| step.starts_with("SCAN")).count();
        assert_eq!(scans, 1, "only the hashes that are asked for: {steps:#?}");
    }
}
