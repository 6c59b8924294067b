//! What a refusal promises: a stable code, words for people, and a place where there is one.

use sync_protocol::problem::Problem;

/// Checks a refusal's code, status and words.
///
/// # Panics
/// When it has none of these, or a code that is not documented for this input.
pub fn refusal_is_documented(problem: &Problem, documented: &[(u16, &str)]) {
    let given = (problem.status, problem.code.as_str());
    assert!(documented.contains(&given), "{given:?} is not documented: {problem}");
    assert!(!problem.title.is_empty(), "{given:?} has no title");
    assert!(problem.detail.as_ref().is_some_and(|d| !d.is_empty()), "{given:?} says no remedy");
}

/// Checks that a refusal names a line and a column of `input`.
///
/// # Panics
/// When it names none, or one that is not there.
pub fn refusal_has_a_place(problem: &Problem, input: &[u8]) {
    let place = |name: &str| problem.more.get(name).and_then(serde_json::Value::as_u64);
    let (Some(line), Some(_)) = (place("line"), place("column")) else {
        panic!("{} has no place: {problem}", problem.code);
    };
    let lines = input.iter().filter(|byte| **byte == b'\n').count() + 1;
    assert!(line >= 1, "{}: line {line}", problem.code);
    assert!(usize::try_from(line).is_ok_and(|l| l <= lines), "line {line} of {lines}");
}
