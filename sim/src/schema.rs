//! Schemas, drawn at random from all types and merge rules.
//!
//! The collections' places are always the same, because operations need something to hold on to: an
//! entity with a scope of its own, its children and grandchildren, a catalogue of the whole company
//! with a natural key, notes in several scopes, and photos. Whose photos, their fields, rules and what
//! happens to deletions and duplicates are drawn.

use std::fmt::Write as _;
use std::sync::Arc;

use sync_protocol::schema::parse::{SourceFile, parse};
use sync_protocol::schema::{Collection, Field, Schema, photos};

use crate::rng::Rng;

/// Every kind of field that is drawn: type and rule, as a schema file says them.
const KINDS: [&str; 20] = [
    "type = \"text\", max_length = 40",
    "type = \"text\", max_length = 40, merge = \"immutable\"",
    "type = \"text\", max_length = 40, merge = \"review\"",
    "type = \"text\", max_length = 40, merge = \"server\"",
    "type = \"integer\", merge = \"counter\", required = true, default = 0, min = 0",
    "type = \"decimal\", scale = 2, merge = \"counter\", required = true, default = 0",
    "type = \"set\", max_length = 20",
    "type = \"integer\", merge = \"max\"",
    "type = \"timestamp\", merge = \"min\"",
    "type = \"date\", merge = \"max\"",
    "type = \"decimal\", scale = 3, merge = \"review\"",
    "type = \"integer\"",
    "type = \"decimal\", scale = 1",
    "type = \"real\"",
    "type = \"boolean\", default = false",
    "type = \"enum\", values = [\"a\", \"b\", \"c\"], default = \"a\"",
    "type = \"json\"",
    "type = \"timestamp\"",
    "type = \"text\", max_length = 40, read = \"cost:read\", write = \"cost:write\"",
    "type = \"integer\", merge = \"min\"",
];

/// What people can be. A visitor looks, and sees neither costs nor notes.
pub const ROLES: [&str; 3] = ["jefe", "obrero", "visita"];

/// What each of [`ROLES`] may do.
const PERMISSIONS: [&[&str]; 3] = [
    &[
        "work:read",
        "work:write",
        "notes:read",
        "notes:write",
        "cost:read",
        "cost:write",
        "conflict:resolve",
    ],
    &["work:read", "work:write", "notes:read", "notes:write"],
    &["work:read"],
];

/// Whether a role has a permission.
#[must_use]
pub fn may(role: &str, permission: &str) -> bool {
    let role = ROLES.iter().position(|known| *known == role);
    role.is_some_and(|role| PERMISSIONS[role].contains(&permission))
}

/// The photo collection.
pub const PHOTOS: &str = "fotos";

/// Whether anybody may give a field a value of their own choice. What describes a photo says which bytes
/// there are, and how far they are is the server's to say.
#[must_use]
pub fn is_free(collection: &Collection, field: &Field) -> bool {
    let is_parent = collection.parent.as_ref().is_some_and(|parent| parent.field == field.name);
    let is_fixed = is_parent || photos::fields().iter().any(|known| known.name == field.name);
    !(collection.photos && is_fixed)
}

fn roles() -> String {
    let mut text = String::from("[roles]\n");
    for (role, permissions) in ROLES.iter().zip(PERMISSIONS) {
        let _ = writeln!(text, "{role} = {permissions:?}");
    }
    text
}

/// What the sim draws fields for.
struct Drawn {
    name: &'static str,
    head: String,
    fixed: &'static str,
    /// Whose permissions it needs.
    whose: &'static str,
}

/// A schema in two versions: the second has one more field in some collections, and one more
/// collection.
pub struct Schemas {
    /// As the run begins.
    pub first: Arc<Schema>,
    /// After the schema change.
    pub second: Arc<Schema>,
}

/// Draws both versions.
#[must_use]
pub fn draw(rng: &mut Rng) -> Schemas {
    let mut text = String::from("vertical = \"sim\"\n");
    let mut grown = String::new();
    for drawn in collections(rng) {
        let _ = writeln!(text, "\n[collections.{}]\n{}", drawn.name, drawn.head);
        let whose = drawn.whose;
        let _ = writeln!(text, "read = \"{whose}:read\"\nwrite = \"{whose}:write\"");
        let _ = writeln!(text, "priority = {}", rng.between(1, 9) * 10);
        let delete = ["review", "delete", "keep"][rng.below(3)];
        let _ = writeln!(text, "on_delete_conflict = \"{delete}\"");
        if rng.percent(20) {
            text.push_str("atomic_review = true\n");
        }
        let _ = writeln!(text, "\n[collections.{}.fields]\n{}", drawn.name, drawn.fixed);
        for (index, kind) in KINDS.iter().enumerate() {
            if rng.percent(45) {
                let _ = writeln!(text, "f{index} = {{ {kind} }}");
            }
        }
        let kind = KINDS[rng.below(KINDS.len())];
        let _ = writeln!(text, "#{}#", drawn.name);
        let _ = writeln!(grown, "{}\tnuevo = {{ {kind} }}", drawn.name);
    }
    let roles = roles();
    let mut second = text.clone();
    for line in grown.lines() {
        let Some((name, field)) = line.split_once('\t') else { continue };
        let field = if rng.percent(50) { field } else { "" };
        second = second.replace(&format!("#{name}#"), field);
    }
    second.push_str(
        "\n[collections.avisos]\nscopes = [\"tenant\"]\nread = \"work:read\"\nwrite = \"work:write\"\n\
         [collections.avisos.fields]\nf0 = { type = \"text\", max_length = 40 }\n\
         f6 = { type = \"set\", max_length = 20 }\n",
    );
    Schemas { first: read(&text, &roles), second: read(&second, &roles) }
}

fn collections(rng: &mut Rng) -> Vec<Drawn> {
    let duplicate = if rng.percent(60) { "adopt" } else { "refuse" };
    let key = if rng.percent(30) {
        "\nnatural_key = { fields = [\"obra_id\", \"dia\"], on_duplicate = \"adopt\" }"
    } else {
        ""
    };
    vec![
        Drawn { name: "obras", head: "scopes = [\"project:id\"]".into(), fixed: "", whose: "work" },
        Drawn {
            name: "partes",
            head: format!(
                "scopes = [\"project:obra_id\"]\nparent = {{ collection = \"obras\", field = \"obra_id\" }}{key}"
            ),
            fixed: "obra_id = { type = \"uuid\", required = true, references = \"obras\" }\n\
                    dia = { type = \"date\", required = true, default = \"2026-01-01\" }",
            whose: "work",
        },
        Drawn {
            name: "renglones",
            head: "scopes = [\"project:obra_id\"]\n\
                   parent = { collection = \"partes\", field = \"parte_id\" }"
                .into(),
            fixed: "parte_id = { type = \"uuid\", required = true, references = \"partes\" }\n\
                    obra_id = { type = \"uuid\", from_parent = true, references = \"obras\" }\n\
                    articulo_id = { type = \"uuid\", references = \"articulos\" }",
            whose: "work",
        },
        Drawn {
            name: "articulos",
            head: format!(
                "scopes = [\"tenant\"]\nnatural_key = {{ fields = [\"codigo\"], on_duplicate = \"{duplicate}\" }}"
            ),
            fixed: "codigo = { type = \"text\", required = true, max_length = 20 }\n\
                    costo = { type = \"integer\", read = \"cost:read\", write = \"cost:write\" }",
            whose: "work",
        },
        Drawn {
            name: "notas",
            head: "scopes = [\"user:dueno_id\", \"project:obra_id\"]".into(),
            fixed: "dueno_id = { type = \"uuid\", required = true }\n\
                    obra_id = { type = \"uuid\", required = false, references = \"obras\" }",
            whose: "notes",
        },
        photos_of(rng),
    ]
}

/// Photos of reports, which move and may be merged; of notes, which are in several scopes; or of the
/// company's articles, which may be merged and refused.
fn photos_of(rng: &mut Rng) -> Drawn {
    let drawn = |head: &str, fixed: &'static str, whose: &'static str| Drawn {
        name: PHOTOS,
        head: format!("photos = true\n{head}"),
        fixed,
        whose,
    };
    match rng.below(4) {
        0 => drawn(
            "scopes = [\"user:dueno_id\", \"project:obra_id\"]\n\
             parent = { collection = \"notas\", field = \"nota_id\" }",
            "nota_id = { type = \"uuid\", required = true, references = \"notas\" }\n\
             dueno_id = { type = \"uuid\", from_parent = true }\n\
             obra_id = { type = \"uuid\", from_parent = true, references = \"obras\" }",
            "notes",
        ),
        1 => drawn(
            "scopes = [\"tenant\"]\n\
             parent = { collection = \"articulos\", field = \"articulo_id\" }",
            "articulo_id = { type = \"uuid\", required = true, references = \"articulos\" }",
            "work",
        ),
        _ => drawn(
            "scopes = [\"project:obra_id\"]\n\
             parent = { collection = \"partes\", field = \"parte_id\" }",
            "parte_id = { type = \"uuid\", required = true, references = \"partes\" }\n\
             obra_id = { type = \"uuid\", from_parent = true, references = \"obras\" }",
            "work",
        ),
    }
}

fn read(text: &str, roles: &str) -> Arc<Schema> {
    let files = [
        SourceFile { name: "sim.toml".to_owned(), text: text.to_owned() },
        SourceFile { name: "roles.toml".to_owned(), text: roles.to_owned() },
    ];
    match parse(&files) {
        Ok(schema) => Arc::new(schema),
        Err(mistakes) => panic!("the drawn schema has mistakes: {mistakes:?}\n{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_drawn_schema_is_a_good_one() {
        for seed in 0..200 {
            let schemas = draw(&mut Rng::new(seed));
            assert_eq!(schemas.second.collections.len(), 7);
        }
    }
}
