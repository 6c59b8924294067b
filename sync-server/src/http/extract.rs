//! What handlers take out of requests, besides bodies.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, header};
use sync_protocol::problem::Problem;

use super::app::App;
use super::problem::Refusal;
use crate::auth::caller::Caller;

/// The caller, whom the route's access has found out before ([`super::route`]).
impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _app: &Arc<App>) -> Result<Self, Refusal> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            tracing::error!("a public route asked who is calling");
            Refusal(Problem::new(500, "internal", "The server failed"))
        })
    }
}

/// The token of the header `Authorization: Bearer …`.
///
/// # Errors
/// `token_missing`.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let missing = || {
        Problem::new(401, "token_missing", "An access token is needed")
            .detail("send the header `Authorization: Bearer <access token>` from `auth/login`")
    };
    let text = headers.get(header::AUTHORIZATION).ok_or_else(missing)?;
    let (scheme, token) = text.to_str().ok().and_then(|t| t.split_once(' ')).ok_or_else(missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") || token.trim().is_empty() {
        return Err(missing());
    }
    Ok(token.trim())
}

/// The one id in a path.
#[derive(Debug, Clone, Copy)]
pub struct PathId<T>(pub T);

impl<T: FromStr + Send> FromRequestParts<Arc<App>> for PathId<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let text = Path::<String>::from_request_parts(parts, app).await;
        text.ok().and_then(|Path(text)| text.parse().ok()).map(Self).ok_or_else(|| {
            Refusal(
                Problem::new(400, "malformed_id", "The id in the address is not one")
                    .detail("ids are UUIDs, such as 0192f0c1-2a3b-7c4d-8e5f-60718293a4b5"),
            )
        })
    }
}

/// The parameters after the question mark, in order.
#[derive(Debug, Clone, Default)]
pub struct Parameters(pub Vec<(String, String)>);

impl FromRequestParts<Arc<App>> for Parameters {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        match Query::<Vec<(String, String)>>::from_request_parts(parts, app).await {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(_) => Err(Refusal(bad_parameter("?", "the query is not `name=value&…`"))),
        }
    }
}

/// The answer to a parameter that is not understood.
#[must_use]
pub fn bad_parameter(name: &str, what: &str) -> Problem {
    let mut problem = Problem::new(400, "bad_parameter", "A parameter of the address is wrong")
        .detail(format!("`{name}`: {what}"));
    problem.more.insert("parameter".to_owned(), name.into());
    problem
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub struct ClientAddress(pub IpAddr);

impl FromRequestParts<Arc<App>> for ClientAddress {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        Ok(Self::of(app, &parts.extensions, &parts.headers))
    }
}

impl ClientAddress {
    /// Of a request with these headers.
    #[must_use]
    pub fn of(app: &App, extensions: &Extensions, headers: &HeaderMap) -> Self {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        // The last entry is the one that the proxy wrote; those before it are the client's word.
        let forwarded = app
            .settings
            .trust_forwarded_for
            .then(|| headers.get_all("x-forwarded-for").iter().next_back())
            .flatten()
            .and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
        Self(forwarded.or(peer).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_whatever_the_case_of_its_scheme() {
        let mut headers = HeaderMap::new();
        assert_eq!(bearer(&headers).unwrap_err().code, "token_missing");
        for (text, expected) in [
            ("Bearer abc", Some("abc")),
            ("bearer abc", Some("abc")),
            ("Basic abc", None),
            ("Bearer", None),
            ("Bearer  ", None),
        ] {
            headers.insert(header::AUTHORIZATION, text.parse().unwrap());
            assert_eq!(bearer(&headers).ok(), expected, "{text}");
        }
    }
}
