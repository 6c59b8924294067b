//! The targets, a file each. `docs/fuzzing.md` says in words what each promises.

mod answers;
mod body;
mod cursor;
mod frames;
mod page_binary;
mod page_json;
mod photo;
mod requests;
mod samples;
mod schema_file;
mod tokens;
mod values;

use crate::Target;

/// All of them.
pub const ALL: &[Target] = &[
    answers::TARGET,
    body::TARGET,
    cursor::TARGET,
    frames::TARGET,
    page_binary::TARGET,
    page_json::TARGET,
    photo::TARGET,
    requests::TARGET,
    schema_file::TARGET,
    tokens::TARGET,
    values::TARGET,
];
