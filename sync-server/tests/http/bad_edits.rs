//! Edits that are wrong in what they say. Each is refused by its own code and changes nothing; the
//! request as a whole succeeds.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value as Json, json};

use crate::World;
use crate::company::{Company, Phone, conflict, id, insert, person, report, transaction, update};

/// All rows that the phone may see, with their versions.
async fn rows(world: &World, phone: &Phone) -> Json {
    let answer = world.post("sync/pull", Some(&phone.token), &json!({ "stream": id() })).await.ok();
    assert_eq!(answer.json()["checkpoint"], true, "the test expects one page");
    answer.json()["tables"].clone()
}

pub async fn each_bad_edit_is_refused_with_its_code(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let phone = company.phone(&world).await;
    let (project, avance, item) = report(&world, &phone).await;
    person(&world, company.tenant, "pedro", &["admin"]).await;
    let keeper = company.phone_of(&world, "pedro").await;
    let project_of = |set: Json| json!([insert("proyectos", &id(), set)]);
    let of_project = |set: Json| json!([update("proyectos", &project, set, json!({}))]);
    let mut deep = json!(1);
    for _ in 0..70 {
        deep = json!([deep]);
    }
    let wide: Vec<String> = (0..1001).map(|n| n.to_string()).collect();
    let sign =
        json!([update("avances", &avance, json!({ "firma": "Ana" }), json!({ "firma": 1 }))]);
    phone.apply(&world, sign).await;
    let before = rows(&world, &phone).await;
    for (what, mutations, expected) in [
        ("no mutation", json!([]), "empty_transaction"),
        (
            "unknown collection",
            json!([insert("castillos", &id(), json!({}))]),
            "unknown_collection",
        ),
        ("hidden collection", json!([insert("ventas", &id(), json!({}))]), "unknown_collection"),
        ("unknown field", project_of(json!({ "nombre": "A", "color": "rojo" })), "unknown_field"),
        ("hidden field", of_project(json!({ "presupuesto": "1.00" })), "unknown_field"),
        (
            "server's field",
            json!([update("avance_items", &item, json!({ "proyecto_id": id() }), json!({}))]),
            "field_read_only",
        ),
        ("wrong type", project_of(json!({ "nombre": 7 })), "wrong_type"),
        ("wrong word", project_of(json!({ "nombre": "A", "estado": "volando" })), "wrong_type"),
        (
            "wrong date",
            json!([update("avances", &avance, json!({ "fecha": "2026-02-30" }), json!({}))]),
            "wrong_type",
        ),
        ("too long", project_of(json!({ "nombre": "a".repeat(201) })), "too_long"),
        ("NUL", project_of(json!({ "nombre": "a\0b" })), "nul_character"),
        ("out of range", project_of(json!({ "nombre": "A", "avance_pct": 101 })), "out_of_range"),
        ("missing", project_of(json!({})), "field_required"),
        ("null where required", of_project(json!({ "nombre": null })), "field_required"),
        (
            "unknown reference",
            json!([insert(
                "avances",
                &id(),
                json!({ "proyecto_id": id(), "fecha": "2026-11-24" })
            )]),
            "unknown_reference",
        ),
        (
            "used id",
            json!([insert("proyectos", &project, json!({ "nombre": "B" }))]),
            "record_exists",
        ),
        (
            "unknown row",
            json!([update("proyectos", &id(), json!({ "nombre": "B" }), json!({}))]),
            "unknown_record",
        ),
        (
            "deep document",
            json!([update("avances", &avance, json!({ "notas": deep }), json!({}))]),
            "too_deep",
        ),
        (
            "large document",
            json!([update("avances", &avance, json!({ "notas": "x".repeat(70_000) }), json!({}))]),
            "too_long",
        ),
        (
            "large set",
            json!([insert(
                "avances",
                &id(),
                json!({ "proyecto_id": project, "fecha": "2026-11-24", "cuadrilla": wide })
            )]),
            "too_many_elements",
        ),
        (
            "NUL in a document",
            json!([update("avances", &avance, json!({ "notas": { "a\0": 1 } }), json!({}))]),
            "nul_character",
        ),
        (
            "NUL in a set",
            json!([insert(
                "avances",
                &id(),
                json!({ "proyecto_id": project, "fecha": "2026-11-24", "cuadrilla": ["a\0"] })
            )]),
            "nul_character",
        ),
        (
            "a number beyond its type",
            project_of(json!({ "nombre": "A", "avance_pct": 1e300 })),
            "wrong_type",
        ),
        (
            "second signature",
            json!([update("avances", &avance, json!({ "firma": "Eva" }), json!({ "firma": 3 }))]),
            "immutable_field",
        ),
    ] {
        let codes = phone.codes(&world, &[transaction(mutations)]).await;
        assert_eq!(codes, [expected], "{what}");
    }
    assert_eq!(rows(&world, &phone).await, before, "a refused edit changed something");
    let article = || insert("articulos", &id(), json!({ "codigo": "C-1", "nombre": "Clavo" }));
    keeper.apply(&world, json!([article()])).await;
    let before = rows(&world, &keeper).await;
    let codes = keeper.codes(&world, &[transaction(json!([article()]))]).await;
    assert_eq!(codes, ["duplicate_key"], "a natural key that is taken");
    assert_eq!(rows(&world, &keeper).await, before, "a refused edit changed something");
}

pub async fn a_receipt_id_with_other_content_is_refused(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let phone = company.phone(&world).await;
    let record = id();
    let mut edit = transaction(json!([insert("proyectos", &record, json!({ "nombre": "Torre" }))]));
    let first = phone.push(&world, std::slice::from_ref(&edit)).await;
    let again = phone.push(&world, std::slice::from_ref(&edit)).await;
    assert_eq!(first, again, "the same edit has the same receipt");
    edit["mutations"][0]["set"]["nombre"] = json!("Otra");
    let other = phone.push(&world, std::slice::from_ref(&edit)).await;
    assert_eq!(other[0]["problem"]["code"], "receipt_reused", "{other:?}");
    let kept = world
        .get(&format!("receipts/{}", first[0]["id"].as_str().expect("an id")), Some(&phone.token))
        .await;
    assert_eq!(kept.ok().json(), first[0], "the first receipt stands");
}

pub async fn foreign_and_damaged_cursors_are_refused(world: World) {
    let company = Company::new(&world, &["supervisor"]).await;
    let phone = company.phone(&world).await;
    report(&world, &phone).await;
    let pull = async |token: &str, cursor: &str| {
        let body = json!({ "stream": id(), "cursor": cursor });
        world.post("sync/pull", Some(token), &body).await
    };
    let first =
        world.post("sync/pull", Some(&phone.token), &json!({ "stream": phone.stream })).await;
    let cursor = first.ok().json()["cursor"].as_str().expect("a cursor").to_owned();
    pull(&phone.token, &cursor).await.ok();
    person(&world, company.tenant, "eva", &["supervisor"]).await;
    let colleague = company.phone_of(&world, "eva").await;
    let stranger = Company::new(&world, &["supervisor"]).await.phone(&world).await;
    for other in [&colleague, &stranger] {
        let answer = pull(&other.token, &cursor).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "cursor_foreign"));
    }
    for damaged in ["", "x", "AAAA", &cursor[1..], &cursor[..cursor.len() - 2]] {
        let answer = pull(&phone.token, damaged).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "cursor_malformed"), "{damaged}");
    }
    let read = URL_SAFE_NO_PAD.decode(&cursor).expect("a cursor");
    let read: Json = serde_json::from_slice(&read).expect("a cursor");
    let other = |pointer: &str| {
        let mut other = read.clone();
        *other.pointer_mut(pointer).expect("there") = json!("of-another-one");
        URL_SAFE_NO_PAD.encode(other.to_string())
    };
    for (pointer, code) in
        [("/since/epoch", "cursor_history_ended"), ("/visibility", "cursor_visibility_changed")]
    {
        let answer = pull(&phone.token, &other(pointer)).await;
        assert_eq!((answer.status, answer.code().as_str()), (410, code));
    }
}

pub async fn a_key_that_comes_twice_is_refused_and_not_guessed(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let phone = company.phone(&world).await;
    let (project, avance, _) = report(&world, &phone).await;
    let before = rows(&world, &phone).await;
    let fields = update("proyectos", &project, json!({ "nombre": "A" }), json!({ "nombre": 1 }));
    let document = update("avances", &avance, json!({ "notas": { "a": { "b": 1 } } }), json!({}));
    for (mutation, once, twice) in [
        (&fields, r#""nombre":"A""#, r#""nombre":"A","nombre":"B""#),
        (&fields, r#""nombre":1"#, r#""nombre":1,"nombre":2"#),
        (&fields, r#""kind":"update""#, r#""kind":"update","kind":"delete""#),
        (&document, r#"{"b":1}"#, r#"{"b":1,"b":2}"#),
    ] {
        let body = phone.push_body(&[transaction(json!([mutation]))]).to_string();
        assert!(body.contains(once), "{body}");
        let body = body.replace(once, twice).into_bytes();
        let answer = world.post_bytes("sync/push", Some(&phone.token), body, &[]).await;
        assert_eq!((answer.status, answer.code().as_str()), (422, "duplicate_json_key"), "{twice}");
    }
    assert_eq!(rows(&world, &phone).await, before);
}

pub async fn what_is_hidden_looks_like_what_does_not_exist(world: World) {
    let company = Company::new(&world, &["supervisor"]).await;
    let (conflict_id, receipt) = conflict(&world, &company).await;
    let owner = company.phone(&world).await;
    let (project, avance, _) = report(&world, &owner).await;
    // A colleague without the scope, who may not see others' receipts.
    person(&world, company.tenant, "eva", &["foreman"]).await;
    let colleague = company.phone_of(&world, "eva").await;
    let stranger = Company::new(&world, &["admin"]).await.phone(&world).await;
    for phone in [&colleague, &stranger] {
        for (hidden, missing) in [
            (format!("receipts/{receipt}"), format!("receipts/{}", id())),
            (format!("conflicts/{conflict_id}"), format!("conflicts/{}", id())),
        ] {
            let hidden = world.get(&hidden, Some(&phone.token)).await;
            let missing = world.get(&missing, Some(&phone.token)).await;
            assert_eq!((hidden.status, hidden.text()), (404, missing.text()));
        }
        // The problem, without the ids that the request itself named.
        let problem = async |mutation: Json, named: &str| {
            let receipts = phone.push(&world, &[transaction(json!([mutation]))]).await;
            let text = receipts[0]["problem"].to_string();
            assert_ne!(text, "null", "{receipts:?}");
            text.replace(named, "ID")
        };
        let nothing = id();
        for (hidden, collection) in [(&project, "proyectos"), (&avance, "avances")] {
            let set = json!({ if collection == "avances" { "resumen" } else { "nombre" }: "x" });
            let a = problem(update(collection, hidden, set.clone(), json!({})), hidden).await;
            let b = problem(update(collection, &nothing, set, json!({})), &nothing).await;
            assert_eq!(a, b, "an update tells whether {collection} exists");
        }
        let of = |project: &str| {
            insert("avances", &id(), json!({ "proyecto_id": project, "fecha": "2026-11-24" }))
        };
        let record = |text: String| {
            let mut problem: Json = serde_json::from_str(&text).expect("a problem");
            problem["at"]["record"] = json!(null);
            problem
        };
        let a = record(problem(of(&project), &project).await);
        let b = record(problem(of(&nothing), &nothing).await);
        assert_eq!(a, b, "a reference tells whether a project exists");
    }
}
