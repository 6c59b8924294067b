//! Supervisors: they claim, ask, decide and take decisions back, by the API as the console would.

use axum::http::{HeaderValue, Method};
use mobile_core::transport::exchange::Request;
use serde_json::{Value as Json, json};
use sync_protocol::DeviceId;
use sync_protocol::wire::review::{Candidate, Conflict, ConflictStatus};

use super::edit::value;
use crate::operation;
use crate::oracle::snapshot::{Name, Row, Snapshot};
use crate::oracle::{Checked, violated};
use crate::registry::Operation;
use crate::rng::Rng;
use crate::server::{COMPANY, PASSWORD};
use crate::wire;
use crate::world::{World, short};

/// The table.
pub const OPERATIONS: &[Operation] = &[
    operation!("claim", 2, claim),
    operation!("decide", 8, decide),
    operation!("undo a decision", 4, undo),
];

/// Somebody who may decide, with a token from the console's own login.
///
/// Of what waits to be made, one who sees it, if there is one: many a scope has no supervisor.
async fn supervisor(
    world: &mut World,
    rng: &mut Rng,
    conflict: &Conflict,
) -> Option<(usize, HeaderValue)> {
    let chiefs: Vec<usize> =
        (0..world.people.len()).filter(|p| world.people[*p].role == "jefe").collect();
    let snapshot = world.snapshot();
    let sees = |person: &usize| {
        let held = snapshot.grants.get(&world.people[*person].id);
        held.is_some_and(|held| conflict.scopes.iter().any(|scope| held.contains(scope)))
    };
    let see: Vec<usize> = chiefs.iter().copied().filter(sees).collect();
    let person = *rng.pick(if see.is_empty() { &chiefs } else { &see })?;
    let login = json!({
        "tenant": COMPANY, "user": world.people[person].login, "password": PASSWORD,
        "device": DeviceId(uuid::Uuid::from_u128(0x00cc_0000 + person as u128)),
    });
    let answer = ask(world, None, "auth/login", &login).await;
    let session: Json = serde_json::from_str(&wire::text(&answer)).ok()?;
    let token = format!("Bearer {}", session["access_token"].as_str()?);
    Some((person, HeaderValue::try_from(token).ok()?))
}

async fn ask(
    world: &mut World,
    token: Option<HeaderValue>,
    path: &str,
    body: &Json,
) -> crate::server::Response {
    let mut request = Request::new(Method::POST, path)
        .header(axum::http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(token) = token {
        request = request.header(axum::http::header::AUTHORIZATION, token);
    }
    request.body = body.to_string().into();
    let answer = world.server.answer(&request).await;
    if world.bury_server().await {
        return crate::server::Response { status: 503, ..answer };
    }
    answer
}

fn some_conflict(
    world: &mut World,
    rng: &mut Rng,
    statuses: &[ConflictStatus],
) -> Option<Conflict> {
    let snapshot = world.snapshot();
    let all: Vec<_> = snapshot.conflicts.iter().filter(|c| statuses.contains(&c.status)).collect();
    rng.pick(&all).map(|conflict| Conflict::clone(conflict))
}

async fn act(
    world: &mut World,
    rng: &mut Rng,
    conflict: &Conflict,
    verb: &str,
    body: Json,
) -> Checked {
    let Some((person, token)) = supervisor(world, rng, conflict).await else { return Ok(()) };
    let before = world.snapshot();
    let path = format!("conflicts/{}/{verb}", conflict.id);
    let answer = ask(world, Some(token), &path, &body).await;
    let text = wire::text(&answer);
    let read: Json = serde_json::from_str(&text).unwrap_or_default();
    let code = read["code"].as_str().unwrap_or("done").to_owned();
    world.tell(format!(
        "user{person}: {verb} {} of {}/{} {}: {code}",
        short(conflict.id),
        conflict.collection,
        short(conflict.record),
        conflict.field.as_deref().unwrap_or("(row)"),
    ));
    if answer.status >= 500 && code != "done" && answer.status != 503 {
        return violated("the server does not fail", format!("{path}: {text}"));
    }
    world.wrote_beside(&before)?;
    if answer.status != 200 {
        return Ok(());
    }
    world.note(&format!("review: {verb}"));
    came_out(world, &before, conflict, verb, &body)
}

/// Whether the field has the value that the decision, or taking it back, gives it.
fn came_out(
    world: &mut World,
    before: &Snapshot,
    conflict: &Conflict,
    verb: &str,
    body: &Json,
) -> Checked {
    let name = (conflict.collection.clone(), conflict.record);
    let after = world.snapshot();
    let Some(field) = &conflict.field else {
        let is_there =
            |snapshot: &Snapshot| snapshot.rows.get(&name).is_some_and(|row| !row.deleted);
        let pending = verb == "resolve" && !conflict.scopes.is_empty() && !is_there(before);
        return if pending { was_made(world, &name, conflict, &body["keep"]) } else { Ok(()) };
    };
    let value = |snapshot: &Snapshot| snapshot.rows[&name].fields[field].clone();
    let should = match (verb, &body["keep"]) {
        ("resolve", Json::String(_)) => value(before),
        ("resolve", keep) if keep.get("value").is_some() => {
            let schema = world.schema();
            let known = schema.collection(&name.0).and_then(|c| c.field(field));
            let Some(known) = known else { return Ok(()) };
            let read = sync_protocol::Value::from_json(known, &keep["value"]);
            read.map_or(Json::Null, |value| value.to_json(&known.kind))
        }
        ("resolve", keep) => {
            let kept = |c: &&Candidate| keep["candidate"] == *c.receipt.to_string();
            let kept = conflict.candidates.iter().find(kept);
            kept.map_or(Json::Null, |candidate| candidate.value.clone())
        }
        ("undo", _) => {
            conflict.resolution.as_ref().map_or(Json::Null, |taken| taken.previous.clone())
        }
        _ => value(before),
    };
    let is = value(&after);
    if is == should {
        return Ok(());
    }
    violated(
        "a decision does what it says",
        format!("{name:?}.{field} should be {should}, is {is}"),
    )
}

/// Whether a record that was waiting to be made is there now, as the decision wants it, or not.
fn was_made(world: &mut World, name: &Name, conflict: &Conflict, keep: &Json) -> Checked {
    let kept = |c: &Candidate| keep["candidate"] == *c.receipt.to_string();
    let kept = conflict.candidates.iter().rposition(kept);
    let is_deleted =
        |upto: usize| conflict.candidates[..=upto].iter().any(|c| c.value == "deleted");
    let wanted = kept.filter(|kept| !is_deleted(*kept));
    let schema = world.schema();
    let snapshot = world.snapshot();
    let row = snapshot.rows.get(name).filter(|row| !row.deleted);
    // What its author wants in the end; of an earlier word only that it was made is known.
    let is_last = kept.is_some_and(|kept| kept + 1 == conflict.candidates.len());
    let whole = world.judge.pending(name).filter(|_| is_last).cloned().unwrap_or_default();
    let collection = schema.collection(&name.0);
    let same = |row: &Row| {
        whole.iter().all(|(field, value)| {
            let own = collection.and_then(|collection| {
                let noted = collection.is_noted_by_server(field);
                collection.field(field).filter(|field| !field.from_parent && !noted)
            });
            own.is_none() || row.fields.get(field) == Some(value)
        })
    };
    let fits = match (wanted, row) {
        (None, row) => row.is_none(),
        (Some(_), Some(row)) => same(row),
        (Some(_), None) => false,
    };
    if fits {
        world.note(if wanted.is_some() { "review: made" } else { "review: not made" });
        return Ok(());
    }
    violated(
        "a decision does what it says",
        format!("{name:?} should be {wanted:?} {whole:?}, is {row:?}"),
    )
}

async fn claim(world: &mut World, rng: &mut Rng) -> Checked {
    let open = [ConflictStatus::Open, ConflictStatus::Claimed];
    let Some(conflict) = some_conflict(world, rng, &open) else { return Ok(()) };
    let body = json!({ "release": rng.percent(20), "take_over": rng.percent(30) });
    act(world, rng, &conflict, "claim", body).await
}

async fn decide(world: &mut World, rng: &mut Rng) -> Checked {
    let open = [ConflictStatus::Open, ConflictStatus::Claimed];
    let Some(conflict) = some_conflict(world, rng, &open) else { return Ok(()) };
    let candidates = &conflict.candidates;
    let keep = match rng.below(4) {
        0 => json!("server"),
        1 | 2 => json!({ "candidate": candidates[rng.below(candidates.len())].receipt }),
        _ => {
            let schema = world.schema();
            let field = conflict
                .field
                .as_ref()
                .and_then(|name| schema.collection(&conflict.collection)?.field(name).cloned());
            match field {
                Some(field) => json!({ "value": value(rng, &field) }),
                None => json!("server"),
            }
        }
    };
    let body = json!({ "revision": conflict.revision, "keep": keep, "reason": "so it is" });
    act(world, rng, &conflict, "resolve", body).await
}

async fn undo(world: &mut World, rng: &mut Rng) -> Checked {
    let Some(conflict) = some_conflict(world, rng, &[ConflictStatus::Resolved]) else {
        return Ok(());
    };
    let body = json!({ "revision": conflict.revision, "reason": "it was not" });
    act(world, rng, &conflict, "undo", body).await
}
