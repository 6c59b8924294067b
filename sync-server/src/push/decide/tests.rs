//! Decisions over the shipped schemas, without a database.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value as Json, json};
use sync_protocol::merge::RowMeta;
use sync_protocol::problem::Problem;
use sync_protocol::schema::Schema;
use sync_protocol::schema::parse::{SourceFile, parse};
use sync_protocol::wire::push::{Mutation, MutationKind, Transaction};
use sync_protocol::wire::receipt::FieldOutcome;
use sync_protocol::wire::review::{Authorship, Severity};
use sync_protocol::{
    DeviceId, EditTime, Fields, ReceiptId, RecordId, Scope, StreamId, TenantId, UserId, Value,
};
use uuid::Uuid;

use super::{Author, Plan, decide};
use crate::auth::caller::Caller;
use crate::push::check::check;
use crate::push::rows::Loaded;
use crate::store::{StoredRow, WriteKind};

const NOW_US: i64 = 1_000_000_000;
const ME: StreamId = StreamId(Uuid::from_u128(1));
const OTHER: StreamId = StreamId(Uuid::from_u128(2));

fn id(n: u128) -> RecordId {
    RecordId(Uuid::from_u128(n))
}

fn project() -> Scope {
    Scope::entity("project", id(10).0)
}

/// The rows that the tests start from: project 10 with report 20 and its item 30 (medida 5.00,
/// version 1, by somebody else), a hidden project 11, and stock 40 of 2.000 pieces.
struct Site {
    loaded: Loaded,
    caller: Caller,
}

impl Site {
    fn new() -> Self {
        let files = ["construccion", "almacen"].map(|name| SourceFile {
            name: format!("{name}.toml"),
            text: std::fs::read_to_string(format!(
                "{}/../schemas/{name}.toml",
                env!("CARGO_MANIFEST_DIR")
            ))
            .expect("shipped schema"),
        });
        let schema: Schema = parse(&files).expect("shipped schemas have no mistakes");
        let permissions = ["project:read", "project:write", "stock:read", "stock:write"];
        let caller = Caller {
            tenant: TenantId(Uuid::from_u128(100)),
            user: UserId(Uuid::from_u128(101)),
            user_name: "Juan".to_owned(),
            device: Some(DeviceId(Uuid::from_u128(102))),
            device_name: None,
            permissions: permissions.map(str::to_owned).into(),
            expires_at_us: i64::MAX,
        };
        let loaded = Loaded {
            schema: Arc::new(schema),
            lost_scopes: BTreeSet::new(),
            scopes: BTreeSet::from([
                Scope::tenant(),
                project(),
                Scope::entity("warehouse", id(15).0),
            ]),
            rows: BTreeMap::new(),
            lost: std::collections::BTreeSet::new(),
            referenced: BTreeMap::new(),
            natural_keys: BTreeMap::new(),
            pictures: BTreeSet::new(),
            conflicts: Vec::new(),
            authors: BTreeMap::new(),
        };
        let mut site = Self { loaded, caller };
        site.row("proyectos", 10, json!({ "nombre": "Torre" }));
        site.row("proyectos", 11, json!({ "nombre": "Hidden" }));
        site.row("avances", 20, json!({ "proyecto_id": id(10), "fecha": "2026-11-24" }));
        site.row(
            "avance_items",
            30,
            json!({ "avance_id": id(20), "proyecto_id": id(10), "concepto": "Muro", "medida": "5" }),
        );
        site.row(
            "existencias",
            40,
            json!({ "almacen_id": id(15), "articulo_id": id(16), "cantidad": "2" }),
        );
        site
    }

    fn row(&mut self, collection: &str, n: u128, fields: Json) {
        let declared = &self.loaded.schema.collections[collection];
        let mut row: Fields =
            declared.fields.iter().map(|f| (f.name.clone(), f.default_value())).collect();
        for (name, json) in fields.as_object().expect("an object") {
            let field = declared.field(name).expect("declared");
            row.insert(name.clone(), Value::from_json(field, json).expect("fits"));
        }
        let meta = RowMeta::inserted(OTHER, EditTime::certain(500));
        self.loaded.rows.insert((collection.to_owned(), id(n)), StoredRow { fields: row, meta });
    }

    /// Somebody else sets a field at time 600.
    fn others_set(&mut self, collection: &str, n: u128, field: &str, value: Json) {
        let declared = self.loaded.schema.collections[collection].field(field).cloned();
        let value = Value::from_json(&declared.expect("declared"), &value).expect("fits");
        let row = self.loaded.rows.get_mut(&(collection.to_owned(), id(n))).expect("there");
        let old = row.fields.insert(field.to_owned(), value.clone()).unwrap_or(Value::Null);
        row.meta.record_update([(field, &old, &value)], [], OTHER, EditTime::certain(600));
    }

    fn decide(&self, mutations: Vec<Mutation>) -> Result<Plan, Box<Problem>> {
        self.decide_at(1_000, mutations)
    }

    fn decide_at(&self, at_us: i64, mutations: Vec<Mutation>) -> Result<Plan, Box<Problem>> {
        let transaction = Transaction {
            id: ReceiptId(Uuid::from_u128(7)),
            edited: EditTime::certain(at_us),
            wall_clock_us: 0,
            replaces: None,
            builds_on: Vec::new(),
            position: None,
            mutations,
        };
        let by = Authorship {
            user: Some(self.caller.user),
            user_name: None,
            device: None,
            device_name: None,
            edited_at_us: at_us,
            uncertain: false,
            offline_us: None,
            position: None,
        };
        let time = EditTime::certain(at_us);
        let author = Author { stream: ME, time, by, now_us: NOW_US };
        let checked = check(&self.loaded.schema, &|p| self.caller.may(p), &transaction)?;
        decide(&self.loaded, &author, &transaction, &checked)
    }
}

fn mutation(collection: &str, n: u128, kind: MutationKind, set: Json, base: i64) -> Mutation {
    let set = set.as_object().cloned().unwrap_or_default();
    Mutation {
        collection: collection.to_owned(),
        record: id(n),
        kind,
        base: set.keys().map(|name| (name.clone(), base)).collect(),
        set,
        add: serde_json::Map::new(),
        elements: BTreeMap::new(),
        seen: serde_json::Map::new(),
        row_base: Some(base),
    }
}

fn update(collection: &str, n: u128, set: Json, base: i64) -> Mutation {
    mutation(collection, n, MutationKind::Update, set, base)
}

fn insert(collection: &str, n: u128, set: Json) -> Mutation {
    let mut insert = mutation(collection, n, MutationKind::Insert, set, 0);
    insert.base.clear();
    insert
}

fn code(result: Result<Plan, Box<Problem>>) -> String {
    result.err().map_or_else(|| "no problem".to_owned(), |problem| problem.code)
}

#[test]
fn a_hidden_and_a_missing_record_get_the_same_answer() {
    let site = Site::new();
    let hidden = site.decide(vec![update("proyectos", 11, json!({ "nombre": "x" }), 1)]);
    let missing = site.decide(vec![update("proyectos", 99, json!({ "nombre": "x" }), 1)]);
    let words = |problem: Problem| problem.detail.map(|d| d.replace(&id(11).to_string(), "ID"));
    let hidden = words(*hidden.expect_err("hidden"));
    let missing = words(*missing.expect_err("missing"));
    assert_eq!(hidden, missing.map(|d| d.replace(&id(99).to_string(), "ID")));

    let report = |project: u128| {
        insert("avances", 21, json!({ "proyecto_id": id(project), "fecha": "2026-11-24" }))
    };
    assert_eq!(code(site.decide(vec![report(11)])), "unknown_reference");
    assert_eq!(code(site.decide(vec![report(99)])), "unknown_reference");
    assert_eq!(code(site.decide(vec![report(10)])), "no problem");
}

#[test]
fn two_measurements_collide_and_the_author_is_told() {
    let mut site = Site::new();
    site.others_set("avance_items", 30, "medida", json!("5.50"));
    let mut mine = update("avance_items", 30, json!({ "medida": "6", "cantidad": "1" }), 1);
    mine.seen.insert("medida".to_owned(), json!("5.00"));
    let plan = site.decide(vec![mine]).expect("decided");
    let outcome = &plan.outcomes[0].fields["medida"];
    let conflict = plan.conflicts.iter().find(|c| c.severity == Severity::Collision);
    let conflict = conflict.expect("a conflict");
    assert_eq!(*outcome, FieldOutcome::InReview { conflict: conflict.id, question: None });
    assert_eq!(conflict.base, Some(json!("5.00")));
    assert_eq!(conflict.current, json!("5.50"));
    assert_eq!(conflict.candidates[0].value, json!("6.00"));
    let write = plan.phases[0].values().next().expect("the other field");
    assert_eq!(write.set.keys().collect::<Vec<_>>(), ["cantidad"]);

    // A further edit joins, even one that is not concurrent.
    site.loaded.conflicts = plan.conflicts.clone();
    let plan = site.decide(vec![update("avance_items", 30, json!({ "medida": "7" }), 2)]);
    let joined = &plan.expect("decided").conflicts[0];
    assert_eq!((joined.id, joined.revision), (conflict.id, 2));
}

#[test]
fn a_measurement_that_saw_the_present_value_is_simply_set() {
    let mut site = Site::new();
    site.others_set("avance_items", 30, "medida", json!("5.50"));
    let plan = site.decide(vec![update("avance_items", 30, json!({ "medida": "6" }), 2)]);
    let plan = plan.expect("decided");
    assert!(plan.conflicts.is_empty() && plan.outcomes[0].fields.is_empty());
    assert_eq!(plan.phases[0].len(), 1);
}

#[test]
fn the_later_of_two_concurrent_edits_wins_and_the_loser_keeps_its_value() {
    let mut site = Site::new();
    site.others_set("avances", 20, "resumen", json!("de otro"));
    let earlier = site.decide_at(599, vec![update("avances", 20, json!({ "resumen": "mío" }), 1)]);
    let earlier = earlier.expect("decided");
    let superseded = FieldOutcome::Superseded { value: json!("mío"), by_version: 2 };
    assert_eq!(earlier.outcomes[0].fields["resumen"], superseded);
    assert!(earlier.phases.is_empty());
    let later = site.decide_at(601, vec![update("avances", 20, json!({ "resumen": "mío" }), 1)]);
    assert!(later.expect("decided").outcomes[0].fields.is_empty());
}

#[test]
fn stock_adds_up_and_below_zero_raises_a_flag() {
    let mut site = Site::new();
    site.others_set("existencias", 40, "cantidad", json!("1"));
    let mut sale = update("existencias", 40, json!({}), 1);
    sale.add.insert("cantidad".to_owned(), json!("-3"));
    let plan = site.decide(vec![sale]).expect("decided");
    assert_eq!(plan.outcomes[0].flags, ["cantidad"]);
    let write = plan.phases[0].values().next().expect("written");
    assert_eq!(write.set["cantidad"], Value::Decimal(-2_000));
}

#[test]
fn a_deletion_that_meets_an_edit_waits_for_a_person() {
    let mut site = Site::new();
    site.others_set("avances", 20, "resumen", json!("de otro"));
    let delete = mutation("avances", 20, MutationKind::Delete, json!({}), 1);
    let plan = site.decide(vec![delete]).expect("decided");
    assert!(plan.phases.is_empty());
    assert_eq!(plan.conflicts[0].candidates[0].value, json!("deleted"));

    let row = site.loaded.rows.get_mut(&("avances".to_owned(), id(20))).expect("there");
    row.meta.record_delete(OTHER, EditTime::certain(700));
    let edit = update("avances", 20, json!({ "resumen": "mío" }), 2);
    let plan = site.decide(vec![edit]).expect("decided");
    assert!(matches!(plan.outcomes[0].row, Some(FieldOutcome::InReview { .. })));
    // Who saw the deletion is told so instead.
    let edit = update("avances", 20, json!({ "resumen": "mío" }), 3);
    assert_eq!(code(site.decide(vec![edit])), "record_deleted");
}

#[test]
fn who_makes_an_entity_holds_it_at_once() {
    let site = Site::new();
    let plan = site.decide(vec![
        insert("proyectos", 12, json!({ "nombre": "Nave" })),
        insert("avances", 22, json!({ "proyecto_id": id(12), "fecha": "2026-11-24" })),
        insert("avance_items", 32, json!({ "avance_id": id(22), "concepto": "Piso" })),
        update("avance_items", 32, json!({ "cantidad": "4" }), 0),
    ]);
    let plan = plan.expect("decided");
    assert_eq!(plan.grants, [Scope::entity("project", id(12).0)]);
    assert_eq!(plan.phases.len(), 1, "all of it can be written together");
    let item = &plan.phases[0][&("avance_items".to_owned(), id(32))];
    assert_eq!(item.kind, WriteKind::Insert);
    assert_eq!(item.set["proyecto_id"], Value::Uuid(id(12).0), "follows its report");
    assert_eq!(item.set["cantidad"], Value::Decimal(4_000));
}

#[test]
fn a_row_may_not_be_moved_out_of_its_authors_scopes() {
    let site = Site::new();
    let away = update("existencias", 40, json!({ "almacen_id": id(99) }), 1);
    assert_eq!(code(site.decide(vec![away])), "unknown_reference");
}

#[test]
fn a_second_check_in_of_a_worker_and_day_is_merged_into_the_first() {
    let mut site = Site::new();
    let check_in = json!({ "proyecto_id": id(10), "trabajador": "Luis", "fecha": "2026-11-24",
        "entrada": "2026-11-24T14:00:00Z" });
    site.row("asistencias", 50, check_in.clone());
    let key = ("asistencias".to_owned(), vec!["\"Luis\"".to_owned(), "\"2026-11-24\"".to_owned()]);
    site.loaded.natural_keys.insert(key, id(50));
    let mut second = check_in;
    second["entrada"] = json!("2026-11-24T13:30:00Z");
    let plan = site.decide(vec![insert("asistencias", 51, second)]).expect("decided");
    assert_eq!(plan.outcomes[0].alias, Some(id(50)));
    let write = &plan.phases[0][&("asistencias".to_owned(), id(50))];
    assert_eq!(write.kind, WriteKind::Update);
    assert_eq!(write.set.keys().collect::<Vec<_>>(), ["entrada"], "the earlier arrival holds");
}

#[test]
fn a_collection_may_ask_that_the_whole_transaction_waits() {
    let mut site = Site::new();
    let schema = Arc::make_mut(&mut site.loaded.schema);
    schema.collections.get_mut("avance_items").expect("declared").atomic_review = true;
    site.others_set("avance_items", 30, "medida", json!("5.50"));
    let plan = site.decide(vec![
        update("avance_items", 30, json!({ "medida": "6", "cantidad": "1" }), 1),
        update("avances", 20, json!({ "resumen": "mío" }), 1),
    ]);
    let plan = plan.expect("decided");
    assert!(plan.held && plan.phases.is_empty());
}

#[test]
fn what_devices_may_not_write_is_refused_with_its_own_code() {
    let site = Site::new();
    for (mutation, expected) in [
        (update("nada", 1, json!({ "x": 1 }), 1), "unknown_collection"),
        (update("avances", 20, json!({ "nada": 1 }), 1), "unknown_field"),
        (update("avance_items", 30, json!({ "precio_unitario": "1" }), 1), "unknown_field"),
        (update("avance_items", 30, json!({ "proyecto_id": id(10) }), 1), "field_read_only"),
        (update("materiales", 1, json!({ "nombre": "x" }), 1), "forbidden"),
        (update("avances", 20, json!({ "horas": "mil" }), 1), "wrong_type"),
        (update("avances", 20, json!({ "horas": "1001" }), 1), "out_of_range"),
        (update("avances", 20, json!({ "fecha": null }), 1), "field_required"),
        (update("avances", 20, json!({ "resumen": "a\0b" }), 1), "nul_character"),
        (update("avances", 20, json!({ "cuadrilla": ["a"] }), 1), "wrong_edit"),
        (update("existencias", 40, json!({ "cantidad": "1" }), 1), "wrong_edit"),
        (update("avances", 20, json!({}), 1), "wrong_mutation"),
        (insert("avances", 23, json!({ "proyecto_id": id(10) })), "field_required"),
        (
            insert("avances", 20, json!({ "proyecto_id": id(10), "fecha": "2026-11-24" })),
            "record_exists",
        ),
    ] {
        let shown = format!("{mutation:?}");
        assert_eq!(code(site.decide(vec![mutation])), expected, "{shown}");
    }
}
