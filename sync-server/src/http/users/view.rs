//! `GET users/{id}/view`: what somebody's phone holds, and why it does or does not hold a record.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde_json::json;
use sync_protocol::problem::Problem;
use sync_protocol::{RecordId, UserId};

use crate::auth::caller::Caller;
use crate::auth::permission::Access;
use crate::http::app::App;
use crate::http::extract::{Parameters, PathId, bad_parameter};
use crate::http::openapi::operation::{Answer, Operation, Parameter};
use crate::http::openapi::schemas::shape::text;
use crate::http::problem::Refusal;
use crate::http::route::Route;
use crate::push::failed;
use crate::store::StoreError;
use crate::view;

/// The endpoint.
pub(in crate::http) fn route() -> Route {
    Route {
        method: Method::GET,
        path: "/mobile/api/v1/users/{id}/view",
        access: Access::Needs("user:manage"),
        handler: get(handle),
        operation: Operation {
            id: "userView",
            tag: "users",
            summary: "See as somebody",
            description: "How many rows and bytes of each scope and collection a phone of this person \
                          holds when it is in step, with the digests. With `collection` and `record` \
                          instead: whether they see that record, and why. Noted in the audit trail.",
            parameters: &[
                Parameter { name: "collection", schema: || text("Collection name") },
                Parameter { name: "record", schema: || text("Record id; needs `collection`") },
            ],
            request: None,
            answer: Answer::Json("UserView"),
            problems: &[(400, "bad_parameter"), (400, "unknown_collection"), (404, "unknown_user")],
        },
    }
}

async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(user): PathId<UserId>,
    Parameters(parameters): Parameters,
) -> Result<Response, Refusal> {
    let asked = Asked::read(&parameters)?;
    // It reads as much as somebody's first pull.
    let _turn = app.turns.pull(caller.tenant, caller.user).await?;
    let fails = |error: StoreError| failed(&error);
    let account = app.store.user(caller.tenant, user).await.map_err(fails)?.ok_or_else(unknown)?;
    let (store, clock) = (&*app.store, &*app.clock);
    let seen = match &asked {
        Asked::All => json!({ "user": user }),
        Asked::Record(collection, record) => {
            json!({ "user": user, "collection": collection, "record": record })
        }
    };
    view::note(store, clock, caller.tenant, Some(caller.user), seen).await.map_err(fails)?;
    Ok(match asked {
        Asked::All => {
            Json(view::of(store, caller.tenant, &account).await.map_err(fails)?).into_response()
        }
        Asked::Record(collection, record) => {
            let why = view::why(store, caller.tenant, &account, &collection, record).await;
            let why = why.map_err(fails)?.ok_or_else(|| {
                Problem::new(400, "unknown_collection", "There is no such collection")
                    .detail(format!("the schema has no collection `{collection:.80}`"))
            })?;
            Json(why).into_response()
        }
    })
}

/// What is asked about.
enum Asked {
    All,
    Record(String, RecordId),
}

impl Asked {
    fn read(parameters: &[(String, String)]) -> Result<Self, Problem> {
        let (mut collection, mut record) = (None, None);
        for (name, value) in parameters {
            match name.as_str() {
                "collection" => collection = Some(value.clone()),
                "record" => {
                    let id = value.parse::<RecordId>();
                    record = Some(id.map_err(|_| bad_parameter("record", "it is no UUID"))?);
                }
                other => return Err(bad_parameter(other, "there is no such parameter")),
            }
        }
        match (collection, record) {
            (None, None) => Ok(Self::All),
            (Some(collection), Some(record)) => Ok(Self::Record(collection, record)),
            _ => Err(bad_parameter("collection", "`collection` and `record` belong together")),
        }
    }
}

fn unknown() -> Problem {
    Problem::new(404, "unknown_user", "There is no such person")
        .detail("nobody of this company has that id")
}
