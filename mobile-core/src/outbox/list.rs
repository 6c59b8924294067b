//! Receipts as people look them up.

use rusqlite::Connection;
use serde::Serialize;
use sync_protocol::ReceiptId;
use sync_protocol::problem::Problem;
use sync_protocol::wire::push::Mutation;
use sync_protocol::wire::receipt::{FieldOutcome, Receipt};

use super::entry::{self, Entry, State};
use crate::CoreError;

/// Code of what waits for the correction of a refused edit.
const BUILDS_ON_REFUSED: &str = "builds_on_refused";

/// Condition of transactions whose author was asked something.
macro_rules! asked {
    () => {
        "state = 'in_review' AND EXISTS (SELECT 1 FROM json_each(receipt, '$.mutations') m
           WHERE json_extract(m.value, '$.row.question') IS NOT NULL
              OR EXISTS (SELECT 1 FROM json_each(m.value, '$.fields') f
                 WHERE json_extract(f.value, '$.question') IS NOT NULL))"
    };
}

/// What became of an edit, or why it waits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReceiptView {
    /// The transaction's and the receipt's id.
    pub id: ReceiptId,
    /// The one state it is in.
    pub state: State,
    /// Whether its outcome is in the tables.
    pub settled: bool,
    /// For what it waits, while it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<WaitingFor>,
    /// Why it was refused or parked, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// The phone's wall clock when it was made, in microseconds since 1970.
    pub made_wall_us: i64,
    /// The corrected time, once it is fixed, in microseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edited_us: Option<i64>,
    /// The refused one that it corrects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<ReceiptId>,
    /// The one that corrects it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<ReceiptId>,
    /// What it needs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub builds_on: Vec<ReceiptId>,
    /// What it does.
    pub mutations: Vec<Mutation>,
    /// The server's last word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
}

/// Why something waits: a stable code and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaitingFor {
    /// Stable, in snake case.
    pub code: String,
    /// For people.
    pub text: String,
}

/// Why the last sync ended early, kept until one ends well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Failure {
    /// Stable, in snake case.
    pub code: String,
    /// For people.
    pub text: String,
}

/// Which receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All of them.
    All,
    /// Those that the server has not decided, or whose outcome is not in the tables.
    Pending,
    /// Those that exist on this device only: not settled by the server, or refused and not corrected.
    Unsent,
    /// Those that somebody has to look at: refused and not corrected, parked, or with a question to
    /// their author.
    Problems,
}

/// Lists receipts in the order of sending. `why` is what keeps this device from sending now.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn list(
    db: &Connection,
    which: Which,
    why: Option<&WaitingFor>,
) -> Result<Vec<ReceiptView>, CoreError> {
    let condition = match which {
        Which::All => "1",
        Which::Pending => "settled = 0",
        Which::Unsent => {
            concat!(
                "seq IN (SELECT seq FROM campo_outbox
                   WHERE settled = 0 AND state IN ('waiting', 'sending', 'parked')
                   UNION ALL SELECT seq FROM campo_outbox WHERE ",
                is_problem!(),
                " AND state = 'refused' AND replaced_by IS NULL)"
            )
        }
        Which::Problems => {
            concat!(
                "seq IN (SELECT seq FROM campo_outbox WHERE ",
                is_problem!(),
                " AND (state = 'parked' OR (state = 'refused' AND replaced_by IS NULL) OR (",
                asked!(),
                ")))"
            )
        }
    };
    let mut all = Vec::new();
    entry::list(db, condition, |entry| {
        all.push(show(entry, why));
        Ok(true)
    })?;
    Ok(all)
}

/// One receipt.
///
/// # Errors
/// [`CoreError::NoSuchReceipt`]; those of SQLite.
pub fn get(
    db: &Connection,
    id: ReceiptId,
    why: Option<&WaitingFor>,
) -> Result<ReceiptView, CoreError> {
    entry::get(db, id)?.map(|entry| show(entry, why)).ok_or(CoreError::NoSuchReceipt(id))
}

/// How many transactions are in each state.
///
/// # Errors
/// Those of SQLite.
pub fn counts(db: &Connection) -> Result<std::collections::BTreeMap<String, i64>, CoreError> {
    let mut statement =
        db.prepare_cached("SELECT state, count(*) FROM campo_outbox GROUP BY state")?;
    let counts = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(counts.collect::<Result<_, _>>()?)
}

/// How many transactions wait for their author's answer to a question.
///
/// # Errors
/// Those of SQLite.
pub fn questions(db: &Connection) -> Result<i64, CoreError> {
    Ok(db
        .prepare_cached(concat!(
            "SELECT count(*) FROM campo_outbox WHERE ",
            is_problem!(),
            " AND ",
            asked!()
        ))?
        .query_row([], |row| row.get(0))?)
}

/// A question to the author of a transaction.
fn question_of(entry: &Entry) -> Option<&str> {
    let outcomes = entry.receipt.iter().flat_map(|receipt| &receipt.mutations);
    outcomes.flat_map(|outcome| outcome.fields.values().chain(&outcome.row)).find_map(|outcome| {
        match outcome {
            FieldOutcome::InReview { question, .. } => question.as_deref(),
            _ => None,
        }
    })
}

/// Why a transaction was refused or parked.
#[must_use]
pub fn problem_of(entry: &Entry) -> Option<Problem> {
    let said = entry.receipt.as_ref().and_then(|receipt| receipt.problem.clone());
    match entry.state {
        State::Refused => said,
        State::Parked => Some(said.unwrap_or_else(|| {
            let ids: Vec<String> = entry.builds_on.iter().map(ToString::to_string).collect();
            Problem::new(409, BUILDS_ON_REFUSED, "It builds on an edit that was refused")
                .detail(format!("It is sent by itself when that is corrected: {}", ids.join(", ")))
        })),
        _ => None,
    }
}

/// Why the server put a transaction off that goes again with the next sync. Whether what it builds on is
/// refused is known here: one that waits has its way free.
fn put_off(entry: &Entry) -> Option<WaitingFor> {
    let problem = entry.receipt.as_ref()?.problem.as_ref()?;
    let still = problem.retryable && problem.code != BUILDS_ON_REFUSED;
    still.then(|| WaitingFor { code: problem.code.clone(), text: problem.title.clone() })
}

fn show(entry: Entry, why: Option<&WaitingFor>) -> ReceiptView {
    let waiting_for = match entry.state {
        _ if entry.withdraw => Some(WaitingFor {
            code: "withdrawal".to_owned(),
            text: "is being taken back; the server says with the next sync whether in time"
                .to_owned(),
        }),
        State::Waiting => Some(why.cloned().or_else(|| put_off(&entry)).unwrap_or_else(|| {
            WaitingFor { code: "next_sync".to_owned(), text: "waits for the next sync".to_owned() }
        })),
        State::Sending => Some(why.cloned().unwrap_or_else(|| WaitingFor {
            code: "answer".to_owned(),
            text: "was sent; waits for the server's answer".to_owned(),
        })),
        State::Parked => {
            problem_of(&entry).map(|problem| WaitingFor { code: problem.code, text: problem.title })
        }
        State::InReview => Some(match question_of(&entry) {
            Some(question) => WaitingFor {
                code: "question".to_owned(),
                text: format!("you are asked: {question}"),
            },
            None => WaitingFor { code: "review".to_owned(), text: "a person decides".to_owned() },
        }),
        _ if !entry.settled => Some(WaitingFor {
            code: "checkpoint".to_owned(),
            text: "decided; shows with the next checkpoint".to_owned(),
        }),
        _ => None,
    };
    ReceiptView {
        id: entry.id,
        state: entry.state,
        settled: entry.settled,
        waiting_for,
        problem: problem_of(&entry),
        made_wall_us: entry.made.wall_us,
        edited_us: entry.edited.map(|time| time.at_us),
        replaces: entry.replaces,
        replaced_by: entry.replaced_by,
        builds_on: entry.builds_on,
        mutations: entry.mutations,
        receipt: entry.receipt,
    }
}
