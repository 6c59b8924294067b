//! Bodies of requests as JSON: every type that an endpoint takes, each tried on the same input.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sync_protocol::wire::auth::{LoginRequest, LogoutRequest, RefreshRequest};
use sync_protocol::wire::pull::PullRequest;
use sync_protocol::wire::push::PushRequest;
use sync_protocol::wire::review::{
    ClaimRequest, NoteRequest, ResolveManyRequest, ResolveRequest, UndoRequest,
};
use sync_server::http::body::parse;

use crate::{Target, memory, promise};

/// The target.
pub(super) const TARGET: Target = Target { name: "requests", input_bytes_max: 8192, run };

/// What a body can be refused with before its endpoint looks at it.
const REFUSALS: &[(u16, &str)] = &[
    (400, "malformed_json"),
    (400, "json_too_deep"),
    (422, "duplicate_json_key"),
    (422, "unknown_field"),
    (422, "invalid_body"),
];

fn run(input: &[u8]) {
    is_read_as::<PushRequest>(input);
    is_read_as::<PullRequest>(input);
    is_read_as::<LoginRequest>(input);
    is_read_as::<RefreshRequest>(input);
    is_read_as::<LogoutRequest>(input);
    is_read_as::<ClaimRequest>(input);
    is_read_as::<NoteRequest>(input);
    is_read_as::<ResolveRequest>(input);
    is_read_as::<ResolveManyRequest>(input);
    is_read_as::<UndoRequest>(input);
}

fn is_read_as<T: DeserializeOwned + Serialize + Debug>(input: &[u8]) {
    // An element of a list takes two bytes, and a document of empty lists 72 for each.
    let read = memory::at_most(memory::FREE_BYTES + 200 * input.len(), || parse::<T>(input));
    let body = match read {
        Ok(body) => body,
        Err(problem) => {
            promise::refusal_is_documented(&problem, REFUSALS);
            promise::refusal_has_a_place(&problem, input);
            return;
        }
    };
    // Secrets are not printed: bodies are compared as JSON.
    let written = json(&body);
    match parse::<T>(written.to_string().as_bytes()) {
        Ok(again) => assert_eq!(json(&again), written, "it changes when it is sent on"),
        Err(problem) => panic!("what was read cannot be sent on: {problem}\n{written}"),
    }
}

fn json(body: &impl Serialize) -> serde_json::Value {
    match serde_json::to_value(body) {
        Ok(json) => json,
        Err(error) => panic!("a body cannot be written: {error}"),
    }
}
