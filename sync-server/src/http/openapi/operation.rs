//! What an endpoint says about itself, and how that becomes an OpenAPI operation.

use serde_json::{Map, Value as Json, json};
use sync_protocol::wire::events::EVENTS_MEDIA_TYPE;
use sync_protocol::wire::pull::COLUMNAR_MEDIA_TYPE;

use super::tus::Tus;
use crate::auth::permission::Access;
use crate::http::problem::PROBLEM_MEDIA_TYPE;
use crate::http::route::Route;

/// An endpoint in words. Problems that any endpoint of its kind can answer (a missing token, a
/// malformed body, a busy server) are added by [`Operation::document`].
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// Unique, in camel case: generators name functions by it.
    pub id: &'static str,
    /// The group that it is shown in.
    pub tag: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Everything else that a caller needs to know.
    pub description: &'static str,
    /// Parameters after the question mark.
    pub parameters: &'static [Parameter],
    /// The schema of its body; none where it has no body.
    pub request: Option<&'static str>,
    /// What comes back when all is well.
    pub answer: Answer,
    /// Its own problems, as status and code.
    pub problems: &'static [(u16, &'static str)],
}

/// A parameter after the question mark.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it can be, with its description. An array is given with commas.
    pub schema: fn() -> Json,
}

/// What comes back when all is well.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// 200 and a JSON document of this schema.
    Json(&'static str),
    /// 200 and one page as JSON, or a stream of pages in the binary form.
    Pages,
    /// 200 and a stream of events, whose data is one of these schemas.
    Events(&'static [&'static str]),
    /// What tus answers, in headers.
    Tus(Tus),
    /// 200 and a picture, or 206 and a part of it.
    Picture,
    /// 204 and nothing.
    Empty,
}

const BODY_PROBLEMS: &[(u16, &str)] = &[
    (400, "malformed_json"),
    (400, "json_too_deep"),
    (400, "body_unreadable"),
    (408, "body_too_slow"),
    (413, "body_too_large"),
    (415, "unsupported_media_type"),
    (415, "unsupported_encoding"),
    (422, "duplicate_json_key"),
    (422, "unknown_field"),
    (422, "invalid_body"),
];
const PIECE_PROBLEMS: &[(u16, &str)] = &[
    (400, "body_unreadable"),
    (408, "body_too_slow"),
    (415, "unsupported_encoding"),
    (415, "unsupported_media_type"),
];
const TOKEN_PROBLEMS: &[(u16, &str)] = &[
    (401, "token_missing"),
    (401, "token_invalid"),
    (401, "token_expired"),
    (401, "account_disabled"),
    (401, "device_revoked"),
];
const COMMON_PROBLEMS: &[(u16, &str)] =
    &[(500, "internal"), (503, "busy"), (503, "timeout"), (507, "storage_failed")];

impl Operation {
    /// The operation as the document has it.
    #[must_use]
    pub fn document(route: &Route) -> Json {
        let operation = &route.operation;
        let mut out = json!({
            "operationId": operation.id,
            "tags": [operation.tag],
            "summary": operation.summary,
            "parameters": parameters(route),
            "responses": responses(route),
            "security": match route.access {
                Access::Public => json!([]),
                _ => json!([{ "token": [] }]),
            },
        });
        let mut description = operation.description.to_owned();
        if let Access::Needs(permission) = route.access {
            description.push_str(&format!(" Needs the permission `{permission}`."));
            out["x-permission"] = permission.into();
        }
        if !description.is_empty() {
            out["description"] = description.trim().into();
        }
        if let Some(schema) = operation.request {
            out["requestBody"] = json!({
                "required": true,
                "description": "May be compressed: `Content-Encoding: zstd` or `gzip`.",
                "content": { "application/json": { "schema": reference(schema) } },
            });
        }
        if let Answer::Tus(tus) = operation.answer
            && let Some(body) = tus.body()
        {
            out["requestBody"] = body;
        }
        out
    }
}

/// All problems that a route can answer.
#[must_use]
pub fn problems(route: &Route) -> Vec<(u16, &'static str)> {
    let mut all: Vec<(u16, &'static str)> = route.operation.problems.to_vec();
    if route.operation.request.is_some() {
        all.extend(BODY_PROBLEMS);
    }
    if let Answer::Tus(tus) = route.operation.answer {
        if !tus.sends.is_empty() {
            all.push((412, "tus_version"));
        }
        if tus.piece {
            all.extend(PIECE_PROBLEMS);
        }
    }
    if route.access != Access::Public {
        all.extend(TOKEN_PROBLEMS);
    }
    if matches!(route.access, Access::Needs(_)) {
        all.push((403, "forbidden"));
    }
    if !route.operation.parameters.is_empty() {
        all.push((400, "bad_parameter"));
    }
    if route.path.contains("{id}") {
        all.push((400, "malformed_id"));
    }
    all.extend(COMMON_PROBLEMS);
    all.sort_unstable();
    all.dedup();
    all
}

fn parameters(route: &Route) -> Json {
    let path = [
        ("collection", json!({ "type": "string" })),
        ("id", json!({ "type": "string", "format": "uuid" })),
        ("variant", json!({ "type": "string", "enum": ["photo", "thumbnail"] })),
    ];
    let path = path.into_iter().filter(|(name, _)| route.path.contains(&format!("{{{name}}}")));
    let path = path.map(
        |(name, schema)| json!({ "name": name, "in": "path", "required": true, "schema": schema }),
    );
    let headers = match route.operation.answer {
        Answer::Tus(tus) => tus.parameters().collect(),
        Answer::Picture => ["Range", "If-Range", "If-None-Match"].map(header).to_vec(),
        _ => Vec::new(),
    };
    let query = route.operation.parameters.iter().map(|parameter| {
        json!({ "name": parameter.name, "in": "query", "required": false,
                "style": "form", "explode": false, "schema": (parameter.schema)() })
    });
    path.chain(headers).chain(query).collect()
}

fn header(name: &str) -> Json {
    json!({ "name": name, "in": "header", "required": false, "schema": { "type": "string" } })
}

fn responses(route: &Route) -> Json {
    let mut responses = Map::new();
    let (status, answer) = match route.operation.answer {
        Answer::Json(schema) => (
            "200",
            json!({ "description": "Done.",
                    "content": { "application/json": { "schema": reference(schema) } } }),
        ),
        Answer::Pages => (
            "200",
            json!({ "description": "Pages.", "content": {
                "application/json": { "schema": reference("PullPage") },
                COLUMNAR_MEDIA_TYPE: { "schema": { "type": "string", "format": "binary" } },
            } }),
        ),
        Answer::Events(schemas) => (
            "200",
            json!({ "description": "Events, until the stream ends.", "content": {
                EVENTS_MEDIA_TYPE: {
                    "schema": { "type": "string", "format": "event-stream" },
                    "x-event-data": schemas.iter().map(|name| reference(name)).collect::<Vec<_>>(),
                },
            } }),
        ),
        Answer::Tus(tus) => {
            responses.insert(tus.status.to_string(), tus.answer());
            return with_problems(route, responses);
        }
        Answer::Picture => {
            let picture = json!({ "schema": { "type": "string", "format": "binary" } });
            let content =
                json!({ "image/jpeg": picture, "image/png": picture, "image/webp": picture });
            let part = json!({ "description": "A part of the picture.", "content": content });
            responses.insert("206".to_owned(), part);
            let unchanged = json!({ "description": "The one that the caller has." });
            responses.insert("304".to_owned(), unchanged);
            ("200", json!({ "description": "The picture.", "content": content }))
        }
        Answer::Empty => ("204", json!({ "description": "Done." })),
    };
    responses.insert(status.to_owned(), answer);
    with_problems(route, responses)
}

/// With all that can be refused.
fn with_problems(route: &Route, mut responses: Map<String, Json>) -> Json {
    for (status, code) in problems(route) {
        let entry = responses.entry(status.to_string()).or_insert_with(|| {
            json!({
                "description": "",
                "headers": headers(status),
                "content": { PROBLEM_MEDIA_TYPE: { "schema": {
                    "allOf": [reference("Problem")],
                    "properties": { "code": { "enum": [] } },
                } } },
            })
        });
        let codes = &mut entry["content"][PROBLEM_MEDIA_TYPE]["schema"]["properties"]["code"];
        if let Some(codes) = codes["enum"].as_array_mut() {
            codes.push(code.into());
            let listed: Vec<String> =
                codes.iter().filter_map(|c| Some(format!("`{}`", c.as_str()?))).collect();
            entry["description"] = listed.join(", ").into();
        }
    }
    Json::Object(responses)
}

fn headers(status: u16) -> Json {
    let text =
        |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    match status {
        401 => {
            json!({ "WWW-Authenticate": text("What is needed, or what is wrong with the token.") })
        }
        429 | 503 => json!({ "Retry-After": text("Seconds to wait before the next attempt.") }),
        _ => json!({}),
    }
}

fn reference(schema: &str) -> Json {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}
