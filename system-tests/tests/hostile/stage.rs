//! What every attack has to hand: the hostile company's accounts, and some rows of theirs.

use std::pin::Pin;

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::attacker::{Attacker, Session, insert, transaction};
use crate::site::{HOSTILE, Site};

/// One idea of how to hurt the server. It checks what the server answers to it; that the others do not
/// notice is checked by who runs it.
pub struct Attack {
    /// What is tried.
    pub name: &'static str,
    /// Tries it once.
    pub run: for<'a> fn(&'a Stage) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
}

/// The hostile company.
pub struct Stage {
    /// The server.
    pub site: Site,
    /// Somebody at the attackers' address.
    pub attacker: Attacker,
    /// A supervisor.
    pub wolf: Session,
    /// A keeper of the same warehouse, who may not decide conflicts.
    pub pup: Session,
    /// A warehouse that both see.
    pub warehouse: Uuid,
    /// An article.
    pub article: Uuid,
}

impl Stage {
    /// Makes the company's people and rows.
    pub async fn set(site: Site) -> Self {
        site.hires(HOSTILE, "wolf", "supervisor");
        site.hires(HOSTILE, "pup", "warehouse_keeper");
        let attacker = Attacker::new(site.address);
        let wolf = attacker.logs_in(HOSTILE, "wolf").await;
        let pup = attacker.logs_in(HOSTILE, "pup").await;
        let (warehouse, article) = (Uuid::now_v7(), Uuid::now_v7());
        let rows = [
            insert("almacenes", warehouse, json!({ "nombre": "Cueva" })),
            insert("articulos", article, json!({ "codigo": "CEM", "nombre": "Cemento" })),
        ];
        let receipts = attacker.pushes(&wolf, &[transaction(&rows)]).await;
        assert_eq!(receipts[0]["state"], "applied", "{receipts:?}");
        let stage = Self { site, attacker, wolf, pup, warehouse, article };
        stage.site.grants(HOSTILE, "wolf", &warehouse.to_string());
        stage.site.grants(HOSTILE, "pup", &warehouse.to_string());
        stage
    }

    /// The fields of a row, as the server has it now.
    pub async fn row(&self, collection: &str, record: Uuid) -> Json {
        let record = record.to_string();
        let mut body = json!({ "stream": self.wolf.stream });
        loop {
            let answer = self.attacker.post("sync/pull", Some(&self.wolf.token), &body).await;
            if answer.is_busy() {
                continue;
            }
            assert_eq!(answer.status, 200, "{answer:?}");
            let tables = answer.json["tables"].as_array().expect("tables");
            let of = tables.iter().filter(|table| table["collection"] == collection);
            let mut rows = of.flat_map(|table| table["rows"].as_array().into_iter().flatten());
            if let Some(row) = rows.find(|row| row["id"] == record.as_str()) {
                return row["fields"].clone();
            }
            // What changed meanwhile has a checkpoint of its own, with which the backfill goes on.
            let ended = answer.json["checkpoint"] == true && answer.json["part"] == "backfill";
            assert!(!ended, "there is no {collection}/{record}");
            body["cursor"] = answer.json["cursor"].clone();
        }
    }

    /// The insertion of a movement.
    pub fn movement(&self, record: Uuid) -> Json {
        let set = json!({ "almacen_id": self.warehouse, "articulo_id": self.article,
            "tipo": "salida", "cantidad": "1.000" });
        insert("movimientos", record, set)
    }
}
