//! `receipts`: shows what became of each edit; with an id, all that is known about one.

use mobile_core::Core;
use mobile_core::outbox::list::ReceiptView;
use sync_protocol::ReceiptId;
use sync_protocol::problem::Problem;
use sync_protocol::wire::receipt::FieldOutcome;

use super::problem;
use crate::output::{Output, Table, line, moment, plain};

pub fn run(core: &Core, id: Option<ReceiptId>, output: Output) -> Result<(), Problem> {
    match id {
        Some(id) => output.result(&core.receipt(id).map_err(problem)?, describe),
        None => show(&core.receipts().map_err(problem)?, "No edits were made here.", output),
    }
}

/// Shows receipts as a table.
pub fn show(receipts: &[ReceiptView], nothing: &str, output: Output) -> Result<(), Problem> {
    output.result(&receipts, |receipts| {
        let mut table = Table::new(["receipt", "made", "state", "what", "remark"]);
        for view in *receipts {
            let made = moment(view.made_wall_us);
            let remark = remark(view).unwrap_or_default();
            table.row([view.id.to_string(), made, state(view), edits(view), remark]);
        }
        table.show(nothing)
    })
}

fn state(view: &ReceiptView) -> String {
    view.state.as_str().replace('_', " ")
}

/// What it does, `update avances; insert consumos`.
fn edits(view: &ReceiptView) -> String {
    let edit = |m: &sync_protocol::wire::push::Mutation| {
        let kind = format!("{:?}", m.kind).to_lowercase();
        format!("{kind} {}", m.collection)
    };
    view.mutations.iter().map(edit).collect::<Vec<_>>().join("; ")
}

/// Why it waits, or what is wrong with it.
fn remark(view: &ReceiptView) -> Option<String> {
    let wrong = view.problem.as_ref().map(|p| p.detail.clone().unwrap_or_else(|| p.title.clone()));
    wrong.or_else(|| view.waiting_for.as_ref().map(|why| why.text.clone()))
}

fn describe(view: &ReceiptView) -> String {
    let mut text = format!("{} is {}.\n", view.id, state(view));
    text.push_str(&format!("Made {}: {}.\n", moment(view.made_wall_us), edits(view)));
    if let Some(problem) = &view.problem {
        text.push_str(&format!("{}\n", line(&problem.to_string())));
    } else if let Some(why) = &view.waiting_for {
        text.push_str(&format!("It {} ({}).\n", line(&why.text), why.code));
    }
    if let Some(id) = view.replaces {
        text.push_str(&format!("It corrects {id}.\n"));
    }
    if let Some(id) = view.replaced_by {
        text.push_str(&format!("It was corrected by {id}.\n"));
    }
    for outcome in view.receipt.iter().flat_map(|receipt| &receipt.mutations) {
        for (field, fate) in &outcome.fields {
            let fate = match fate {
                FieldOutcome::Superseded { value, by_version } => {
                    format!("{} gave way to what version {by_version} says", plain(value))
                }
                FieldOutcome::InReview { conflict, question: None } => {
                    format!("in review, conflict {conflict}")
                }
                FieldOutcome::InReview { conflict, question: Some(question) } => {
                    format!(
                        "in review, and you are asked: {} (`answer {conflict} …`)",
                        line(question)
                    )
                }
                FieldOutcome::Decided { conflict, kept: true } => {
                    format!("chosen in conflict {conflict}")
                }
                FieldOutcome::Decided { conflict, kept: false } => {
                    format!("not chosen in conflict {conflict}")
                }
            };
            text.push_str(&format!("{}.{field}: {fate}\n", outcome.collection));
        }
    }
    text
}
