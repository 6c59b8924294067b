//! Requests and answers.

use std::collections::BTreeMap;

use serde_json::json;
use sync_protocol::digest::{BUCKETS, Buckets, Digest, RowSet};
use sync_protocol::problem::Problem;
use sync_protocol::value::fields_to_json;
use sync_protocol::wire::compare::{CompareAnswer, CompareRequest, ComparedRow};
use sync_protocol::wire::pull::{PullRequest, Records};
use sync_protocol::wire::push::{MutationKind, Position, PushAnswer};
use sync_protocol::wire::receipt::ReceiptState;
use sync_protocol::wire::review::{
    Authorship, Candidate, CandidateReason, Conflict, ConflictList, ConflictStatus, Keep, Note,
    Resolution, ResolveManyAnswer, ResolveManyRequest, ResolveRequest, ResolveResult, Severity,
    UndoRequest,
};
use sync_protocol::{Fields, Scope};
use uuid::Uuid;

use crate::golden::is_json;
use crate::samples::{NOW_US, id, push_request, receipt, receipts, refusal, schema, visit};

#[test]
fn the_schema_as_devices_get_it() {
    is_json("schema.json", &schema());
}

#[test]
fn a_push_with_every_kind_of_mutation() {
    let request = push_request();
    let kinds: std::collections::HashSet<_> =
        request.transactions.iter().flat_map(|t| &t.mutations).map(|m| m.kind).collect();
    assert_eq!(kinds.len(), 4);
    assert!(kinds.contains(&MutationKind::Restore));
    is_json("push_request.json", &request);
}

#[test]
fn receipts_in_every_state() {
    let answer = PushAnswer {
        receipts: receipts(),
        withdrawn: vec![receipt(0x1d, ReceiptState::Discarded)],
        server_time_us: NOW_US,
    };
    let states: std::collections::BTreeSet<_> = answer.receipts.iter().map(|r| r.state).collect();
    assert_eq!(states.len(), 7);
    assert!(states.contains(&ReceiptState::Discarded));
    is_json("push_answer.json", &answer);
}

#[test]
fn pulls() {
    let first = PullRequest::new(id(5).into());
    let next = PullRequest {
        cursor: Some("b3BhcXVl".into()),
        schema_hash: Some(schema().hash()),
        page_rows_max: Some(1_000),
        digests: true,
        refetch: vec![Records {
            collection: "visitas".into(),
            ids: vec![id(0x10).into(), id(0x12).into()],
        }],
        ..first.clone()
    };
    is_json("pull_request_first.json", &first);
    is_json("pull_request.json", &next);
}

#[test]
fn comparisons() {
    let all = CompareRequest {
        scope: Scope::entity("garden", id(1)),
        collection: "visitas".into(),
        buckets: None,
        content: true,
        after: Some(id(0x10).into()),
    };
    let narrowed = CompareRequest {
        buckets: Some(vec![Digest(0); BUCKETS]),
        content: false,
        after: None,
        ..all.clone()
    };
    let row = ComparedRow { id: id(0x11).into(), version: 8, content: Some(Digest(1 << 127)) };
    let answer = CompareAnswer {
        buckets: vec![0x11, 0xff],
        rows: vec![row.clone(), ComparedRow { content: None, id: id(0xff).into(), ..row }],
        next: Some(id(0xff).into()),
    };
    is_json("compare_request_all.json", &all);
    is_json("compare_request.json", &narrowed);
    is_json("compare_answer.json", &answer);
}

#[test]
fn digests() {
    let schema = schema();
    let visits = schema.collection("visitas").expect("is declared");
    let rows = [(id(0x10), 1), (id(0x11), 8), (id(0xff), i64::from(u32::MAX) + 1)];
    let mut set = RowSet::default();
    let mut buckets = Buckets::default();
    for (record, version) in rows {
        set.add(record.into(), version);
        buckets.add(record.into(), version);
    }
    let of_row = |(record, version): (Uuid, i64)| {
        json!({ "id": record, "version": version,
                "digest": Digest::of_row(record.into(), version) })
    };
    let fields = visits.fields.iter().zip(visit(1)).map(|(f, value)| (f.name.clone(), value));
    let fields: Fields = fields.collect();
    let filled: BTreeMap<u8, Digest> = (0..=u8::MAX)
        .zip(buckets.digests())
        .filter(|(_, digest)| **digest != Digest::default())
        .map(|(bucket, digest)| (bucket, *digest))
        .collect();
    is_json(
        "digests.json",
        &json!({
            "rows": rows.map(of_row),
            "set": { "rows": set.rows, "digest": set.digest },
            "buckets": filled,
            "content": {
                "collection": "visitas",
                "fields": fields_to_json(&visits.fields, &fields),
                "digest": Digest::of_content(visits, &fields),
            },
        }),
    );
}

#[test]
fn problems() {
    let mut stale = Problem::new(409, "conflict_changed", "The conflict has changed")
        .detail("look at it again and decide on its present revision");
    stale.more.insert("revision".into(), 4.into());
    let busy =
        Problem::new(503, "busy", "The server is busy").detail("send the same again").retryable();
    let bare = Problem::new(404, "not_found", "There is nothing at this address");
    is_json("problems.json", &vec![refusal(), stale, busy, bare]);
}

fn conflict(status: ConflictStatus) -> Conflict {
    let by = Authorship {
        user: Some(id(2).into()),
        user_name: Some("Juan Pérez".into()),
        device: Some(id(4).into()),
        device_name: Some("Samsung A05 de Juan".into()),
        edited_at_us: NOW_US - 3_600_000_000,
        uncertain: true,
        offline_us: Some(3_600_000_000),
        position: Some(Position { latitude: 25.5, longitude: -100.25, accuracy_m: None }),
    };
    let sql = Authorship {
        user: None,
        user_name: None,
        device: None,
        device_name: None,
        edited_at_us: NOW_US - 7_200_000_000,
        uncertain: false,
        offline_us: None,
        position: None,
    };
    let resolved = status == ConflictStatus::Resolved;
    Conflict {
        id: id(0x30).into(),
        revision: 3,
        status,
        severity: Severity::Collision,
        collection: "jardines".into(),
        record: id(1).into(),
        field: Some("superficie_m2".into()),
        base: Some(json!("118.00")),
        current: json!("119.00"),
        current_by: Some(sql),
        candidates: vec![Candidate {
            reason: Some(CandidateReason::ScopeLost),
            receipt: id(0x22).into(),
            value: json!("120.50"),
            base_version: Some(2),
            by,
        }],
        row: json!({"nombre": "Jardín del Norte", "superficie_m2": "119.00"})
            .as_object()
            .expect("an object")
            .clone(),
        scopes: Vec::new(),
        belongs_to: None,
        opened_at_us: NOW_US,
        claimed_by: Some(id(3).into()),
        notes: vec![Note { user: id(3).into(), text: "¿Con cinta?".into(), at_us: NOW_US }],
        resolution: resolved.then(|| Resolution {
            keep: Keep::Candidate(id(0x22).into()),
            reason: "Medido dos veces".into(),
            user: id(3).into(),
            at_us: NOW_US,
            previous: json!("119.00"),
            version: 8,
        }),
    }
}

#[test]
fn review() {
    is_json("conflict.json", &conflict(ConflictStatus::Claimed));
    is_json("conflict_resolved.json", &conflict(ConflictStatus::Resolved));
    let list = ConflictList {
        conflicts: vec![conflict(ConflictStatus::Open)],
        next: Some("bmV4dA".into()),
    };
    is_json("conflict_list.json", &list);
    let decision = |keep| ResolveRequest { revision: 3, keep, reason: "Medido dos veces".into() };
    let many = ResolveManyRequest {
        conflicts: BTreeMap::from([
            (id(0x30).into(), decision(Keep::Candidate(id(0x22).into()))),
            (id(0x31).into(), decision(Keep::Server)),
            (id(0x32).into(), decision(Keep::Value(json!("119.75")))),
        ]),
    };
    is_json("resolve_many_request.json", &many);
    let resolved = ResolveResult::Resolved(Box::new(conflict(ConflictStatus::Resolved)));
    let unknown = Problem::new(404, "unknown_conflict", "There is no such conflict");
    let answer = ResolveManyAnswer {
        results: BTreeMap::from([
            (id(0x30).into(), resolved),
            (id(0x31).into(), ResolveResult::Failed(Box::new(unknown))),
        ]),
    };
    is_json("resolve_many_answer.json", &answer);
    is_json("undo_request.json", &UndoRequest { revision: 4, reason: "Fue otro jardín".into() });
}
