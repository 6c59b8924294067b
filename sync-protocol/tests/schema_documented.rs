//! `docs/schema.md` is right: its example is read without a mistake, it names every key and every
//! word that the reader knows, and its types are those of the snapshot.

use std::path::{Path, PathBuf};

use sync_protocol::schema::Schema;
use sync_protocol::schema::parse::{SourceFile, parse};
use sync_protocol::schema::typescript::typescript;

const PAGE: &str = include_str!("../../docs/schema.md");

/// The TOML blocks of the page, each as a file.
fn example() -> Vec<SourceFile> {
    let blocks = PAGE.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks
        .enumerate()
        .map(|(n, text)| SourceFile { name: format!("example-{n}.toml"), text: text.to_owned() })
        .collect()
}

fn read(files: &[SourceFile]) -> Schema {
    parse(files).unwrap_or_else(|mistakes| {
        let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        panic!("{}", lines.join("\n"))
    })
}

#[test]
fn the_example_has_no_mistake() {
    let files = example();
    assert_eq!(files.len(), 2, "a vertical and the roles");
    let schema = read(&files);
    assert_eq!(schema.collections.len(), 3);
    assert_eq!(schema.roles.len(), 2);
}

/// The words that the reader offers where it meets this text instead.
fn words_offered(text: &str) -> Vec<String> {
    let file = SourceFile { name: "x.toml".into(), text: text.into() };
    let mistakes = parse(&[file]).expect_err("a mistake");
    let remedy = mistakes.iter().find_map(|mistake| mistake.remedy.split_once(" are "));
    let (_, list) = remedy.unwrap_or_else(|| panic!("no list of words in {mistakes:?}"));
    list.split(", ").map(str::to_owned).collect()
}

#[test]
fn every_key_and_word_is_explained() {
    let collection = "vertical = \"a\"\n[collections.x]\n";
    let places = [
        ("zzzzzzzz = 1".to_owned(), 3),
        (format!("{collection}zzzzzzzz = 1"), 13),
        (format!("{collection}on_delete_conflict = \"zzzzzzzz\""), 3),
        (format!("{collection}fields.a = {{ type = \"text\", zzzzzzzz = 1 }}"), 13),
        (format!("{collection}fields.a = {{ type = \"zzzzzzzzzzzz\" }}"), 11),
        (format!("{collection}fields.a = {{ type = \"text\", merge = \"zzzzzzzz\" }}"), 8),
    ];
    for (text, count) in places {
        let words = words_offered(&text);
        assert_eq!(words.len(), count, "{words:?}");
        for word in words {
            let named = [format!("`{word}`"), format!("`\"{word}\"`"), format!("`{word} = ")];
            assert!(named.iter().any(|n| PAGE.contains(n)), "the page does not explain `{word}`");
        }
    }
}

/// `UPDATE_SNAPSHOTS=1 cargo test -p sync-protocol` writes the snapshot anew.
#[test]
fn the_types_of_the_example_are_as_before() {
    let path: PathBuf =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schema_documented.expected.ts");
    let actual = typescript(&read(&example()));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &actual).expect("the snapshot can be written");
    }
    let expected = std::fs::read_to_string(&path).expect("the snapshot is there");
    assert_eq!(actual, expected, "if that is meant, see the comment above this test");
}

#[test]
fn the_same_schema_gives_the_same_types() {
    let mut files = example();
    let forwards = typescript(&read(&files));
    files.reverse();
    assert_eq!(typescript(&read(&files)), forwards);
}
