//! Photo collections, flags and geofences: what a schema file says about them, and what it may not.

use sync_protocol::schema::parse::{SourceFile, parse};
use sync_protocol::schema::{MergeRule, Schema, photos};

const OBRAS: &str = r#"vertical = "prueba"
[collections.obras]
scopes = ["project:id"]
read = "project:read"
write = "project:write"
geofence = { latitude = "lat", longitude = "lon", radius_m = "radio" }
[collections.obras.fields]
lat = { type = "real" }
lon = { type = "real" }
radio = { type = "integer" }
"#;

fn read(text: &str) -> Result<Schema, Vec<String>> {
    let file = SourceFile { name: "x.toml".to_owned(), text: format!("{OBRAS}{text}") };
    parse(&[file]).map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
}

/// A collection `fotos` with these keys and fields.
fn of_photos(keys: &str, fields: &str) -> Result<Schema, Vec<String>> {
    read(&format!(
        "[collections.fotos]\nphotos = true\n{keys}\nscopes = [\"project:obra\"]\nread = \"project:read\"\n\
         write = \"project:write\"\n[collections.fotos.fields]\n\
         obra = {{ type = \"uuid\", required = true, references = \"obras\" }}\n{fields}\n"
    ))
}

const PARENT: &str = r#"parent = { collection = "obras", field = "obra" }"#;

#[test]
fn a_photo_has_columns_that_nobody_declares_and_stays_with_its_record() {
    let schema = of_photos(PARENT, "nota = { type = \"text\" }").expect("a schema");
    let found: Vec<_> = schema.photos_of("obras").map(|c| c.name.as_str()).collect();
    assert_eq!(found, ["fotos"]);
    let fotos = schema.collection("fotos").expect("it is there");
    for field in photos::fields() {
        assert_eq!(fotos.field(&field.name), Some(&field));
    }
    assert_eq!(fotos.field("obra").map(|f| f.merge), Some(MergeRule::Immutable));
    assert_eq!(fotos.field("nota").map(|f| f.merge), Some(MergeRule::Lww));
}

#[test]
fn only_supervisors_get_the_flags_of_a_photo() {
    let schema = of_photos(PARENT, "").expect("a schema");
    let sees = |permissions: &[&str]| {
        let visible = schema.visible_to(|asked| permissions.contains(&asked));
        visible.collection("fotos").is_some_and(|fotos| fotos.field(photos::FLAGS).is_some())
    };
    assert!(!sees(&["project:read", "project:write"]));
    assert!(sees(&["project:read", "conflict:resolve"]));
}

#[test]
fn mistakes_in_a_photo_collection() {
    let told = |keys, fields| of_photos(keys, fields).expect_err("a mistake");
    assert_eq!(
        told("", ""),
        [
            "x.toml:12:1: `fotos` holds photos of nothing; declare `parent = { collection = …, field = … }`"
        ]
    );
    assert_eq!(
        told(PARENT, "sha256 = { type = \"text\" }"),
        [
            "x.toml:19:1: every photo collection has a column `sha256`; remove it: the columns of a photo are not declared"
        ]
    );
    assert_eq!(
        told(&format!("{PARENT}\nflags = {{ field = \"avisos\" }}"), ""),
        ["x.toml:14:1: a photo collection has its flags already; remove them"]
    );
}

#[test]
fn mistakes_in_flags_and_geofences() {
    let told = |flags: &str, fields: &str| {
        read(&format!(
            "[collections.c]\nflags = {flags}\nscopes = [\"tenant\"]\nread = \"project:read\"\n\
             write = \"project:write\"\n[collections.c.fields]\nf = {{ type = \"set\", merge = \"server\" }}\n\
             a = {{ type = \"real\" }}\n{fields}\n"
        ))
        .expect_err("a mistake")
    };
    assert_eq!(
        told(r#"{ field = "g" }"#, ""),
        ["x.toml:12:11: `c` has no column `g`; did you mean `a`?"]
    );
    assert_eq!(
        told(r#"{ field = "a" }"#, ""),
        [
            r#"x.toml:18:1: `a` cannot hold flags; declare it as `{ type = "set", merge = "server" }`"#
        ]
    );
    assert_eq!(
        told(r#"{ field = "f", position = ["a"] }"#, ""),
        [r#"x.toml:12:24: a position has two columns; write `position = ["latitud", "longitud"]`"#]
    );
    assert_eq!(
        told(r#"{ field = "f", mocked = "a" }"#, ""),
        ["x.toml:12:24: `a` is of another type; name a column of the type `boolean`"]
    );
    assert_eq!(
        told(r#"{ field = "f", place = "p" }"#, "p = { type = \"uuid\", references = \"c\" }"),
        [
            "x.toml:12:24: `p` refers to nothing that has a place; refer to a collection with a `geofence`, or give it one"
        ]
    );
    let of_a_place = read("[collections.d]\ngeofence = { latitude = \"lat\" }\n");
    let missing: Vec<String> = of_a_place
        .expect_err("mistakes")
        .into_iter()
        .filter(|told| told.contains("name the column that holds it"))
        .collect();
    assert_eq!(
        missing,
        [
            "x.toml:12:1: `longitude` is missing; name the column that holds it",
            "x.toml:12:1: `radius_m` is missing; name the column that holds it",
        ]
    );
}
