//! Users, grants, devices, and refresh tokens.

use std::collections::BTreeSet;

use sync_protocol::{DeviceId, Scope, UserId};
use sync_server::auth::refresh::{NewRefreshToken, Rotation};
use sync_server::store::accounts::Device;
use sync_server::store::{Grants, Position, StoreError};

use crate::bench::{Bench, account, project, record, uuid};

pub async fn names_are_taken_once(b: Bench) {
    let again = b.store.create_user(b.tenant, &account(UserId(uuid()), "ana")).await;
    assert!(matches!(again, Err(StoreError::Exists(_))), "{again:?}");
    let tenant = b.store.tenant(b.tenant).await.expect("tenants").expect("the tenant");
    let again = b.store.create_tenant(&tenant.slug, "Otra").await;
    assert!(matches!(again, Err(StoreError::Exists(_))), "{again:?}");
    let found = b.store.tenant_by_slug(&tenant.slug).await.expect("tenants");
    assert_eq!(found, Some(tenant));
    assert_eq!(b.store.tenant_by_slug("nadie").await.expect("tenants"), None);
    let ana = b.store.user_by_login(b.tenant, "ana").await.expect("users").expect("Ana");
    assert_eq!(ana, account(b.user, "ana"));
    assert_eq!(b.store.user(b.tenant, b.user).await.expect("users"), Some(ana));
    assert_eq!(b.store.user_by_login(b.tenant, "luis").await.expect("users"), None);
}

pub async fn grants_are_told_apart_by_a_position(b: Bench) {
    let own = Scope::entity("user", b.user.0);
    let (one, two) = (project(record()), project(record()));
    let of = async |since: Option<&Position>| -> Grants {
        b.read().await.grants(b.user, since).await.expect("grants")
    };
    let set = |scopes: &[Scope]| scopes.iter().cloned().collect::<BTreeSet<Scope>>();
    b.store.grant(b.tenant, b.user, &one).await.expect("granted");
    let start = b.now().await;
    assert_eq!(set(&of(None).await.held), set(&[Scope::tenant(), own.clone(), one.clone()]));
    assert!(of(None).await.changed.is_empty());

    // What is held already changes nothing.
    b.store.grant(b.tenant, b.user, &one).await.expect("granted");
    assert!(of(Some(&start)).await.changed.is_empty());

    let mut tx = b.begin().await;
    tx.grant(b.user, &two).await.expect("granted");
    let scopes = tx.scopes_of(b.user).await.expect("scopes");
    assert!(tx.lost_scopes(b.user).await.expect("scopes").is_empty());
    assert_eq!(scopes, set(&[Scope::tenant(), own.clone(), one.clone(), two.clone()]));
    tx.commit().await.expect("a commit");
    b.store.revoke(b.tenant, b.user, &one).await.expect("revoked");
    let mut tx = b.begin().await;
    let scopes = tx.scopes_of(b.user).await.expect("scopes");
    assert_eq!(scopes, set(&[Scope::tenant(), own.clone(), two.clone()]));
    assert_eq!(tx.lost_scopes(b.user).await.expect("scopes"), set(std::slice::from_ref(&one)));
    drop(tx);
    let grants = of(Some(&start)).await;
    assert_eq!(set(&grants.held), set(&[Scope::tenant(), own.clone()]));
    let changed: BTreeSet<_> = grants.changed.iter().map(|c| (c.scope.clone(), c.held)).collect();
    assert_eq!(changed, BTreeSet::from([(one.clone(), false), (two.clone(), true)]));

    // Lost and regained is a change of its own.
    let lost = grants.changed.iter().find(|c| c.scope == one).expect("the change").clone();
    b.store.grant(b.tenant, b.user, &one).await.expect("granted");
    let grants = of(Some(&start)).await;
    let regained = grants.changed.iter().find(|c| c.scope == one).expect("the change");
    assert!(regained.held);
    assert_ne!(regained.stamp, lost.stamp);
    assert!(of(Some(&b.now().await)).await.changed.is_empty());
}

pub async fn a_device_is_seen_and_revoked(b: Bench) {
    let id = DeviceId(uuid());
    let phone = |at_us| Device {
        id,
        user: b.user,
        name: Some("teléfono".to_owned()),
        last_seen_us: at_us,
        revoked: false,
    };
    b.store.register_device(b.tenant, &phone(1_000)).await.expect("registered");
    b.store.register_device(b.tenant, &phone(2_000)).await.expect("seen");
    assert_eq!(b.store.devices(b.tenant).await.expect("devices"), [phone(2_000)]);
    b.store.start_refresh_family(b.tenant, &token(&b, id, "a")).await.expect("a family");
    b.store.revoke_device(b.tenant, id).await.expect("revoked");
    assert!(b.store.device(b.tenant, id).await.expect("devices").expect("the device").revoked);
    b.store.register_device(b.tenant, &phone(3_000)).await.expect("seen");
    let device = b.store.device(b.tenant, id).await.expect("devices").expect("the device");
    assert!(device.revoked, "logging in again does not bring it back");
    assert_eq!(rotate(&b, id, "a", "b").await, Rotation::Refused);
    assert_eq!(b.store.device(b.tenant, DeviceId(uuid())).await.expect("devices"), None);
}

fn token(b: &Bench, device: DeviceId, hash: &str) -> NewRefreshToken {
    NewRefreshToken {
        hash: format!("{hash}{}", "0".repeat(64 - hash.len())),
        user: b.user,
        device,
        issued_at_us: 0,
        expires_at_us: 1_000,
    }
}

async fn rotate(b: &Bench, device: DeviceId, presented: &str, next: &str) -> Rotation {
    let presented = token(b, device, presented).hash;
    let next = token(b, device, next);
    b.store.rotate_refresh(b.tenant, &presented, device, &next, 500).await.expect("an answer")
}

async fn family(b: &Bench) -> DeviceId {
    let device = DeviceId(uuid());
    let phone = Device { id: device, user: b.user, name: None, last_seen_us: 0, revoked: false };
    b.store.register_device(b.tenant, &phone).await.expect("registered");
    b.store.start_refresh_family(b.tenant, &token(b, device, "a")).await.expect("a family");
    device
}

pub async fn a_refresh_token_rotates_and_forgives_a_lost_answer(b: Bench) {
    let device = family(&b).await;
    let ok = Rotation::Rotated { user: b.user };
    assert_eq!(rotate(&b, device, "a", "b").await, ok);
    // The answer with `b` was lost: `a` is still good, and `b` never will be.
    assert_eq!(rotate(&b, device, "a", "c").await, ok);
    assert_eq!(rotate(&b, device, "c", "d").await, ok);
    assert_eq!(rotate(&b, device, "d", "e").await, ok);
    assert_eq!(rotate(&b, device, "nobody's", "f").await, Rotation::Refused);
}

pub async fn a_token_whose_child_was_used_ends_its_family(b: Bench) {
    let device = family(&b).await;
    rotate(&b, device, "a", "b").await;
    rotate(&b, device, "b", "c").await;
    assert_eq!(rotate(&b, device, "a", "x").await, Rotation::Reused);
    assert_eq!(rotate(&b, device, "c", "d").await, Rotation::Refused, "the owner logs in again");
}

pub async fn a_replaced_token_or_another_device_ends_the_family(b: Bench) {
    let device = family(&b).await;
    rotate(&b, device, "a", "b").await;
    rotate(&b, device, "a", "c").await;
    assert_eq!(rotate(&b, device, "b", "x").await, Rotation::Reused);
    assert_eq!(rotate(&b, device, "c", "d").await, Rotation::Refused);
}

pub async fn an_expired_or_ended_token_is_refused(b: Bench) {
    let device = family(&b).await;
    let (a, next) = (token(&b, device, "a"), token(&b, device, "b"));
    let late = b.store.rotate_refresh(b.tenant, &a.hash, device, &next, 1_000).await;
    assert_eq!(late.expect("an answer"), Rotation::Refused);
    b.store.end_refresh_family(b.tenant, &a.hash).await.expect("logged out");
    b.store.end_refresh_family(b.tenant, "unknown").await.expect("nothing happens");
    assert_eq!(rotate(&b, device, "a", "b").await, Rotation::Refused);
}

pub async fn the_signing_key_is_drawn_once(b: Bench) {
    let key = b.store.signing_key().await.expect("a key");
    assert_eq!(key.len(), 32);
    assert_eq!(b.store.signing_key().await.expect("a key"), key);
}
