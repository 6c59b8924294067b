//! The model's pull: a first sync as a backfill, later ones as deltas; cut rounds end with the snapshot
//! of their first page, as the protocol wants it.

use std::collections::BTreeSet;

use mobile_core::transport::TransportError;
use serde::{Deserialize, Serialize};
use sync_protocol::problem::Problem;
use sync_protocol::wire::pull::{Column, PagePart, PageTable, PullPage, PullRequest};
use sync_protocol::{RecordId, Scope};

use super::{Row, State};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cursor {
    pub epoch: u32,
    pub since: i64,
    pub told: i64,
    /// Inside a delta: where it ends, and the last key that was sent.
    pub cut: Option<(i64, (String, RecordId))>,
    /// Inside a backfill: the last key that was sent.
    pub backfill: Option<Option<(String, RecordId)>>,
}

type Key = (String, RecordId);

pub fn pages(state: &State, request: &PullRequest) -> Result<Vec<PullPage>, TransportError> {
    let hash = state.schema.hash();
    let now = state.commit;
    let first =
        Cursor { epoch: state.epoch, since: now, told: -1, cut: None, backfill: Some(None) };
    let cursor: Option<Cursor> =
        request.cursor.as_ref().map(|text| serde_json::from_str(text).expect("our own cursor"));
    let begun = cursor.is_some();
    let mut at = cursor.unwrap_or(first);
    if at.epoch != state.epoch {
        let problem = Problem::new(410, state.epoch_code, "Begin anew");
        return Err(TransportError::Problem(Box::new(problem)));
    }
    let mut pages = Vec::new();
    if begun {
        let mut cut = at.cut.take();
        loop {
            let was_cut = cut.is_some();
            delta(state, request, &mut at, cut.take(), &mut pages);
            if !was_cut {
                break;
            }
        }
    }
    if at.backfill.is_some() {
        backfill(state, request, begun, &mut at, &mut pages);
    }
    if request.schema_hash.as_deref() != Some(&hash) {
        pages[0].schema = Some(state.schema.clone());
    }
    Ok(pages)
}

fn delta(
    state: &State,
    request: &PullRequest,
    at: &mut Cursor,
    cut: Option<(i64, Key)>,
    pages: &mut Vec<PullPage>,
) {
    let end = cut.as_ref().map_or(state.commit, |(end, _)| *end);
    let after = cut.as_ref().map(|(_, key)| key.clone());
    // During a backfill, deltas cover the part that is there.
    let reach = at.backfill.clone();
    let changed: Vec<(&Key, &Row)> = state
        .rows
        .iter()
        .filter(|(_, row)| row.commit > at.since)
        .filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after))
        .filter(|(key, _)| match &reach {
            None => true,
            Some(None) => false,
            Some(Some(reached)) => *key <= reached,
        })
        .collect();
    let mut chunks = changed.chunks(state.page_rows).peekable();
    loop {
        let rows = chunks.next().unwrap_or_default();
        let last = chunks.peek().is_none();
        let mut page = page(state, rows, PagePart::Delta);
        if last {
            at.since = end;
            at.cut = None;
            if cut.is_none() {
                page.checkpoint = true;
                settle(state, request, at, &mut page);
            }
        } else if let Some((key, _)) = rows.last() {
            at.cut = Some((end, (*key).clone()));
        }
        page.cursor = serde_json::to_string(at).expect("a cursor is JSON");
        pages.push(page);
        if last {
            return;
        }
    }
}

fn backfill(
    state: &State,
    request: &PullRequest,
    begun: bool,
    at: &mut Cursor,
    pages: &mut Vec<PullPage>,
) {
    at.since = state.commit;
    let after = at.backfill.clone().flatten();
    let live: Vec<(&Key, &Row)> = state
        .rows
        .iter()
        .filter(|(_, row)| row.meta.deleted.is_none())
        .filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after))
        .collect();
    let mut left = live.len();
    let mut chunks = live.chunks(state.page_rows).peekable();
    let mut opening = !begun;
    loop {
        let rows = chunks.next().unwrap_or_default();
        let last = chunks.peek().is_none();
        left -= rows.len();
        let mut page = page(state, rows, PagePart::Backfill);
        page.remaining = left as u64;
        if std::mem::take(&mut opening) {
            page.gains = vec![Scope::tenant()];
        }
        if last {
            at.backfill = None;
            page.checkpoint = true;
            settle(state, request, at, &mut page);
        } else {
            at.backfill = Some(rows.last().map(|(key, _)| (*key).clone()));
        }
        page.cursor = serde_json::to_string(at).expect("a cursor is JSON");
        pages.push(page);
        if last {
            return;
        }
    }
}

fn settle(state: &State, request: &PullRequest, at: &mut Cursor, page: &mut PullPage) {
    page.settled = state
        .receipts
        .values()
        .filter(|kept| {
            let echo = kept.echoes.get(&request.stream).copied();
            // Who begins anew is told again what its stream has not been seen to know.
            let is_known = at.told < 0 && state.seen.contains(&kept.receipt.id);
            let own = (kept.stream == request.stream && !is_known).then_some(kept.commit);
            own.max(echo).is_some_and(|commit| commit > at.told)
        })
        .map(|kept| kept.receipt.clone())
        .collect();
    at.told = state.commit;
}

fn page(state: &State, rows: &[(&Key, &Row)], part: PagePart) -> PullPage {
    let mut page = PullPage {
        part,
        scope_sets: vec![vec![Scope::tenant()]],
        server_time_us: state.now_us,
        ..PullPage::default()
    };
    let names: BTreeSet<&str> = rows.iter().map(|(key, _)| key.0.as_str()).collect();
    for name in names {
        let collection = &state.schema.collections[name];
        let mut table = PageTable {
            collection: name.to_owned(),
            fields: collection.fields.iter().map(|f| f.name.clone()).collect(),
            columns: collection.fields.iter().map(|f| Column::for_type(&f.kind)).collect(),
            ..PageTable::default()
        };
        for (key, row) in rows.iter().filter(|(key, _)| key.0 == name) {
            if row.meta.deleted.is_some() {
                table.exits.push(key.1);
                continue;
            }
            table.ids.push(key.1);
            table.versions.push(row.meta.version);
            table.scope_sets.push(0);
            for (field, column) in collection.fields.iter().zip(&mut table.columns) {
                column.push(row.fields.get(&field.name).unwrap_or(&sync_protocol::Value::Null));
            }
        }
        page.tables.push(table);
    }
    page
}
