//! What the model's company keeps.

use serde_json::{Value as Json, json};
use sync_protocol::schema::{Parent, Schema};

/// A stock list (every merge rule that matters on a device) and its movements.
pub fn schema() -> Schema {
    let field = |name: &str, kind: Json, more: Json| {
        let mut field = json!({ "name": name, "type": kind });
        let (Json::Object(field_map), Json::Object(more)) = (&mut field, more) else {
            unreachable!("both are objects")
        };
        field_map.extend(more);
        field
    };
    let text = json!({ "name": "text" });
    let collection = |name: &str, fields: Vec<Json>| {
        json!({
            "name": name, "vertical": "almacen", "fields": fields, "scopes": [{ "scope": "tenant" }],
            "read": "stock:read", "write": "stock:write", "atomic_review": false
        })
    };
    let decimal = json!({ "name": "decimal", "scale": 2 });
    let mut schema: Schema = serde_json::from_value(json!({ "collections": {
        "articulos": collection("articulos", vec![
            field("nombre", text.clone(), json!({ "required": true, "max_length": 40 })),
            field("precio", decimal.clone(), json!({ "merge": "server" })),
            field("existencia", decimal.clone(), json!({ "merge": "counter", "default": "0.00" })),
            field("etiquetas", json!({ "name": "set" }), json!({ "merge": "set" })),
            field("medida", decimal, json!({ "merge": "review" })),
            field("contado_el", json!({ "name": "date" }), json!({ "merge": "max" })),
            field("activo", json!({ "name": "boolean" }), json!({})),
            field("visto", json!({ "name": "timestamp" }), json!({})),
            field("ficha", json!({ "name": "json" }), json!({})),
        ]),
        "movimientos": collection("movimientos", vec![
            field("articulo_id", json!({ "name": "uuid" }), json!({ "references": "articulos" })),
            field("nota", text, json!({})),
        ]),
        "articulo_fotos": collection("articulo_fotos", vec![
            field("articulo_id", json!({ "name": "uuid" }),
                json!({ "references": "articulos", "required": true, "merge": "immutable" })),
        ]),
    }}))
    .expect("the schema is well formed");
    let photos = schema.collections.get_mut("articulo_fotos").expect("it is there");
    photos.photos = true;
    photos.parent =
        Some(Parent { collection: "articulos".to_owned(), field: "articulo_id".to_owned() });
    // Without the flags, which nobody here may read.
    let known = sync_protocol::schema::photos::fields();
    photos.fields.extend(known.into_iter().filter(|field| field.read.is_none()));
    schema
}
