//! Every mistake in a schema is told with its place and a remedy.

use sync_protocol::schema::Mistake;
use sync_protocol::schema::parse::{SourceFile, parse};

fn mistakes(files: &[(&str, &str)]) -> Vec<Mistake> {
    let files: Vec<SourceFile> = files
        .iter()
        .map(|(name, text)| SourceFile { name: (*name).into(), text: (*text).into() })
        .collect();
    parse(&files).err().unwrap_or_default()
}

fn told(files: &[(&str, &str)]) -> Vec<String> {
    mistakes(files).iter().map(ToString::to_string).collect()
}

/// A vertical with one good collection `obras`, in lines 1 to 8, and these lines after it.
fn with(lines: &str) -> String {
    format!(
        r#"vertical = "prueba"
[collections.obras]
scopes = ["project:id"]
read = "project:read"
write = "project:write"
[collections.obras.fields]
nombre = {{ type = "text" }}

{lines}"#
    )
}

/// A collection `c` with these keys in line 10 and these fields from line 13 on.
fn collection(keys: &str, fields: &str) -> String {
    with(&format!(
        "[collections.c]\n{keys}\nread = \"project:read\"\nwrite = \"project:write\"\n\
         [collections.c.fields]\n{fields}\n"
    ))
}

/// A collection of the tenant with these fields, the first in line 14.
fn fields(fields: &str) -> String {
    collection("scopes = [\"tenant\"]", fields)
}

/// Compares what is told of each text with what is expected, without the file's name.
fn assert_told(text: &str, expected: &[&str]) {
    let expected: Vec<String> = expected.iter().map(|line| format!("x.toml:{line}")).collect();
    assert_eq!(told(&[("x.toml", text)]), expected, "of this text:\n{text}");
}

#[test]
fn mistakes_in_a_field() {
    let cases: &[(&str, &[&str])] = &[
        (r#"a = { type = "txt" }"#, &["14:7: unknown type `txt`; did you mean `text`?"]),
        (
            r#"a = { requird = true, type = "text" }"#,
            &["14:7: unknown key `requird`; did you mean `required`?"],
        ),
        (
            "a = { required = true }",
            &[
                "14:1: `type` is missing; write one of text, integer, decimal, real, boolean, date, timestamp, uuid, enum, set, json",
            ],
        ),
        (
            r#"a = { type = "text", required = "yes" }"#,
            &["14:22: `required` is the text `yes`; write true or false"],
        ),
        ("a = 7", &["14:1: `a` is `7`; write a table"]),
        (
            r#"a = { type = "decimal" }"#,
            &["14:1: `scale` is missing; say how many digits follow the point: `scale = 2`"],
        ),
        (
            r#"a = { type = "decimal", scale = 10 }"#,
            &["14:25: `scale` is `10`; write an integer from 0 to 9"],
        ),
        (
            r#"a = { type = "text", scale = 2 }"#,
            &[
                "14:22: `scale` belongs to the type `decimal`, not to `text`; remove it, or change the type",
            ],
        ),
        (
            r#"a = { type = "enum" }"#,
            &[r#"14:1: `values` is missing; list the words: `values = ["…", "…"]`"#],
        ),
        (
            r#"a = { type = "enum", values = [] }"#,
            &["14:22: an enum without words; list at least one"],
        ),
        (
            r#"a = { type = "enum", values = ["x", "x", " y", "\u0007"] }"#,
            &[
                "14:37: `x` is there twice; remove one",
                "14:42: ` y` is no word for an enum; use 1 to 50 characters, no control characters, and no space at either end",
                r#"14:48: `\u{7}` is no word for an enum; use 1 to 50 characters, no control characters, and no space at either end"#,
            ],
        ),
        (
            r#"a = { type = "text", values = ["x"] }"#,
            &[
                "14:22: `values` belongs to the type `enum`, not to `text`; remove it, or change the type",
            ],
        ),
        (
            r#"a = { type = "text", merge = "countr" }"#,
            &["14:22: unknown `merge` `countr`; did you mean `counter`?"],
        ),
        (
            r#"a = { type = "text", merge = "counter" }"#,
            &[
                "14:22: the merge rule `counter` does not fit `a`; change the rule, or the type to `integer` or `decimal`",
            ],
        ),
        (
            r#"a = { type = "real", merge = "counter" }"#,
            &[
                "14:22: the merge rule `counter` does not fit `a`; change the rule, or the type to `integer` or `decimal`",
            ],
        ),
        (
            r#"a = { type = "text", merge = "set" }"#,
            &[
                "14:22: the merge rule `set` does not fit `a`; change the rule, or the type to `set`",
            ],
        ),
        (
            r#"a = { type = "boolean", merge = "max" }"#,
            &[
                "14:25: the merge rule `max` does not fit `a`; change the rule, or the type to `integer`, `decimal`, `real`, `date` or `timestamp`",
            ],
        ),
        (
            r#"a = { type = "uuid", merge = "min" }"#,
            &[
                "14:22: the merge rule `min` does not fit `a`; change the rule, or the type to `integer`, `decimal`, `real`, `date` or `timestamp`",
            ],
        ),
        (
            r#"a = { type = "set", merge = "max" }"#,
            &[
                "14:21: the merge rule `max` does not fit `a`; change the rule, or the type to `integer`, `decimal`, `real`, `date` or `timestamp`",
            ],
        ),
        (
            r#"a = { type = "integer", min = 5, max = 4 }"#,
            &["14:25: `min` is above `max`; swap them"],
        ),
        (
            r#"a = { type = "date", min = "2026-02-01", max = "2026-01-01" }"#,
            &["14:22: `min` is above `max`; swap them"],
        ),
        (
            r#"a = { type = "text", min = 1 }"#,
            &["14:22: `a` has no order, and so no `min`; remove it"],
        ),
        (
            r#"a = { type = "integer", max = "many" }"#,
            &[
                r#"14:25: `max` does not fit: `a` must be a 64-bit integer, but "many" was given; change `max` or the type"#,
            ],
        ),
        (
            r#"a = { type = "real", max = inf }"#,
            &["14:22: `max` does not fit: `a` must be a finite number; change `max` or the type"],
        ),
        (
            r#"a = { type = "integer", min = 0, default = -1 }"#,
            &[
                "14:34: `default`: `a` must be at least 0, but is -1; change the default or the limit",
            ],
        ),
        (
            r#"a = { type = "integer", merge = "counter", min = 0, default = -1 }"#,
            &[
                "14:53: `default`: `a` must be at least 0, but is -1; change the default or the limit",
            ],
        ),
        (
            r#"a = { type = "text", max_length = 3, default = "cuatro" }"#,
            &[
                "14:38: `default`: `a` may have at most 3 characters, but has 6; change the default or the limit",
            ],
        ),
        (
            r#"a = { type = "decimal", scale = 2, default = 1.234 }"#,
            &[
                r#"14:36: `default` does not fit: `a` must be a decimal such as "12.5" with at most 2 digits after the point, but 1.234 was given; change `default` or the type"#,
            ],
        ),
        (
            r#"a = { type = "boolean", default = "yes" }"#,
            &[
                r#"14:25: `default` does not fit: `a` must be true or false, but "yes" was given; change `default` or the type"#,
            ],
        ),
        (
            r#"a = { type = "enum", values = ["x", "y"], default = "z" }"#,
            &[
                r#"14:43: `default` does not fit: `a` must be one of x, y, but "z" was given; change `default` or the type"#,
            ],
        ),
        (
            r#"a = { type = "integer", max_length = 5 }"#,
            &["14:25: `a` is no text, and so has no `max_length`; remove it"],
        ),
        (
            r#"a = { type = "text", max_length = 10001 }"#,
            &["14:22: `max_length` is 10001; at most 10000 is possible"],
        ),
        (
            r#"a = { type = "set", max_length = 201 }"#,
            &["14:21: `max_length` is 201; at most 200 is possible"],
        ),
        (
            r#"a = { type = "uuid", references = "obra" }"#,
            &["14:22: there is no collection `obra`; did you mean `obras`?"],
        ),
        (
            r#"a = { type = "text", references = "obras" }"#,
            &[r#"14:7: `a` refers to `obras`, but is no UUID; write `type = "uuid"`"#],
        ),
        (
            r#"a = { type = "text", required = true, merge = "server" }"#,
            &[
                "14:22: `a` is required, but devices may not write it: they could insert no row; add a `default`, or remove `required`",
            ],
        ),
        (
            r#"a = { type = "text", required = true, write = "price:write" }"#,
            &[
                "14:22: `a` is required, but not everybody may write it: they could insert no row; add a `default`, or remove `required`",
            ],
        ),
        (
            r#"a = { type = "text", read = "cost" }"#,
            &["14:22: `cost` is no permission; write a subject and a verb, such as `project:read`"],
        ),
        (
            r#"a = { type = "uuid", from_parent = true }"#,
            &["14:22: `c` has no parent; declare `parent = { collection = …, field = … }`"],
        ),
        (
            r#"id = { type = "uuid" }"#,
            &[
                "14:1: `id` is implied and may not be declared; remove it: every row has a UUID `id`",
            ],
        ),
        (
            r#"tenant_id = { type = "uuid" }"#,
            &["14:1: `tenant_id` is reserved; choose another name"],
        ),
        (
            r#"select = { type = "text" }"#,
            &["14:1: `select` is a word of SQL and would need quotes there; choose another name"],
        ),
        (
            r#"_a = { type = "text" }"#,
            &[
                "14:1: `_a` is no name for a field; use lower-case ASCII letters, digits and `_`, beginning with a letter, at most 51 characters",
            ],
        ),
        (
            r#"campo_a = { type = "text" }"#,
            &["14:1: `campo_a`: names that begin with `campo_` are reserved; choose another name"],
        ),
        (
            r#""a\"; DROP TABLE obras; --" = { type = "text" }"#,
            &[
                r#"14:2: `a\"; DROP TABLE obras; --` is no name for a field; use lower-case ASCII letters, digits and `_`, beginning with a letter, at most 51 characters"#,
            ],
        ),
        (
            r#""Año" = { type = "text" }"#,
            &[
                "14:2: `Año` is no name for a field; use lower-case ASCII letters, digits and `_`, beginning with a letter, at most 51 characters",
            ],
        ),
        ("", &["13:16: a collection needs a field; declare at least one"]),
    ];
    for (lines, expected) in cases {
        assert_told(&fields(lines), expected);
    }
}

#[test]
fn mistakes_in_a_collection() {
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "",
            r#"a = { type = "text" }"#,
            &[
                r#"9:14: `c` belongs to no scope; write `scopes = ["tenant"]`, or name an entity by a column, such as `scopes = ["project:proyecto_id"]`"#,
            ],
        ),
        (
            "scopes = []",
            r#"a = { type = "text" }"#,
            &[
                r#"10:1: `c` belongs to no scope; write `scopes = ["tenant"]`, or name an entity by a column, such as `scopes = ["project:proyecto_id"]`"#,
            ],
        ),
        (
            r#"scopes = ["project"]"#,
            r#"a = { type = "text" }"#,
            &[
                "10:11: `project` is no scope; write `tenant`, or a kind and the column that holds its id, such as `project:proyecto_id`",
            ],
        ),
        (
            r#"scopes = ["tenant", "tenant"]"#,
            r#"a = { type = "text" }"#,
            &["10:21: this scope is there twice; remove one"],
        ),
        (
            r#"scopes = ["tenant", "Project:a"]"#,
            r#"a = { type = "uuid", required = true }"#,
            &[
                "10:21: `Project:a` is no scope; write `tenant`, or a kind and the column that holds its id, such as `project:proyecto_id`",
            ],
        ),
        (
            r#"scopes = ["project:b"]"#,
            r#"a = { type = "uuid", required = true }"#,
            &["10:11: `c` has no column `b`; did you mean `a`?"],
        ),
        (
            r#"scopes = ["project:a"]"#,
            r#"a = { type = "text", required = true }"#,
            &[r#"14:7: the scope column `a` is no UUID; write `type = "uuid"`"#],
        ),
        (
            r#"scopes = ["project:a"]"#,
            r#"a = { type = "uuid" }"#,
            &[
                "14:1: the scope column `a` may be null, and then names no scope; write `required = true`, or `required = false` if that is meant",
            ],
        ),
        (
            r#"scopes = ["project:a"]"#,
            r#"a = { type = "uuid", required = false }"#,
            &[
                "10:1: a row of `c` may be in no scope at all; make one scope column `required = true`, or add a scope that always holds",
            ],
        ),
        (
            r#"scopes = ["project:a"]"#,
            r#"a = { type = "uuid", required = true, default = "0192aaaa-0000-7000-8000-000000000000", read = "cost:read" }"#,
            &[
                "14:89: the scope column `a` is hidden from some who get the row; remove its `read`: devices need it to know where the row belongs",
            ],
        ),
        (
            r#"scopes = ["projct:a"]"#,
            r#"a = { type = "uuid", required = true, references = "obras" }"#,
            &["10:11: `a` refers to `obras`, whose scope is `project:id`; write `project:a`"],
        ),
        (
            r#"scopes = ["tenant"]
priority = -1"#,
            r#"a = { type = "text" }"#,
            &["11:1: `priority` is `-1`; write an integer from 0 to 1000"],
        ),
        (
            r#"scopes = ["tenant"]
on_delete_conflict = "reviw""#,
            r#"a = { type = "text" }"#,
            &["11:1: unknown `on_delete_conflict` `reviw`; did you mean `review`?"],
        ),
        (
            r#"scopes = ["tenant"]
atomic_review = 1"#,
            r#"a = { type = "text" }"#,
            &["11:1: `atomic_review` is `1`; write true or false"],
        ),
        (
            r#"scopes = ["tenant"]
lable = "C""#,
            r#"a = { type = "text" }"#,
            &["11:1: unknown key `lable`; did you mean `label`?"],
        ),
        (
            r#"scopes = ["tenant"]
natural_key = { fields = ["b", "a", "a", "id"], on_duplicate = "adopt" }"#,
            r#"a = { type = "integer", required = true }"#,
            &[
                "11:17: a natural key of 4 fields; name 1 to 3",
                "11:27: `c` has no column `b`; did you mean `a`?",
                "11:37: `a` is there twice; remove one",
                "11:42: `id` is unique by itself; remove it",
            ],
        ),
        (
            r#"scopes = ["tenant"]
natural_key = { fields = ["a"], on_duplicate = "adopt" }"#,
            r#"a = { type = "integer" }"#,
            &["15:1: `a` may be null, but is in the natural key; write `required = true`"],
        ),
        (
            r#"scopes = ["tenant"]
natural_key = { fields = ["a"], on_duplicate = "adopt" }"#,
            r#"a = { type = "text", required = true }"#,
            &[
                "11:27: the text `a` is too long for a natural key; write `max_length = 200` or less",
            ],
        ),
        (
            r#"scopes = ["tenant"]
natural_key = { fields = ["a"], on_duplicate = "adopt" }"#,
            r#"a = { type = "json", required = true }"#,
            &["11:27: `a` can be in no natural key; only exact, ordered types can"],
        ),
        (
            r#"scopes = ["tenant"]
natural_key = { fields = ["a"], on_duplicate = "adopt" }"#,
            r#"a = { type = "integer", required = true, merge = "counter" }"#,
            &["11:27: the counter `a` can be in no natural key; name another"],
        ),
        (
            r#"scopes = ["tenant"]
natural_key = { fields = ["a"], on_duplicate = "adopt" }"#,
            r#"a = { type = "integer", required = true, default = 1, read = "cost:read" }"#,
            &[
                "11:27: `a` is hidden from some, who could not avoid duplicates; remove its `read`, or take it out of the natural key",
            ],
        ),
        (
            r#"scopes = ["tenant"]
natural_key = { fields = [] }"#,
            r#"a = { type = "text" }"#,
            &[r#"11:1: `on_duplicate` is missing; write "adopt" or "refuse""#],
        ),
        (
            r#"scopes = ["tenant"]
natural_key = { fields = [], on_duplicate = "merge" }"#,
            r#"a = { type = "text" }"#,
            &["11:30: unknown `on_duplicate` `merge`; the choices are adopt, refuse"],
        ),
        (
            r#"scopes = ["tenant"]
parent = { collection = "obras" }"#,
            r#"a = { type = "text" }"#,
            &["11:1: `field` is missing; name the column that holds the parent's id"],
        ),
        (
            r#"scopes = ["tenant"]
parent = { collection = "obra", field = "a" }"#,
            r#"a = { type = "uuid" }"#,
            &["11:12: there is no collection `obra`; did you mean `obras`?"],
        ),
        (
            r#"scopes = ["project:a"]
parent = { collection = "obras", field = "b" }"#,
            r#"a = { type = "uuid", required = true }"#,
            &["11:34: `c` has no column `b`; did you mean `a`?"],
        ),
        (
            r#"scopes = ["project:a"]
parent = { collection = "obras", field = "a" }"#,
            r#"a = { type = "uuid", required = true }"#,
            &[
                r#"15:1: `a` does not hold the id of the parent; declare it as `{ type = "uuid", required = true, references = "obras" }`"#,
            ],
        ),
        (
            r#"scopes = ["tenant"]
parent = { collection = "obras", field = "a" }"#,
            r#"a = { type = "uuid", required = true, references = "obras" }"#,
            &[r#"10:1: `c` does not go where its parent goes; add "project:a", as `obras` has it"#],
        ),
        (
            r#"scopes = ["project:a"]
parent = { collection = "obras", field = "a" }"#,
            r#"a = { type = "uuid", required = true, references = "obras" }
b = { type = "uuid", from_parent = true }"#,
            &[
                "16:22: `b` is no scope column of `obras`; only scope columns follow the parent: remove it",
            ],
        ),
        (
            r#"scopes = ["tenant"]
parent = { collection = "c", field = "a" }"#,
            r#"a = { type = "uuid", required = true, references = "c" }"#,
            &["11:12: `c` is its own ancestor; break the circle of parents"],
        ),
    ];
    for (keys, fields, expected) in cases {
        assert_told(&collection(keys, fields), expected);
    }
}

#[test]
fn a_file_does_not_reach_into_the_terminal_that_shows_its_mistakes() {
    for text in
        ["\u{1b}[2Jroles]", "[\"\\u001b[2J\"]", "vertical = \"a\u{7f}b\"", "a = \"\\u0007\"\n"]
    {
        let told = told(&[("x.toml", text)]);
        assert!(!told.is_empty(), "{text:?} has a mistake");
        assert!(!told.iter().any(|line| line.contains(char::is_control)), "{told:?}");
    }
}
