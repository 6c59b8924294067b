//! Rows, versions and what is remembered of each field.

use serde_json::json;
use sync_protocol::Value;

use crate::bench::{Bench, fields, parte, record, text, time, uuid, write};
use sync_server::store::WriteKind;

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
