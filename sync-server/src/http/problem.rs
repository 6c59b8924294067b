//! Problem documents as answers. The one place where a [`Problem`] becomes HTTP.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sync_protocol::problem::Problem;

/// Media type of problem documents (RFC 9457).
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// A request that is refused.
#[derive(Debug)]
pub struct Refusal(pub Problem);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(problem) = self;
        let status =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        tracing::Span::current().record("code", &problem.code);
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_MEDIA_TYPE));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, challenge(&problem.code));
        }
        let after = problem.more.get("retry_after_s").and_then(serde_json::Value::as_u64);
        // Whoever is told to try again needs to know when, or all come back at once.
        if let Some(seconds) = after.or((status == StatusCode::SERVICE_UNAVAILABLE).then_some(1)) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// RFC 6750: without credentials only the scheme, with bad ones what is wrong.
fn challenge(code: &str) -> HeaderValue {
    let text = match code {
        "token_missing" | "login_failed" => "Bearer realm=\"campo\"".to_owned(),
        code => {
            format!("Bearer realm=\"campo\", error=\"invalid_token\", error_description=\"{code}\"")
        }
    };
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("Bearer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_token_is_challenged() {
        let response = Refusal(Problem::new(401, "token_expired", "x")).into_response();
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_MEDIA_TYPE);
        let challenge = response.headers()[header::WWW_AUTHENTICATE].to_str().unwrap();
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        assert!(challenge.contains("token_expired"), "{challenge}");
    }

    #[test]
    fn who_has_to_wait_is_told_for_how_long() {
        let mut problem = Problem::new(429, "login_throttled", "x");
        problem.more.insert("retry_after_s".into(), 9.into());
        assert_eq!(Refusal(problem).into_response().headers()[header::RETRY_AFTER], "9");
        let busy = Refusal(Problem::new(503, "busy", "x")).into_response();
        assert_eq!(busy.headers()[header::RETRY_AFTER], "1");
    }
}
