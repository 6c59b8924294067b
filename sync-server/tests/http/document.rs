//! The OpenAPI document against the running server.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use sync_protocol::wire::events::EVENTS_MEDIA_TYPE;
use sync_server::http::routes;

use crate::World;
use crate::company::{Company, conflict, id, report, update};
use crate::samples;
use crate::world::Answer;

/// Where a document departs from a schema of the OpenAPI document, by its path.
fn departures(document: &Json, schema: &Json, value: &Json, at: &str, found: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = document.pointer(reference.trim_start_matches('#')).expect("a schema");
        return departures(document, schema, value, at, found);
    }
    if let Some(alternatives) = schema["oneOf"].as_array() {
        let fits = |alternative: &&Json| {
            let mut inner = Vec::new();
            departures(document, alternative, value, at, &mut inner);
            inner.is_empty()
        };
        if alternatives.iter().filter(fits).count() != 1 {
            found.push(format!("{at}: {value} is not one of the alternatives"));
        }
        return;
    }
    for all in schema["allOf"].as_array().into_iter().flatten() {
        departures(document, all, value, at, found);
    }
    let right_type = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        _ => true,
    };
    let listed = schema["enum"].as_array().is_none_or(|words| words.contains(value));
    let constant = schema.get("const").is_none_or(|constant| constant == value);
    if !right_type || !listed || !constant {
        return found.push(format!("{at}: {value} is not {schema}"));
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().expect("a name");
        if value.is_object() && value.get(name).is_none() {
            found.push(format!("{at}.{name} is missing"));
        }
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        let at = format!("{at}.{name}");
        match (&schema["properties"][name], &schema["additionalProperties"]) {
            (Json::Null, Json::Bool(false)) => found.push(format!("{at} is not documented")),
            (Json::Null, Json::Object(_)) => {
                departures(document, &schema["additionalProperties"], member, &at, found);
            }
            (Json::Null, _) => {}
            (property, _) => departures(document, property, member, &at, found),
        }
    }
    for (n, element) in value.as_array().into_iter().flatten().enumerate() {
        departures(document, &schema["items"], element, &format!("{at}[{n}]"), found);
    }
}

/// Asserts that an answer is one that the operation documents, down to its members.
fn assert_documented(document: &Json, operation: &Json, answer: &Answer) {
    let name = operation["operationId"].as_str().expect("a name");
    let response = &operation["responses"][answer.status.to_string()];
    assert!(response.is_object(), "{name} answers {}: {}", answer.status, answer.text());
    let media_type = answer.header("content-type");
    if answer.body.is_empty() && answer.status >= 400 {
        return;
    }
    let Some(content) = response["content"].as_object() else {
        return assert_eq!(answer.body.len(), 0, "{name} answers a body");
    };
    let schema = &content
        .get(media_type)
        .unwrap_or_else(|| panic!("{name} answers {media_type}, which is not documented"))["schema"];
    if media_type == EVENTS_MEDIA_TYPE {
        return;
    }
    let mut found = Vec::new();
    departures(document, schema, &answer.json(), name, &mut found);
    assert!(found.is_empty(), "{found:#?}\n{}", answer.text());
}

pub async fn every_documented_operation_exists_and_answers_as_documented(world: World) {
    let document = world.get("openapi.json", None).await.ok().json();
    assert_eq!(document["openapi"], "3.1.0");
    let company = Company::new(&world, &["admin"]).await;
    let (conflict, receipt) = conflict(&world, &company).await;
    let phone = company.phone(&world).await;
    report(&world, &phone).await;
    let mut documented = BTreeSet::new();
    let mut succeeded = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let name = operation["operationId"].as_str().expect("a name");
            documented.insert((path.clone(), method.to_uppercase()));
            let own = if path.contains("receipts") { &receipt } else { &conflict };
            // What exists, what does not, and no token at all: each answer has to be documented.
            for (id, token) in [(own, Some(&phone.token)), (&id(), Some(&phone.token)), (own, None)]
            {
                let path = samples::place(path, id);
                let token = token.map(String::as_str);
                let tus = operation["responses"]
                    .as_object()
                    .expect("responses")
                    .values()
                    .any(|answer| answer["headers"]["Tus-Resumable"].is_object());
                let answer = if tus {
                    let method = method.to_uppercase().parse().expect("a method");
                    world.tus(method, &path, token).await
                } else if method == "get" {
                    world.get(&path, token).await
                } else {
                    let schema = operation["requestBody"]["content"]["application/json"]["schema"]
                        ["$ref"]
                        .as_str()
                        .and_then(|reference| reference.rsplit('/').next())
                        .expect("a body");
                    let body = samples::body(schema);
                    let mut found = Vec::new();
                    let reference = json!({ "$ref": format!("#/components/schemas/{schema}") });
                    departures(&document, &reference, &body, schema, &mut found);
                    assert!(found.is_empty(), "{found:?}");
                    world.post(&path, token, &body).await
                };
                assert_documented(&document, operation, &answer);
                if answer.status < 300 {
                    succeeded.insert(name.to_owned());
                }
                let secured = operation["security"] != json!([]);
                assert_eq!(
                    token.is_none() && secured,
                    answer.status == 401 && (method == "head" || answer.code() == "token_missing"),
                    "{name}"
                );
            }
        }
    }
    let routed: BTreeSet<(String, String)> = routes()
        .iter()
        .map(|route| (route.path.to_owned(), route.method.as_str().to_owned()))
        .collect();
    assert_eq!(routed, documented);
    let pushed = phone.push_body(&[]);
    let operation = &document["paths"]["/mobile/api/v1/sync/push"]["post"];
    let answer = world.post("sync/push", Some(&phone.token), &pushed).await;
    assert_documented(&document, operation, &answer);
    let login = world.login(&company.slug, "juan", crate::company::PASSWORD, &id()).await.ok();
    assert_documented(&document, &document["paths"]["/mobile/api/v1/auth/login"]["post"], &login);
    for needed in
        ["conflict", "conflicts", "receipt", "schema", "push", "pull", "events", "logout", "health"]
    {
        assert!(succeeded.contains(needed), "{needed} never succeeded: {succeeded:?}");
    }
}

/// What the document's samples do not lead to: a decision's result, and its refusals.
pub async fn a_decisions_results_and_refusals_are_documented(world: World) {
    let document = world.get("openapi.json", None).await.ok().json();
    let company = Company::new(&world, &["admin"]).await;
    let (conflict, _) = conflict(&world, &company).await;
    let phone = company.phone(&world).await;
    let shown = world.get(&format!("conflicts/{conflict}"), Some(&phone.token)).await.ok().json();
    let decision = |revision: i64, keep: Json| json!({ "revision": revision, "keep": keep, "reason": "visto en obra" });
    let undo = |revision: i64| json!({ "revision": revision, "reason": "era la otra" });
    let revision = shown["revision"].as_i64().expect("a revision");
    let decided = revision + 1;
    let measured = update(
        "avance_items",
        shown["record"].as_str().expect("a record"),
        json!({ "medida": "9.00" }),
        json!({ "medida": 3 }),
    );
    for (verb, body, expected) in [
        ("resolve", decision(revision, json!({ "value": { "no": "decimal" } })), "wrong_type"),
        ("resolve", decision(revision, json!({ "candidate": id() })), "unknown_candidate"),
        ("undo", undo(revision), "conflict_closed"),
        ("resolve", decision(revision, json!({ "value": "2.60" })), ""),
        ("resolve", decision(decided, json!("server")), "conflict_closed"),
        ("undo", undo(revision), "conflict_changed"),
        ("", Json::Null, ""),
        ("undo", undo(decided), "changed_since"),
    ] {
        if verb.is_empty() {
            phone.apply(&world, json!([measured])).await;
            continue;
        }
        let path = format!("conflicts/{conflict}/{verb}");
        let answer = world.post(&path, Some(&phone.token), &body).await;
        let operation =
            &document["paths"][format!("/mobile/api/v1/conflicts/{{id}}/{verb}")]["post"];
        assert_documented(&document, operation, &answer);
        let code = if answer.status < 300 { String::new() } else { answer.code() };
        assert_eq!(code, expected, "{verb} {body}");
    }
}

pub async fn a_foreign_streams_refusal_is_documented(world: World) {
    let document = world.get("openapi.json", None).await.ok().json();
    let company = Company::new(&world, &["admin"]).await;
    let phone = company.phone(&world).await;
    let body = json!({ "stream": uuid::Uuid::nil(), "transactions": [] });
    let answer = world.post("sync/push", Some(&phone.token), &body).await;
    assert_eq!(answer.code(), "stream_foreign");
    let operation = &document["paths"]["/mobile/api/v1/sync/push"]["post"];
    assert_documented(&document, operation, &answer);
}
