//! A phone's folder that was copied (DESIGN I14), with everything real.

use std::path::Path;

use serde_json::json;

use crate::on_both_databases;
use crate::site::{Phone, Site};

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

on_both_databases!(two_copies_with_the_same_pending_edits_repeat_and_hide_nothing);
async fn two_copies_with_the_same_pending_edits_repeat_and_hide_nothing(site: Site) {
    site.person("pedro", &["warehouse_keeper", "foreman"]).await;
    let pedro = site.phone("pedro").await;
    let stock = [("almacenes", json!({ "nombre": "Central" }))];
    let almacen = pedro.put(stock[0].0, stock[0].1.clone());
    let articulo = pedro.put("articulos", json!({ "codigo": "A1", "nombre": "Clavo" }));
    let existencia = pedro.put(
        "existencias",
        json!({ "almacen_id": almacen, "articulo_id": articulo, "cantidad": "10" }),
    );
    let project = pedro.put("proyectos", json!({ "nombre": "Torre" }));
    let report = pedro.put("avances", json!({ "proyecto_id": project, "fecha": "2026-11-24" }));
    let item = pedro
        .put("avance_items", json!({ "avance_id": report, "concepto": "Muro", "medida": "5" }));
    pedro.sync().await;
    pedro.put("existencias", json!({ "id": existencia, "cantidad": { "add": "-3" } }));
    copy(&site.dir("pedro"), &site.dir("twin"));
    let twin = Phone::open(&site.dir("twin"));
    // The copy's tokens are the original's; the server would end both sessions, so it logs in.
    twin.login(&site, "pedro").await;
    pedro.put("avance_items", json!({ "id": item, "medida": "6" }));
    twin.put("avance_items", json!({ "id": item, "medida": "7" }));
    pedro.sync().await;
    let report = twin.sync().await;
    assert_eq!((report.applied, report.in_review), (1, 1), "{report:?}");
    pedro.sync().await;
    for phone in [&pedro, &twin] {
        assert_eq!(phone.field("existencias", existencia, "cantidad"), "7.000");
    }
    assert!(twin.core.pending().expect("list").is_empty());
    let stream = |phone: &Phone| phone.core.status().expect("status").stream;
    assert_ne!(stream(&pedro), stream(&twin));
}
