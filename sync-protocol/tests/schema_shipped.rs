//! The schemas that Campo ships, and the example of the documentation.

use std::collections::BTreeSet;
use std::path::Path;

use sync_protocol::schema::parse::{SourceFile, parse};
use sync_protocol::schema::{FieldType, MergeRule, OnDuplicate, Schema, ScopeRule};

fn shipped() -> Schema {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas");
    let mut files: Vec<SourceFile> = std::fs::read_dir(&folder)
        .expect("schemas/ is there")
        .map(|entry| {
            let path = entry.expect("readable").path();
            SourceFile {
                name: path.file_name().expect("a file").to_string_lossy().into_owned(),
                text: std::fs::read_to_string(&path).expect("readable"),
            }
        })
        .collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(files.len(), 6, "five verticals and the roles");
    parse(&files).unwrap_or_else(|mistakes| {
        let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        panic!("{}", lines.join("\n"))
    })
}

#[test]
fn the_shipped_schemas_have_no_mistake_and_use_every_type_and_rule() {
    let schema = shipped();
    let fields = || schema.collections.values().flat_map(|collection| &collection.fields);
    let types: BTreeSet<&str> = fields()
        .map(|field| match field.kind {
            FieldType::Text => "text",
            FieldType::Integer => "integer",
            FieldType::Decimal { .. } => "decimal",
            FieldType::Real => "real",
            FieldType::Boolean => "boolean",
            FieldType::Date => "date",
            FieldType::Timestamp => "timestamp",
            FieldType::Uuid => "uuid",
            FieldType::Enum { .. } => "enum",
            FieldType::Set => "set",
            FieldType::Json => "json",
        })
        .collect();
    assert_eq!(types.len(), 11, "types used: {types:?}");
    let rules: BTreeSet<MergeRule> = fields().map(|field| field.merge).collect();
    assert_eq!(rules.len(), 8, "rules used: {rules:?}");
    assert!(fields().any(|f| f.read.is_some()) && fields().any(|f| f.write.is_some()));
    let keys = || schema.collections.values().filter_map(|c| c.natural_key.as_ref());
    for wanted in [OnDuplicate::Adopt, OnDuplicate::Refuse] {
        assert!(keys().any(|key| key.on_duplicate == wanted), "{wanted:?} is not used");
    }
    let verticals: BTreeSet<&str> =
        schema.collections.values().map(|collection| collection.vertical.as_str()).collect();
    let expected = ["almacen", "construccion", "mecanicas", "retail", "vidrio_templado"];
    assert_eq!(verticals, BTreeSet::from(expected));
    let roles: BTreeSet<&str> = schema.roles.keys().map(String::as_str).collect();
    let expected =
        ["admin", "foreman", "installer", "mechanic", "seller", "supervisor", "warehouse_keeper"];
    assert_eq!(roles, BTreeSet::from(expected));
}

#[test]
fn what_the_demo_tells_about_is_there() {
    let schema = shipped();
    let field = |collection: &str, name: &str| {
        let collection = schema.collection(collection).expect("the collection");
        collection.field(name).unwrap_or_else(|| panic!("{}.{name}", collection.name)).clone()
    };
    let stock = field("existencias", "cantidad");
    assert_eq!((stock.merge, stock.kind), (MergeRule::Counter, FieldType::Decimal { scale: 3 }));
    assert_eq!(stock.min, Some("0.000".into()), "limits are kept in canonical form");
    assert_eq!(field("avances", "cuadrilla").merge, MergeRule::Set, "a set's rule is implied");
    assert_eq!(field("avances", "firma").merge, MergeRule::Immutable);
    assert_eq!(field("proyectos", "avance_pct").merge, MergeRule::Max);
    let measured = field("avance_items", "medida");
    assert_eq!(
        (measured.merge, measured.kind),
        (MergeRule::Review, FieldType::Decimal { scale: 2 })
    );
    assert_eq!(
        schema.collection("proyectos").expect("proyectos").scopes,
        [ScopeRule::Entity { kind: "project".into(), field: "id".into() }]
    );
}

#[test]
fn fields_keep_the_order_of_the_file_and_children_inherit_required() {
    let schema = shipped();
    let items = schema.collection("avance_items").expect("avance_items");
    let names: Vec<&str> = items.fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names[..4], ["avance_id", "proyecto_id", "concepto", "unidad"]);
    let carried = items.field("proyecto_id").expect("proyecto_id");
    assert!(carried.from_parent && carried.required, "as required as avances.proyecto_id");
    let free = schema.collection("diagnosticos").and_then(|c| c.field("mecanico_id"));
    assert!(!free.expect("mecanico_id").required, "an order may have no mechanic yet");
}

#[test]
fn a_schema_survives_the_json_that_devices_get() {
    let schema = shipped();
    let json = serde_json::to_string(&schema).expect("json");
    assert_eq!(serde_json::from_str::<Schema>(&json).expect("schema"), schema);
}
