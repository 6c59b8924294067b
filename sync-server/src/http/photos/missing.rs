//! `GET photos/missing`: photos that have not come.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::routing::get;
use sync_protocol::problem::Problem;

use crate::auth::caller::Caller;
use crate::auth::permission::Access;
use crate::http::app::App;
use crate::http::extract::{Parameters, bad_parameter};
use crate::http::openapi::operation::{Answer, Operation, Parameter};
use crate::http::openapi::schemas::shape::{between, text};
use crate::http::problem::Refusal;
use crate::http::route::Route;
use crate::photos::missing::{self, After, MissingPage, PAGE_MAX};
use crate::push::failed;

/// The endpoint.
pub(in crate::http) fn route() -> Route {
    Route {
        method: Method::GET,
        path: "/mobile/api/v1/photos/missing",
        access: Access::Needs("device:manage"),
        handler: get(handle),
        operation: Operation {
            id: "missingPhotos",
            tag: "photos",
            summary: "Photos that have not come",
            description: "Of the whole company, in the order of collections and ids, with who is to send \
                          them. Of collections that the caller may read.",
            parameters: &[
                Parameter { name: "after", schema: || text("`next` of the page before") },
                Parameter { name: "limit", schema: || between("Most photos", 1, PAGE_MAX) },
            ],
            request: None,
            answer: Answer::Json("MissingPhotos"),
            problems: &[],
        },
    }
}

async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    Parameters(parameters): Parameters,
) -> Result<Json<MissingPage>, Refusal> {
    let (after, limit) = asked(&parameters)?;
    let told = |collection: &sync_protocol::schema::Collection| caller.may(&collection.read);
    let page = missing::page(&*app.store, caller.tenant, told, after.as_ref(), limit).await;
    Ok(Json(page.map_err(|error| failed(&error))?))
}

fn asked(parameters: &[(String, String)]) -> Result<(Option<After>, usize), Problem> {
    let (mut after, mut limit) = (None, PAGE_MAX);
    for (name, value) in parameters {
        match name.as_str() {
            "after" => {
                let place = value.parse::<After>();
                after = Some(place.map_err(|()| bad_parameter("after", "no page ended there"))?);
            }
            "limit" => {
                let number = value.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
                limit = number
                    .ok_or_else(|| bad_parameter("limit", &format!("it is 1 to {PAGE_MAX}")))?;
            }
            other => return Err(bad_parameter(other, "there is no such parameter")),
        }
    }
    Ok((after, limit))
}
