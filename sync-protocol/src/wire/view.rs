//! `GET users/{id}/view`: what somebody's phone holds, as the server sees it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::{RecordId, RowVersion, Scope, UserId};

/// What somebody sees: what a phone of theirs holds when it is in step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Who.
    pub user: UserId,
    /// What they type at login.
    pub login: String,
    /// Their roles.
    pub roles: Vec<String>,
    /// Whether they may not log in any more.
    pub disabled: bool,
    /// What they may do.
    pub permissions: Vec<String>,
    /// Hash of the collections and fields that they may see.
    pub visibility: String,
    /// Rows in all: one in two scopes counts once.
    pub rows: u64,
    /// About how many bytes these rows take, without indexes.
    pub bytes: u64,
    /// Photos in all whose pictures the server has; a phone fetches them when somebody looks.
    pub photos: u64,
    /// Bytes of their pictures and thumbnails.
    pub photo_bytes: u64,
    /// What each scope that they hold has.
    pub scopes: Vec<ScopeView>,
    /// Collections that they may not see, with the permission that they lack.
    pub hidden_collections: BTreeMap<String, String>,
    /// Fields that they may not see, as `collection.field`, with the permission that they lack.
    pub hidden_fields: BTreeMap<String, String>,
}

/// What a scope holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopeView {
    /// The scope.
    pub scope: Scope,
    /// By collection; empty ones are left out.
    pub collections: Vec<CollectionView>,
}

/// What a scope holds of a collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionView {
    /// The collection.
    pub collection: String,
    /// How many rows.
    pub rows: u64,
    /// About how many bytes they take.
    pub bytes: u64,
    /// Photos among them whose pictures the server has.
    pub photos: u64,
    /// Bytes of their pictures and thumbnails.
    pub photo_bytes: u64,
    /// Digest, as checkpoints tell it.
    pub digest: Digest,
}

/// Whether somebody sees a record, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// Who.
    pub user: UserId,
    /// The collection.
    pub collection: String,
    /// The record.
    pub record: RecordId,
    /// Whether they see it.
    pub visible: bool,
    /// Stable, in snake case: `in_scope`, `not_in_scope`, `collection_hidden`, `deleted`, `not_there`.
    pub reason: String,
    /// The same in a sentence.
    pub text: String,
    /// Its version, if it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<RowVersion>,
    /// The scopes that it is in.
    pub scopes: Vec<Scope>,
    /// Those of them that they hold.
    pub held: Vec<Scope>,
    /// Fields of it that they may not see.
    pub hidden_fields: Vec<String>,
}
