//! What is SQLite's alone: files, their permissions, backups put back, and changes of the schema.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, Row, SqliteConnection};
use sync_protocol::Value;
use sync_protocol::schema::{Field, FieldType, MergeRule, NaturalKey, OnDuplicate, Schema};
use sync_server::store::sqlite::SqliteStore;
use sync_server::store::{Position, Store, StoreError, WriteKind};
use tempfile::TempDir;
use uuid::Uuid;

use crate::bench::{Bench, fields, parte, record, schema, text, write};

struct Files {
    directory: TempDir,
    store: SqliteStore,
    bench: Bench,
}

async fn open() -> Files {
    let directory = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::open(directory.path(), schema()).await.expect("a store");
    let bench = Bench::new(Arc::new(store.clone()), Duration::ZERO).await;
    Files { directory, store, bench }
}

impl Files {
    fn path(&self) -> PathBuf {
        self.directory.path().join("tenants").join(format!("{}.db", self.bench.tenant))
    }

    /// Closes the store and opens the same directory again with a schema.
    async fn reopen(&mut self, schema: Schema) -> Result<(), StoreError> {
        self.store.close().await;
        self.store = SqliteStore::open(self.directory.path(), Arc::new(schema)).await?;
        self.bench.store = Arc::new(self.store.clone());
        self.store.migrate().await
    }

    /// A connection beside the store's.
    async fn beside(&self) -> SqliteConnection {
        let url = format!("sqlite://{}", self.path().display());
        SqliteConnection::connect(&url).await.expect("a connection")
    }
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart() {
    let mut files = open().await;
    let obra = files.bench.obra().await;
    let position = files.bench.now().await;
    files.reopen((*schema()).clone()).await.expect("reopened");
    assert!(files.bench.row("obras", obra).await.is_some());
    assert_eq!(files.bench.now().await, position);
    assert!(files.bench.read().await.knows(&position).await.expect("history"));
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let files = open().await;
    files.bench.obra().await;
    let mode = |path: &Path| std::fs::metadata(path).expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode(&files.directory.path().join("tenants")), 0o700);
    let mut seen = 0;
    for directory in [files.directory.path().to_owned(), files.directory.path().join("tenants")] {
        for entry in std::fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                assert_eq!(mode(&path), 0o600, "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen >= 4, "the catalogue, the tenant's file, and what SQLite puts beside them");
}

#[tokio::test]
async fn a_file_put_back_from_a_backup_does_not_know_what_it_lost() {
    let mut files = open().await;
    files.bench.obra().await;
    let before = files.bench.now().await;
    files.store.close().await;
    let backup = std::fs::read(files.path()).expect("the file");
    files.reopen((*schema()).clone()).await.expect("reopened");
    files.bench.obra().await;
    let lost = files.bench.now().await;

    files.store.close().await;
    std::fs::write(files.path(), backup).expect("put back");
    files.reopen((*schema()).clone()).await.expect("reopened");
    let knows = async |files: &Files, position: &Position| {
        files.bench.read().await.knows(position).await.expect("history")
    };
    assert!(knows(&files, &before).await);
    assert!(!knows(&files, &lost).await);
    // Not even when it has made as many commits again.
    for _ in 0..3 {
        files.bench.obra().await;
    }
    assert!(!knows(&files, &lost).await);
    assert!(knows(&files, &before).await);
}

#[tokio::test]
async fn a_file_gets_the_indexes_that_an_earlier_version_did_not_make() {
    let mut files = open().await;
    files.bench.obra().await;
    let all =
        "SELECT name FROM sqlite_schema WHERE type = 'index' AND name LIKE '%!' ORDER BY name";
    let mut sql = files.beside().await;
    let before: Vec<String> = sqlx::query_scalar(all).fetch_all(&mut sql).await.expect("indexes");
    let dropped = format!("DROP INDEX \"{}\"", before[0]);
    sqlx::raw_sql(sqlx::AssertSqlSafe(dropped)).execute(&mut sql).await.expect("dropped");
    files.reopen((*schema()).clone()).await.expect("reopened");
    let after: Vec<String> = sqlx::query_scalar(all).fetch_all(&mut sql).await.expect("indexes");
    assert_eq!(after, before);
}

#[tokio::test]
async fn a_missing_file_is_not_replaced_by_an_empty_one() {
    let files = open().await;
    files.store.close().await;
    std::fs::remove_file(files.path()).expect("removed");
    let store = SqliteStore::open(files.directory.path(), schema()).await.expect("a store");
    let missing = store.read(files.bench.tenant).await.err();
    assert!(matches!(missing, Some(StoreError::Storage(_))), "{missing:?}");
    assert!(!files.path().exists());
}

#[tokio::test]
async fn the_audit_trail_refuses_changes() {
    let files = open().await;
    let mut tx = files.bench.begin().await;
    tx.audit(&sync_server::store::AuditEntry {
        at_us: 1,
        user: None,
        action: "user.granted".to_owned(),
        conflict: None,
        detail: serde_json::Value::Null,
    })
    .await
    .expect("noted");
    tx.commit().await.expect("a commit");
    let mut beside = files.beside().await;
    for sql in ["UPDATE sync_audit SET at_us = 2", "DELETE FROM sync_audit"] {
        let refused = sqlx::query(sql).execute(&mut beside).await.expect_err("append-only");
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
}

/// Counts and digests are kept as rows come and go; here they are made anew from the rows.
#[tokio::test]
async fn counts_and_digests_are_those_of_the_rows() {
    use md5::{Digest, Md5};
    let files = open().await;
    let b = &files.bench;
    let obras = [b.obra().await, b.obra().await];
    let mut partes = Vec::new();
    for i in 0..12 {
        let id = record();
        b.insert("partes", id, parte(obras[i % 2], &format!("A{i}"))).await;
        b.insert("conceptos", record(), fields([("parte_id", Value::Uuid(id.0))])).await;
        partes.push(id);
    }
    for id in &partes[..5] {
        b.update("partes", *id, fields([("obra_id", Value::Uuid(obras[1].0))])).await;
    }
    // Undone, and so counted in nothing.
    let mut tx = b.begin().await;
    tx.savepoint().await.expect("a savepoint");
    let insertion = write(record(), WriteKind::Insert, parte(obras[0], "B"));
    tx.write_rows(&b.collection("partes"), &[insertion]).await.expect("written");
    tx.rollback_to_savepoint().await.expect("undone");
    let insertion = write(record(), WriteKind::Insert, parte(obras[0], "C"));
    tx.write_rows(&b.collection("partes"), &[insertion]).await.expect("written");
    tx.commit().await.expect("a commit");

    let mut beside = files.beside().await;
    let rows = sqlx::query(
        "SELECT m.scope, m.collection, m.record, r.version FROM sync_memberships m \
         JOIN sync_rows r USING (collection, record) WHERE m.gone = 0",
    )
    .fetch_all(&mut beside)
    .await
    .expect("memberships");
    let mut expected = std::collections::BTreeMap::<(i64, i64), (i64, u128)>::new();
    for row in rows {
        let mut md5 = Md5::new();
        md5.update(row.get::<Uuid, _>(2).as_bytes());
        md5.update(row.get::<i64, _>(3).to_be_bytes());
        let head = expected.entry((row.get(0), row.get(1))).or_default();
        head.0 += 1;
        head.1 ^= u128::from_be_bytes(md5.finalize().into());
    }
    let heads = sqlx::query("SELECT scope, collection, live_rows, digest FROM sync_heads")
        .fetch_all(&mut beside)
        .await
        .expect("heads");
    let mut kept = std::collections::BTreeMap::<(i64, i64), (i64, u128)>::new();
    for row in heads {
        let digest: Vec<u8> = row.get(3);
        let digest = u128::from_be_bytes(digest.try_into().expect("16 bytes"));
        kept.insert((row.get(0), row.get(1)), (row.get(2), digest));
    }
    kept.retain(|_, head| head.0 != 0);
    assert!(expected.len() >= 5);
    assert_eq!(kept, expected);
}

fn field(name: &str, kind: FieldType) -> Field {
    Field {
        name: name.to_owned(),
        kind,
        required: false,
        default: None,
        merge: MergeRule::Lww,
        references: None,
        max_length: None,
        min: None,
        max: None,
        from_parent: false,
        read: None,
        write: None,
    }
}

/// The suite's schema with one of its collections changed.
fn changed(name: &str, change: impl FnOnce(&mut sync_protocol::schema::Collection)) -> Schema {
    let mut schema = (*schema()).clone();
    change(schema.collections.get_mut(name).expect("a collection"));
    schema
}

#[tokio::test]
async fn new_fields_and_collections_become_columns_and_tables() {
    let mut files = open().await;
    let (old, gone) = (files.bench.obra().await, files.bench.obra().await);
    files.bench.delete("obras", gone).await;
    let mut schema = changed("obras", |obras| {
        obras.fields.push(field("ciudad", FieldType::Text));
        let estado = FieldType::Enum { values: vec!["abierta".to_owned(), "d'agua".to_owned()] };
        obras.fields.push(Field {
            required: true,
            default: Some("d'agua".into()),
            ..field("estado", estado)
        });
        obras.fields.push(Field {
            references: Some("obras".to_owned()),
            ..field("parte_de", FieldType::Uuid)
        });
    });
    let mut bodegas = schema.collections["obras"].clone();
    bodegas.name = "bodegas".to_owned();
    bodegas.fields.retain(|field| field.name == "ciudad");
    schema.collections.insert("bodegas".to_owned(), bodegas);
    files.reopen(schema.clone()).await.expect("migrated");
    let b = &files.bench;
    assert_eq!(b.row("obras", old).await.expect("the row").fields["estado"], text("d'agua"));
    assert_eq!(b.row("obras", old).await.expect("the row").fields["ciudad"], Value::Null);
    b.restore("obras", gone).await;
    assert_eq!(b.row("obras", gone).await.expect("the row").fields["estado"], text("d'agua"));
    b.update("obras", old, fields([("parte_de", Value::Uuid(gone.0))])).await;
    let delete = write(gone, WriteKind::Delete, fields([]));
    assert!(b.try_one("obras", delete).await.is_err(), "it is referred to");
    b.insert("bodegas", record(), fields([("ciudad", text("León"))])).await;
    files.reopen(schema).await.expect("a second time nothing is left to do");
}

#[tokio::test]
async fn another_declaration_is_put_in_force_if_the_rows_fit_it() {
    let mut files = open().await;
    let (obra, parte_id, concepto) = (files.bench.obra().await, record(), record());
    files.bench.insert("partes", parte_id, parte(obra, "A1")).await;
    let of_parte = fields([("parte_id", Value::Uuid(parte_id.0))]);
    files.bench.insert("conceptos", concepto, of_parte).await;
    let schema = changed("partes", |partes| {
        for field in &mut partes.fields {
            match field.name.as_str() {
                "clima" => {
                    let words = ["sol", "lluvia", "nieve"].map(str::to_owned).to_vec();
                    field.kind = FieldType::Enum { values: words };
                    field.required = true;
                    field.default = Some("sol".into());
                }
                "folio" => field.required = false,
                _ => {}
            }
        }
        partes.natural_key = None;
    });
    files.reopen(schema.clone()).await.expect("migrated");
    let b = &files.bench;
    assert_eq!(b.row("partes", parte_id).await.expect("the row").fields["clima"], text("sol"));
    b.update("partes", parte_id, fields([("clima", text("nieve"))])).await;
    b.insert("partes", record(), {
        let mut same = parte(obra, "A1");
        same.insert("clima".to_owned(), text("lluvia"));
        same
    })
    .await;
    // What referred to the table still does.
    let delete = write(parte_id, WriteKind::Delete, fields([]));
    let refused = b.try_one("partes", delete).await;
    assert!(matches!(refused, Err(StoreError::Constraint { .. })), "{refused:?}");
    assert!(b.row("conceptos", concepto).await.is_some());
    files.reopen(schema).await.expect("a second time nothing is left to do");

    // Back again: `nieve` is no word any more, and two rows have one folio.
    match files.reopen((*crate::bench::schema()).clone()).await {
        Err(StoreError::Setup(text)) => assert!(text.contains("constraint failed"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_does_not_fit_is_told_with_its_remedy_and_changes_nothing() {
    let mut files = open().await;
    let obra = files.bench.obra().await;
    for folio in ["A1", "A2"] {
        files.bench.insert("partes", record(), parte(obra, folio)).await;
    }
    let key = NaturalKey { fields: vec!["obra_id".into()], on_duplicate: OnDuplicate::Refuse };
    let cases: [(Schema, &str); 5] = [
        (changed("obras", |c| c.fields.clear()), "the field `nombre` is gone"),
        (
            changed("obras", |c| c.fields[0].kind = FieldType::Integer),
            "the type of `nombre` changed",
        ),
        (
            changed("obras", |c| {
                c.fields.push(Field { required: true, ..field("nuevo", FieldType::Text) });
            }),
            "the new field `nuevo` is required",
        ),
        (changed("partes", |c| c.scopes.truncate(1)), "its scopes changed"),
        (changed("partes", |c| c.natural_key = Some(key)), "UNIQUE constraint failed"),
    ];
    for (schema, expected) in cases {
        match files.reopen(schema).await {
            Err(StoreError::Setup(text)) => assert!(text.contains(expected), "{text}"),
            other => panic!("{expected}: {other:?}"),
        }
    }
    files.reopen((*schema()).clone()).await.expect("nothing was changed");
    assert!(files.bench.row("obras", obra).await.is_some());
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_left_alone() {
    let mut files = open().await;
    let mut beside = files.beside().await;
    sqlx::query("PRAGMA user_version = 99").execute(&mut beside).await.expect("set");
    beside.close().await.expect("closed");
    match files.reopen((*schema()).clone()).await {
        Err(StoreError::Setup(text)) => assert!(text.contains("newer version"), "{text}"),
        other => panic!("{other:?}"),
    }
}
