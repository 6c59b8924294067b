//! What the server tells about itself, at an address of its own.

use serde_json::json;

use crate::World;
use crate::company::{Company, id, report};

async fn counted(world: &World) -> String {
    let address = world.server.metrics.expect("metrics are told");
    let answer = world.client.get(format!("http://{address}/metrics")).send().await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 200);
    let kind = answer.headers().get("content-type").expect("a type").to_str().expect("text");
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    answer.text().await.expect("text")
}

/// Rows of a phone that are not as the server's are counted, and nobody is named.
pub async fn rows_that_differ_are_counted(world: World) {
    let world = world.restarted(|config| config.metrics = "127.0.0.1:0".parse().ok()).await;
    let company = Company::new(&world, &["admin"]).await;
    let phone = company.phone(&world).await;
    let (project, reported, _) = report(&world, &phone).await;
    let token = Some(phone.token.as_str());
    let compare = async |collection: &str, buckets: serde_json::Value| {
        let body = json!({ "scope": format!("project:{project}"), "collection": collection,
                           "buckets": buckets });
        world.post("sync/compare", token, &body).await
    };
    // Of a phone that lost its only report; and of one that is only asked.
    let none = json!(vec!["0".repeat(32); 256]);
    assert_eq!(compare("avances", none.clone()).await.ok().json()["rows"][0]["id"], reported);
    compare("avances", json!(null)).await.ok();
    assert_eq!(compare("nothing", none).await.code(), "unknown_collection");
    let pull =
        json!({ "stream": id(), "refetch": [{ "collection": "avances", "ids": [reported] }] });
    world.post("sync/pull", token, &pull).await.ok();
    let text = counted(&world).await;
    for line in [
        "campo_digest_mismatches_total{collection=\"avances\"} 1",
        "campo_rows_differing_total{collection=\"avances\"} 1",
        "campo_rows_refetched_total{collection=\"avances\"} 1",
        "campo_receipts_total{state=\"applied\"} 2",
        "campo_requests_total{route=\"/mobile/api/v1/sync/compare\",status=\"400\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    for secret in [&project, &reported, &company.tenant.to_string(), "nothing"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    // It is not told where everybody asks.
    assert_eq!(world.get("/metrics", None).await.code(), "not_found");
    let elsewhere = format!("http://{}/healthz", world.server.metrics.expect("metrics"));
    assert_eq!(world.client.get(elsewhere).send().await.expect("an answer").status(), 404);
}
