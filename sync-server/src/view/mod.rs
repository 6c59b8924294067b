//! "See as": what somebody's phone holds, and why it does or does not hold a record, without the phone.
//!
//! It is computed by what a pull is computed by: the grants, the visible part of the schema, the pages of a
//! backfill, the digests. Whoever looks is noted in the audit trail.

mod why;

use std::collections::BTreeMap;

use sync_protocol::Scope;
use sync_protocol::digest::Digest;
use sync_protocol::schema::Schema;
use sync_protocol::wire::pull::{Column, PageTable};
use sync_protocol::wire::view::{CollectionView, ScopeView, View};
use sync_protocol::{StreamId, TenantId, UserId};

pub use why::why;

use crate::auth::permission;
use crate::clock::Clock;
use crate::store::accounts::Account;
use crate::store::{AuditEntry, BackfillQuery, ReadTx, Store, StoreError};

/// Rows that are read at once.
const PAGE_ROWS: usize = 2_000;
/// Bytes that a row takes besides its fields: id, version, scopes.
const ROW_BYTES: u64 = 16 + 8 + 8;

/// What somebody sees. Reads all their rows.
///
/// # Errors
/// Those of the store.
pub async fn of(
    store: &dyn Store,
    tenant: TenantId,
    account: &Account,
) -> Result<View, StoreError> {
    let permissions = permission::of_roles(store.schema(), &account.roles, &[]);
    let may = |permission: &str| permissions.contains(permission);
    let visible = store.schema().visible_to(may);
    let mut tx = store.read(tenant).await?;
    let held = tx.grants(account.id, None).await?.held;
    let mut view = View {
        user: account.id,
        login: account.login.clone(),
        roles: account.roles.clone(),
        disabled: account.disabled,
        visibility: visible.hash(),
        rows: 0,
        bytes: 0,
        scopes: Vec::new(),
        hidden_collections: BTreeMap::new(),
        hidden_fields: BTreeMap::new(),
        permissions: permissions.iter().cloned().collect(),
    };
    for collection in store.schema().collections.values() {
        if !may(&collection.read) {
            view.hidden_collections.insert(collection.name.clone(), collection.read.clone());
            continue;
        }
        for field in &collection.fields {
            if let Some(read) = field.read.as_ref().filter(|read| !may(read)) {
                view.hidden_fields
                    .insert(format!("{}.{}", collection.name, field.name), read.clone());
            }
        }
    }
    let counted = count(tx.as_mut(), &visible, &held, &mut view).await?;
    let digests = tx.digests(&held, &visible).await?;
    for scope in held {
        let of_scope = digests.iter().filter(|digest| digest.scope == scope);
        let collections = of_scope.map(|told| CollectionView {
            collection: told.collection.clone(),
            rows: told.rows,
            bytes: counted
                .get(&(scope.clone(), told.collection.clone()))
                .copied()
                .unwrap_or_default(),
            digest: Digest(told.digest.0),
        });
        view.scopes.push(ScopeView { collections: collections.collect(), scope });
    }
    Ok(view)
}

/// Counts rows and bytes, in all and by scope and collection.
async fn count(
    tx: &mut dyn ReadTx,
    visible: &Schema,
    held: &[Scope],
    view: &mut View,
) -> Result<BTreeMap<(Scope, String), u64>, StoreError> {
    let mut bytes: BTreeMap<(Scope, String), u64> = BTreeMap::new();
    let mut after = None;
    loop {
        let query = BackfillQuery {
            scopes: held,
            held: &[],
            visible,
            after: after.as_ref(),
            limit: PAGE_ROWS,
        };
        let page = tx.backfill(query).await?;
        for table in &page.tables {
            for (row, size) in sizes(table).into_iter().enumerate() {
                view.rows += 1;
                view.bytes += size;
                let set = table.scope_sets.get(row).map(|set| *set as usize);
                for scope in set.and_then(|set| page.scope_sets.get(set)).into_iter().flatten() {
                    *bytes.entry((scope.clone(), table.collection.clone())).or_default() += size;
                }
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(bytes);
        }
    }
}

/// About how many bytes each row takes.
fn sizes(table: &PageTable) -> Vec<u64> {
    let mut sizes = vec![ROW_BYTES; table.ids.len()];
    for column in &table.columns {
        match column {
            Column::Text(texts) => {
                for (size, text) in sizes.iter_mut().zip(texts.iter()) {
                    *size += text.map_or(0, |text| text.len() as u64);
                }
            }
            Column::Uuid(_) => sizes.iter_mut().for_each(|size| *size += 16),
            Column::Int(_) | Column::Real(_) => sizes.iter_mut().for_each(|size| *size += 8),
        }
    }
    sizes
}

/// Notes in the audit trail that somebody looked. `by` is none for the command line.
///
/// # Errors
/// Those of the store.
pub async fn note(
    store: &dyn Store,
    clock: &dyn Clock,
    tenant: TenantId,
    by: Option<UserId>,
    seen: serde_json::Value,
) -> Result<(), StoreError> {
    let mut tx = store.write(tenant, StreamId::SQL).await?;
    tx.audit(&AuditEntry {
        at_us: clock.now_us(),
        user: by,
        action: "user.viewed".to_owned(),
        conflict: None,
        detail: seen,
    })
    .await?;
    tx.commit().await
}
