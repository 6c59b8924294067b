//! Transactions whose id came before in the same push.
//!
//! An id is decided about once in a push. Its repetitions take no part in cutting chunks, or each would be
//! a chunk, that is a database transaction, of its own. When everything else is settled, one database
//! transaction looks up what became of all of them; they are answered as a repeated push would be.

use std::collections::HashSet;

use sync_protocol::wire::push::Transaction;
use sync_protocol::wire::receipt::Receipt;

use super::apply::{Failed, Sender};
use super::known::Known;
use super::progress::Progress;
use crate::store::StoreError;

/// A push's transactions, with those apart that repeat an id.
#[derive(Debug, Default)]
pub(super) struct Apart {
    /// The first with each id, in order.
    pub firsts: Vec<Transaction>,
    /// All others, in order.
    pub repeated: Vec<Transaction>,
    /// Where the latter stood, in order.
    places: Vec<usize>,
}

impl Apart {
    /// Takes a push's transactions apart.
    pub fn new(transactions: Vec<Transaction>) -> Self {
        let mut ids = HashSet::new();
        let mut apart = Self::default();
        for (place, transaction) in transactions.into_iter().enumerate() {
            if ids.insert(transaction.id) {
                apart.firsts.push(transaction);
            } else {
                apart.repeated.push(transaction);
                apart.places.push(place);
            }
        }
        apart
    }

    /// The receipts of both kinds, in the order of the push.
    pub fn in_order(&self, firsts: Vec<Receipt>, repeated: Vec<Receipt>) -> Vec<Receipt> {
        let mut all = Vec::with_capacity(firsts.len() + repeated.len());
        let mut firsts = firsts.into_iter();
        for (place, receipt) in self.places.iter().zip(repeated) {
            let before = place - all.len();
            all.extend(firsts.by_ref().take(before));
            all.push(receipt);
        }
        all.extend(firsts);
        all
    }
}

/// Answers repetitions of what this push has settled, in order.
pub(super) async fn answer(
    sender: Sender<'_>,
    repeated: &[Transaction],
    progress: &Progress,
) -> Result<Vec<Receipt>, Failed> {
    let now_us = sender.context.clock.now_us();
    let schema = sender.context.store.schema();
    let mut tx = sender.begin(progress.patience.together()).await?;
    let known = Known::load(tx.as_mut(), repeated, progress).await?;
    let (mut receipts, mut to_echo) = (Vec::with_capacity(repeated.len()), HashSet::new());
    for transaction in repeated {
        let renamed = known.renamed(schema, transaction);
        let receipt = match known.settled(sender, transaction, &renamed, now_us) {
            Some(before) => {
                if before.echo {
                    to_echo.insert(transaction.id);
                }
                before.receipt
            }
            // What the first one was told is not kept: both have to come again.
            None => progress.receipts.get(&transaction.id).cloned().ok_or_else(|| {
                StoreError::Internal("a repetition of what was not settled".to_owned())
            })?,
        };
        receipts.push(receipt);
    }
    if !to_echo.is_empty() {
        let ids: Vec<_> = to_echo.into_iter().collect();
        tx.echo_receipts(sender.stream, &ids).await?;
    }
    tx.commit().await?;
    Ok(receipts)
}
