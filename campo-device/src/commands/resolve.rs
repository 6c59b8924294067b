//! `resolve`: decides conflicts, as they were seen or as they are now.

use std::collections::BTreeMap;

use mobile_core::Core;
use serde_json::Value as Json;
use sync_protocol::problem::Problem;
use sync_protocol::wire::review::{Conflict, Keep, ResolveRequest, ResolveResult};
use sync_protocol::{ConflictId, ReceiptId};

use super::{conflicts, problem};
use crate::output::Output;

/// Which conflicts, and what stays.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The conflict; several are decided alike, each on its own.
    #[arg(required = true, value_name = "ID")]
    ids: Vec<ConflictId>,
    #[command(flatten)]
    choice: Choice,
    /// The conflict's revision as it was seen: if it has changed since, nothing is decided. Without
    /// it, the conflict is decided as it is now.
    #[arg(long)]
    revision: Option<i64>,
    /// Why; kept in the audit trail.
    #[arg(long, default_value = "")]
    reason: String,
}

/// Exactly one of the two.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Choice {
    /// `server`, `edit` (the latest one), or the receipt of the edit that stays.
    #[arg(long, value_parser = kept)]
    keep: Option<Kept>,
    /// Another value, as JSON.
    #[arg(long, value_parser = crate::values::json)]
    value: Option<Json>,
}

/// What stays, before the conflict is looked at.
#[derive(Debug, Clone)]
enum Kept {
    Server,
    LatestEdit,
    Candidate(ReceiptId),
    Value(Json),
}

fn kept(text: &str) -> Result<Kept, String> {
    match text {
        "server" => Ok(Kept::Server),
        "edit" => Ok(Kept::LatestEdit),
        receipt => receipt
            .parse()
            .map(Kept::Candidate)
            .map_err(|_| "`server`, `edit` or the receipt of a candidate is needed".to_owned()),
    }
}

impl Kept {
    fn of(self, conflict: &Conflict) -> Result<Keep, Problem> {
        Ok(match self {
            Self::Server => Keep::Server,
            Self::Candidate(receipt) => Keep::Candidate(receipt),
            Self::Value(value) => Keep::Value(value),
            Self::LatestEdit => match conflict.candidates.last() {
                Some(candidate) => Keep::Candidate(candidate.receipt),
                None => {
                    return Err(Problem::new(422, "unknown_candidate", "There is no edit to keep"));
                }
            },
        })
    }
}

pub async fn run(core: &Core, args: Args, output: Output) -> Result<(), Problem> {
    // `--value null` means the empty value; clap has made sure that one of the two is there.
    let kept = match (args.choice.keep, args.choice.value) {
        (Some(kept), _) => kept,
        (None, value) => Kept::Value(value.unwrap_or(Json::Null)),
    };
    if let [id] = args.ids.as_slice() {
        let seen = core.conflict(*id).await.map_err(problem)?;
        let keep = kept.of(&seen)?;
        let revision = args.revision.unwrap_or(seen.revision);
        let conflict = core.resolve(*id, revision, keep, &args.reason).await.map_err(problem)?;
        return output.result(&conflict, conflicts::describe);
    }
    if args.revision.is_some() {
        return Err(Problem::new(400, "bad_arguments", "--revision is that of one conflict"));
    }
    let mut results = BTreeMap::new();
    let mut decisions = BTreeMap::new();
    for id in args.ids {
        let decision = match core.conflict(id).await.map_err(problem) {
            Ok(seen) => kept.clone().of(&seen).map(|keep| (seen.revision, keep)),
            Err(problem) => Err(problem),
        };
        match decision {
            Ok((revision, keep)) => {
                let reason = args.reason.clone();
                decisions.insert(id, ResolveRequest { revision, keep, reason });
            }
            Err(problem) => {
                results.insert(id, ResolveResult::Failed(Box::new(problem)));
            }
        }
    }
    results.extend(core.resolve_many(decisions).await.map_err(problem)?);
    show(&results, output)
}

/// All of them were decided, or it is a problem that says what became of each.
fn show(results: &BTreeMap<ConflictId, ResolveResult>, output: Output) -> Result<(), Problem> {
    let line = |(id, result): (&ConflictId, &ResolveResult)| match result {
        ResolveResult::Resolved(_) => format!("{id}  decided\n"),
        ResolveResult::Failed(problem) => format!("{id}  {problem}\n"),
    };
    let failed =
        results.values().filter(|result| matches!(result, ResolveResult::Failed(_))).count();
    if failed == 0 {
        return output.result(results, |results| results.iter().map(line).collect());
    }
    let mut problem = Problem::new(
        409,
        "not_all_resolved",
        format!("{failed} of {} conflicts were not decided", results.len()),
    )
    .detail(results.iter().map(line).collect::<String>());
    let told = serde_json::to_value(results)
        .map_err(|error| Problem::new(500, "not_json", error.to_string()))?;
    problem.more.insert("results".to_owned(), told);
    Err(problem)
}
