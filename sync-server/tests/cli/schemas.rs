//! `schema check` and `schema typescript`.

use crate::program::{Place, text};

#[test]
fn every_mistake_of_a_file_is_told_with_its_line_and_a_remedy() {
    let place = Place::new();
    let file = place.path("obra.toml");
    let lines = [
        "vertical = \"obra\"",
        "",
        "[collections.partes]",
        "scopes = [\"project:obra\"]",
        "read = \"project:read\"",
        "write = \"project:write\"",
        "colour = \"red\"",
        "",
        "[collections.partes.fields]",
        "horas = { type = \"decimal\" }",
        "dia = { type = \"day\" }",
        "obra_id = { type = \"uuid\", references = \"obras\" }",
    ];
    std::fs::write(&file, lines.join("\n")).expect("written");
    let ended = place.run(&["schema", "check", text(&file)]);
    assert!(!ended.success && ended.stdout.is_empty(), "{ended:?}");
    let json = place.run(&["--json", "schema", "check", text(&file)]);
    assert!(!json.success, "{json:?}");
    let document: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    let mistakes = document["mistakes"].as_array().expect("a list");
    assert!(mistakes.len() >= 4, "{mistakes:#?}");
    for mistake in mistakes {
        let line = mistake["line"].as_u64().expect("a line");
        let what = mistake["what"].as_str().expect("what is wrong");
        let remedy = mistake["remedy"].as_str().expect("a remedy");
        assert!(
            !remedy.is_empty()
                && mistake["file"].as_str().is_some_and(|f| f.ends_with("obra.toml"))
        );
        assert!(ended.stderr.contains(&format!("obra.toml:{line}")), "{line} in {}", ended.stderr);
        assert!(ended.stderr.contains(what) && ended.stderr.contains(remedy), "{}", ended.stderr);
    }
    for line in [4, 7, 10, 11, 12] {
        assert!(
            mistakes.iter().any(|m| m["line"] == line),
            "nothing about line {line}: {mistakes:#?}"
        );
    }
    let problem: serde_json::Value =
        serde_json::from_str(json.stderr.lines().last().expect("a line")).expect("a problem");
    assert_eq!(problem["code"], "schema");
}

#[test]
fn what_is_built_in_has_no_mistake() {
    let place = Place::new();
    let ended = place.run(&["schema", "check"]);
    assert!(ended.success && ended.stdout.contains("no mistake"), "{ended:?}");
    let json = place.json(&["schema", "check"]);
    assert_eq!(json["mistakes"], serde_json::json!([]));
    assert!(json["collections"].as_array().is_some_and(|all| all.contains(&"avances".into())));
    let missing = place.problem(&["schema", "check", "/nowhere/obra.toml"]);
    assert!(missing["detail"].as_str().is_some_and(|text| text.contains("/nowhere/obra.toml")));
}

#[test]
fn typescript_is_the_same_each_time_and_in_both_forms() {
    let place = Place::new();
    let printed = place.run(&["schema", "typescript"]);
    assert!(printed.success, "{printed:?}");
    let json = place.json(&["schema", "typescript"]);
    assert_eq!(printed.stdout.trim_end(), json["typescript"].as_str().expect("text").trim_end());
    for expected in ["export interface Collections {", "avances:", "export type Uuid = string;"] {
        assert!(printed.stdout.contains(expected), "{expected}");
    }
    assert!(!printed.stdout.contains(": any"), "a type that says nothing");
}
