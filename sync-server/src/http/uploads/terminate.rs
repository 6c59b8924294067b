//! `DELETE uploads/{collection}/{id}/{variant}`: gives an upload up.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::routing::delete;

use super::head::unknown;
use super::tus::{self, PathPhoto, Refused};
use crate::auth::caller::Caller;
use crate::auth::permission::Access;
use crate::http::app::App;
use crate::http::openapi::operation::{Answer, Operation};
use crate::http::openapi::tus::Tus;
use crate::http::route::Route;
use crate::photos::permit::{Purpose, permit};
use crate::photos::upload::give_up;

/// The endpoint.
pub(in crate::http) fn route() -> Route {
    Route {
        method: Method::DELETE,
        path: "/mobile/api/v1/uploads/{collection}/{id}/{variant}",
        access: Access::Authenticated,
        handler: delete(handle),
        operation: Operation {
            id: "giveUpUpload",
            tag: "photos",
            summary: "Give an upload up",
            description: "Its bytes are forgotten. A picture that is stored stays.",
            parameters: &[],
            request: None,
            answer: Answer::Tus(Tus {
                status: 204,
                sends: &["Tus-Resumable"],
                answers: &[],
                piece: false,
            }),
            problems: &[(403, "forbidden"), (404, "unknown_photo"), (404, "unknown_upload")],
        },
    }
}

async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    photo: PathPhoto,
    headers: HeaderMap,
) -> Result<StatusCode, Refused> {
    tus::check_version(&headers)?;
    let context = app.photo_context(&caller);
    let permitted = permit(context, &photo.key(caller.tenant)?, Purpose::Write).await?;
    match give_up(context, &permitted).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(unknown().into()),
    }
}
