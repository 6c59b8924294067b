//! Transactions: whole or not at all, one after another, each tenant by itself.

use sync_protocol::{StreamId, TenantId, Value};
use sync_server::store::{StoreError, WriteKind};

use crate::bench::{Bench, fields, parte, record, text, uuid, write};

pub async fn a_dropped_transaction_changes_nothing(b: Bench) {
    let before = b.now().await;
    let id = record();
    let mut tx = b.begin().await;
    let set = fields([("nombre", text("obra"))]);
    let obras = b.collection("obras");
    tx.write_rows(&obras, &[write(id, WriteKind::Insert, set.clone())]).await.expect("written");
    drop(tx);
    assert_eq!(b.row("obras", id).await, None);
    // And its id was never used.
    assert_eq!(b.insert("obras", id, set).await, 1);
    assert!(b.read().await.knows(&before).await.expect("history"));
}

pub async fn what_was_written_since_a_savepoint_can_be_undone(b: Bench) {
    let obra = b.obra().await;
    let partes = b.collection("partes");
    let (first, taken, last) = (record(), record(), record());
    let insert = |id, folio: &str| write(id, WriteKind::Insert, parte(obra, folio));
    let mut tx = b.begin().await;
    tx.savepoint().await.expect("a savepoint");
    tx.write_rows(&partes, &[insert(first, "A1")]).await.expect("written");
    tx.release_savepoint().await.expect("released");

    tx.savepoint().await.expect("a savepoint");
    let both = [insert(taken, "A2"), insert(record(), "A1")];
    let refused = tx.write_rows(&partes, &both).await;
    assert!(matches!(refused, Err(StoreError::Constraint { .. })), "{refused:?}");
    tx.rollback_to_savepoint().await.expect("undone");
    assert!(tx.lock_rows(&partes, &[taken]).await.expect("rows").is_empty());

    tx.savepoint().await.expect("a savepoint");
    let again = tx.write_rows(&partes, &[insert(last, "A2")]).await.expect("written");
    assert_eq!(again, [1]);
    tx.release_savepoint().await.expect("released");
    tx.commit().await.expect("a commit");
    assert!(b.row("partes", first).await.is_some());
    assert_eq!(b.row("partes", taken).await, None);
    assert!(b.row("partes", last).await.is_some());
}

pub async fn after_an_error_nothing_is_committed(b: Bench) {
    let obra = b.obra().await;
    let partes = b.collection("partes");
    let id = record();
    let insert = |id, folio: &str| write(id, WriteKind::Insert, parte(obra, folio));
    let mut tx = b.begin().await;
    tx.write_rows(&partes, &[insert(id, "A1")]).await.expect("written");
    tx.write_rows(&partes, &[insert(record(), "A1")]).await.expect_err("the same folio");
    // Whether the store says so or keeps quiet, it commits nothing.
    let _ = tx.commit().await;
    assert_eq!(b.row("partes", id).await, None);
}

pub async fn of_concurrent_writers_no_change_is_lost(b: Bench) {
    const WRITERS: i64 = 8;
    const CHANGES: i64 = 10;
    let obra = b.obra().await;
    let id = record();
    let mut set = parte(obra, "A1");
    set.insert("entero".to_owned(), Value::Integer(0));
    b.insert("partes", id, set).await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let b = Bench { stream: StreamId(uuid()), ..b.clone() };
            tokio::spawn(async move {
                let partes = b.collection("partes");
                for _ in 0..CHANGES {
                    let mut tx = b.begin().await;
                    let row = tx.lock_rows(&partes, &[id]).await.expect("rows")[&id].clone();
                    let Value::Integer(n) = row.fields["entero"] else { panic!("a number") };
                    tokio::task::yield_now().await;
                    let set = fields([("entero", Value::Integer(n + 1))]);
                    let change = write(id, WriteKind::Update, set);
                    tx.write_rows(&partes, &[change]).await.expect("written");
                    tx.commit().await.expect("a commit");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("a writer");
    }
    let row = b.row("partes", id).await.expect("the row");
    assert_eq!(row.fields["entero"], Value::Integer(WRITERS * CHANGES));
    assert_eq!(row.meta.version, WRITERS * CHANGES + 1);
}

pub async fn a_snapshot_does_not_move(b: Bench) {
    let obra = b.obra().await;
    let obras = b.collection("obras");
    let mut snapshot = b.read().await;
    b.update("obras", obra, fields([("nombre", text("otro"))])).await;
    let row = snapshot.rows(&obras, &[obra]).await.expect("rows").remove(&obra);
    assert_eq!(row.expect("the row").fields["nombre"], text("obra"));
    assert_ne!(*snapshot.position(), b.now().await);
}

pub async fn a_tenant_sees_nothing_of_another(b: Bench) {
    let other = Bench::new(b.store.clone(), b.witness_age).await;
    let obra = b.obra().await;
    b.insert("partes", record(), parte(obra, "A1")).await;
    assert_eq!(other.row("obras", obra).await, None);
    let obras = b.collection("obras");
    let locked = other.begin().await.lock_rows(&obras, &[obra]).await.expect("rows");
    assert!(locked.is_empty());
    let theirs = write(record(), WriteKind::Insert, parte(obra, "A1"));
    let refused = other.try_one("partes", theirs).await;
    assert!(matches!(refused, Err(StoreError::Constraint { .. })), "another tenant's project");
    assert_eq!(other.store.user(other.tenant, b.user).await.expect("users"), None);
    let keys = [vec![text("A1")]];
    let partes = b.collection("partes");
    let found = other.begin().await.find_by_natural_key(&partes, &keys).await.expect("found");
    assert_eq!(found, [None]);
    // The same natural key is another tenant's own affair.
    let own = other.obra().await;
    other.insert("partes", record(), parte(own, "A1")).await;
}

pub async fn an_unknown_tenant_is_not_found(b: Bench) {
    let nobody = TenantId(uuid());
    assert!(matches!(b.store.read(nobody).await.err(), Some(StoreError::NotFound(_)) | None));
    assert!(matches!(
        b.store.write(nobody, b.stream).await.err(),
        Some(StoreError::NotFound(_)) | None
    ));
    assert_eq!(b.store.tenant(nobody).await.expect("tenants"), None);
}
