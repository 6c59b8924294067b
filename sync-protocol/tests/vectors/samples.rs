//! One of each: ids, receipts in every state, mutations of every kind, pages.

use std::collections::BTreeMap;

use serde_json::json;
use sync_protocol::digest::Digest;
use sync_protocol::problem::{Location, Problem};
use sync_protocol::schema::Schema;
use sync_protocol::schema::parse::{SourceFile, parse};
use sync_protocol::wire::pull::{Column, PagePart, PageTable, PullPage, ScopeDigest};
use sync_protocol::wire::push::{
    ElementsEdit, Mutation, MutationKind, Position, PushMark, PushRequest, Transaction,
};
use sync_protocol::wire::receipt::{FieldOutcome, MutationOutcome, Receipt, ReceiptState};
use sync_protocol::{EditTime, Scope, Value};
use uuid::Uuid;

pub const NOW_US: i64 = 1_764_000_309_000_000;

/// A UUIDv7 that is the same in each run.
pub fn id(n: u128) -> Uuid {
    Uuid::from_u128(0x019a_b3c4_d5e6_7000_8000_0000_0000_0000 + n)
}

pub fn garden(n: u128) -> Scope {
    Scope::entity("garden", id(n))
}

pub fn schema() -> Schema {
    let text = include_str!("../../vectors/schema.toml").to_owned();
    let all = parse(&[SourceFile { name: "schema.toml".into(), text }]).expect("has no mistake");
    all.visible_to(|_| true)
}

fn blank(kind: MutationKind) -> Mutation {
    Mutation {
        collection: "visitas".into(),
        record: id(0x10).into(),
        kind,
        set: serde_json::Map::new(),
        add: serde_json::Map::new(),
        elements: BTreeMap::new(),
        base: BTreeMap::new(),
        seen: serde_json::Map::new(),
        row_base: None,
    }
}

fn object(json: serde_json::Value) -> serde_json::Map<String, serde_json::Value> {
    json.as_object().expect("an object").clone()
}

pub fn transaction(n: u128, mutations: Vec<Mutation>) -> Transaction {
    Transaction {
        id: id(n).into(),
        edited: EditTime::certain(NOW_US - 3_600_000_000),
        wall_clock_us: NOW_US - 3_599_000_000,
        replaces: None,
        builds_on: Vec::new(),
        position: None,
        mutations,
    }
}

/// Every kind of mutation and every member.
pub fn push_request() -> PushRequest {
    let insert = Mutation {
        set: object(json!({
            "jardin_id": id(1), "jardinero_id": id(2), "fecha": "2026-11-24",
            "costales": 4, "importe": "350.00", "lluvia_mm": 2.5, "estado": "planeada",
            "cobrada": false, "plantas": ["bugambilia", "rosa"], "plano": {"x": 1, "y": [2, null]},
        })),
        ..blank(MutationKind::Insert)
    };
    let update = Mutation {
        record: id(0x11).into(),
        set: object(json!({"salida": "2026-11-24T16:05:09.000000Z", "firma": null})),
        add: object(json!({"costales": -3})),
        elements: BTreeMap::from([(
            "plantas".to_owned(),
            ElementsEdit { add: vec!["lavanda".into()], remove: vec!["rosa".into()] },
        )]),
        base: BTreeMap::from([
            ("costales".to_owned(), 7),
            ("plantas".to_owned(), 7),
            ("salida".to_owned(), 5),
        ]),
        ..blank(MutationKind::Update)
    };
    let measured = Mutation {
        collection: "jardines".into(),
        record: id(1).into(),
        set: object(json!({"superficie_m2": "120.50"})),
        base: BTreeMap::from([("superficie_m2".to_owned(), 2)]),
        seen: object(json!({"superficie_m2": "118.00"})),
        ..blank(MutationKind::Update)
    };
    let delete =
        Mutation { record: id(0x12).into(), row_base: Some(3), ..blank(MutationKind::Delete) };
    let restore =
        Mutation { record: id(0x13).into(), row_base: Some(4), ..blank(MutationKind::Restore) };
    let position =
        Position { latitude: 25.686_613, longitude: -100.316_116, accuracy_m: Some(8.0) };
    PushRequest {
        stream: id(0x5).into(),
        transactions: vec![
            Transaction { position: Some(position), ..transaction(0x20, vec![insert, update]) },
            Transaction {
                edited: EditTime { at_us: NOW_US - 60_000_000, uncertain: true },
                builds_on: vec![id(0x20).into()],
                ..transaction(0x21, vec![measured])
            },
            Transaction {
                replaces: Some(id(0x1f).into()),
                ..transaction(0x22, vec![delete, restore])
            },
        ],
        withdraw: vec![id(0x1d).into()],
        seen: vec![id(0x1e).into()],
        mark: Some(PushMark { id: id(0x51).into(), after: vec![id(0x50).into()] }),
    }
}

pub fn receipt(n: u128, state: ReceiptState) -> Receipt {
    Receipt {
        id: id(n).into(),
        state,
        problem: None,
        mutations: Vec::new(),
        held: false,
        settled_at_us: NOW_US,
    }
}

fn outcome(n: u128, version: i64) -> MutationOutcome {
    MutationOutcome {
        collection: "visitas".into(),
        record: id(n).into(),
        version: Some(version),
        fields: BTreeMap::new(),
        row: None,
        alias: None,
        flags: Vec::new(),
    }
}

pub fn refusal() -> Problem {
    Problem::new(422, "field_required", "A value does not fit its field")
        .detail("`fecha` is required and may not be null")
        .at(Location {
            mutation: Some(0),
            collection: Some("visitas".into()),
            record: Some(id(0x10).into()),
            field: Some("fecha".into()),
        })
}

/// A receipt in every state, with every outcome.
pub fn receipts() -> Vec<Receipt> {
    let applied = MutationOutcome { flags: vec!["costales".into()], ..outcome(0x11, 8) };
    let adopted = MutationOutcome { alias: Some(id(0x14).into()), ..outcome(0x10, 2) };
    let superseded = MutationOutcome {
        fields: BTreeMap::from([(
            "estado".to_owned(),
            FieldOutcome::Superseded { value: json!("planeada"), by_version: 9 },
        )]),
        ..outcome(0x11, 9)
    };
    let in_review = MutationOutcome {
        collection: "jardines".into(),
        fields: BTreeMap::from([(
            "superficie_m2".to_owned(),
            FieldOutcome::InReview {
                conflict: id(0x30).into(),
                question: Some("¿Con cinta?".into()),
            },
        )]),
        ..outcome(1, 3)
    };
    let decided = MutationOutcome {
        row: Some(FieldOutcome::Decided { conflict: id(0x31).into(), kept: true }),
        ..outcome(0x12, 5)
    };
    let held = MutationOutcome {
        version: None,
        row: Some(FieldOutcome::InReview { conflict: id(0x32).into(), question: None }),
        ..outcome(0x13, 0)
    };
    let builds_on = Problem::new(409, "builds_on_refused", "It builds on a refused transaction")
        .detail("correct or discard the refused one, then send this one again")
        .retryable();
    let with = |receipt, mutations| Receipt { mutations, ..receipt };
    vec![
        with(receipt(0x20, ReceiptState::Applied), vec![applied, adopted]),
        with(receipt(0x21, ReceiptState::Superseded), vec![superseded]),
        with(receipt(0x22, ReceiptState::InReview), vec![in_review]),
        Receipt { held: true, ..with(receipt(0x23, ReceiptState::InReview), vec![held]) },
        with(receipt(0x24, ReceiptState::Applied), vec![decided]),
        Receipt { problem: Some(refusal()), ..receipt(0x25, ReceiptState::Refused) },
        Receipt { problem: Some(builds_on), ..receipt(0x26, ReceiptState::Parked) },
        receipt(0x27, ReceiptState::HandedOver),
        receipt(0x28, ReceiptState::Discarded),
    ]
}

fn table(collection: &str, rows: &[(u128, i64, u32, Vec<Value>)], exits: &[u128]) -> PageTable {
    let schema = schema();
    let declared = schema.collection(collection).expect("is declared");
    let mut table = PageTable {
        collection: collection.to_owned(),
        fields: declared.fields.iter().map(|f| f.name.clone()).collect(),
        columns: declared.fields.iter().map(|f| Column::for_type(&f.kind)).collect(),
        exits: exits.iter().map(|n| id(*n).into()).collect(),
        ..PageTable::default()
    };
    for (record, version, set, values) in rows {
        assert_eq!(values.len(), table.columns.len(), "{collection}: a value for each column");
        table.ids.push(id(*record).into());
        table.versions.push(*version);
        table.scope_sets.push(*set);
        table.columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
    }
    table
}

pub fn visit(n: i64) -> Vec<Value> {
    let some = n % 2 == 0;
    let or_null = |value: Value| if some { value } else { Value::Null };
    vec![
        Value::Uuid(id(1)),
        or_null(Value::Uuid(id(2))),
        Value::Date(20_781 + i32::try_from(n).expect("small")),
        Value::Timestamp(1_763_999_100_000_000 + n * 1_000_000),
        or_null(Value::Timestamp(1_764_000_309_000_000)),
        Value::Integer(n - 2),
        or_null(Value::Decimal(35_000 + n)),
        or_null(Value::Real(2.5)),
        Value::Text(["planeada", "hecha"][usize::from(some)].to_owned()),
        Value::Boolean(some),
        or_null(Value::Text("Juan Pérez ✓".to_owned())),
        Value::Set(if some {
            ["rosa".to_owned(), "bugambilia".to_owned()].into()
        } else {
            [].into()
        }),
        or_null(Value::Json(json!({"y": [2, null], "x": 1}))),
    ]
}

/// A checkpoint with everything a page can have.
pub fn delta_page() -> PullPage {
    let garden_row =
        vec![Value::Text("Jardín del Norte".into()), Value::Decimal(11_800), Value::Null];
    PullPage {
        schema: Some(schema()),
        drops: vec![garden(9)],
        gains: Vec::new(),
        part: PagePart::Delta,
        scope_sets: vec![vec![garden(1)], vec![garden(1), Scope::entity("user", id(2))]],
        tables: vec![
            table("jardines", &[(1, 2, 0, garden_row)], &[]),
            table("visitas", &[(0x10, 1, 1, visit(0)), (0x11, 8, 0, visit(1))], &[0x12, 0x13]),
        ],
        settled: receipts(),
        digests: Some(vec![ScopeDigest {
            scope: garden(1),
            collection: "visitas".into(),
            rows: 2,
            digest: Digest(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
        }]),
        cursor: "b3BhcXVl".into(),
        checkpoint: true,
        remaining: 0,
        server_time_us: NOW_US,
    }
}

/// A page of a first sync, long enough for dictionaries and compression.
pub fn backfill_page() -> PullPage {
    let rows: Vec<_> =
        (0..40u32).map(|n| (0x100 + u128::from(n), 1, 0, visit(i64::from(n)))).collect();
    PullPage {
        gains: vec![garden(1)],
        part: PagePart::Backfill,
        scope_sets: vec![vec![garden(1)]],
        tables: vec![table("visitas", &rows, &[])],
        cursor: "b3BhcXVlLTI".into(),
        remaining: 160,
        server_time_us: NOW_US,
        ..PullPage::default()
    }
}
