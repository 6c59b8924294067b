//! Flags of records whose place comes from their parent, without a database.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value as Json, json};
use sync_protocol::merge::RowMeta;
use sync_protocol::schema::parse::{SourceFile, parse};
use sync_protocol::wire::push::{Mutation, MutationKind, Transaction};
use sync_protocol::wire::review::Authorship;
use sync_protocol::{EditTime, Fields, ReceiptId, RecordId, Scope, StreamId, Value};
use uuid::Uuid;

use super::super::{Author, Plan, decide};
use super::defaults;
use crate::push::check::check;
use crate::push::rows::Loaded;
use crate::store::StoredRow;

const ME: StreamId = StreamId(Uuid::from_u128(1));

fn id(n: u128) -> RecordId {
    RecordId(Uuid::from_u128(n))
}

/// Garden 10 at 10° north with visit 20 and its task 30, and garden 11 at 11° north with visit 21.
fn gardens() -> Loaded {
    let text = include_str!("../../gardens.toml").to_owned();
    let schema = parse(&[SourceFile { name: "gardens.toml".to_owned(), text }]).expect("a schema");
    let mut loaded = Loaded {
        schema: Arc::new(schema),
        scopes: [10, 11].map(|n| Scope::entity("garden", id(n).0)).into(),
        lost_scopes: BTreeSet::new(),
        rows: BTreeMap::new(),
        lost: BTreeSet::new(),
        referenced: BTreeMap::new(),
        natural_keys: BTreeMap::new(),
        pictures: BTreeSet::new(),
        conflicts: Vec::new(),
        authors: BTreeMap::new(),
    };
    for (garden, latitude) in [(10, 10.0), (11, 11.0)] {
        let fence = json!({ "latitud": latitude, "longitud": 0.0, "radio_m": 100 });
        row(&mut loaded, "jardines", garden, fence);
        row(&mut loaded, "visitas", garden + 10, json!({ "jardin_id": id(garden) }));
    }
    let task =
        json!({ "visita_id": id(20), "jardin_id": id(10), "latitud": 10.0, "longitud": 0.0 });
    row(&mut loaded, "tareas", 30, task);
    loaded
}

fn row(loaded: &mut Loaded, collection: &str, n: u128, fields: Json) {
    let declared = &loaded.schema.collections[collection];
    let mut row: Fields = defaults(declared);
    for (name, json) in fields.as_object().expect("an object") {
        let field = declared.field(name).expect("declared");
        row.insert(name.clone(), Value::from_json(field, json).expect("fits"));
    }
    let meta = RowMeta::inserted(ME, EditTime::certain(0));
    loaded.rows.insert((collection.to_owned(), id(n)), StoredRow { fields: row, meta });
}

fn mutation(collection: &str, n: u128, kind: MutationKind, set: Json) -> Mutation {
    let set = set.as_object().cloned().unwrap_or_default();
    Mutation {
        collection: collection.to_owned(),
        record: id(n),
        kind,
        base: set.keys().map(|name| (name.clone(), 1)).collect(),
        set,
        add: serde_json::Map::new(),
        elements: BTreeMap::new(),
        seen: serde_json::Map::new(),
        row_base: None,
    }
}

fn decided(loaded: &Loaded, mutations: Vec<Mutation>) -> Plan {
    let transaction = Transaction {
        id: ReceiptId(Uuid::from_u128(7)),
        edited: EditTime::certain(0),
        wall_clock_us: 0,
        replaces: None,
        builds_on: Vec::new(),
        position: None,
        mutations,
    };
    let by = Authorship {
        user: None,
        user_name: None,
        device: None,
        device_name: None,
        edited_at_us: 0,
        uncertain: false,
        offline_us: None,
        position: None,
    };
    let author = Author { stream: ME, time: transaction.edited, by, now_us: 0 };
    let checked = check(&loaded.schema, &|_| true, &transaction).expect("in order");
    decide(loaded, &author, &transaction, &checked).expect("decided")
}

/// What is written into the flags of a record; none if nothing is.
fn flags(plan: &Plan, collection: &str, n: u128) -> Option<Vec<String>> {
    let write = plan.phases.first()?.get(&(collection.to_owned(), id(n)))?;
    match write.set.get("avisos")? {
        Value::Set(words) => Some(words.iter().cloned().collect()),
        _ => None,
    }
}

fn outside() -> Option<Vec<String>> {
    Some(vec!["outside_geofence".to_owned()])
}

#[test]
fn a_task_is_at_the_place_that_it_has_from_its_visit() {
    let loaded = gardens();
    for (visit, expected) in [(20, None), (21, outside())] {
        let task = json!({ "visita_id": id(visit), "latitud": 10.0, "longitud": 0.0 });
        let plan = decided(&loaded, vec![mutation("tareas", 31, MutationKind::Insert, task)]);
        assert_eq!(flags(&plan, "tareas", 31), expected);
    }
}

#[test]
fn a_task_that_goes_to_another_visit_is_at_another_place() {
    let loaded = gardens();
    let update = |set| decided(&loaded, vec![mutation("tareas", 30, MutationKind::Update, set)]);
    assert_eq!(flags(&update(json!({ "visita_id": id(21) })), "tareas", 30), outside());
    assert_eq!(flags(&update(json!({ "latitud": 10.0001 })), "tareas", 30), None);
    assert_eq!(flags(&update(json!({ "latitud": 10.01 })), "tareas", 30), outside());
    let both = json!({ "visita_id": id(21), "latitud": 11.0 });
    assert_eq!(flags(&update(both), "tareas", 30), None);
}

#[test]
fn everything_may_be_new_at_once() {
    let loaded = gardens();
    let fence = json!({ "latitud": 50.0, "longitud": 180.0, "radio_m": 2_000 });
    let picture = |latitude: f64, longitude: f64, hash: char| {
        json!({ "tarea_id": id(32), "latitud": latitude, "longitud": longitude,
            "sha256": "0", "bytes": 1, "miniatura_sha256": hash.to_string(), "miniatura_bytes": 1,
            "ancho": 1, "alto": 1 })
    };
    let insert = |collection, n, set| mutation(collection, n, MutationKind::Insert, set);
    let plan = decided(
        &loaded,
        vec![
            insert("jardines", 12, fence),
            insert("visitas", 22, json!({ "jardin_id": id(12) })),
            insert("tareas", 32, json!({ "visita_id": id(22) })),
            insert("tarea_fotos", 42, picture(50.0, -179.99, 'a')),
            insert("tarea_fotos", 43, picture(50.0, -179.0, 'b')),
            mutation(
                "tareas",
                32,
                MutationKind::Update,
                json!({ "latitud": 50.0, "longitud": 0.0 }),
            ),
        ],
    );
    assert_eq!(flags(&plan, "tarea_fotos", 42), None, "across the antimeridian, but near");
    assert_eq!(flags(&plan, "tarea_fotos", 43), outside());
    assert_eq!(flags(&plan, "tareas", 32), outside(), "in the insertion's write");
    assert_eq!(plan.phases.len(), 1);
    assert_eq!(plan.pictures, ["a", "b"].map(str::to_owned).into());
}
