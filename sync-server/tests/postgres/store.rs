//! What the store writes and reads.

use sync_protocol::merge::RowMeta;
use sync_protocol::{EditTime, Value};
use sync_server::store::{Accounts, RowWrite, Store, WriteKind};

use crate::setting::{Setting, fields, record, set, stream, text};

fn tipo() -> sync_protocol::Fields {
    fields([
        ("clave", text("it's \\ \"x\"")),
        ("dia", Value::Date(-1)),
        ("entero", Value::Integer(i64::MIN)),
        ("decimal", Value::Decimal(-999_999)),
        ("contador", Value::Decimal(999_999_999_999_999_999)),
        ("redondo", Value::Decimal(-7)),
        ("real", Value::Real(-0.1)),
        ("logico", Value::Boolean(true)),
        ("instante", Value::Timestamp(253_402_300_799_999_999)),
        ("ref", Value::Uuid(record(77).0)),
        ("estado", text("cerrado")),
        ("gente", set(&["ana", "{,}\"\\", "ñ"])),
        ("extra", Value::Json(serde_json::json!({"b": [1, null], "a": "x"}))),
    ])
}

fn write(n: u128, kind: WriteKind, set: sync_protocol::Fields, at_us: i64) -> RowWrite {
    RowWrite {
        record: record(n),
        kind,
        set,
        touched: Vec::new(),
        time: EditTime { at_us, uncertain: at_us % 2 == 1 },
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_comes_back_as_it_was_written_also_from_a_tombstone() {
    let setting = Setting::new().await;
    let tipos = setting.schema.collection("tipos").expect("tipos");
    let mut tx = setting.write(stream(1)).await;
    let nothing = tipos.fields.iter().map(|f| (f.name.clone(), Value::Null));
    let mut empty: sync_protocol::Fields = nothing.collect();
    empty.extend(fields([("clave", text("b")), ("dia", Value::Date(0))]));
    let writes =
        [write(1, WriteKind::Insert, tipo(), 5), write(2, WriteKind::Insert, empty.clone(), 6)];
    assert_eq!(tx.write_rows(tipos, &writes).await.expect("insert"), [1, 1]);
    let rows = tx.lock_rows(tipos, &[record(2), record(1), record(3)]).await.expect("rows");
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[&record(1)].fields, tipo());
    assert_eq!(rows[&record(2)].fields, empty);
    let born = RowMeta::inserted(stream(1), EditTime { at_us: 5, uncertain: true });
    assert_eq!(rows[&record(1)].meta, born);
    let delete = [write(1, WriteKind::Delete, fields([]), 8)];
    assert_eq!(tx.write_rows(tipos, &delete).await.expect("delete"), [2]);
    let rows = tx.lock_rows(tipos, &[record(1)]).await.expect("rows");
    assert_eq!(rows[&record(1)].fields, tipo());
    let mut expected = born;
    expected.record_delete(stream(1), EditTime::certain(8));
    assert_eq!(rows[&record(1)].meta, expected);
    let restore = [write(1, WriteKind::Restore, fields([]), 10)];
    assert_eq!(tx.write_rows(tipos, &restore).await.expect("restore"), [3]);
    let rows = tx.rows(tipos, &[record(1)]).await.expect("rows");
    expected.record_restore(stream(1));
    assert_eq!((&rows[&record(1)].fields, &rows[&record(1)].meta), (&tipo(), &expected));
    let key = [vec![text("b"), Value::Date(0)], vec![text("b"), Value::Date(1)]];
    let found = tx.find_by_natural_key(tipos, &key).await.expect("natural key");
    assert_eq!(found, [Some(record(2)), None]);
    tx.commit().await.expect("commit");

    let mut snapshot = setting.store.read(setting.tenant).await.expect("read");
    let all = [sync_protocol::Scope::tenant()];
    let query = sync_server::store::BackfillQuery {
        scopes: &all,
        held: &[],
        visible: &setting.schema,
        after: None,
        limit: 10,
    };
    let page = snapshot.backfill(query).await.expect("backfill");
    assert_eq!(page.count, 2);
    assert_eq!(snapshot.backfill_remaining(query).await.expect("remaining"), 2);
    let table = &page.tables[0];
    for (field, column) in tipos.fields.iter().zip(&table.columns) {
        let values = column.values(&field.kind).expect("values");
        assert_eq!(values[0], tipo()[&field.name], "{}", field.name);
        assert_eq!(values[1], empty[&field.name], "{}", field.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn migrating_again_changes_nothing_and_the_server_refuses_powerful_roles() {
    let setting = Setting::new().await;
    let url = crate::setting::cluster().url(&setting.database, crate::cluster::SUPERUSER);
    let done = sync_server::store::postgres::migrate(&url, &setting.schema).await.expect("again");
    assert_eq!(done, Vec::<String>::new());
    let refused =
        sync_server::store::postgres::PostgresStore::connect(&url, setting.schema.clone()).await;
    let message = refused.expect_err("a superuser").to_string();
    assert!(message.contains("campo_server"), "{message}");
    let tenant = setting.store.tenant_by_slug("vidrios").await.expect("tenant").expect("there");
    assert_eq!(tenant.id, setting.tenant);
    assert!(setting.store.create_tenant("vidrios", "Otra").await.is_err());
}
