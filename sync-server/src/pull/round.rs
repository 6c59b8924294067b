//! Reading pages from one snapshot: drops and gains, the delta, the backfill.

use sync_protocol::limits::PAGE_RECEIPTS_MAX;
use sync_protocol::planted::{self, Bug};
use sync_protocol::schema::Schema;
use sync_protocol::wire::pull::{PagePart, PageTable, PullPage};
use sync_protocol::wire::receipt::Receipt;
use sync_protocol::{Scope, StreamId};

use super::PageSink;
use super::cursor::{Backfill, Cursor, CutDelta, Telling};
use crate::auth::caller::Caller;
use crate::clock::Clock;
use crate::store::page::GrantChange;
use crate::store::{
    BackfillQuery, DeltaQuery, Grants, PageRows, Position, ReadTx, RefetchQuery, RowKey,
    SettledKey, StoreError,
};

/// A page with more text than this is read again with fewer rows: both ends hold a page in memory,
/// and a frame has a longest length. One row may be larger.
const PAGE_TEXT_BYTES_AIM: usize = 4 * 1024 * 1024;

/// Rows in the first page of a request: how large they are is not known yet.
const FIRST_ROWS_MAX: usize = 1_000;

/// How many rows the next page reads: as many as fitted the last ones, and a little more each time.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageSize {
    rows_max: usize,
    next: usize,
}

impl PageSize {
    /// At most so many, whatever they hold.
    pub fn new(rows_max: usize) -> Self {
        Self { rows_max, next: rows_max.min(FIRST_ROWS_MAX) }
    }

    /// Where the rows hold too many bytes for one page, how many to read instead.
    fn fewer(&mut self, rows: &PageRows) -> Option<usize> {
        let bytes: usize = rows.tables.iter().map(PageTable::text_bytes).sum();
        let fit = rows.count * PAGE_TEXT_BYTES_AIM / bytes.max(1);
        if bytes > PAGE_TEXT_BYTES_AIM && rows.count > 1 {
            self.next = fit.clamp(1, rows.count - 1);
            return Some(self.next);
        }
        if bytes < PAGE_TEXT_BYTES_AIM / 2 {
            self.next = self.next.saturating_mul(2).min(self.rows_max);
        }
        None
    }
}

/// One request's reading.
pub(super) struct Round<'a> {
    pub tx: &'a mut dyn ReadTx,
    pub clock: &'a dyn Clock,
    pub caller: &'a Caller,
    pub visible: &'a Schema,
    pub visibility: String,
    pub stream: StreamId,
    pub size: PageSize,
    /// Rows that are to come again.
    pub refetch: Vec<RowKey>,
    /// Whether the checkpoint brings digests.
    pub digests: bool,
    pub sink: &'a mut dyn PageSink,
    /// What goes with the first page that is sent: schema, drops, gains.
    pub opening: PullPage,
}

/// What the device has, as the pages sent so far make it.
struct Progress {
    since: Position,
    told: Option<Position>,
    telling: Option<Telling>,
    /// Scopes whose rows the device holds all.
    held: Vec<Scope>,
    backfill: Option<Backfill>,
    /// Changes of grants that were dealt with.
    grants: Vec<GrantChange>,
}

impl Progress {
    /// Whether there are scopes whose rows the device is still to get.
    fn is_bringing(&self) -> bool {
        self.backfill.as_ref().is_some_and(|b| !(b.scopes.is_empty() && b.queued.is_empty()))
    }
}

impl Round<'_> {
    /// Sends pages from the cursor on, until the sink has enough.
    pub async fn run(&mut self, cursor: Option<Cursor>) -> Result<(), StoreError> {
        let since = cursor.as_ref().map(|cursor| cursor.since.clone());
        let grants = self.tx.grants(self.caller.user, since.as_ref()).await?;
        let first_sync = cursor.is_none();
        let cut = cursor.as_ref().and_then(|cursor| cursor.round.clone());
        // Grants newer than the position would look changed at the next pull: they are dealt with.
        let newest = self.tx.position().clone();
        let recent = self.tx.grants(self.caller.user, Some(&newest)).await?.changed;
        let mut progress = self.begin(cursor, grants, recent);
        let goes_on = first_sync
            || (self.refetch(&mut progress, cut.as_ref()).await?
                && self.delta(&mut progress, cut).await?);
        if goes_on { self.backfill(&mut progress).await } else { Ok(()) }
    }

    /// Compares grants with the cursor: what is held, what leaves, what is to be brought.
    fn begin(
        &mut self,
        cursor: Option<Cursor>,
        grants: Grants,
        recent: Vec<GrantChange>,
    ) -> Progress {
        let Some(cursor) = cursor else {
            self.opening.gains = grants.held.clone();
            let backfill = Backfill { scopes: grants.held, ..Backfill::default() };
            return Progress {
                since: self.tx.position().clone(),
                told: None,
                telling: None,
                held: Vec::new(),
                backfill: Some(backfill),
                grants: recent,
            };
        };
        let mut held = grants.held;
        let mut gained = Vec::new();
        for change in &grants.changed {
            if change.held && planted::is(Bug::RegainedScopeKept) {
                held.push(change.scope.clone());
            } else if !cursor.grants.contains(change) {
                // Also where it is held again: what changed while it was lost was not told.
                self.opening.drops.push(change.scope.clone());
                if change.held {
                    gained.push(change.scope.clone());
                }
            } else if change.held {
                held.push(change.scope.clone());
            }
        }
        let mut backfill = cursor.backfill;
        if let Some(running) = &mut backfill {
            if !planted::is(Bug::LostScopeGoesOn) {
                running.scopes.retain(|scope| held.contains(scope));
            }
            running.queued.retain(|scope| held.contains(scope));
            held.retain(|s| !running.scopes.contains(s) && !running.queued.contains(s));
            running.queued.extend(gained.iter().cloned());
        } else if !gained.is_empty() {
            backfill = Some(Backfill { scopes: gained.clone(), ..Backfill::default() });
        }
        self.opening.gains = gained;
        Progress {
            since: cursor.since,
            told: cursor.told,
            telling: cursor.telling,
            held,
            backfill,
            grants: grants.changed,
        }
    }

    /// Sends the rows that are to come again. They belong to the delta, from the same snapshot: what
    /// changed of them since the cursor comes in it again. Answers whether the stream goes on.
    async fn refetch(
        &mut self,
        progress: &mut Progress,
        cut: Option<&CutDelta>,
    ) -> Result<bool, StoreError> {
        let records = std::mem::take(&mut self.refetch);
        let mut rest = &records[..];
        while !rest.is_empty() {
            let fit = rest.len().min(self.size.next);
            let query = RefetchQuery {
                records: &rest[..fit],
                scopes: &progress.held,
                partial: partial(progress),
                visible: self.visible,
            };
            let rows = self.tx.refetch(query).await?;
            if self.size.fewer(&rows).is_some() {
                continue;
            }
            rest = &rest[fit..];
            let cursor = self.cursor(progress, cut.cloned());
            let page = PullPage { cursor, ..page_of(rows, PagePart::Delta) };
            if !self.send(page).await {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sends what changed since the cursor. Answers whether the stream goes on.
    async fn delta(
        &mut self,
        progress: &mut Progress,
        mut cut: Option<CutDelta>,
    ) -> Result<bool, StoreError> {
        let now = self.tx.position().clone();
        loop {
            let mut after = cut.as_ref().map(|cut| cut.after.clone());
            if planted::is(Bug::ResumedRoundEndsNewest) {
                cut = None;
            }
            let end = cut.as_ref().map_or(&now, |cut| &cut.end).clone();
            loop {
                let query = DeltaQuery {
                    since: &progress.since,
                    scopes: &progress.held,
                    partial: partial(progress),
                    visible: self.visible,
                    after: after.as_ref(),
                    limit: self.size.next,
                };
                let mut rows = self.tx.delta(query).await?;
                while let Some(limit) = self.size.fewer(&rows) {
                    rows = self.tx.delta(DeltaQuery { limit, ..query }).await?;
                }
                let Some(key) = rows.next.clone() else {
                    progress.since = end;
                    if !self.end_delta(progress, rows, cut.is_none()).await? {
                        return Ok(false);
                    }
                    break;
                };
                after = Some(key.clone());
                let round = Some(CutDelta { end: end.clone(), after: key });
                let cursor = self.cursor(progress, round);
                let page = PullPage { cursor, ..page_of(rows, PagePart::Delta) };
                if !self.send(page).await {
                    return Ok(false);
                }
            }
            if cut.take().is_none() {
                return Ok(true);
            }
        }
    }

    /// Sends the last page of a delta, which is a checkpoint unless the delta was cut.
    async fn end_delta(
        &mut self,
        progress: &mut Progress,
        rows: PageRows,
        checkpoint: bool,
    ) -> Result<bool, StoreError> {
        let mut page = page_of(rows, PagePart::Delta);
        // While a backfill runs, rows that a receipt is about may not be here yet.
        if checkpoint && progress.backfill.is_none() {
            if let Some(page) = self.tell(progress, page).await? {
                self.end(progress, page).await?;
            }
            return Ok(false);
        }
        // A device that has lost all that was being brought knows of no backfill: it would take this page for the
        // last one, although its receipts are still to come. It waits for the page that ends the backfill.
        page.checkpoint = checkpoint && progress.is_bringing();
        // A page that says nothing is left out where pages of a backfill follow.
        if page.tables.is_empty() {
            return Ok(true);
        }
        page.cursor = self.cursor(progress, None);
        Ok(self.send(page).await)
    }

    /// Sends the last page of all, after which the device holds all scopes whole.
    async fn end(&mut self, progress: &Progress, mut page: PullPage) -> Result<(), StoreError> {
        if self.digests {
            page.digests = Some(self.tx.digests(&progress.held, self.visible).await?);
        }
        page.checkpoint = true;
        page.cursor = self.cursor(progress, None);
        self.send(page).await;
        Ok(())
    }

    /// Sends receipts, in as many pages as it takes, of which the first is `page` with its rows.
    /// Answers the last one, which is to become the checkpoint; none if the sink has enough.
    ///
    /// As with a delta, what is told over several requests is told as of the first one's snapshot,
    /// and what was settled since follows.
    async fn tell(
        &mut self,
        progress: &mut Progress,
        mut page: PullPage,
    ) -> Result<Option<PullPage>, StoreError> {
        loop {
            let now = self.tx.position().clone();
            let (end, after) = match progress.telling.take() {
                Some(telling) => (telling.end, Some(telling.after)),
                None => (now.clone(), None),
            };
            let settled = self.settled(progress, after.as_ref()).await?;
            let fit = how_many_fit(&settled);
            let complete = fit == settled.len() && end == now;
            if fit < settled.len() {
                let after = settled[fit - 1].0.clone();
                progress.telling = Some(Telling { end, after });
            } else {
                progress.told = Some(end);
            }
            page.settled = settled.into_iter().take(fit).map(|(_, receipt)| receipt).collect();
            if complete {
                return Ok(Some(page));
            }
            let part = page.part;
            if !(page.tables.is_empty() && page.settled.is_empty()) {
                page.cursor = self.cursor(progress, None);
                if !self.send(page).await {
                    return Ok(None);
                }
            }
            page = PullPage { part, ..PullPage::default() };
        }
    }

    /// Sends the rows of gained scopes. The next page is read while the one before is being sent.
    async fn backfill(&mut self, progress: &mut Progress) -> Result<(), StoreError> {
        progress.since = self.tx.position().clone();
        let Some(running) = &progress.backfill else { return Ok(()) };
        let query = backfill_query(self.visible, self.size.next, running, &progress.held);
        let mut left = self.tx.backfill_remaining(query).await?;
        let mut rows = read_backfill(self.tx, query, &mut self.size).await?;
        while let Some(running) = progress.backfill.take() {
            left = left.saturating_sub(rows.count as u64);
            let next = rows.next.clone();
            let mut page = page_of(rows, PagePart::Backfill);
            page.remaining = left;
            if next.is_some() {
                progress.backfill = Some(Backfill { after: next, ..running });
            } else if running.queued.is_empty() {
                // The backfill stays in the cursors until the checkpoint that ends it.
                progress.backfill = Some(running);
                page.remaining = 0;
                if let Some(page) = self.tell(progress, page).await? {
                    let running = progress.backfill.take();
                    progress.held.extend(running.into_iter().flat_map(|b| b.scopes));
                    self.end(progress, page).await?;
                }
                return Ok(());
            } else {
                progress.held.extend(running.scopes);
                page.remaining = 0;
                progress.backfill =
                    Some(Backfill { scopes: running.queued, ..Backfill::default() });
            }
            page.cursor = self.cursor(progress, None);
            let Some(running) = &progress.backfill else { return Ok(()) };
            let query = backfill_query(self.visible, self.size.next, running, &progress.held);
            let begins = running.after.is_none();
            let page = self.opened(page);
            let (tx, sink, size) = (&mut *self.tx, &mut *self.sink, &mut self.size);
            let read = async {
                let left = match begins {
                    true => tx.backfill_remaining(query).await?,
                    false => left,
                };
                Ok::<_, StoreError>((left, read_backfill(tx, query, size).await?))
            };
            let Some(read) = send_while(sink.page(page), read).await else { return Ok(()) };
            (left, rows) = read?;
        }
        Ok(())
    }

    /// What the device has not been told of its edits.
    async fn settled(
        &mut self,
        progress: &Progress,
        after: Option<&SettledKey>,
    ) -> Result<Vec<(SettledKey, Receipt)>, StoreError> {
        if progress.told.is_none() && planted::is(Bug::ReceiptDroppedOnResync) {
            return Ok(Vec::new());
        }
        // One more than fits tells whether more follow.
        let limit = PAGE_RECEIPTS_MAX + 1;
        let mut settled =
            self.tx.settled(self.stream, progress.told.as_ref(), after, limit).await?;
        if planted::is(Bug::FutureReceiptUntold) {
            let now_us = self.clock.now_us();
            settled.retain(|(_, receipt)| receipt.settled_at_us <= now_us);
        }
        Ok(settled)
    }

    fn cursor(&self, progress: &Progress, round: Option<CutDelta>) -> String {
        Cursor {
            tenant: self.caller.tenant,
            user: self.caller.user,
            visibility: self.visibility.clone(),
            since: progress.since.clone(),
            told: progress.told.clone(),
            telling: progress.telling.clone(),
            round,
            backfill: progress.backfill.clone(),
            grants: progress.grants.clone(),
        }
        .write()
    }

    async fn send(&mut self, page: PullPage) -> bool {
        let page = self.opened(page);
        self.sink.page(page).await
    }

    /// The page with what goes with the first one, and the time.
    fn opened(&mut self, page: PullPage) -> PullPage {
        let PullPage { schema, drops, gains, .. } = std::mem::take(&mut self.opening);
        let server_time_us = self.clock.now_us();
        PullPage { schema, drops, gains, server_time_us, ..page }
    }
}

/// Scopes of which the device has the rows up to a key.
fn partial(progress: &Progress) -> Option<(&[Scope], &RowKey)> {
    let running = progress.backfill.as_ref()?;
    let key = running.after.as_ref().filter(|_| !planted::is(Bug::BackfilledPartForgotten))?;
    Some((&running.scopes, key))
}

/// How many of the receipts go into one page: at least one, and not more than speak of as many
/// mutations.
fn how_many_fit(settled: &[(SettledKey, Receipt)]) -> usize {
    let mut mutations = 0;
    let fit = settled.iter().take(PAGE_RECEIPTS_MAX).take_while(|(_, receipt)| {
        mutations += receipt.mutations.len();
        mutations <= PAGE_RECEIPTS_MAX
    });
    fit.count().max(1).min(settled.len())
}

/// Sends a page, and reads on while it is on its way. None where the sink has enough: then nothing
/// was read, unless the sink took its time to say so.
async fn send_while<R>(
    sending: impl Future<Output = bool>,
    reading: impl Future<Output = R>,
) -> Option<R> {
    tokio::pin!(sending, reading);
    tokio::select! {
        biased;
        wanted = &mut sending => if wanted { Some(reading.await) } else { None },
        read = &mut reading => sending.await.then_some(read),
    }
}

/// Reads a page of a backfill that is not too large.
async fn read_backfill(
    tx: &mut dyn ReadTx,
    query: BackfillQuery<'_>,
    size: &mut PageSize,
) -> Result<PageRows, StoreError> {
    let mut rows = tx.backfill(query).await?;
    while let Some(limit) = size.fewer(&rows) {
        rows = tx.backfill(BackfillQuery { limit, ..query }).await?;
    }
    Ok(rows)
}

fn backfill_query<'a>(
    visible: &'a Schema,
    limit: usize,
    running: &'a Backfill,
    held: &'a [Scope],
) -> BackfillQuery<'a> {
    BackfillQuery { scopes: &running.scopes, held, visible, after: running.after.as_ref(), limit }
}

fn page_of(mut rows: PageRows, part: PagePart) -> PullPage {
    if planted::is(Bug::TombstoneNotSent) {
        rows.tables.iter_mut().for_each(|table| table.exits.clear());
    }
    PullPage { part, scope_sets: rows.scope_sets, tables: rows.tables, ..PullPage::default() }
}
