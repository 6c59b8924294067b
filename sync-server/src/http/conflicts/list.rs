//! `GET conflicts`: conflicts that the caller may see, oldest first.

use std::str::FromStr;
use std::sync::Arc;

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::Method;
use axum::routing::get;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use sync_protocol::problem::Problem;
use sync_protocol::wire::review::ConflictList;

use crate::auth::caller::Caller;
use crate::auth::permission::Access;
use crate::http::app::App;
use crate::http::extract::{Parameters, bad_parameter};
use crate::http::openapi::operation::{Answer, Operation, Parameter};
use crate::http::openapi::schemas::shape;
use crate::http::problem::Refusal;
use crate::http::route::Route;
use crate::review::{self, CONFLICTS_MAX, ListQuery};

const PARAMETERS: &[Parameter] = &[
    Parameter { name: "status", schema: statuses },
    Parameter {
        name: "severity",
        schema: || shape::word("Only this one.", &["merged", "collision"]),
    },
    Parameter { name: "collection", schema: || shape::text("Only this collection.") },
    Parameter { name: "scope", schema: scope },
    Parameter { name: "opened_after_us", schema: || shape::time_us("Opened not before") },
    Parameter { name: "opened_before_us", schema: || shape::time_us("Opened before") },
    Parameter { name: "after", schema: || shape::text("`next` of the page before.") },
    Parameter {
        name: "limit",
        schema: || shape::between("Most conflicts in the page.", 1, CONFLICTS_MAX),
    },
];

fn statuses() -> Json {
    let status = shape::word("", &["open", "claimed", "resolved", "informational"]);
    let mut all = shape::list(status);
    all["minItems"] = 1.into();
    all["description"] = "With commas; open and claimed ones by default.".into();
    all
}

fn scope() -> Json {
    let mut scope = shape::text("Only rows of this scope.");
    scope["pattern"] =
        "^(tenant|(?!tenant:)[a-z][a-z_]{0,29}:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$".into();
    scope["examples"] = ["tenant", "project:0192f0c1-2a3b-7c4d-8e5f-60718293a4b5"].into();
    scope
}

/// The endpoint.
pub(in crate::http) fn route() -> Route {
    Route {
        method: Method::GET,
        path: "/mobile/api/v1/conflicts",
        access: Access::Authenticated,
        handler: get(handle),
        operation: Operation {
            id: "conflicts",
            tag: "review",
            summary: "Conflicts, oldest first",
            description: "Those in your scopes, for supervisors; otherwise those with an edit of \
                          yours.",
            parameters: PARAMETERS,
            request: None,
            answer: Answer::Json("ConflictList"),
            problems: &[(400, "page_size_out_of_range"), (400, "cursor_malformed")],
        },
    }
}

async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    parameters: Parameters,
) -> Result<JsonAnswer<ConflictList>, Refusal> {
    let query = read(parameters)?;
    Ok(JsonAnswer(review::list(app.review_context(&caller), query).await?))
}

fn read(Parameters(parameters): Parameters) -> Result<ListQuery, Problem> {
    let mut query = ListQuery::default();
    for (name, value) in parameters {
        match name.as_str() {
            "status" => {
                for status in value.split(',') {
                    query.status.push(word(&name, status)?);
                }
            }
            "severity" => query.severity = Some(word(&name, &value)?),
            "collection" => query.collection = Some(value),
            "scope" => query.scope = Some(parsed(&name, &value)?),
            "opened_after_us" => query.opened_after_us = Some(parsed(&name, &value)?),
            "opened_before_us" => query.opened_before_us = Some(parsed(&name, &value)?),
            "after" => query.after = Some(value),
            "limit" => query.limit = Some(parsed(&name, &value)?),
            _ => {
                let known: Vec<&str> = PARAMETERS.iter().map(|p| p.name).collect();
                return Err(bad_parameter(&name, &format!("known are {}", known.join(", "))));
            }
        }
    }
    Ok(query)
}

fn word<T: DeserializeOwned>(name: &str, value: &str) -> Result<T, Problem> {
    serde_json::from_value(value.into())
        .map_err(|error: serde_json::Error| bad_parameter(name, &error.to_string()))
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(name: &str, value: &str) -> Result<T, Problem> {
    value.parse().map_err(|error: T::Err| bad_parameter(name, &error.to_string()))
}

#[cfg(test)]
mod tests {
    use sync_protocol::wire::review::{ConflictStatus, Severity};

    use super::*;

    fn of(text: &[(&str, &str)]) -> Result<ListQuery, Problem> {
        let owned = text.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        read(Parameters(owned))
    }

    #[test]
    fn filters_are_read() {
        let query =
            of(&[("status", "open,resolved"), ("severity", "collision"), ("limit", "7")]).unwrap();
        assert_eq!(query.status, [ConflictStatus::Open, ConflictStatus::Resolved]);
        assert_eq!((query.severity, query.limit), (Some(Severity::Collision), Some(7)));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (name, value) in [
            ("status", "closed"),
            ("severity", ""),
            ("scope", "project"),
            ("limit", "-1"),
            ("opened_after_us", "yesterday"),
            ("colection", "x"),
        ] {
            let problem = of(&[(name, value)]).unwrap_err();
            assert_eq!((problem.status, problem.code.as_str()), (400, "bad_parameter"));
            assert_eq!(problem.more["parameter"], name);
        }
    }
}
