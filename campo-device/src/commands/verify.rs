//! `verify`: looks at everything on this phone, repairs what is damaged, and compares it with the server.

use mobile_core::Core;
use mobile_core::core::Verification;
use sync_protocol::problem::Problem;
use tokio_util::sync::CancellationToken;

use super::problem;
use crate::output::Output;

pub async fn run(core: &Core, output: Output) -> Result<(), Problem> {
    let found = core.verify(&CancellationToken::new()).await.map_err(problem)?;
    output.result(&found, describe)
}

fn describe(found: &Verification) -> String {
    let mut text = format!("Rows compared with the server's: {}.", found.compared);
    let counts = [
        (found.mended, "entries of the bookkeeping damaged, and mended"),
        (found.damaged, "rows not what this phone had written"),
        (found.differing, "sets of rows not what the server counts"),
        (found.unlike, "rows not the server's"),
        (found.lost, "edits lost: what is left of them is in the log below"),
    ];
    for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
        text.push_str(&format!("\nFound: {count} {what}."));
    }
    text.push_str(if found.clean {
        "\nThis phone holds what the server has."
    } else {
        "\nNot everything is repaired."
    });
    for damage in &found.log {
        let state = if damage.repaired_us.is_some() { "repaired" } else { "OPEN" };
        text.push_str(&format!("\n  {state}: {} {}: {}", damage.kind, damage.place, damage.detail));
    }
    text
}
