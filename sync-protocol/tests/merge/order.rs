//! Edits of several streams from one base: neither their order nor their grouping matters.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use sync_protocol::merge::{FieldEdit, Verdict};
use sync_protocol::schema::MergeRule;
use sync_protocol::{EditTime, Value};

use crate::model::{Edit, Row, field, stream, text, texts};

const INITIAL: i64 = 100;
const ELEMENTS: [&str; 4] = ["ana", "luis", "juan", "eva"];

fn row() -> Row {
    Row::inserted([
        (MergeRule::Counter, Value::Integer(INITIAL)),
        (MergeRule::Max, Value::Integer(INITIAL)),
        (MergeRule::Min, Value::Integer(INITIAL)),
        (MergeRule::Lww, text("first")),
        (MergeRule::Review, text("first")),
        (MergeRule::Immutable, Value::Null),
        (MergeRule::Set, Value::Set(texts(&["ana", "luis"]))),
    ])
}

fn elements() -> impl Strategy<Value = BTreeSet<String>> {
    proptest::sample::subsequence(ELEMENTS.to_vec(), 0..=3).prop_map(|some| texts(&some))
}

fn edit_of(rule: MergeRule) -> BoxedStrategy<FieldEdit> {
    match rule {
        MergeRule::Counter => (-50..50i64).prop_map(FieldEdit::Add).boxed(),
        MergeRule::Set => (elements(), elements())
            .prop_map(|(add, remove)| FieldEdit::Elements { add, remove })
            .boxed(),
        MergeRule::Max | MergeRule::Min => {
            (0..200i64).prop_map(|n| FieldEdit::Set(Value::Integer(n))).boxed()
        }
        _ => "[a-f]".prop_map(|word| FieldEdit::Set(Value::Text(word))).boxed(),
    }
}

/// One edit by each of several streams, all based on the insertion, in some order.
fn concurrent(rule: MergeRule) -> impl Strategy<Value = Vec<Edit>> {
    vec((edit_of(rule), 0..4i64, any::<bool>()), 1..6)
        .prop_map(move |edits| {
            let with_streams = edits.into_iter().zip(0u8..);
            with_streams
                .map(|((edit, at_us, uncertain), n)| Edit {
                    field: field(rule),
                    edit: distinct(rule, edit, n),
                    base: Some(1),
                    stream: stream(n),
                    time: EditTime { at_us, uncertain },
                })
                .collect::<Vec<_>>()
        })
        .prop_shuffle()
}

/// An edit that sets the value which stands leaves that value's time and writer, so of `lww` edits
/// with equal values the first one's time counts. Here their values differ.
fn distinct(rule: MergeRule, edit: FieldEdit, n: u8) -> FieldEdit {
    match edit {
        FieldEdit::Set(Value::Text(word)) if rule == MergeRule::Lww => {
            FieldEdit::Set(Value::Text(format!("{word}{n}")))
        }
        edit => edit,
    }
}

fn orders(rule: MergeRule) -> impl Strategy<Value = (Vec<Edit>, Vec<Edit>)> {
    concurrent(rule).prop_flat_map(|edits| (Just(edits.clone()), Just(edits).prop_shuffle()))
}

fn after(edits: &[Edit]) -> Row {
    let mut row = row();
    edits.iter().for_each(|edit| {
        row.apply(edit);
    });
    row
}

const COMMUTING: [MergeRule; 5] =
    [MergeRule::Counter, MergeRule::Set, MergeRule::Max, MergeRule::Min, MergeRule::Lww];

fn wanted(edit: &Edit) -> Value {
    match &edit.edit {
        FieldEdit::Set(value) => value.clone(),
        other => panic!("{other:?} sets no value"),
    }
}

proptest! {
    #[test]
    fn concurrent_edits_commute(
        (one, other) in proptest::sample::select(COMMUTING.to_vec()).prop_flat_map(orders)
    ) {
        let rule = one[0].field.merge;
        let (one, other) = (after(&one), after(&other));
        prop_assert_eq!(one.value(rule), other.value(rule));
    }

    #[test]
    fn an_edit_that_comes_again_changes_nothing_besides_counters(
        edits in proptest::sample::select(vec![
            MergeRule::Set, MergeRule::Max, MergeRule::Min, MergeRule::Lww, MergeRule::Review,
            MergeRule::Immutable,
        ]).prop_flat_map(concurrent)
    ) {
        let mut row = row();
        for edit in &edits {
            let first = row.apply(edit);
            let again = row.decide(edit);
            prop_assert_eq!(again.write, None, "{:?}", edit);
            prop_assert_eq!(again.verdict, first);
        }
    }

    #[test]
    fn differences_may_be_grouped(edits in concurrent(MergeRule::Counter)) {
        let sum = edits.iter().map(|edit| match edit.edit {
            FieldEdit::Add(units) => units,
            _ => 0,
        }).sum();
        let together = Edit { edit: FieldEdit::Add(sum), ..edits[0].clone() };
        let expected = Value::Integer(INITIAL + sum);
        for row in [after(&edits), after(&[together])] {
            prop_assert_eq!(row.value(MergeRule::Counter), &expected);
        }
    }

    #[test]
    fn the_largest_and_the_smallest_stay(
        largest in concurrent(MergeRule::Max),
        smallest in concurrent(MergeRule::Min),
    ) {
        let units = |edits: &[Edit]| -> Vec<i64> {
            edits.iter().filter_map(|edit| wanted(edit).units()).chain([INITIAL]).collect()
        };
        let (max, min) = (units(&largest), units(&smallest));
        prop_assert_eq!(after(&largest).value(MergeRule::Max).units(), max.into_iter().max());
        prop_assert_eq!(after(&smallest).value(MergeRule::Min).units(), min.into_iter().min());
    }

    #[test]
    fn of_concurrent_edits_a_certain_and_then_the_latest_stays(edits in concurrent(MergeRule::Lww)) {
        let winner = edits.iter().max_by_key(|e| (!e.time.uncertain, e.time.at_us, e.stream));
        let row = after(&edits);
        prop_assert_eq!(row.value(MergeRule::Lww), &wanted(winner.expect("at least one")));
    }

    #[test]
    fn a_superseded_edit_names_the_version_that_stands(edits in concurrent(MergeRule::Lww)) {
        let mut row = row();
        for edit in &edits {
            let before = row.clone();
            match row.apply(edit) {
                Verdict::Applied => prop_assert_eq!(row.value(MergeRule::Lww), &wanted(edit)),
                Verdict::Superseded(version) => {
                    prop_assert_eq!(&row.fields, &before.fields);
                    prop_assert_eq!(version, before.log["lww"].last().expect("inserted").0);
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }

    #[test]
    fn of_concurrent_edits_that_a_person_decides_none_is_lost(
        (one, other) in orders(MergeRule::Review)
    ) {
        let seen = |edits: &[Edit]| -> BTreeSet<String> {
            let mut row = row();
            let mut seen = BTreeSet::new();
            for edit in edits {
                let verdict = row.apply(edit);
                let kept = row.value(MergeRule::Review) == &wanted(edit);
                // Either it stands, or a person is asked; never both, never neither.
                assert_eq!(kept, verdict == Verdict::Applied, "{edit:?}: {verdict:?}");
                assert_eq!(!kept, verdict == Verdict::Review, "{edit:?}: {verdict:?}");
                seen.insert(wanted(edit).to_json(&edit.field.kind).to_string());
            }
            seen.insert(row.value(MergeRule::Review).to_json(&edits[0].field.kind).to_string());
            seen
        };
        prop_assert_eq!(seen(&one), seen(&other));
    }

    #[test]
    fn what_is_set_once_stays(edits in concurrent(MergeRule::Immutable)) {
        let first = wanted(&edits[0]);
        let mut row = row();
        for edit in &edits {
            let verdict = row.apply(edit);
            let same = wanted(edit) == first;
            let expected = if same { Verdict::Applied } else { Verdict::Immutable };
            prop_assert_eq!(verdict, expected);
            prop_assert_eq!(row.value(MergeRule::Immutable), &first);
        }
    }
}
