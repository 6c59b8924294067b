//! Numbers at the ends of their types, places that are not on earth, and sets without measure.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::attacker::{insert, transaction};
use crate::stage::{Attack, Stage};

pub const ATTACK: Attack =
    Attack { name: "numbers at the ends of their types", run: |stage| Box::pin(run(stage)) };

async fn run(stage: &Stage) {
    counters(stage).await;
    places(stage).await;
    values(stage).await;
}

async fn counters(stage: &Stage) {
    let (article, stock) = (Uuid::now_v7(), Uuid::now_v7());
    let made = [
        insert("articulos", article, json!({ "codigo": article, "nombre": "Arena" })),
        insert(
            "existencias",
            stock,
            json!({ "almacen_id": stage.warehouse, "articulo_id": article, "cantidad": "1.000" }),
        ),
    ];
    let receipts = stage.attacker.pushes(&stage.wolf, &[transaction(&made)]).await;
    assert_eq!(receipts[0]["state"], "applied", "{receipts:?}");
    let add = |amount: Json| {
        transaction(&[json!({ "collection": "existencias", "record": stock, "kind": "update",
            "add": { "cantidad": amount }, "base": { "cantidad": 1 } })])
    };
    // The last unit that fits, one too many, and back; what does not fit changes nothing.
    for (amount, state) in [
        (json!("999999999999998.999"), "applied"),
        (json!("0.001"), "refused"),
        (json!("999999999999999.999"), "refused"),
        (json!("-999999999999999.999"), "applied"),
        (json!("-999999999999999.999"), "applied"),
        (json!("-0.001"), "refused"),
        (json!("999999999999999.999"), "applied"),
        (json!("9223372036854775807"), "refused"),
        (json!("-9223372036854775808.000"), "refused"),
        (json!(i64::MAX), "refused"),
        (json!(1e300), "refused"),
        (json!("1e9"), "refused"),
        (json!("NaN"), "refused"),
        (json!("1.0001"), "refused"),
        (json!("١"), "refused"),
        (json!(""), "refused"),
        (json!("9".repeat(100_000)), "refused"),
    ] {
        let receipts = stage.attacker.pushes(&stage.pup, &[add(amount.clone())]).await;
        assert_eq!(receipts[0]["state"], state, "{amount:.40}: {receipts:?}");
    }
    let row = stage.row("existencias", stock).await;
    assert_eq!(row["cantidad"], "0.000", "what was refused changed nothing");
}

async fn places(stage: &Stage) {
    let at = |position: &str| {
        let edit = transaction(&[stage.movement(Uuid::now_v7())]).to_string();
        // Typed by hand: NaN and the like are no JSON that a library would write.
        let edit = edit.replacen('{', &format!("{{\"position\":{position},"), 1);
        format!("{{\"stream\":\"{}\",\"transactions\":[{edit}]}}", stage.wolf.stream)
    };
    for (position, state) in [
        (r#"{"latitude":90,"longitude":-180}"#, "applied"),
        (r#"{"latitude":90.0000001,"longitude":0}"#, "refused"),
        (r#"{"latitude":0,"longitude":-180.0000001}"#, "refused"),
        (r#"{"latitude":1e308,"longitude":-1e308}"#, "refused"),
        (r#"{"latitude":1e999,"longitude":0}"#, ""),
        (r#"{"latitude":NaN,"longitude":0}"#, ""),
        (r#"{"latitude":-Infinity,"longitude":0}"#, ""),
        (r#"{"latitude":"19","longitude":0}"#, ""),
        (r#"{"latitude":19}"#, ""),
        (r#"{"latitude":0,"longitude":0,"accuracy_m":-1}"#, "refused"),
        (r#"{"latitude":0,"longitude":0,"accuracy_m":1e308}"#, "applied"),
    ] {
        let headers = [("content-type", "application/json")];
        let token = Some(stage.wolf.token.as_str());
        let body = at(position).into_bytes();
        let answer = stage.attacker.post_bytes("sync/push", token, body, &headers).await;
        if state.is_empty() {
            assert!([400, 422].contains(&answer.status), "{position}: {answer:?}");
        } else {
            assert_eq!(answer.json["receipts"][0]["state"], state, "{position}: {answer:?}");
        }
    }
}

async fn values(stage: &Stage) {
    let good = json!({ "codigo": "?", "nombre": "Cosa" });
    let huge_document = json!(vec!["x".repeat(1_000); 70]);
    let mut deep = json!(1);
    for _ in 0..70 {
        deep = json!([deep]);
    }
    let elements: Vec<String> = (0..1_001).map(|number| number.to_string()).collect();
    for (field, value, state) in [
        ("nombre", json!("x".repeat(200)), "applied"),
        ("nombre", json!("x".repeat(201)), "refused"),
        ("nombre", json!("a\u{0}b"), "refused"),
        ("nombre", json!("\u{202e}\u{feff}\u{10ffff}"), "applied"),
        ("nombre", json!(null), "refused"),
        ("nombre", json!(["x"]), "refused"),
        ("peso_kg", json!("-0.001"), "refused"),
        ("peso_kg", json!("999999999999999.999"), "applied"),
        ("precio", json!("1.00"), "refused"),
        ("costo", json!("1.00"), "refused"),
        ("unidad", json!("'; DROP TABLE articulos; --"), "refused"),
        ("activo", json!("true"), "refused"),
        ("ficha", json!({ "a": { "b": [1, 2.5e-7, "ñ"] } }), "applied"),
        ("ficha", huge_document, "refused"),
        ("ficha", deep, "refused"),
        ("ficha", json!({ "\u{0}": 1 }), "refused"),
        ("codigos_barras", json!(elements[..1_000]), "applied"),
        ("codigos_barras", json!(elements), "refused"),
        ("codigos_barras", json!(["x".repeat(51)]), "refused"),
        ("codigos_barras", json!(["x".repeat(1_000_000)]), "refused"),
        ("nothing", json!(1), "refused"),
        ("id", json!(Uuid::now_v7()), "refused"),
        ("tenant_id", json!(Uuid::now_v7()), "refused"),
        ("version", json!(99), "refused"),
    ] {
        let record = Uuid::now_v7();
        let mut set = good.clone();
        set["codigo"] = json!(record);
        set[field] = value;
        let edit = transaction(&[insert("articulos", record, set)]);
        let receipts = stage.attacker.pushes(&stage.pup, &[edit]).await;
        assert_eq!(receipts[0]["state"], state, "{field}: {:.300}", receipts[0]);
    }
}
