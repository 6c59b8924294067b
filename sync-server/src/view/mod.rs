//! "See as": what somebody's phone holds, and why it does or does not hold a record, without the phone.
//!
//! It is computed by what a pull is computed by: the grants, the visible part of the schema, the pages of a
//! backfill, the digests. Whoever looks is noted in the audit trail.

mod why;

use std::collections::BTreeMap;

use sync_protocol::Scope;
use sync_protocol::digest::Digest;
use sync_protocol::schema::{Schema, photos};
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
        photos: 0,
        photo_bytes: 0,
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
        let collections = of_scope.map(|told| {
            let size = counted.get(&(scope.clone(), told.collection.clone()));
            let Size { bytes, photos, photo_bytes } = size.copied().unwrap_or_default();
            let (collection, digest) = (told.collection.clone(), Digest(told.digest.0));
            CollectionView { collection, rows: told.rows, bytes, photos, photo_bytes, digest }
        });
        view.scopes.push(ScopeView { collections: collections.collect(), scope });
    }
    Ok(view)
}

/// What rows take.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    bytes: u64,
    /// Pictures that the server has.
    photos: u64,
    photo_bytes: u64,
}

impl std::ops::AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.photos += other.photos;
        self.photo_bytes += other.photo_bytes;
    }
}

/// Counts rows, bytes and photos, in all and by scope and collection.
async fn count(
    tx: &mut dyn ReadTx,
    visible: &Schema,
    held: &[Scope],
    view: &mut View,
) -> Result<BTreeMap<(Scope, String), Size>, StoreError> {
    let mut found: BTreeMap<(Scope, String), Size> = BTreeMap::new();
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
            let photos = visible.collection(&table.collection).is_some_and(|known| known.photos);
            for (row, size) in sizes(table, photos).into_iter().enumerate() {
                view.rows += 1;
                view.bytes += size.bytes;
                view.photos += size.photos;
                view.photo_bytes += size.photo_bytes;
                let set = table.scope_sets.get(row).map(|set| *set as usize);
                for scope in set.and_then(|set| page.scope_sets.get(set)).into_iter().flatten() {
                    *found.entry((scope.clone(), table.collection.clone())).or_default() += size;
                }
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(found);
        }
    }
}

/// About how many bytes each row takes; of photos, what the server has of them, too.
fn sizes(table: &PageTable, photos: bool) -> Vec<Size> {
    let mut sizes = vec![Size { bytes: ROW_BYTES, ..Size::default() }; table.ids.len()];
    for column in &table.columns {
        match column {
            Column::Text(texts) => {
                for (size, text) in sizes.iter_mut().zip(texts.iter()) {
                    size.bytes += text.map_or(0, |text| text.len() as u64);
                }
            }
            Column::Uuid(_) => sizes.iter_mut().for_each(|size| size.bytes += 16),
            Column::Int(_) | Column::Real(_) => sizes.iter_mut().for_each(|size| size.bytes += 8),
        }
    }
    if photos {
        count_photos(table, &mut sizes);
    }
    sizes
}

fn count_photos(table: &PageTable, sizes: &mut [Size]) {
    let column = |name: &str| {
        let at = table.fields.iter().position(|field| field == name)?;
        table.columns.get(at)
    };
    let lengths = |name: &str| match column(name) {
        Some(Column::Int(lengths)) => lengths.as_slice(),
        _ => &[],
    };
    let Some(Column::Text(states)) = column(photos::STATE) else { return };
    let (pictures, thumbnails) = (lengths(photos::BYTES), lengths(photos::THUMBNAIL_BYTES));
    for (row, (size, state)) in sizes.iter_mut().zip(states.iter()).enumerate() {
        let bytes = |of: &[Option<i64>]| {
            of.get(row).copied().flatten().and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
        };
        let stored = state == Some(photos::STORED);
        if stored {
            size.photos = 1;
            size.photo_bytes = bytes(pictures);
        }
        if stored || state == Some(photos::THUMBNAIL) {
            size.photo_bytes += bytes(thumbnails);
        }
    }
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
