//! Mistakes of files as a whole, and between files.

use proptest::prelude::*;
use sync_protocol::schema::parse::{SourceFile, parse};

fn told(files: &[(&str, &str)]) -> Vec<String> {
    let files: Vec<SourceFile> = files
        .iter()
        .map(|(name, text)| SourceFile { name: (*name).into(), text: (*text).into() })
        .collect();
    parse(&files).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[test]
fn a_file_that_is_no_toml_hides_no_mistake_of_another_file() {
    let a = r##"vertical = "a"
[collections.x
"##;
    let b = r##"vertical = "b"
[collections.y]
read = "b:read"
write = "b:write"
scopes = ["tenant"]
fields = { a = { type = "txt" } }
"##;
    let files = [("a.toml", a), ("b.toml", b)];
    let expected: &[&str] = &[
        "a.toml:2:15: this is no TOML: expected a right bracket, found a newline; correct the TOML; nothing else in this file was looked at",
        "b.toml:6:18: unknown type `txt`; did you mean `text`?",
    ];
    assert_eq!(told(&files), expected);
}

#[test]
fn a_key_that_comes_twice() {
    let a = r##"vertical = "a"
vertical = "b"
"##;
    let files = [("a.toml", a)];
    let expected: &[&str] =
        &["a.toml:2:1: this is no TOML: duplicate key: `vertical`; the first one is in line 1"];
    assert_eq!(told(&files), expected);
}

#[test]
fn a_table_that_comes_twice() {
    let a = r##"[roles]
a = []
[roles]
b = []
"##;
    let files = [("a.toml", a)];
    let expected: &[&str] =
        &["a.toml:3:1: this is no TOML: redefinition of table `roles`; the first one is in line 1"];
    assert_eq!(told(&files), expected);
}

#[test]
fn an_empty_file() {
    let a = r##""##;
    let files = [("a.toml", a)];
    let expected: &[&str] =
        &["a.toml:1:1: the file declares nothing; add `[collections.…]` or `[roles]`"];
    assert_eq!(told(&files), expected);
}

#[test]
fn a_file_without_its_vertical() {
    let a = r##"[collections]
"##;
    let files = [("a.toml", a)];
    let expected: &[&str] =
        &[r#"a.toml:1:1: `vertical` is missing; begin the file with `vertical = "…"`"#];
    assert_eq!(told(&files), expected);
}

#[test]
fn a_vertical_whose_name_is_taken() {
    let a = r##"vertical = "sync"
[collections]
"##;
    let b = r##"vertical = "pg_x"
[collections]
"##;
    let c = r##"vertical = "a-b"
[collections]
"##;
    let files = [("a.toml", a), ("b.toml", b), ("c.toml", c)];
    let expected: &[&str] = &[
        "a.toml:1:1: `sync` is reserved; choose another name",
        "b.toml:1:1: `pg_x`: names that begin with `pg_` are reserved; choose another name",
        "c.toml:1:1: `a-b` is no name for a vertical; use lower-case ASCII letters, digits and `_`, beginning with a letter, at most 51 characters",
    ];
    assert_eq!(told(&files), expected);
}

#[test]
fn a_vertical_with_two_files() {
    let a = r##"vertical = "a"
[collections]
"##;
    let b = r##"vertical = "a"
[collections]
"##;
    let files = [("a.toml", a), ("b.toml", b)];
    let expected: &[&str] = &[
        "b.toml:1:1: the vertical `a` has a file already; move the collections there: a vertical has one file",
    ];
    assert_eq!(told(&files), expected);
}

#[test]
fn a_collection_that_needs_everything() {
    let a = r##"vertical = "a"
[collections.x]
"##;
    let files = [("a.toml", a)];
    let expected: &[&str] = &[
        "a.toml:2:14: `read` is missing; name the permission, such as `project:read`",
        "a.toml:2:14: `write` is missing; name the permission, such as `project:read`",
        "a.toml:2:14: `fields` is missing; add `[collections.x.fields]`",
        r#"a.toml:2:14: `x` belongs to no scope; write `scopes = ["tenant"]`, or name an entity by a column, such as `scopes = ["project:proyecto_id"]`"#,
    ];
    assert_eq!(told(&files), expected);
}

#[test]
fn a_collection_in_two_verticals() {
    let a = r##"vertical = "a"
[collections.x]
read = "a:read"
write = "a:write"
scopes = ["tenant"]
fields = { a = { type = "text" } }
"##;
    let b = r##"vertical = "b"
[collections.x]
read = "b:read"
"##;
    let files = [("a.toml", a), ("b.toml", b)];
    let expected: &[&str] = &[
        "b.toml:2:14: `a` has a collection `x` already; choose another name: it is unique across verticals",
    ];
    assert_eq!(told(&files), expected);
}

#[test]
fn collections_with_hostile_names() {
    let a = r##"vertical = "a"
[collections."x\"; --"]
read = "a:read"
write = "a:write"
scopes = ["tenant"]
fields = { a = { type = "text" } }
[collections.order]
read = "a:read"
write = "a:write"
scopes = ["tenant"]
fields = { a = { type = "text" } }
[collections.sqlite_master]
read = "a:read"
write = "a:write"
scopes = ["tenant"]
fields = { a = { type = "text" } }
"##;
    let files = [("a.toml", a)];
    let expected: &[&str] = &[
        r#"a.toml:2:15: `x\"; --` is no name for a collection; use lower-case ASCII letters, digits and `_`, beginning with a letter, at most 51 characters"#,
        "a.toml:7:14: `order` is a word of SQL and would need quotes there; choose another name",
        "a.toml:12:14: `sqlite_master`: names that begin with `sqlite_` are reserved; choose another name",
    ];
    assert_eq!(told(&files), expected);
}

#[test]
fn a_circle_of_parents() {
    let a = r##"vertical = "a"
[collections.x]
read = "a:read"
write = "a:write"
scopes = ["tenant"]
parent = { collection = "y", field = "a" }
fields = { a = { type = "uuid", required = true, references = "y" } }
[collections.y]
read = "a:read"
write = "a:write"
scopes = ["tenant"]
parent = { collection = "x", field = "a" }
fields = { a = { type = "uuid", required = true, references = "x" } }
"##;
    let files = [("a.toml", a)];
    let expected: &[&str] = &[
        "a.toml:6:12: `x` is its own ancestor; break the circle of parents",
        "a.toml:12:12: `y` is its own ancestor; break the circle of parents",
    ];
    assert_eq!(told(&files), expected);
}

#[test]
fn a_circle_of_references() {
    let a = r##"vertical = "a"
[collections.x]
read = "a:read"
write = "a:write"
scopes = ["tenant"]
fields = { a = { type = "uuid", references = "y" }, self = { type = "uuid", references = "x" } }
[collections.y]
read = "a:read"
write = "a:write"
scopes = ["tenant"]
fields = { a = { type = "uuid", references = "x" } }
"##;
    let files = [("a.toml", a)];
    let expected: &[&str] = &[
        "a.toml:6:33: `x` and `y` refer to each other; break the circle: leave out one of the references",
        "a.toml:11:33: `y` and `x` refer to each other; break the circle: leave out one of the references",
    ];
    assert_eq!(told(&files), expected);
}

#[test]
fn a_child_that_keeps_its_own_scope_column() {
    let a = r##"vertical = "a"
[collections.x]
read = "a:read"
write = "a:write"
scopes = ["project:p"]
fields = { p = { type = "uuid", required = true } }
[collections.y]
read = "a:read"
write = "a:write"
scopes = ["project:p"]
parent = { collection = "x", field = "a" }
[collections.y.fields]
a = { type = "uuid", required = true, references = "x" }
p = { type = "uuid", required = true }
"##;
    let files = [("a.toml", a)];
    let expected: &[&str] = &[
        "a.toml:14:1: `p` is a scope column of the parent `x`; write `from_parent = true`, so that the two stay together",
    ];
    assert_eq!(told(&files), expected);
}

#[test]
fn a_carried_column_that_refers_elsewhere() {
    let a = r##"vertical = "a"
[collections.x]
read = "a:read"
write = "a:write"
scopes = ["project:p"]
fields = { p = { type = "uuid", required = true } }
[collections.y]
read = "a:read"
write = "a:write"
scopes = ["project:p"]
parent = { collection = "x", field = "a" }
[collections.y.fields]
a = { type = "uuid", required = true, references = "x" }
p = { type = "uuid", from_parent = true, references = "y" }
"##;
    let files = [("a.toml", a)];
    let expected: &[&str] =
        &["a.toml:14:42: `x.p` does not refer to that; refer to the same collection as the parent"];
    assert_eq!(told(&files), expected);
}

#[test]
fn a_carried_column_that_says_what_the_parent_says() {
    let a = r##"vertical = "a"
[collections.x]
read = "a:read"
write = "a:write"
scopes = ["project:p"]
fields = { p = { type = "uuid", required = true } }
[collections.y]
read = "a:read"
write = "a:write"
scopes = ["project:p"]
parent = { collection = "x", field = "a" }
[collections.y.fields]
a = { type = "uuid", required = true, references = "x" }
p = { type = "uuid", from_parent = true, required = true, merge = "review" }
"##;
    let files = [("a.toml", a)];
    let expected: &[&str] = &[
        "a.toml:14:42: `p` is taken from the parent, and so is its `required`; remove it",
        "a.toml:14:59: `p` is taken from the parent, and so is its `merge`; remove it",
    ];
    assert_eq!(told(&files), expected);
}

#[test]
fn roles_with_unknown_permissions_and_permissions_without_a_role() {
    let a = r##"vertical = "a"
[collections.x]
read = "a:read"
write = "a:write"
scopes = ["tenant"]
fields = { a = { type = "text" } }
"##;
    let roles = r##"[roles]
admin = ["a:read", "a:raed", "a:read", "user:manage", 5]
"The Boss" = ["sudo:everything"]
"##;
    let more = r##"[roles]
admin = []
"##;
    let files = [("a.toml", a), ("roles.toml", roles), ("more.toml", more)];
    let expected: &[&str] = &[
        "a.toml:4:1: no role has the permission `a:write`; give it to a role; the permissions that roles have are a:raed, a:read, conflict:resolve, device:manage, sudo:everything, user:manage",
        "roles.toml:2:20: nothing asks for the permission `a:raed`; did you mean `a:read`?",
        "roles.toml:2:30: `a:read` is there twice; remove one",
        "roles.toml:2:55: an element is `5`; write a text",
        "roles.toml:3:2: `The Boss` is no name for a role; use lower-case ASCII letters, digits and `_`, beginning with a letter, at most 51 characters",
        "roles.toml:3:15: nothing asks for the permission `sudo:everything`; the permissions are a:read, a:write, conflict:resolve, device:manage, user:manage",
        "more.toml:2:1: the role `admin` is declared already; put its permissions into one list",
    ];
    assert_eq!(told(&files), expected);
}

#[test]
fn a_role_that_says_nothing_right() {
    let roles = r##"[roles]
admin = "a:read"
"##;
    let files = [("roles.toml", roles)];
    let expected: &[&str] =
        &["roles.toml:2:1: `admin` is the text `a:read`; write an array of texts"];
    assert_eq!(told(&files), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Somebody edits a schema file blindly: whatever comes out is read or told, never a panic, and
    /// every mistake lies within the file.
    #[test]
    fn a_damaged_file_is_told_with_a_place_in_it(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..12_usize), 1..6)
    ) {
        let mut text: Vec<char> = include_str!("../../schemas/mecanicas.toml").chars().collect();
        for (at, what) in edits {
            let at = at.index(text.len());
            let bits = ["", "\"", "[", "]", "{", "}", "=", "\n", ".", "é🦀", "a", "\0"];
            text.splice(at..=at, bits[what].chars());
        }
        let text: String = text.into_iter().collect();
        let lines: Vec<&str> = text.split('\n').collect();
        let files = [SourceFile { name: "x.toml".into(), text: text.clone() }];
        for mistake in parse(&files).err().unwrap_or_default() {
            prop_assert_eq!(&mistake.file, "x.toml");
            let line = lines.get(mistake.line - 1);
            prop_assert!(
                line.is_some_and(|line| mistake.column <= line.chars().count() + 1),
                "{} lies outside", mistake
            );
        }
    }
}
