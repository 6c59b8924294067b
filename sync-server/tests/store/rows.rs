//! Rows, versions and what is remembered of each field.

use serde_json::json;
use sync_protocol::{RecordId, StreamId, Value};
use sync_server::store::error::ConstraintKind;
use sync_server::store::{RowWrite, StoreError, WriteKind};

use crate::bench::{Bench, fields, parte, record, text, time, uuid, write};

pub async fn an_insertion_is_version_1_with_its_writer(b: Bench) {
    let obra = b.obra().await;
    let id = record();
    assert_eq!(b.insert("partes", id, parte(obra, "A1")).await, 1);
    let row = b.row("partes", id).await.expect("the row");
    assert_eq!(row.meta.version, 1);
    assert_eq!(row.meta.born.writer, b.stream);
    assert_eq!(row.meta.born.time(), time(1_000));
    assert!(row.meta.fields.is_empty());
    assert_eq!(row.fields["folio"], text("A1"));
    assert_eq!(row.fields["entero"], Value::Null);
    assert_eq!(row.fields.len(), b.collection("partes").fields.len());
}

pub async fn an_update_raises_the_version_and_notes_each_changed_field(b: Bench) {
    let obra = b.obra().await;
    let id = record();
    b.insert("partes", id, parte(obra, "A1")).await;
    let mut change = write(
        id,
        WriteKind::Update,
        fields([
            ("entero", Value::Integer(7)),
            ("folio", text("A1")),
            ("gente", Value::Set(["ana".to_owned(), "luis".to_owned()].into())),
        ]),
    );
    change.time = time(2_000);
    assert_eq!(b.try_one("partes", change).await.expect("updated"), 2);
    let meta = b.row("partes", id).await.expect("the row").meta;
    assert_eq!(meta.version, 2);
    assert_eq!(meta.fields["entero"].last.version, 2);
    assert_eq!(meta.fields["entero"].last.at_us, 2_000);
    assert!(!meta.fields.contains_key("folio"), "it did not change");
    assert_eq!(meta.fields["gente"].elements.keys().collect::<Vec<_>>(), ["luis"]);
}

pub async fn every_type_comes_back_as_it_was_written(b: Bench) {
    let obra = b.obra().await;
    let id = record();
    let mut set = parte(obra, "d'agua \"1\" ñ");
    set.extend(fields([
        ("autor_id", Value::Uuid(uuid())),
        ("entero", Value::Integer(i64::MIN)),
        ("costo", Value::Decimal(-1_250)),
        ("medida", Value::Real(0.1)),
        ("listo", Value::Boolean(true)),
        ("fecha", Value::Date(-1)),
        ("momento", Value::Timestamp(1_763_000_000_000_001)),
        ("clima", text("lluvia")),
        ("notas", Value::Json(json!({"b": [1, null], "a": "x"}))),
        ("secreto", Value::Null),
    ]));
    b.insert("partes", id, set.clone()).await;
    assert_eq!(b.row("partes", id).await.expect("the row").fields, set);
    b.delete("partes", id).await;
    assert_eq!(b.row("partes", id).await.expect("the tombstone").fields, set);
    b.restore("partes", id).await;
    assert_eq!(b.row("partes", id).await.expect("the row").fields, set);
}

/// The kind of constraint that a write broke.
fn kind(result: Result<i64, StoreError>) -> ConstraintKind {
    match result {
        Err(StoreError::Constraint { kind, .. }) => kind,
        other => panic!("a constraint was to be broken, but {other:?}"),
    }
}

pub async fn a_deletion_leaves_a_tombstone_that_a_restoration_brings_back(b: Bench) {
    let obra = b.obra().await;
    let id = record();
    b.insert("partes", id, parte(obra, "A1")).await;
    assert_eq!(b.delete("partes", id).await, 2);
    let row = b.row("partes", id).await.expect("the tombstone");
    assert_eq!(row.meta.deleted.expect("deleted").version, 2);
    assert_eq!(row.fields["folio"], text("A1"));

    let mut tx = b.begin().await;
    let partes = b.collection("partes");
    let locked = tx.lock_rows(&partes, &[id, record()]).await.expect("rows");
    assert_eq!(locked.keys().collect::<Vec<_>>(), [&id], "an unknown id is no row");
    assert!(locked[&id].meta.deleted.is_some());
    let set = fields([("entero", Value::Integer(3))]);
    let versions = tx.write_rows(&partes, &[write(id, WriteKind::Restore, set)]).await;
    assert_eq!(versions.expect("restored"), [3]);
    tx.commit().await.expect("a commit");

    let row = b.row("partes", id).await.expect("the row");
    assert_eq!((row.meta.version, row.meta.deleted), (3, None));
    assert_eq!(row.fields["folio"], text("A1"));
    assert_eq!(row.fields["entero"], Value::Integer(3));
    assert_eq!(row.meta.fields["entero"].last.version, 3);
}

pub async fn a_used_id_is_refused_also_after_its_deletion(b: Bench) {
    let id = b.obra().await;
    let again = || write(id, WriteKind::Insert, fields([("nombre", text("otra"))]));
    assert_eq!(kind(b.try_one("obras", again()).await), ConstraintKind::Unique);
    b.delete("obras", id).await;
    assert_eq!(kind(b.try_one("obras", again()).await), ConstraintKind::Unique);
}

pub async fn broken_constraints_tell_their_kind(b: Bench) {
    let obra = b.obra().await;
    b.insert("partes", record(), parte(obra, "A1")).await;
    let insert = |set| write(record(), WriteKind::Insert, set);
    let same_folio = b.try_one("partes", insert(parte(obra, "A1"))).await;
    assert_eq!(kind(same_folio), ConstraintKind::Unique);
    let no_such_obra = b.try_one("partes", insert(parte(record(), "A2"))).await;
    assert_eq!(kind(no_such_obra), ConstraintKind::ForeignKey);
    let mut set = parte(obra, "A3");
    set.insert("folio".to_owned(), Value::Null);
    assert_eq!(kind(b.try_one("partes", insert(set)).await), ConstraintKind::NotNull);
    let mut set = parte(obra, "A4");
    set.insert("clima".to_owned(), text("nieve"));
    assert_eq!(kind(b.try_one("partes", insert(set)).await), ConstraintKind::Check);
    let no_such_parent = fields([("parte_id", Value::Uuid(uuid()))]);
    let orphan = b.try_one("conceptos", insert(no_such_parent)).await;
    assert!(
        matches!(kind(orphan), ConstraintKind::ForeignKey | ConstraintKind::NotNull),
        "a child without a parent"
    );
    let delete = write(obra, WriteKind::Delete, fields([]));
    assert_eq!(kind(b.try_one("obras", delete).await), ConstraintKind::ForeignKey);
    assert!(b.row("obras", obra).await.expect("the row").meta.deleted.is_none());
}

pub async fn rows_of_one_batch_may_refer_to_each_other(b: Bench) {
    let areas = b.collection("areas");
    let ids: Vec<RecordId> = (0..70).map(|_| record()).collect();
    // Each lies in the one that comes after it.
    let insertions: Vec<RowWrite> = (0..ids.len())
        .map(|i| {
            let outer = ids.get(i + 1).map_or(Value::Null, |id| Value::Uuid(id.0));
            write(ids[i], WriteKind::Insert, fields([("dentro_de", outer)]))
        })
        .collect();
    let mut tx = b.begin().await;
    let versions = tx.write_rows(&areas, &insertions).await.expect("inserted");
    assert_eq!(versions, vec![1; ids.len()]);
    let deletions: Vec<RowWrite> =
        ids.iter().rev().map(|id| write(*id, WriteKind::Delete, fields([]))).collect();
    tx.write_rows(&areas, &deletions).await.expect("deleted");
    tx.commit().await.expect("a commit");
    assert_eq!(b.row("areas", ids[0]).await.expect("the tombstone").meta.version, 2);
}

pub async fn an_update_without_fields_raises_the_version(b: Bench) {
    let obra = b.obra().await;
    let id = record();
    b.insert("partes", id, parte(obra, "A1")).await;
    let mut touch = write(id, WriteKind::Update, fields([]));
    touch.touched = vec![("gente".to_owned(), "ana".to_owned())];
    assert_eq!(b.try_one("partes", touch).await.expect("updated"), 2);
    let meta = b.row("partes", id).await.expect("the row").meta;
    assert_eq!(meta.fields["gente"].elements["ana"].version, 2);
}

pub async fn another_streams_change_stays_known_under_a_later_one(b: Bench) {
    let obra = b.obra().await;
    let id = record();
    b.insert("partes", id, parte(obra, "A1")).await;
    let other = StreamId(uuid());
    let mut tx = b.begin().await;
    let partes = b.collection("partes");
    tx.write_as(other).await.expect("another writer");
    let set = |n| fields([("entero", Value::Integer(n))]);
    tx.write_rows(&partes, &[write(id, WriteKind::Update, set(1))]).await.expect("updated");
    tx.commit().await.expect("a commit");
    b.update("partes", id, set(2)).await;
    let meta = b.row("partes", id).await.expect("the row").meta;
    assert_eq!(meta.fields["entero"].last.writer, b.stream);
    assert_eq!(meta.fields["entero"].other_version, 2, "what {other} wrote");
    assert!(meta.is_concurrent("entero", Some(1), b.stream));
}

pub async fn rows_are_found_by_natural_key_while_they_live(b: Bench) {
    let obra = b.obra().await;
    let (one, two) = (record(), record());
    b.insert("partes", one, parte(obra, "A1")).await;
    b.insert("partes", two, parte(obra, "A2")).await;
    let partes = b.collection("partes");
    let keys: Vec<Vec<Value>> =
        ["A2", "A9", "A1", "a1"].iter().map(|folio| vec![text(folio)]).collect();
    let found = b.begin().await.find_by_natural_key(&partes, &keys).await.expect("found");
    assert_eq!(found, [Some(two), None, Some(one), None]);
    b.delete("partes", one).await;
    let found = b.begin().await.find_by_natural_key(&partes, &keys).await.expect("found");
    assert_eq!(found, [Some(two), None, None, None]);
    b.insert("partes", record(), parte(obra, "A1")).await;
}

pub async fn children_go_where_their_parent_goes(b: Bench) {
    let (here, there) = (b.obra().await, b.obra().await);
    let (parte_id, concepto, medicion) = (record(), record(), record());
    b.insert("partes", parte_id, parte(here, "A1")).await;
    let of_parte = fields([
        ("parte_id", Value::Uuid(parte_id.0)),
        // Whatever is set here, the parent's counts.
        ("obra_id", Value::Uuid(there.0)),
    ]);
    b.insert("conceptos", concepto, of_parte).await;
    b.insert("mediciones", medicion, fields([("concepto_id", Value::Uuid(concepto.0))])).await;
    let obra_of = async |collection: &str, id| {
        let row = b.row(collection, id).await.expect("the row");
        (row.fields["obra_id"].clone(), row.meta.version)
    };
    assert_eq!(obra_of("conceptos", concepto).await, (Value::Uuid(here.0), 1));
    assert_eq!(obra_of("mediciones", medicion).await, (Value::Uuid(here.0), 1));

    b.update("partes", parte_id, fields([("obra_id", Value::Uuid(there.0))])).await;
    assert_eq!(obra_of("conceptos", concepto).await, (Value::Uuid(there.0), 2));
    assert_eq!(obra_of("mediciones", medicion).await, (Value::Uuid(there.0), 2));
    let meta = b.row("conceptos", concepto).await.expect("the row").meta;
    assert_eq!(meta.fields["obra_id"].last.version, 2);

    // A change of the parent that moves nothing leaves the children alone.
    b.update("partes", parte_id, fields([("entero", Value::Integer(1))])).await;
    assert_eq!(obra_of("conceptos", concepto).await.1, 2);

    // Another parent.
    let other = record();
    b.insert("partes", other, parte(here, "A2")).await;
    b.update("conceptos", concepto, fields([("parte_id", Value::Uuid(other.0))])).await;
    assert_eq!(obra_of("conceptos", concepto).await.0, Value::Uuid(here.0));
    assert_eq!(obra_of("mediciones", medicion).await.0, Value::Uuid(here.0));
}

pub async fn a_restored_child_comes_back_to_where_its_parent_is_now(b: Bench) {
    let (here, there) = (b.obra().await, b.obra().await);
    let (parte_id, concepto) = (record(), record());
    b.insert("partes", parte_id, parte(here, "A1")).await;
    b.insert("conceptos", concepto, fields([("parte_id", Value::Uuid(parte_id.0))])).await;
    b.delete("conceptos", concepto).await;
    b.update("partes", parte_id, fields([("obra_id", Value::Uuid(there.0))])).await;
    b.restore("conceptos", concepto).await;
    let row = b.row("conceptos", concepto).await.expect("the row");
    assert_eq!(row.fields["obra_id"], Value::Uuid(there.0));
}
