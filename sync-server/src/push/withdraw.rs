//! Taking back what may have been sent: only the server knows whether it was.
//!
//! What has a receipt stays as it is: it was too late. For everything else a receipt `discarded` is kept,
//! so that the transaction has no effect if it arrives after all, whatever its content.

use std::collections::BTreeMap;

use sync_protocol::ReceiptId;
use sync_protocol::problem::Problem;
use sync_protocol::wire::receipt::{Receipt, ReceiptState};
use sync_protocol::wire::review::Authorship;

use super::apply::{Failed, Sender};
use super::patience::Patience;
use crate::store::StoredReceipt;

/// Settles withdrawals and commits; answers a receipt for each, in order.
pub(super) async fn withdraw(
    sender: Sender<'_>,
    ids: &[ReceiptId],
) -> Result<Vec<Receipt>, Failed> {
    let now_us = sender.context.clock.now_us();
    let mut tx = sender.begin(Patience::default().together()).await?;
    let mut known: BTreeMap<ReceiptId, StoredReceipt> =
        tx.receipts(ids).await?.into_iter().map(|stored| (stored.receipt.id, stored)).collect();
    let (mut receipts, mut to_store, mut to_echo) = (Vec::new(), Vec::new(), Vec::new());
    for id in ids {
        let stored = known.entry(*id).or_insert_with(|| {
            let stored = discarded(sender, *id, now_us);
            to_store.push(stored.clone());
            stored
        });
        if stored.user != sender.context.caller.user {
            receipts.push(foreign(*id, now_us));
            continue;
        }
        if stored.stream != sender.stream {
            to_echo.push(*id);
        }
        receipts.push(stored.receipt.clone());
    }
    if !to_store.is_empty() {
        tx.save_receipts(&to_store).await?;
    }
    if !to_echo.is_empty() {
        tx.echo_receipts(sender.stream, &to_echo).await?;
    }
    tx.commit().await?;
    Ok(receipts)
}

fn discarded(sender: Sender<'_>, id: ReceiptId, now_us: i64) -> StoredReceipt {
    let caller = sender.context.caller;
    StoredReceipt {
        receipt: Receipt {
            id,
            state: ReceiptState::Discarded,
            problem: None,
            mutations: Vec::new(),
            held: false,
            settled_at_us: now_us,
        },
        stream: sender.stream,
        device: sender.device,
        user: caller.user,
        by: Authorship {
            user: Some(caller.user),
            user_name: Some(caller.user_name.clone()),
            device: Some(sender.device),
            device_name: caller.device_name.clone(),
            edited_at_us: now_us,
            uncertain: false,
            offline_us: None,
            position: None,
        },
        content_hash: String::new(),
        replaces: None,
        held: None,
    }
}

/// Another user's id is no different from one that was used for something else; this is not kept.
fn foreign(id: ReceiptId, now_us: i64) -> Receipt {
    let problem = Problem::new(409, "receipt_reused", "This transaction id was used before")
        .detail("the same id came from somebody else; give each transaction an id of its own");
    Receipt {
        id,
        state: ReceiptState::Refused,
        problem: Some(problem),
        mutations: Vec::new(),
        held: false,
        settled_at_us: now_us,
    }
}
