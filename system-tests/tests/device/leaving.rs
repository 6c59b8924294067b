//! Signing out, wiping and exporting: no work is lost, and nobody finds another's data (DESIGN I12).

use mobile_core::outbox::entry::State;
use serde_json::{Value as Json, json};
use sync_protocol::RecordId;

use crate::on_both_databases;
use crate::site::{Phone, Site, sign_in};

/// A keeper whose phone has an article that the server has, and one that it has not.
async fn keeper(site: &Site) -> (Phone, RecordId, RecordId) {
    site.person("pedro", &["warehouse_keeper"]).await;
    let pedro = site.phone("pedro").await;
    let sent = pedro.put("articulos", json!({ "codigo": "A1", "nombre": "Clavo" }));
    pedro.sync().await;
    let unsent = pedro.put("articulos", json!({ "codigo": "A2", "nombre": "Tornillo" }));
    (pedro, sent, unsent)
}

fn databases(site: &Site, phone: &str) -> usize {
    let folders = std::fs::read_dir(site.dir(phone)).expect("a folder").flatten();
    let files = folders
        .filter(|f| f.path().is_dir())
        .flat_map(|f| std::fs::read_dir(f.path()).expect("a folder").flatten().collect::<Vec<_>>());
    files.filter(|file| file.path().extension().is_some_and(|e| e == "db")).count()
}

on_both_databases!(a_logout_waits_for_unsent_work_and_then_wipes);
async fn a_logout_waits_for_unsent_work_and_then_wipes(site: Site) {
    let (pedro, sent, unsent) = keeper(&site).await;
    let refused = pedro.core.logout().await.expect_err("there is unsent work");
    assert_eq!(refused.code(), "unsent_edits");
    assert_eq!(refused.to_problem().more["unsent"], 1);
    assert!(pedro.core.status().expect("status").signed_in, "nothing has happened");
    assert!(pedro.core.get("articulos", unsent).is_ok());
    pedro.sync().await;
    pedro.core.logout().await.expect("everything is sent");
    assert_eq!(databases(&site, "pedro"), 0);
    assert_eq!(pedro.core.list("articulos").expect_err("nobody is here").code(), "signed_out");
    assert!(pedro.core.status().expect("status").person.is_none());
    // The same person comes back, and everything with them.
    pedro.login(&site, "pedro").await;
    pedro.sync().await;
    for id in [sent, unsent] {
        assert!(pedro.core.get("articulos", id).is_ok());
    }
    pedro.put("articulos", json!({ "id": sent, "nombre": "Clavo 2\"" }));
    assert_eq!(pedro.sync().await.applied, 1);
}

on_both_databases!(who_keeps_their_data_finds_it_again_and_nobody_else_does);
async fn who_keeps_their_data_finds_it_again_and_nobody_else_does(site: Site) {
    let (pedro, _, unsent) = keeper(&site).await;
    pedro.core.logout_keeping_data().await.expect("signed out");
    assert_eq!(databases(&site, "pedro"), 1);
    site.person("ana", &["foreman"]).await;
    pedro.core.login(sign_in(&site, "ana")).await.expect("another person");
    pedro.sync().await;
    assert_eq!(databases(&site, "pedro"), 2);
    assert!(pedro.core.get("articulos", unsent).is_err());
    assert!(pedro.core.pending().expect("list").is_empty());
    pedro.core.logout().await.expect("she has made nothing");
    assert_eq!(databases(&site, "pedro"), 1, "his data is not hers to wipe");
    let refused = pedro.core.wipe().await.expect_err("he has unsent work");
    assert_eq!(refused.code(), "unsent_edits");
    pedro.login(&site, "pedro").await;
    assert_eq!(pedro.core.pending().expect("list")[0].state, State::Waiting);
    assert_eq!(pedro.sync().await.applied, 1);
    assert_eq!(pedro.core.wipe().await.expect("wiped").len(), 1);
    assert_eq!(databases(&site, "pedro"), 0);
}

on_both_databases!(what_was_exported_may_be_wiped);
async fn what_was_exported_may_be_wiped(site: Site) {
    let (pedro, _, unsent) = keeper(&site).await;
    // A refusal is work as well: nobody else has its content.
    pedro.put("articulos", json!({ "codigo": "A1", "nombre": "Otro clavo" }));
    pedro.sync().await;
    assert_eq!(pedro.core.problems().expect("problems").len(), 1);
    pedro.put("articulos", json!({ "id": unsent, "nombre": "Tornillo 3/4" }));
    assert_eq!(pedro.core.logout().await.expect_err("unsent").to_problem().more["unsent"], 2);
    let file = site.dir("for-support.json");
    let exported = pedro.core.export(&file).expect("written");
    assert_eq!((exported.transactions, exported.people), (2, 1));
    assert!(exported.unreadable.is_empty());
    let document: Json =
        serde_json::from_slice(&std::fs::read(&file).expect("a file")).expect("JSON");
    let work = &document["people"][0];
    assert_eq!(work["person"]["user_name"], "pedro");
    let transactions = work["transactions"].as_array().expect("a list");
    assert_eq!(transactions[0]["problem"]["code"], "duplicate_key");
    assert_eq!(transactions[1]["mutations"][0]["set"]["nombre"], "Tornillo 3/4");
    assert_eq!(pedro.core.export(&file).expect_err("it exists").code(), "file_failed");
    // What is made after the export is not in it.
    pedro.put("articulos", json!({ "codigo": "A3", "nombre": "Tuerca" }));
    assert_eq!(pedro.core.logout().await.expect_err("unsent").to_problem().more["unsent"], 1);
    pedro.core.export(&site.dir("again.json")).expect("written");
    pedro.core.logout().await.expect("all of it is in a file");
    assert_eq!(databases(&site, "pedro"), 0);
}
