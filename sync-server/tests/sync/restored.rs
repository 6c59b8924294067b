//! A server that was restored from a backup (SQLite): phones notice, and send again what it lacks.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use sync_protocol::wire::receipt::ReceiptState;
use sync_server::store::sqlite::{SqliteStore, backup};

use crate::company::{Company, shipped_schema};
use crate::mutations::{add, insert};

async fn open(folder: &Path) -> SqliteStore {
    SqliteStore::open(folder, shipped_schema()).await.expect("a store")
}

fn put_in_place(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("tenants")).expect("a directory");
    for part in ["", "tenants"] {
        for entry in std::fs::read_dir(from.join(part)).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                let name = path.file_name().expect("a name");
                std::fs::copy(&path, to.join(part).join(name)).expect("copied");
            }
        }
    }
}

#[tokio::test]
async fn a_phone_recovers_from_a_server_that_was_restored() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let store = open(&at("data")).await;
    let company = Company::new(Arc::new(store.clone())).await;
    let stock = ["stock:read", "stock:write", "catalog:write", "warehouse:write"];
    let mut juan = company.phone("juan", &stock).await;
    let [warehouse, article, shelf] = [company.id(), company.id(), company.id()];
    let made = juan.transaction(vec![
        insert("almacenes", warehouse, json!({ "codigo": "A", "nombre": "Central" })),
        insert("articulos", article, json!({ "codigo": "C-1", "nombre": "Clavo" })),
        insert(
            "existencias",
            shelf,
            json!({ "almacen_id": warehouse, "articulo_id": article, "cantidad": "10" }),
        ),
    ]);
    let receipts = juan.push(vec![made]).await;
    assert_eq!(receipts[0].state, ReceiptState::Applied, "{receipts:?}");
    juan.pull(100).await;
    let kept = juan.transaction(vec![add("existencias", shelf, "cantidad", "-3")]);
    juan.push(vec![kept.clone()]).await;
    let copy = backup(&at("data"), folder.path(), "copy").await.expect("a backup");
    assert_eq!(copy.tenants, 1);

    let lost = juan.transaction(vec![add("existencias", shelf, "cantidad", "-2")]);
    juan.push(vec![lost.clone()]).await;
    juan.pull(100).await;
    assert_eq!(juan.value("existencias", shelf, "cantidad"), json!("5.000"));
    store.close().await;

    put_in_place(&copy.directory, &at("restored"));
    let restored = company.moved_to(Arc::new(open(&at("restored")).await));
    juan.company = &restored;
    // Somebody works before the phone comes back.
    let ana = restored.phone("ana", &stock).await;
    let other = insert("articulos", restored.id(), json!({ "codigo": "C-2", "nombre": "Tuerca" }));
    ana.edit(other, ReceiptState::Applied).await;
    let problem = juan.try_pull(100, usize::MAX).await.expect_err("a cursor of the lost history");
    assert_eq!(problem.code, "cursor_history_ended");

    // What a device does then (DESIGN 3): it begins anew, and sends again what may be lost.
    juan.cursor = None;
    let receipts = juan.push(vec![kept, lost]).await;
    assert!(receipts.iter().all(|r| r.state == ReceiptState::Applied), "{receipts:?}");
    juan.pull(100).await;
    assert_eq!(
        juan.value("existencias", shelf, "cantidad"),
        json!("5.000"),
        "each edit counts once, whether the backup had it or not"
    );
    assert_eq!(juan.rows.len(), 4);
}

#[tokio::test]
async fn a_delta_that_was_cut_is_not_ended_where_the_restored_history_never_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let store = open(&at("data")).await;
    let company = Company::new(Arc::new(store.clone())).await;
    let mut juan = company.phone("juan", &["stock:read", "stock:write", "catalog:write"]).await;
    let article = |n: usize| {
        insert("articulos", company.id(), json!({ "codigo": n.to_string(), "nombre": "Y" }))
    };
    juan.edit(article(0), ReceiptState::Applied).await;
    juan.pull(100).await;
    for n in 1..4 {
        juan.edit(article(n), ReceiptState::Applied).await;
    }
    let copy = backup(&at("data"), folder.path(), "copy").await.expect("a backup");
    juan.edit(article(4), ReceiptState::Applied).await;
    juan.pull_some(2, 1).await;
    store.close().await;

    put_in_place(&copy.directory, &at("restored"));
    let restored = company.moved_to(Arc::new(open(&at("restored")).await));
    juan.company = &restored;
    let problem = juan.try_pull(100, usize::MAX).await.expect_err("an end of the lost history");
    assert_eq!(problem.code, "cursor_history_ended");
}

#[tokio::test]
async fn backups_made_while_people_work_are_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let store = open(&data).await;
    let company = Company::new(Arc::new(store.clone())).await;
    let juan = company.phone("juan", &["stock:read", "stock:write", "catalog:write"]).await;
    let article = |n: usize| {
        let set = json!({ "codigo": format!("C-{n}"), "nombre": "Clavo" });
        insert("articulos", company.id(), set)
    };
    let work = async {
        for n in 0..60 {
            // Two rows in each transaction: a copy has both or none.
            let both = vec![article(2 * n), article(2 * n + 1)];
            juan.push(vec![juan.transaction(both)]).await;
        }
    };
    let copies = async {
        let mut made = Vec::new();
        for n in 0..3 {
            let name = format!("copy-{n}");
            made.push(backup(&data, folder.path(), &name).await.expect("a backup"));
        }
        made
    };
    let ((), made) = tokio::join!(work, copies);
    for copy in made {
        let restored = company.moved_to(Arc::new(open(&copy.directory).await));
        let mut reader = juan.again(&restored);
        reader.pull(1_000).await;
        assert_eq!(reader.rows.len() % 2, 0, "half a transaction is in {copy:?}");
        let next = insert("articulos", company.id(), json!({ "codigo": "X", "nombre": "Y" }));
        reader.edit(next, ReceiptState::Applied).await;
    }
}

#[tokio::test]
async fn a_damaged_file_makes_no_backup() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let to = folder.path().join("copies");
    let store = open(&data).await;
    let tenant = store_with_rows(store.clone()).await;
    store.close().await;
    let file = data.join("tenants").join(format!("{tenant}.db"));
    let mut bytes = std::fs::read(&file).expect("read");
    let half = bytes.len() / 2;
    bytes[half..].fill(0x5a);
    std::fs::write(&file, bytes).expect("written");
    let error = backup(&data, &to, "copy").await.expect_err("it was copied").to_string();
    assert!(error.contains(&tenant.to_string()), "{error}");
    let left: Vec<_> = std::fs::read_dir(&to).expect("a directory").collect();
    assert!(left.is_empty(), "{left:?}");
    let nothing = backup(&folder.path().join("nothing"), &to, "copy").await;
    assert!(nothing.expect_err("no data").to_string().contains("--data"));
}

async fn store_with_rows(store: SqliteStore) -> sync_protocol::TenantId {
    let company = Company::new(Arc::new(store)).await;
    let juan = company.phone("juan", &["stock:read", "stock:write", "catalog:write"]).await;
    let article = |n: usize| {
        let set = json!({ "codigo": format!("C-{n}"), "nombre": "Clavo" });
        juan.transaction(vec![insert("articulos", company.id(), set)])
    };
    juan.push((0..200).map(article).collect()).await;
    company.tenant
}
