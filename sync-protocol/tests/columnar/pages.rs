//! Pages to try: any, and full ones.

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use sync_protocol::digest::Digest;
use sync_protocol::problem::Problem;
use sync_protocol::schema::parse::{SourceFile, parse};
use sync_protocol::schema::{Collection, Field, FieldType, Schema};
use sync_protocol::wire::pull::{Column, PagePart, PageTable, PullPage, ScopeDigest};
use sync_protocol::wire::receipt::{Receipt, ReceiptState};
use sync_protocol::{RecordId, Scope, Value};
use uuid::Uuid;

/// The schema of the vectors: every type of field.
pub fn schema() -> Schema {
    let text = include_str!("../../vectors/schema.toml").to_owned();
    parse(&[SourceFile { name: "schema.toml".into(), text }]).expect("has no mistake")
}

fn any_uuid() -> impl Strategy<Value = Uuid> {
    // Few distinct ones among many, so that columns have dictionaries too.
    prop_oneof![
        any::<u128>().prop_map(Uuid::from_u128),
        (0..3u128).prop_map(|n| Uuid::from_u128(n << 64))
    ]
}

fn any_scope() -> impl Strategy<Value = Scope> {
    let entity = ("[a-s][a-z_]{0,8}", any_uuid()).prop_map(|(kind, id)| Scope::entity(&kind, id));
    prop_oneof![Just(Scope::tenant()), entity]
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "[^\\x00]{0,6}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Into::into),
            vec(("[^\\x00]{0,3}", inner), 0..4).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// Any value that the field can hold, limits aside.
pub fn any_value(kind: &FieldType) -> BoxedStrategy<Value> {
    let some = match kind {
        FieldType::Text => prop_oneof!["[^\\x00]{0,20}", "[ab]"].prop_map(Value::Text).boxed(),
        FieldType::Enum { values } => {
            proptest::sample::select(values.clone()).prop_map(Value::Text).boxed()
        }
        FieldType::Integer => prop_oneof![any::<i64>(), -9..9i64].prop_map(Value::Integer).boxed(),
        FieldType::Decimal { .. } => {
            let max = sync_protocol::limits::DECIMAL_UNITS_MAX;
            (-max..=max).prop_map(Value::Decimal).boxed()
        }
        FieldType::Real => {
            use proptest::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
            let real = POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO;
            // The canonical form has one zero.
            real.prop_map(|n| Value::Real(if n == 0.0 { 0.0 } else { n })).boxed()
        }
        FieldType::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        // Years 1 to 9999.
        FieldType::Date => (-719_162..2_932_897i32).prop_map(Value::Date).boxed(),
        FieldType::Timestamp => {
            (-62_135_596_800_000_000..253_402_300_800_000_000i64).prop_map(Value::Timestamp).boxed()
        }
        FieldType::Uuid => any_uuid().prop_map(Value::Uuid).boxed(),
        FieldType::Set => btree_set("[^\\x00]{0,5}", 0..4).prop_map(Value::Set).boxed(),
        FieldType::Json => {
            any_json().prop_filter("null is Null", |j| !j.is_null()).prop_map(Value::Json).boxed()
        }
    };
    prop_oneof![1 => Just(Value::Null), 4 => some].boxed()
}

fn any_column(field: &Field, rows: usize) -> BoxedStrategy<Column> {
    let kind = field.kind.clone();
    let fill = move |values: Vec<Value>| {
        let mut column = Column::for_type(&kind);
        values.iter().for_each(|value| column.push(value));
        column
    };
    let mixed = vec(any_value(&field.kind), rows);
    let same = any_value(&field.kind).prop_map(move |value| vec![value; rows]);
    prop_oneof![4 => mixed, 1 => same].prop_map(fill).boxed()
}

fn any_table(collection: &Collection, sets: usize) -> BoxedStrategy<PageTable> {
    let collection = collection.clone();
    let rows = if sets == 0 { 0..1usize } else { 0..20 };
    rows.prop_flat_map(move |rows| {
        let columns: Vec<_> =
            collection.fields.iter().map(|field| any_column(field, rows)).collect();
        let fields: Vec<String> = collection.fields.iter().map(|f| f.name.clone()).collect();
        let name = collection.name.clone();
        let set = 0..u32::try_from(sets.max(1)).expect("few");
        let ids = || any_uuid().prop_map(RecordId);
        (vec(ids(), rows), vec(any::<i64>(), rows), vec(set, rows), columns, vec(ids(), 0..4))
            .prop_map(move |(ids, versions, scope_sets, columns, exits)| PageTable {
                collection: name.clone(),
                ids,
                versions,
                scope_sets,
                fields: fields.clone(),
                columns,
                exits,
            })
    })
    .boxed()
}

fn any_receipt() -> impl Strategy<Value = Receipt> {
    let problem = "[a-z_]{1,9}".prop_map(|code| Problem::new(422, &code, "No").detail("Do this"));
    (any_uuid(), proptest::option::of(problem), any::<bool>(), any::<i64>()).prop_map(
        |(id, problem, held, settled_at_us)| Receipt {
            id: id.into(),
            state: if problem.is_some() { ReceiptState::Refused } else { ReceiptState::InReview },
            problem,
            mutations: Vec::new(),
            held,
            settled_at_us,
        },
    )
}

fn any_digest() -> impl Strategy<Value = ScopeDigest> {
    (any_scope(), "[a-z]{1,10}", any::<u64>(), any::<u128>()).prop_map(
        |(scope, collection, rows, digest)| ScopeDigest {
            scope,
            collection,
            rows,
            digest: Digest(digest),
        },
    )
}

pub fn any_page() -> impl Strategy<Value = PullPage> {
    vec(vec(any_scope(), 0..4), 0..4).prop_flat_map(|scope_sets| {
        let schema = schema();
        let tables: Vec<_> =
            schema.collections.values().map(|c| any_table(c, scope_sets.len())).collect();
        (
            (proptest::option::of(Just(schema)), Just(scope_sets), tables),
            (
                vec(any_scope(), 0..4),
                vec(any_scope(), 0..4),
                vec(any_receipt(), 0..3),
                proptest::option::of(vec(any_digest(), 0..3)),
            ),
            (".{0,40}", any::<bool>(), any::<bool>(), any::<u64>(), any::<i64>()),
        )
            .prop_map(|(content, (drops, gains, settled, digests), rest)| {
                let (schema, scope_sets, tables) = content;
                let (cursor, backfill, checkpoint, remaining, server_time_us) = rest;
                let part = if backfill { PagePart::Backfill } else { PagePart::Delta };
                PullPage {
                    schema,
                    drops,
                    gains,
                    part,
                    scope_sets,
                    tables,
                    settled,
                    digests,
                    cursor,
                    checkpoint,
                    remaining,
                    server_time_us,
                }
            })
    })
}

/// A page of visits as a company has them, 13 columns.
pub fn big_page(rows: usize) -> PullPage {
    let schema = schema();
    let collection = schema.collection("visitas").expect("is declared");
    let garden = |n: usize| Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0000 + n as u128);
    let mut table = PageTable {
        collection: collection.name.clone(),
        fields: collection.fields.iter().map(|f| f.name.clone()).collect(),
        columns: collection.fields.iter().map(|f| Column::for_type(&f.kind)).collect(),
        ..PageTable::default()
    };
    let mut seed = 7u64;
    for row in 0..rows {
        // A linear congruential generator: the same numbers in each run.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let n = i64::try_from(row).expect("few rows");
        let random = i64::try_from(seed >> 34).expect("30 bits");
        let id = (0x0192_8f00_0000u128 + row as u128) << 80 | 7 << 76 | u128::from(seed);
        table.ids.push(Uuid::from_u128(id).into());
        table.versions.push(1 + random % 3);
        table.scope_sets.push(u32::try_from(row * 20 / rows).expect("few sets"));
        let values = [
            Value::Uuid(garden(row * 20 / rows)),
            if row % 7 == 0 { Value::Null } else { Value::Uuid(garden(100 + row % 9)) },
            Value::Date(20_000 + i32::try_from(row / 30).expect("few")),
            Value::Timestamp(1_763_000_000_000_000 + n * 61_000_000 + random % 1_000_000),
            Value::Timestamp(1_763_000_900_000_000 + n * 61_000_000 + random % 1_000_000),
            Value::Integer(random % 40),
            Value::Decimal(random % 200_000),
            Value::Real(f64::from(i32::try_from(random % 500).expect("small")) / 10.0),
            Value::Text(["planeada", "hecha"][row % 2].to_owned()),
            Value::Boolean(row % 3 == 0),
            if row % 2 == 0 { Value::Null } else { Value::Text(format!("Juan Pérez {random}")) },
            Value::Set(["rosa".to_owned(), format!("planta {}", random % 30)].into()),
            Value::Json(serde_json::json!({ "x": random % 100, "nota": "seto" })),
        ];
        table.columns.iter_mut().zip(&values).for_each(|(column, value)| column.push(value));
    }
    PullPage {
        scope_sets: (0..20).map(|n| vec![Scope::entity("garden", garden(n))]).collect(),
        tables: vec![table],
        cursor: "position".into(),
        part: PagePart::Backfill,
        remaining: 95_000,
        server_time_us: 1_763_000_000_000_000,
        ..PullPage::default()
    }
}
