//! Why somebody sees a record, or does not.

use sync_protocol::wire::view::Why;
use sync_protocol::{RecordId, Scope, TenantId};

use crate::auth::permission;
use crate::store::accounts::Account;
use crate::store::{Store, StoreError};

/// Whether somebody sees a record, and why. None for a collection that does not exist.
///
/// # Errors
/// Those of the store.
pub async fn why(
    store: &dyn Store,
    tenant: TenantId,
    account: &Account,
    collection: &str,
    record: RecordId,
) -> Result<Option<Why>, StoreError> {
    let permissions = permission::of_roles(store.schema(), &account.roles, &[]);
    let Some(known) = store.schema().collection(collection) else { return Ok(None) };
    let mut tx = store.read(tenant).await?;
    let grants = tx.grants(account.id, None).await?.held;
    let row = tx.rows(known, &[record]).await?.remove(&record);
    let mut why = Why {
        user: account.id,
        collection: collection.to_owned(),
        record,
        visible: false,
        reason: String::new(),
        text: String::new(),
        version: row.as_ref().map(|row| row.meta.version),
        scopes: row.as_ref().map_or_else(Vec::new, |row| known.scopes_of(record, &row.fields)),
        held: Vec::new(),
        hidden_fields: known
            .fields
            .iter()
            .filter(|field| field.read.as_ref().is_some_and(|read| !permissions.contains(read)))
            .map(|field| field.name.clone())
            .collect(),
    };
    why.held = why.scopes.iter().filter(|scope| grants.contains(scope)).cloned().collect();
    let who = &account.login;
    let (reason, text) = match &row {
        _ if !permissions.contains(&known.read) => (
            "collection_hidden",
            format!(
                "`{collection}` needs the permission `{}`, which {who} does not have",
                known.read
            ),
        ),
        None => ("not_there", format!("`{collection}` has never had a record {record}")),
        Some(row) if row.meta.deleted.is_some() => {
            ("deleted", format!("it was deleted, with version {}", row.meta.version))
        }
        Some(_) if why.held.is_empty() => (
            "not_in_scope",
            format!("it is in {}, and {who} holds none of them", names(&why.scopes)),
        ),
        Some(_) => {
            why.visible = true;
            ("in_scope", format!("{who} holds {}, which it is in", names(&why.held)))
        }
    };
    why.reason = reason.to_owned();
    why.text = text;
    Ok(Some(why))
}

fn names(scopes: &[Scope]) -> String {
    if scopes.is_empty() {
        return "no scope at all".to_owned();
    }
    scopes.iter().map(Scope::as_str).collect::<Vec<_>>().join(", ")
}
