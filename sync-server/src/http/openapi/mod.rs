//! `GET openapi.json`: what there is, for people and for generators of clients.
//!
//! The document is made from [`routes`](super::routes), so it names exactly the endpoints that the
//! router has. The schemas of bodies are written by hand in [`schemas`]; tests compare them with
//! what serde reads and writes, and with the answers of a running server.

pub mod operation;
pub mod schemas;
pub mod tus;

use std::sync::LazyLock;

use axum::Json as JsonAnswer;
use axum::http::Method;
use axum::routing::get;
use serde_json::{Map, Value as Json, json};

use super::route::Route;
use crate::auth::permission::Access;
use operation::{Answer, Operation};

/// The endpoint.
pub(super) fn route() -> Route {
    Route {
        method: Method::GET,
        path: "/mobile/api/v1/openapi.json",
        access: Access::Public,
        handler: get(handle),
        operation: Operation {
            id: "openapi",
            tag: "about",
            summary: "This document",
            description: "",
            parameters: &[],
            request: None,
            answer: Answer::Json("AnyObject"),
            problems: &[],
        },
    }
}

static DOCUMENT: LazyLock<Json> = LazyLock::new(|| document(&super::routes()));

async fn handle() -> JsonAnswer<&'static Json> {
    JsonAnswer(&DOCUMENT)
}

/// The OpenAPI document of these routes.
#[must_use]
pub fn document(routes: &[Route]) -> Json {
    let mut paths = Map::new();
    for route in routes {
        let methods = paths.entry(route.path).or_insert_with(|| json!({}));
        methods[route.method.as_str().to_ascii_lowercase()] = Operation::document(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Campo sync server",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": "Offline edits of many devices, one truth. Problems are RFC 9457 \
                documents whose `code` is stable. Times are microseconds since 1970, UTC.",
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
            },
            "schemas": schemas::schemas(),
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::routes;

    fn references(json: &Json, found: &mut BTreeSet<String>) {
        match json {
            Json::Object(members) => {
                if let Some(Json::String(to)) = members.get("$ref") {
                    found.insert(to.clone());
                }
                members.values().for_each(|member| references(member, found));
            }
            Json::Array(elements) => elements.iter().for_each(|e| references(e, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_to_a_schema_and_every_schema_is_used() {
        let document = document(&routes());
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        let declared: BTreeSet<String> = document["components"]["schemas"]
            .as_object()
            .unwrap()
            .keys()
            .map(|name| format!("#/components/schemas/{name}"))
            .collect();
        assert_eq!(found, declared);
    }

    #[test]
    fn no_two_operations_share_a_name_or_an_address() {
        let routes = routes();
        let ids: BTreeSet<&str> = routes.iter().map(|route| route.operation.id).collect();
        let addresses: BTreeSet<(&str, &str)> =
            routes.iter().map(|route| (route.path, route.method.as_str())).collect();
        assert_eq!((ids.len(), addresses.len()), (routes.len(), routes.len()));
    }

    #[test]
    fn only_what_carries_its_own_proof_is_public() {
        let public: Vec<&str> = routes()
            .iter()
            .filter(|route| route.access == Access::Public)
            .map(|route| route.operation.id)
            .collect();
        assert_eq!(
            public,
            [
                "health",
                "openapi",
                "login",
                "refresh",
                "logout",
                "uploadOptions",
                "oneUploadOptions"
            ]
        );
    }

    #[test]
    fn what_needs_a_token_says_so() {
        for route in routes() {
            let operation = Operation::document(&route);
            let needs = route.access != Access::Public;
            assert_eq!(operation["security"] != json!([]), needs, "{}", route.operation.id);
            assert_eq!(
                operation["responses"].get("401").is_some(),
                needs || route.operation.tag == "auth" && route.operation.id != "logout"
            );
        }
    }
}
