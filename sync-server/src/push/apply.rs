//! One chunk, one database transaction: from known receipts to the commit.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sync_protocol::limits::EDIT_TIME_AHEAD_MAX_US;
use sync_protocol::planted::{self, Bug};
use sync_protocol::schema::Schema;
use sync_protocol::wire::push::{MutationKind, PushMark, Transaction};
use sync_protocol::wire::receipt::Receipt;
use sync_protocol::wire::review::{Authorship, ConflictStatus};
use sync_protocol::{DeviceId, EditTime, PushId, RowVersion, StreamId};

use super::PushContext;
use super::check::{CheckedMutation, check};
use super::children::in_the_way;
use super::claims::{Claims, any_collide};
use super::decide::{Author, Plan, decide};
use super::known::Known;
use super::load::load;
use super::outcome::{
    constraint_problem, content_hash, parked, put_off, refused, state_of, waiting,
};
use super::progress::Progress;
use super::rows::RowName;
use super::seen::kept;
use crate::store::{AuditEntry, RowWrite, StoreError, StoredReceipt, WriteKind, WriteTx};

/// Why a chunk was not settled. Nothing of it was changed.
#[derive(Debug)]
pub(super) enum Failed {
    /// The store failed.
    Store(StoreError),
    /// This was the stream's last push, and the present one does not know it.
    StreamMoved(PushId),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Who pushes, as what.
#[derive(Clone, Copy)]
pub(super) struct Sender<'a> {
    pub context: PushContext<'a>,
    pub device: DeviceId,
    pub stream: StreamId,
    pub mark: Option<&'a PushMark>,
}

impl Sender<'_> {
    /// Begins a database transaction as the stream, if the stream is where this push knows it to be.
    /// Each lock is waited for at most so long.
    pub async fn begin(&self, wait: Duration) -> Result<Box<dyn WriteTx>, Failed> {
        let Self { context, stream, mark, .. } = *self;
        let mut tx = context.store.write(context.caller.tenant, stream).await?;
        tx.received_at(context.clock.now_us());
        tx.lock_stream(stream).await?;
        if let Some(mark) = mark
            && let Some(last) = tx.follow(stream, mark).await?
        {
            return Err(Failed::StreamMoved(last));
        }
        tx.wait_for_locks(wait).await?;
        Ok(tx)
    }
}

/// Settles a chunk, commits, and notes it in the push's progress.
pub(super) async fn chunk(
    sender: Sender<'_>,
    chunk: &[Transaction],
    progress: &mut Progress,
) -> Result<Vec<Receipt>, Failed> {
    let pusher = Pusher { sender, now_us: sender.context.clock.now_us() };
    let wait = progress.patience.together();
    let receipts = match pusher.together(chunk, progress, wait).await {
        // Somebody in the chunk broke a constraint. What was done is undone; find the culprit.
        Err(Failed::Store(StoreError::Constraint { .. })) => {
            pusher.one_by_one(chunk, progress, wait).await?
        }
        // Somebody in the chunk needs what another session holds.
        Err(Failed::Store(StoreError::Locked(_))) => {
            progress.patience.spend(wait);
            let wait = progress.patience.alone();
            pusher.one_by_one(chunk, progress, wait).await?
        }
        other => other?,
    };
    progress.note(sender.context.store.schema(), chunk, &receipts);
    Ok(receipts)
}

#[derive(Clone, Copy)]
struct Pusher<'a> {
    sender: Sender<'a>,
    now_us: i64,
}

impl Pusher<'_> {
    async fn together(
        &self,
        chunk: &[Transaction],
        progress: &Progress,
        wait: Duration,
    ) -> Result<Vec<Receipt>, Failed> {
        let mut tx = self.sender.begin(wait).await?;
        let known = Known::load(tx.as_mut(), chunk, progress).await?;
        let all: Vec<&Transaction> = chunk.iter().collect();
        let receipts = match self.group(tx.as_mut(), &known, &all).await? {
            Some(receipts) => receipts,
            None => {
                let mut receipts = Vec::with_capacity(chunk.len());
                for transaction in chunk {
                    receipts.extend(self.alone(tx.as_mut(), &known, transaction).await?);
                }
                receipts
            }
        };
        tx.commit().await?;
        Ok(receipts)
    }

    async fn one_by_one(
        &self,
        chunk: &[Transaction],
        progress: &mut Progress,
        mut wait: Duration,
    ) -> Result<Vec<Receipt>, Failed> {
        let mut tx = self.sender.begin(wait).await?;
        let known = Known::load(tx.as_mut(), chunk, progress).await?;
        let mut patience = progress.patience;
        let mut receipts = Vec::with_capacity(chunk.len());
        for transaction in chunk {
            tx.savepoint().await?;
            let settled = match self.alone(tx.as_mut(), &known, transaction).await {
                Ok(settled) => tx.release_savepoint().await.map(|()| settled),
                Err(error) => Err(error),
            };
            match settled {
                Ok(settled) => receipts.extend(settled),
                Err(StoreError::Locked(_)) => {
                    tx.rollback_to_savepoint().await?;
                    patience.spend(wait);
                    wait = patience.alone();
                    tx.wait_for_locks(wait).await?;
                    receipts.push(put_off(transaction, self.now_us));
                }
                Err(error) => {
                    let Some(problem) = constraint_problem(&error) else {
                        return Err(error.into());
                    };
                    tx.rollback_to_savepoint().await?;
                    let renamed = known.renamed(self.schema(), transaction);
                    let deletions: Vec<_> = renamed
                        .mutations
                        .iter()
                        .filter(|mutation| mutation.kind == MutationKind::Delete)
                        .map(|mutation| (mutation.collection.as_str(), mutation.record))
                        .collect();
                    let children =
                        in_the_way(tx.as_mut(), self.schema(), &deletions, &error).await?;
                    let problem = children.unwrap_or(problem);
                    let receipt = refused(transaction, problem, self.now_us);
                    let stored = self.stored(transaction, &renamed, &receipt);
                    tx.save_receipts(&[stored]).await?;
                    receipts.push(receipt);
                }
            }
        }
        tx.commit().await?;
        progress.patience = patience;
        Ok(receipts)
    }

    /// Settles one transaction, without committing.
    async fn alone(
        &self,
        tx: &mut dyn WriteTx,
        known: &Known<'_>,
        transaction: &Transaction,
    ) -> Result<Vec<Receipt>, StoreError> {
        let entangled = || StoreError::Internal("a transaction entangled with itself".to_owned());
        self.group(tx, known, &[transaction]).await?.ok_or_else(entangled)
    }

    /// Settles transactions that do not depend on each other, without committing. Answers nothing, and
    /// writes nothing, where aliases or natural keys lead two of them to one row: then each has to see
    /// what the one before it did.
    async fn group(
        &self,
        tx: &mut dyn WriteTx,
        known: &Known<'_>,
        transactions: &[&Transaction],
    ) -> Result<Option<Vec<Receipt>>, StoreError> {
        let schema = self.schema();
        // Records that natural keys merged into others go by their new ids.
        let renamed: Vec<Cow<'_, Transaction>> =
            transactions.iter().map(|t| known.renamed(schema, t)).collect();
        let mut entries: Vec<Entry> = transactions
            .iter()
            .zip(&renamed)
            .map(|(transaction, renamed)| self.entry(schema, known, transaction, renamed))
            .collect();
        let mutations: Vec<&CheckedMutation> =
            entries.iter().flat_map(|entry| entry.checked.iter().flatten()).collect();
        let user = self.sender.context.caller.user;
        if !mutations.is_empty() {
            let mut loaded = load(tx, schema, user, self.sender.stream, &mutations).await?;
            let rows = entries.iter().zip(&renamed).filter_map(|(entry, transaction)| {
                Some(Claims::of_rows(transaction, entry.checked.as_ref()?, &loaded))
            });
            if entries.len() > 1 && any_collide(rows) {
                return Ok(None);
            }
            for (entry, transaction) in entries.iter_mut().zip(&renamed) {
                let Some(checked) = &entry.checked else { continue };
                let author = self.author(transaction);
                match decide(&loaded, &author, transaction, checked) {
                    Ok(plan) => {
                        // Of two photos of one picture the later one has been seen before.
                        loaded.pictures.extend(plan.pictures.iter().cloned());
                        entry.plan = Some(plan);
                    }
                    Err(problem) if problem.retryable => {
                        entry.checked = None;
                        entry.receipt = Some(waiting(transaction, *problem, self.now_us));
                    }
                    Err(problem) => {
                        entry.receipt = Some(refused(transaction, *problem, self.now_us));
                    }
                }
            }
        }
        let plans: Vec<&Plan> = entries.iter().filter_map(|entry| entry.plan.as_ref()).collect();
        let versions = write(tx, schema, &plans).await?;
        let mut receipts = Vec::with_capacity(entries.len());
        let mut to_store = Vec::new();
        let mut to_echo = Vec::new();
        for (entry, (transaction, renamed)) in
            entries.into_iter().zip(transactions.iter().zip(&renamed))
        {
            if entry.echo {
                to_echo.push(transaction.id);
            }
            let settled = entry.plan.is_some() || entry.checked.is_some() || entry.store;
            let receipt = match (entry.plan, entry.receipt) {
                (Some(plan), _) => self.finish(tx, transaction, plan, &versions).await?,
                (None, Some(receipt)) => receipt,
                (None, None) => {
                    return Err(StoreError::Internal("a transaction without outcome".to_owned()));
                }
            };
            if settled {
                to_store.push(self.stored(transaction, renamed, &receipt));
            }
            receipts.push(receipt);
        }
        if !to_store.is_empty() {
            tx.save_receipts(&to_store).await?;
        }
        if !to_echo.is_empty() {
            tx.echo_receipts(self.sender.stream, &to_echo).await?;
        }
        Ok(Some(receipts))
    }

    /// What is known about a transaction before anything is loaded.
    fn entry<'t>(
        &self,
        schema: &'t Schema,
        known: &Known<'_>,
        transaction: &Transaction,
        renamed: &'t Transaction,
    ) -> Entry<'t> {
        let mut entry =
            Entry { receipt: None, store: false, echo: false, checked: None, plan: None };
        let again = planted::is(Bug::LostAnswerAppliedTwice);
        if let Some(before) =
            known.settled(self.sender, transaction, renamed, self.now_us).filter(|_| !again)
        {
            entry.echo = before.echo;
            entry.receipt = Some(before.receipt);
        } else if known.progress.follows_one_put_off(schema, transaction) {
            entry.receipt = Some(put_off(transaction, self.now_us));
        } else if let Some(on) = known.refused_base(transaction) {
            entry.receipt = Some(parked(transaction, on, self.now_us));
        } else {
            match check(schema, &|permission| self.sender.context.caller.may(permission), renamed) {
                Ok(checked) => entry.checked = Some(checked),
                Err(problem) => {
                    entry.receipt = Some(refused(transaction, *problem, self.now_us));
                    entry.store = true;
                }
            }
        }
        entry
    }

    /// Completes the receipt with the versions that the rows got, and saves what belongs to it.
    async fn finish(
        &self,
        tx: &mut dyn WriteTx,
        transaction: &Transaction,
        mut plan: Plan,
        versions: &BTreeMap<RowName, RowVersion>,
    ) -> Result<Receipt, StoreError> {
        for outcome in &mut plan.outcomes {
            let record = outcome.alias.unwrap_or(outcome.record);
            if let Some(version) = versions.get(&(outcome.collection.clone(), record)) {
                outcome.version = Some(*version);
            }
        }
        for scope in &plan.grants {
            tx.grant(self.sender.context.caller.user, scope).await?;
        }
        for conflict in &plan.conflicts {
            tx.save_conflict(conflict).await?;
            if conflict.status != ConflictStatus::Informational {
                tx.audit(&AuditEntry {
                    at_us: self.now_us,
                    user: Some(self.sender.context.caller.user),
                    action: if conflict.revision == 1 {
                        "conflict.opened".to_owned()
                    } else {
                        "conflict.joined".to_owned()
                    },
                    conflict: Some(conflict.id),
                    detail: json!({ "receipt": transaction.id, "revision": conflict.revision }),
                })
                .await?;
            }
        }
        Ok(Receipt {
            id: transaction.id,
            state: state_of(&plan.outcomes),
            problem: None,
            held: plan.held,
            mutations: plan.outcomes,
            settled_at_us: self.now_us,
        })
    }

    fn author(&self, transaction: &Transaction) -> Author {
        // A small lead is the clocks' noise; a larger one would win over everybody for long.
        let ahead = transaction.edited.at_us > self.now_us + EDIT_TIME_AHEAD_MAX_US;
        let latest = if ahead && !planted::is(Bug::ClampRemoved) {
            self.now_us
        } else {
            transaction.edited.at_us
        };
        let time: EditTime = transaction.edited.clamped(latest);
        Author {
            stream: self.sender.stream,
            time,
            by: self.by(transaction, time),
            now_us: self.now_us,
        }
    }

    fn by(&self, transaction: &Transaction, time: EditTime) -> Authorship {
        let caller = self.sender.context.caller;
        Authorship {
            user: Some(caller.user),
            user_name: Some(caller.user_name.clone()),
            device: Some(self.sender.device),
            device_name: caller.device_name.clone(),
            edited_at_us: time.at_us,
            uncertain: time.uncertain,
            offline_us: Some(self.now_us.saturating_sub(time.at_us).max(0)),
            position: transaction.position,
        }
    }

    fn schema(&self) -> &Arc<Schema> {
        self.sender.context.store.schema()
    }

    fn stored(
        &self,
        transaction: &Transaction,
        renamed: &Transaction,
        receipt: &Receipt,
    ) -> StoredReceipt {
        StoredReceipt {
            receipt: receipt.clone(),
            stream: self.sender.stream,
            device: self.sender.device,
            user: self.sender.context.caller.user,
            by: self.author(transaction).by,
            content_hash: content_hash(renamed),
            replaces: transaction.replaces,
            held: receipt.held.then(|| Box::new(kept(self.schema(), renamed))),
        }
    }
}

/// A transaction on its way through a group.
struct Entry<'a> {
    /// The outcome, where it is known without writing.
    receipt: Option<Receipt>,
    /// Whether such an outcome is a new one, to be kept.
    store: bool,
    /// Whether it is known by another stream of this user, and told to this one as well from now on.
    echo: bool,
    /// The checked mutations, where it came that far.
    checked: Option<Vec<CheckedMutation<'a>>>,
    plan: Option<Plan>,
}

/// Writes all plans, phase by phase, with one call per collection; answers the rows' new versions.
pub(super) async fn write(
    tx: &mut dyn WriteTx,
    schema: &Schema,
    plans: &[&Plan],
) -> Result<BTreeMap<RowName, RowVersion>, StoreError> {
    let phases = plans.iter().map(|plan| plan.phases.len()).max().unwrap_or(0);
    let order = schema.referenced_first();
    let mut versions = BTreeMap::new();
    for phase in 0..phases {
        let writes = || plans.iter().filter_map(|plan| plan.phases.get(phase)).flatten();
        let of = |collection: &str, deletions: bool| -> Vec<RowWrite> {
            writes()
                .filter(|(name, write)| {
                    name.0 == collection && (write.kind == WriteKind::Delete) == deletions
                })
                .map(|(_, write)| write.clone())
                .collect()
        };
        // Rows come before what refers to them, and go after it.
        let forward = order.iter().map(|collection| (*collection, false));
        let backward = order.iter().rev().map(|collection| (*collection, true));
        for (collection, deletions) in forward.chain(backward) {
            let batch = of(&collection.name, deletions);
            if batch.is_empty() {
                continue;
            }
            let written = tx.write_rows(collection, &batch).await?;
            let names = batch.iter().map(|write| (collection.name.clone(), write.record));
            versions.extend(names.zip(written));
        }
    }
    Ok(versions)
}
