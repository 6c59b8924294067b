//! Requests that are wrong before anybody looks at what they say.

use std::io::Read as _;

use axum::http::Method;
use serde_json::json;
use sync_server::http::routes;

use crate::World;
use crate::company::{Company, id, insert, transaction};
use crate::samples;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    flate2::read::GzEncoder::new(bytes, flate2::Compression::default())
        .read_to_end(&mut out)
        .expect("packed");
    out
}

pub async fn malformed_bodies_have_codes_and_change_nothing(world: World) {
    let company = Company::new(&world, &["admin"]).await;
    let phone = company.phone(&world).await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for route in routes().into_iter().filter(|route| route.method == Method::POST) {
        // Pieces of photos are no JSON: `tests/photos` sends bad ones.
        let Some(schema) = route.operation.request else { continue };
        let path = samples::path(&route, &id());
        let mut unknown = samples::body(schema);
        unknown["surprise"] = json!(1);
        let deep = &deep[..if route.operation.id == "push" { 200_000 } else { 60_000 }];
        for (body, headers, expected) in [
            (b"".to_vec(), &[][..], (400, "malformed_json")),
            (b"{\"".to_vec(), &[], (400, "malformed_json")),
            (b"\xff\xfe{}".to_vec(), &[], (400, "malformed_json")),
            (b"\x00\x01\x02".to_vec(), &[], (400, "malformed_json")),
            (b"[]".to_vec(), &[], (422, "invalid_body")),
            (b"null".to_vec(), &[], (422, "invalid_body")),
            (deep.into(), &[], (400, "json_too_deep")),
            (unknown.to_string().into_bytes(), &[], (422, "unknown_field")),
            (b"{}".to_vec(), &[("content-type", "text/xml")], (415, "unsupported_media_type")),
            (b"{}".to_vec(), &[("content-encoding", "br")], (415, "unsupported_encoding")),
            (b"{}".to_vec(), &[("content-encoding", "zstd")], (400, "body_unreadable")),
        ] {
            let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
            let answer = world.post_bytes(&path, Some(&phone.token), body, headers).await;
            let code = answer.code();
            assert_eq!((answer.status, code.as_str()), expected, "{path}: {shown} {headers:?}");
        }
    }
    let answer = world
        .post_bytes("sync/pull", Some(&phone.token), b"{\n  \"stream\": no }".to_vec(), &[])
        .await;
    assert_eq!(
        (answer.json()["more"]["line"].as_u64(), answer.code().as_str()),
        (Some(2), "malformed_json")
    );
}

pub async fn compressed_bodies_are_read_and_limited(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let phone = company.phone(&world).await;
    let token = Some(phone.token.as_str());
    for (encoding, pack) in [
        ("gzip", gzip as fn(&[u8]) -> Vec<u8>),
        ("zstd", |b| zstd::encode_all(b, 3).expect("packed")),
    ] {
        let project =
            transaction(json!([insert("proyectos", &id(), json!({ "nombre": "Torre" }))]));
        let body = phone.push_body(&[project]).to_string();
        let headers = [("content-encoding", encoding)];
        let answer = world.post_bytes("sync/push", token, pack(body.as_bytes()), &headers).await;
        assert_eq!(answer.ok().json()["receipts"][0]["state"], "applied", "{encoding}");
        let bomb = pack(&vec![b' '; 40 * 1024 * 1024]);
        assert!(bomb.len() < 100_000, "the bomb is no bomb");
        let answer = world.post_bytes("sync/push", token, bomb, &headers).await;
        assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"), "{encoding}");
    }
    let answer = world.post_bytes("sync/compare", token, vec![b' '; 70_000], &[]).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"));
    assert_eq!(answer.json()["more"]["bytes_max"], 65_536);
}

pub async fn bad_addresses_have_codes(world: World) {
    let company = Company::new(&world, &["supervisor"]).await;
    let phone = company.phone(&world).await;
    let token = Some(phone.token.as_str());
    for (path, expected) in [
        ("/", (404, "not_found")),
        ("/mobile/api/v2/schema", (404, "not_found")),
        ("nothing", (404, "not_found")),
        ("sync/push", (405, "method_not_allowed")),
        ("receipts/7", (400, "malformed_id")),
        ("receipts/%00", (400, "malformed_id")),
        ("conflicts/x", (400, "malformed_id")),
        ("conflicts?limit=many", (400, "bad_parameter")),
        ("conflicts?limit=0", (400, "page_size_out_of_range")),
        ("conflicts?limit=100000", (400, "page_size_out_of_range")),
        ("conflicts?after=x", (400, "cursor_malformed")),
        ("conflicts?order=newest", (400, "bad_parameter")),
        ("conflicts?scope=project", (400, "bad_parameter")),
    ] {
        let answer = world.get(path, token).await;
        assert_eq!((answer.status, answer.code().as_str()), expected, "{path}");
    }
    let answer = world.send(world.client.delete(world.url("schema"))).await;
    assert_eq!((answer.status, answer.code().as_str()), (405, "method_not_allowed"));
    assert!(answer.header("allow").contains("GET"), "{:?}", answer.headers);
    for limit in [0, 5001, 10_000_000] {
        let body = json!({ "stream": phone.stream, "page_rows_max": limit });
        let answer = world.post("sync/pull", token, &body).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "page_size_out_of_range"),
            "{limit}"
        );
    }
    let body = json!({ "stream": phone.stream }).to_string().into_bytes();
    let answer = world.post_bytes("sync/pull", token, body, &[("accept", "text/html")]).await;
    assert_eq!((answer.status, answer.code().as_str()), (406, "not_acceptable"));
}

pub async fn answers_are_compressed_and_named(world: World) {
    for encoding in ["gzip", "zstd"] {
        let request = world
            .client
            .get(world.url("openapi.json"))
            .header("accept-encoding", encoding)
            .header("x-request-id", "mi-pedido.7");
        let answer = world.send(request).await;
        assert_eq!(answer.header("content-encoding"), encoding);
        assert_eq!(answer.header("x-request-id"), "mi-pedido.7");
        let mut json = Vec::new();
        match encoding {
            "gzip" => flate2::read::GzDecoder::new(&answer.body[..])
                .read_to_end(&mut json)
                .map(drop)
                .expect("gzip"),
            _ => json = zstd::decode_all(&answer.body[..]).expect("zstd"),
        }
        serde_json::from_slice::<serde_json::Value>(&json).expect("JSON");
    }
    let forged = world.client.get(world.url("/healthz")).header("x-request-id", "a b\"c");
    let answer = world.send(forged).await;
    assert_ne!(answer.header("x-request-id"), "a b\"c", "an id that breaks logs was taken over");
    assert_eq!(answer.json()["status"], "ok");
}
