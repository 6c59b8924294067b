//! A stream's own edits are ordered by position, never by time, and hide nobody else's.

use sync_protocol::merge::{FieldEdit, Verdict};
use sync_protocol::schema::MergeRule;
use sync_protocol::{EditTime, StreamId, Value};

use crate::model::{Edit, Row, field, stream, text, texts};

fn set(n: u8, value: &str, base: i64, at_us: i64) -> Edit {
    Edit {
        field: field(MergeRule::Lww),
        edit: FieldEdit::Set(text(value)),
        base: Some(base),
        stream: stream(n),
        time: EditTime::certain(at_us),
    }
}

fn elements(n: u8, add: &[&str], remove: &[&str], base: i64) -> Edit {
    Edit {
        field: field(MergeRule::Set),
        edit: FieldEdit::Elements { add: texts(add), remove: texts(remove) },
        base: Some(base),
        stream: stream(n),
        time: EditTime::certain(1),
    }
}

fn crew(row: &Row) -> Vec<&str> {
    match row.value(MergeRule::Set) {
        Value::Set(elements) => elements.iter().map(String::as_str).collect(),
        other => panic!("{other:?} is no set"),
    }
}

#[test]
fn a_second_edit_replaces_the_first_although_somebody_else_edited_between_the_bases() {
    // Juan's clock ran ahead, so both of his times were cut to the server's: they are equal.
    for second_at in [30, 15] {
        let mut row = Row::inserted([(MergeRule::Lww, text("first"))]);
        assert_eq!(row.apply(&set(1, "ana's", 1, 20)), Verdict::Applied);
        assert_eq!(row.apply(&set(0, "juan's", 1, 30)), Verdict::Applied);
        assert_eq!(row.apply(&set(0, "juan's again", 1, second_at)), Verdict::Applied);
        assert_eq!(row.value(MergeRule::Lww), &text("juan's again"));
    }
}

#[test]
fn a_later_edit_of_ones_own_does_not_hide_that_somebody_else_edited() {
    let mut row = Row::inserted([(MergeRule::Lww, text("first"))]);
    row.apply(&set(1, "ana's", 1, 20));
    // Juan saw Ana's and replaced it; then an older edit of his arrives, which had not seen it.
    row.apply(&set(0, "juan's", 2, 30));
    assert!(row.meta.is_concurrent("lww", Some(1), stream(0)));
    assert!(!row.meta.is_concurrent("lww", Some(2), stream(0)));
    assert!(row.meta.is_concurrent("lww", None, stream(0)), "an unknown base");
    assert!(row.meta.is_concurrent("lww", Some(9), stream(0)), "a base of an ended history");
}

#[test]
fn an_element_that_somebody_else_added_as_well_outlives_its_removal() {
    let mut row = Row::inserted([(MergeRule::Set, Value::Set(texts(&[])))]);
    row.apply(&elements(1, &["luis"], &[], 1));
    row.apply(&elements(0, &["luis"], &[], 1));
    // Juan takes back his own addition. He never saw Ana's.
    row.apply(&elements(0, &[], &["luis"], 1));
    assert_eq!(crew(&row), ["luis"]);
    // Once he has seen hers, he can.
    row.apply(&elements(0, &[], &["luis"], row.meta.version));
    assert!(crew(&row).is_empty());
}

#[test]
fn an_element_of_the_insertion_that_is_added_again_outlives_a_removal_that_saw_neither() {
    let mut row = Row::inserted([(MergeRule::Set, Value::Set(texts(&["luis"])))]);
    row.apply(&elements(0, &["luis"], &[], 1));
    row.apply(&elements(1, &[], &["luis"], 1));
    assert_eq!(crew(&row), ["luis"], "Ana had not seen that Juan wants him too");
    row.apply(&elements(0, &[], &["luis"], 1));
    assert!(crew(&row).is_empty(), "Juan saw the insertion, and the rest is his own");
}

#[test]
fn a_removal_from_an_ended_history_removes_nothing_of_others() {
    let mut row = Row::inserted([(MergeRule::Set, Value::Set(texts(&["luis"])))]);
    for base in [None, Some(50)] {
        let removal = Edit { base, ..elements(0, &[], &["luis"], 1) };
        assert_eq!(row.apply(&removal), Verdict::Applied);
        assert_eq!(crew(&row), ["luis"], "based on {base:?}, but the row is at version 1");
    }
}

#[test]
fn plain_sql_takes_part_as_a_writer_of_its_own() {
    let mut row = Row::inserted([(MergeRule::Lww, text("first"))]);
    let sql = Edit { stream: StreamId::SQL, ..set(0, "the office's", 1, 50) };
    row.apply(&sql);
    assert_eq!(row.apply(&set(0, "juan's", 1, 40)), Verdict::Superseded(2));
    assert_eq!(row.apply(&set(0, "juan's", 1, 60)), Verdict::Applied);
}
