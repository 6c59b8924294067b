//! Who waits for whom: transactions that build on a refused one are parked until it is corrected or
//! discarded, those that build on one that is held for review as a whole until it is decided. Then
//! they go on by themselves.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::entry::State;
use crate::CoreError;

/// What parking needs to know of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its row.
    pub seq: i64,
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub state: State,
    /// What it needs.
    pub builds_on: Vec<String>,
}

/// The transactions that have to change between waiting and parked. `refused` are those that nobody
/// corrected yet; `open` is in the order of sending.
#[must_use]
pub fn changes(mut refused: BTreeSet<String>, open: &[Waiting]) -> Vec<(i64, State)> {
    let mut changes = Vec::new();
    for entry in open {
        let blocked = entry.builds_on.iter().any(|id| refused.contains(id));
        if blocked {
            refused.insert(entry.id.clone());
        }
        match (entry.state, blocked) {
            (State::Waiting, true) => changes.push((entry.seq, State::Parked)),
            (State::Parked, false) => changes.push((entry.seq, State::Waiting)),
            _ => {}
        }
    }
    changes
}

/// Parks and releases what has to be.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn refresh(db: &Connection) -> Result<(), CoreError> {
    let refused: BTreeSet<String> = db
        .prepare_cached(concat!(
            "SELECT id FROM campo_outbox WHERE ",
            is_problem!(),
            " AND ((state = 'refused' AND replaced_by IS NULL)
                OR (state = 'in_review' AND json_extract(receipt, '$.held')))",
        ))?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let parked: bool = db
        .prepare_cached(concat!(
            "SELECT EXISTS (SELECT 1 FROM campo_outbox WHERE ",
            is_problem!(),
            " AND state = 'parked')"
        ))?
        .query_row([], |row| row.get(0))?;
    if refused.is_empty() && !parked {
        return Ok(());
    }
    let mut statement = db.prepare_cached(
        "SELECT seq, id, state, builds_on FROM campo_outbox
         WHERE settled = 0 AND state IN ('waiting', 'sending', 'parked') ORDER BY ord, seq",
    )?;
    let mut found = statement.query([])?;
    let mut open = Vec::new();
    while let Some(row) = found.next()? {
        let state: String = row.get(2)?;
        let builds_on: String = row.get(3)?;
        open.push(Waiting {
            seq: row.get(0)?,
            id: row.get(1)?,
            state: match state.as_str() {
                "parked" => State::Parked,
                "sending" => State::Sending,
                _ => State::Waiting,
            },
            builds_on: serde_json::from_str(&builds_on)?,
        });
    }
    drop(found);
    for (seq, state) in changes(refused, &open) {
        super::entry::set_state(db, seq, state)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(seq: i64, state: State, builds_on: &[&str]) -> Waiting {
        let builds_on = builds_on.iter().map(|&id| id.to_owned()).collect();
        Waiting { seq, id: seq.to_string(), state, builds_on }
    }

    #[test]
    fn heirs_of_a_refused_edit_are_parked_and_nobody_else() {
        let open = [
            waiting(2, State::Waiting, &["1"]),
            waiting(3, State::Waiting, &["2"]),
            waiting(4, State::Waiting, &["9"]),
        ];
        let refused = BTreeSet::from(["1".to_owned()]);
        assert_eq!(changes(refused, &open), [(2, State::Parked), (3, State::Parked)]);
    }

    #[test]
    fn parked_edits_go_on_when_nothing_blocks_them() {
        let open = [waiting(2, State::Parked, &["1"]), waiting(3, State::Parked, &["2"])];
        assert_eq!(changes(BTreeSet::new(), &open), [(2, State::Waiting), (3, State::Waiting)]);
    }
}
