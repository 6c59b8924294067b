//! A phone's database is damaged, in every table and column, while edits wait: everything is found and
//! mended, and no edit is lost.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use serde_json::{Value as Json, json};
use sync_protocol::{ReceiptId, RecordId};
use tokio_util::sync::CancellationToken;

use crate::on_both_databases;
use crate::site::{Phone, Site};

/// A foreman's phone with rows of two projects, some with edits that wait.
struct Damaged {
    dir: PathBuf,
    reports: Vec<RecordId>,
    stock: RecordId,
    waiting: Vec<ReceiptId>,
    /// What the rows are to hold when all is at the server.
    expected: BTreeMap<RecordId, Json>,
}

impl Damaged {
    async fn new(site: &Site, name: &str) -> Self {
        site.person(name, &["foreman", "warehouse_keeper"]).await;
        let dir = site.dir(name);
        let phone = Phone::open(&dir);
        phone.login(site, name).await;
        phone.sync().await;
        let projects = [
            phone.put("proyectos", json!({ "nombre": "Torre" })),
            phone.put("proyectos", json!({ "nombre": "Nave" })),
        ];
        let store = phone.put("almacenes", json!({ "nombre": "Bodega" }));
        let article = phone.put("articulos", json!({ "codigo": name, "nombre": "Cemento" }));
        let stock = json!({ "almacen_id": store, "articulo_id": article, "cantidad": "10" });
        let stock = phone.put("existencias", stock);
        let reports: Vec<RecordId> = (0..12)
            .map(|n| {
                let fields = json!({ "proyecto_id": projects[n % 2], "fecha": "2026-11-24",
                                     "resumen": format!("avance {n}") });
                phone.put("avances", fields)
            })
            .collect();
        phone.sync().await;
        let mut expected: BTreeMap<RecordId, Json> =
            (0..12).map(|n| (reports[n], json!(format!("avance {n}")))).collect();
        for (n, report) in reports.iter().enumerate().take(4) {
            let resumen = format!("corregido {n}");
            phone.put("avances", json!({ "id": report, "resumen": resumen }));
            expected.insert(*report, json!(resumen));
        }
        let new = json!({ "proyecto_id": projects[0], "fecha": "2026-11-25", "resumen": "nuevo" });
        expected.insert(phone.put("avances", new), json!("nuevo"));
        // A counter: shown or sent twice it would be another number.
        phone.put("existencias", json!({ "id": stock, "cantidad": { "add": "-3" } }));
        // Typed and taken back: it must not come back.
        let unwanted = json!({ "id": reports[5], "resumen": "no vale" });
        phone.put("avances", unwanted);
        let last = phone.core.pending().expect("list").last().expect("an edit").id;
        phone.core.discard(last).expect("taken back");
        let waiting = phone.core.pending().expect("list").iter().map(|r| r.id).collect();
        Self { dir, reports, stock, waiting, expected }
    }

    fn database(&self) -> PathBuf {
        find(&self.dir).expect("a database")
    }

    /// Damages the closed database by plain SQL, past every trigger.
    fn damage(&self, sql: &str) -> usize {
        let db = Connection::open(self.database()).expect("opens");
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).expect("a switch");
        db.execute(sql, []).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Opens the phone, verifies, and looks whether all is as it should be. Says what is not.
    async fn verify(&self, site: &Site, login: &str) -> Result<(), String> {
        let phone = Phone::open(&self.dir);
        let verify = async || phone.core.verify(&CancellationToken::new()).await;
        let verified = match verify().await {
            Err(error) if ["session_ended", "signed_out"].contains(&error.code()) => {
                phone.login(site, login).await;
                verify().await
            }
            other => other,
        };
        let found = verified.map_err(|error| format!("fails: {error}"))?;
        if !found.clean || found.lost > 0 {
            return Err(format!("is not clean: {found:#?}"));
        }
        for (record, resumen) in &self.expected {
            let here = phone.core.get("avances", *record);
            let here = here.map_err(|error| format!("{record}: {error}; {found:#?}"))?;
            if here["resumen"] != *resumen {
                return Err(format!("{record} is {here:?}, not {resumen}; {found:#?}"));
            }
        }
        if phone.core.list("avances").expect("list").rows.len() != self.expected.len() {
            return Err(format!("shows another number of rows; {found:#?}"));
        }
        let stock = phone.core.get("existencias", self.stock).map_err(|e| e.to_string())?;
        if stock["cantidad"] != "7.000" {
            return Err(format!("the stock is {}; {found:#?}", stock["cantidad"]));
        }
        for id in &self.waiting {
            let receipt = phone.core.receipt(*id).map_err(|error| error.to_string())?;
            if receipt.state.as_str() != "applied" {
                return Err(format!("{receipt:?}; {found:#?}"));
            }
        }
        let again = verify().await.map_err(|error| format!("fails again: {error}"))?;
        match (again.mended, again.damaged, again.differing, again.unlike) {
            (0, 0, 0, 0) => Ok(()),
            _ => Err(format!("is not right after it was mended: {again:#?}")),
        }
    }
}

fn find(dir: &Path) -> Option<PathBuf> {
    for entry in std::fs::read_dir(dir).ok()?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if let Some(found) = find(&path) {
                return Some(found);
            }
        } else if path.extension().is_some_and(|extension| extension == "db") {
            return Some(path);
        }
    }
    None
}

/// Every column of every table, with what is damaged of it.
fn damages(path: &Path) -> Vec<(String, String)> {
    let db = Connection::open(path).expect("opens");
    let mut tables = db
        .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
        .expect("reads");
    let tables: Vec<String> = tables
        .query_map([], |row| row.get(0))
        .expect("reads")
        .collect::<Result<_, _>>()
        .expect("reads");
    let mut damages = Vec::new();
    for table in tables {
        let rows: i64 = db
            .query_row(&format!("SELECT count(*) FROM \"{table}\""), [], |row| row.get(0))
            .expect("counts");
        if rows == 0 {
            continue;
        }
        let mut columns = db
            .prepare("SELECT name, type, pk, \"notnull\" FROM pragma_table_info(?1)")
            .expect("reads");
        let columns: Vec<(String, String, i64, bool)> = columns
            .query_map([&table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .expect("reads")
            .collect::<Result<_, _>>()
            .expect("reads");
        for (column, kind, key, _) in columns {
            // An INTEGER PRIMARY KEY is SQLite's own rowid, which it does not let be anything else.
            let is_rowid = key == 1 && kind == "INTEGER";
            let garbage = if is_rowid {
                format!("9000000 + \"{column}\"")
            } else {
                format!("'§' || \"{column}\"")
            };
            damages.push((
                format!("{table}.{column}"),
                format!("UPDATE OR IGNORE \"{table}\" SET \"{column}\" = {garbage}"),
            ));
        }
        damages.push((format!("{table} emptied"), format!("DELETE FROM \"{table}\"")));
    }
    let mut names = db.prepare("SELECT name FROM campo_meta").expect("reads");
    let names: Vec<String> = names
        .query_map([], |row| row.get(0))
        .expect("reads")
        .collect::<Result<_, _>>()
        .expect("reads");
    damages.extend(names.into_iter().map(|name| {
        (
            format!("campo_meta {name} alone"),
            format!("UPDATE campo_meta SET value = '§' WHERE name = '{name}'"),
        )
    }));
    damages
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_of_any_column_of_any_table_is_found_and_mended() {
    // All of them take minutes: `CAMPO_DAMAGE=all`.
    let all = std::env::var("CAMPO_DAMAGE").is_ok_and(|which| which == "all");
    damage_is_mended(Site::on_sqlite().await, if all { 1 } else { 5 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_mended_from_postgres_as_well() {
    damage_is_mended(Site::on_postgres().await, 17).await;
}

/// Each `stride`th of the damages, to a phone of its own.
async fn damage_is_mended(site: Site, stride: usize) {
    let like = Damaged::new(&site, "modelo").await;
    let all = damages(&like.database());
    assert!(all.len() > 60, "{} damages", all.len());
    let mut failures = Vec::new();
    for (n, (what, sql)) in all.iter().enumerate().step_by(stride) {
        let login = format!("juan{n}");
        let phone = Damaged::new(&site, &login).await;
        if phone.damage(sql) == 0 {
            continue;
        }
        if let Err(wrong) = phone.verify(&site, &login).await {
            failures.push(format!("{what}: {wrong}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

on_both_databases!(a_row_that_was_changed_is_found_by_the_scrub_of_ordinary_rounds);
async fn a_row_that_was_changed_is_found_by_the_scrub_of_ordinary_rounds(site: Site) {
    let phone = Damaged::new(&site, "juan").await;
    let record = phone.reports[7];
    phone.damage(&format!("UPDATE avances SET resumen = 'falso' WHERE id = '{record}'"));
    let opened = Phone::open(&phone.dir);
    assert_eq!(opened.field("avances", record, "resumen"), "falso");
    opened.sync().await;
    assert_eq!(opened.field("avances", record, "resumen"), "avance 7");
}

on_both_databases!(rows_that_are_missing_or_too_many_are_found_by_the_digests_of_ordinary_rounds);
async fn rows_that_are_missing_or_too_many_are_found_by_the_digests_of_ordinary_rounds(site: Site) {
    let phone = Damaged::new(&site, "juan").await;
    let (gone, other) = (phone.reports[8], phone.reports[9]);
    phone.damage(&format!("DELETE FROM avances WHERE id = '{gone}'"));
    // As if the last comparison was long ago.
    phone.damage("DELETE FROM campo_meta WHERE name = 'verified_us'");
    let ghost = RecordId(uuid::Uuid::now_v7());
    phone.damage(&format!("UPDATE avances SET id = '{ghost}' WHERE id = '{other}'"));
    let opened = Phone::open(&phone.dir);
    let report = opened.sync().await;
    assert!(report.differing > 0, "{report:?}");
    assert_eq!(opened.field("avances", gone, "resumen"), "avance 8");
    assert_eq!(opened.field("avances", other, "resumen"), "avance 9");
    assert!(opened.core.get("avances", ghost).is_err(), "a ghost leaves");
    let status = opened.core.status().expect("status");
    assert_eq!(status.damage.found, status.damage.repaired, "{status:?}");
}
