//! A project that was taken from its foreman while he was offline, for tests of what becomes of his records.

use serde_json::{Value as Json, json};
use sync_protocol::problem::Problem;
use sync_protocol::wire::push::Mutation;
use sync_protocol::wire::receipt::ReceiptState;
use sync_protocol::wire::review::{Conflict, Keep, ResolveRequest, UndoRequest};
use sync_protocol::{RecordId, Scope};
use sync_server::review::{ListQuery, list, resolve, undo};

use crate::company::{Company, Phone};
use crate::mutations::insert;

/// What a supervisor may do.
pub const SUPERVISOR: [&str; 3] = ["project:read", "project:write", "conflict:resolve"];

/// A project whose foreman Juan was offline while it was taken from him, and Rosa, who decides.
pub struct Torre<'a> {
    pub juan: Phone<'a>,
    pub rosa: Phone<'a>,
    pub id: RecordId,
}

pub async fn torre(company: &Company) -> Torre<'_> {
    let id = company.id();
    let mut juan = company.foreman("juan", id).await;
    let rosa = company.phone("rosa", &SUPERVISOR).await;
    let scope = Scope::entity("project", id.0);
    company.grant(&rosa, scope.clone()).await;
    rosa.edit(insert("proyectos", id, json!({ "nombre": "Torre" })), ReceiptState::Applied).await;
    juan.pull(1_000).await;
    company.store.revoke(company.tenant, juan.caller.user, &scope).await.expect("revoked");
    Torre { juan, rosa, id }
}

pub fn report(project: RecordId, id: RecordId, more: Json) -> Mutation {
    let mut set = json!({ "proyecto_id": project, "fecha": "2026-11-24", "resumen": "colado" });
    set.as_object_mut().expect("o").extend(more.as_object().expect("o").clone());
    insert("avances", id, set)
}

pub async fn conflicts(of: &Phone<'_>) -> Vec<Conflict> {
    let query = ListQuery { limit: Some(100), ..ListQuery::default() };
    list(of.review(), query).await.expect("listed").conflicts
}

pub async fn conflict(of: &Phone<'_>, record: RecordId) -> Conflict {
    conflicts(of).await.into_iter().find(|c| c.record == record).expect("a conflict")
}

pub async fn decide(by: &Phone<'_>, record: RecordId, keep: Keep) -> Result<Conflict, Problem> {
    let known = conflict(by, record).await;
    let request = ResolveRequest { revision: known.revision, keep, reason: "visto".to_owned() };
    resolve(by.review(), known.id, request).await
}

pub async fn back(by: &Phone<'_>, decided: &Conflict) -> Result<Conflict, Problem> {
    let request = UndoRequest { revision: decided.revision, reason: "no".to_owned() };
    undo(by.review(), decided.id, request).await
}
