//! Conflicts and the audit trail.

use serde_json::json;
use sync_protocol::wire::review::{Conflict, ConflictStatus, Severity};
use sync_protocol::{ConflictId, RecordId};
use sync_server::store::{AuditEntry, ConflictFilter};

use crate::bench::{Bench, parte, project, record, uuid};

pub fn conflict(record: RecordId, opened_at_us: i64) -> Conflict {
    Conflict {
        id: ConflictId(uuid()),
        revision: 1,
        status: ConflictStatus::Open,
        severity: Severity::Collision,
        collection: "partes".to_owned(),
        record,
        field: Some("costo".to_owned()),
        base: Some(json!("1.00")),
        current: json!("2.00"),
        current_by: None,
        candidates: Vec::new(),
        row: serde_json::Map::new(),
        scopes: Vec::new(),
        belongs_to: None,
        opened_at_us,
        claimed_by: None,
        notes: Vec::new(),
        resolution: None,
    }
}

pub async fn save(b: &Bench, conflict: &Conflict) {
    let mut tx = b.begin().await;
    tx.save_conflict(conflict).await.expect("saved");
    tx.commit().await.expect("a commit");
}

async fn list(b: &Bench, filter: ConflictFilter) -> Vec<ConflictId> {
    let found = b.read().await.conflicts(&filter).await.expect("conflicts");
    found.iter().map(|conflict| conflict.id).collect()
}

pub async fn conflicts_are_listed_by_scope_status_and_time(b: Bench) {
    let (here, there) = (b.obra().await, b.obra().await);
    let (one, two) = (record(), record());
    b.insert("partes", one, parte(here, "A1")).await;
    b.insert("partes", two, parte(there, "A2")).await;
    let mut resolved = conflict(one, 300);
    resolved.status = ConflictStatus::Resolved;
    resolved.severity = Severity::Merged;
    let (first, second) = (conflict(one, 100), conflict(two, 200));
    for conflict in [&second, &first, &resolved] {
        save(&b, conflict).await;
    }
    let all = || ConflictFilter {
        collections: vec!["partes".to_owned()],
        scopes: vec![project(here), project(there), project(record())],
        limit: 10,
        ..ConflictFilter::default()
    };
    assert_eq!(list(&b, all()).await, [first.id, second.id, resolved.id]);
    let open = ConflictFilter { status: vec![ConflictStatus::Open], ..all() };
    assert_eq!(list(&b, open).await, [first.id, second.id]);
    let merged = ConflictFilter { severity: Some(Severity::Merged), ..all() };
    assert_eq!(list(&b, merged).await, [resolved.id]);
    let only_here = ConflictFilter { scopes: vec![project(here)], ..all() };
    assert_eq!(list(&b, only_here).await, [first.id, resolved.id]);
    let other = ConflictFilter { collections: vec!["obras".to_owned()], ..all() };
    assert!(list(&b, other).await.is_empty());
    let window =
        ConflictFilter { opened_after_us: Some(200), opened_before_us: Some(300), ..all() };
    assert_eq!(list(&b, window).await, [second.id]);
    let by_id = ConflictFilter { id: Some(second.id), ..all() };
    assert_eq!(list(&b, by_id).await, [second.id]);
    let hidden = ConflictFilter { id: Some(second.id), scopes: vec![project(here)], ..all() };
    assert!(list(&b, hidden).await.is_empty(), "in none of the caller's scopes");

    // Pages.
    let page = ConflictFilter { limit: 2, ..all() };
    assert_eq!(list(&b, page).await, [first.id, second.id]);
    let next = ConflictFilter { limit: 2, after: Some((200, second.id)), ..all() };
    assert_eq!(list(&b, next).await, [resolved.id]);

    // A row that was deleted is still found where it was.
    b.delete("partes", one).await;
    let only_here = ConflictFilter { scopes: vec![project(here)], ..all() };
    assert_eq!(list(&b, only_here).await, [first.id, resolved.id]);
}

pub async fn open_conflicts_of_a_record_are_locked_and_changed(b: Bench) {
    let obra = b.obra().await;
    let id = record();
    b.insert("partes", id, parte(obra, "A1")).await;
    let mut known = conflict(id, 100);
    save(&b, &known).await;
    let mut tx = b.begin().await;
    let open = tx.open_conflicts("partes", &[record(), id]).await.expect("conflicts");
    assert_eq!(open, [known.clone()]);
    assert!(tx.open_conflicts("obras", &[id]).await.expect("conflicts").is_empty());
    known.revision = 2;
    known.status = ConflictStatus::Resolved;
    tx.save_conflict(&known).await.expect("saved");
    assert!(tx.open_conflicts("partes", &[id]).await.expect("conflicts").is_empty());
    assert_eq!(tx.lock_conflict(known.id).await.expect("conflicts"), Some(known.clone()));
    assert_eq!(tx.lock_conflict(ConflictId(uuid())).await.expect("conflicts"), None);
    tx.commit().await.expect("a commit");
}

pub async fn the_audit_trail_keeps_its_order(b: Bench) {
    let about = ConflictId(uuid());
    let entry = |action: &str, conflict| AuditEntry {
        at_us: 7,
        user: Some(b.user),
        action: action.to_owned(),
        conflict,
        detail: json!({"b": 1, "a": [null]}),
    };
    let mut tx = b.begin().await;
    for action in ["conflict.opened", "conflict.claimed"] {
        tx.audit(&entry(action, Some(about))).await.expect("noted");
    }
    tx.audit(&AuditEntry { user: None, ..entry("user.granted", None) }).await.expect("noted");
    tx.commit().await.expect("a commit");
    let trail = b.read().await.audit_trail(about).await.expect("the trail");
    let expected = [entry("conflict.opened", Some(about)), entry("conflict.claimed", Some(about))];
    assert_eq!(trail, expected);
}
