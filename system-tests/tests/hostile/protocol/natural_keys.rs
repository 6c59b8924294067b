//! Dozens of clients that fight for the same natural keys.

use futures::future::join_all;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::attacker::{Session, insert, transaction};
use crate::many;
use crate::stage::{Attack, Stage};

pub const ATTACK: Attack =
    Attack { name: "natural keys that many want", run: |stage| Box::pin(run(stage)) };

async fn run(stage: &Stage) {
    let clients = many(20, 50);
    let code = Uuid::now_v7().to_string();
    let article = |_| {
        let set = json!({ "codigo": code, "nombre": "Disputado" });
        insert("articulos", Uuid::now_v7(), set)
    };
    let receipts = all_at_once(stage, clients, article).await;
    let won: Vec<_> = receipts.iter().filter(|r| r["state"] == "applied").collect();
    assert_eq!(won.len(), 1, "one article has the code: {receipts:?}");
    let lost = |r: &&Json| r["problem"]["code"] == "duplicate_key";
    assert_eq!(receipts.iter().filter(lost).count(), clients - 1, "{receipts:?}");

    // Where a second insertion is adopted, all of them speak of one row.
    let (day, article) = (format!("20{:02}-01-01", code.as_bytes()[35] % 90 + 10), stage.article);
    let day = format!("{}{}", &day[..8], format_args!("{:02}", code.as_bytes()[34] % 28 + 1));
    let count = |number: usize| {
        let set = json!({ "almacen_id": stage.warehouse, "articulo_id": article, "fecha": day,
            "contaron": [format!("persona {number}")] });
        insert("conteos", Uuid::now_v7(), set)
    };
    let receipts = all_at_once(stage, clients, count).await;
    assert!(receipts.iter().all(|receipt| receipt["state"] != "refused"), "{receipts:?}");
    let rows: std::collections::BTreeSet<String> = receipts
        .iter()
        .map(|receipt| {
            let mutation = &receipt["mutations"][0];
            let row = mutation.get("alias").filter(|alias| alias.is_string());
            row.unwrap_or(&mutation["record"]).as_str().expect("an id").to_owned()
        })
        .collect();
    assert_eq!(rows.len(), 1, "they became one: {receipts:?}");
    let row = rows.first().expect("a row").parse().expect("an id");
    let row = stage.row("conteos", row).await;
    let names = row["contaron"].as_array().expect("a set").len();
    assert!(names >= clients, "every name is in the set: {row}");
}

/// Every client with a stream of its own; each receipt, once the server had time.
async fn all_at_once(stage: &Stage, clients: usize, mutation: impl Fn(usize) -> Json) -> Vec<Json> {
    let clients = (0..clients).map(|number| {
        let whose = if number % 2 == 0 { &stage.wolf } else { &stage.pup };
        let client = Session { stream: Uuid::now_v7(), ..whose.clone() };
        let edit = transaction(&[mutation(number)]);
        async move {
            loop {
                let receipt =
                    stage.attacker.pushes(&client, std::slice::from_ref(&edit)).await.remove(0);
                // Somebody else has what it needs: it is sent again.
                if receipt["state"] != "parked" {
                    return receipt;
                }
            }
        }
    });
    join_all(clients).await
}
