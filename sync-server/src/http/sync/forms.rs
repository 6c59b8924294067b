//! The two forms of a page.

use bytes::Bytes;
use sync_protocol::problem::Problem;
use sync_protocol::schema::Schema;
use sync_protocol::wire::pull::PullPage;

/// The page as JSON.
///
/// # Errors
/// `not_implemented`, until the protocol crate writes it.
pub(super) fn json(_page: &PullPage, _schema: &Schema) -> Result<serde_json::Value, Problem> {
    Err(missing())
}

/// The page as a frame of the binary form.
///
/// # Errors
/// `not_implemented`, until the protocol crate writes it.
pub(super) fn frame(_page: &PullPage) -> Result<Bytes, Problem> {
    Err(missing())
}

fn missing() -> Problem {
    Problem::new(501, "not_implemented", "Pages cannot be written yet")
}
