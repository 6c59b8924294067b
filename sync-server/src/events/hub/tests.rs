use std::time::Duration;

use uuid::Uuid;

use super::*;

fn tenant() -> TenantId {
    TenantId(Uuid::from_u128(1))
}

fn user(n: u128) -> UserId {
    UserId(Uuid::from_u128(100 + n))
}

/// Somebody who may read projects.
fn newcomer(tenant: TenantId, user: UserId, device: u128) -> Newcomer {
    Newcomer {
        tenant,
        user,
        device: Some(DeviceId(Uuid::from_u128(device))),
        proof: Proof::of_nobody(),
        visible: ["proyectos".to_owned()].into(),
        expires_at_us: 1_000,
    }
}

/// A hub with listeners of as many users, who hold the tenant's scope and have opened.
fn hub(listeners: u128) -> (Hub, Vec<Taken>) {
    let mut hub = Hub::default();
    let mut taken = Vec::new();
    for n in 0..listeners {
        let settings = EventSettings::default();
        taken.push(hub.come(newcomer(tenant(), user(n), n), &settings).expect("a place"));
        hub.know(tenant(), [(user(n), [Scope::tenant()].into())].into());
    }
    (hub, taken)
}

/// A look that found rows of a collection in a scope.
fn look(scope: Scope, collection: &str) -> Look {
    let scopes = [(scope, [collection.to_owned()].into())].into();
    let moved = MovedRows { scopes, users: BTreeSet::new() };
    Look { moved: [(tenant(), moved)].into(), ..Look::default() }
}

/// Numbers from 0 up to 1, evenly.
fn evenly(of: u32) -> impl FnMut() -> f64 {
    let mut n = 0;
    move || {
        n = (n + 1) % of;
        f64::from(n) / f64::from(of)
    }
}

#[test]
fn what_concerns_a_thousand_is_told_over_ten_seconds_and_what_concerns_one_at_once() {
    let (mut hub, taken) = hub(1_000);
    let now = Instant::now();
    hub.take(&look(Scope::tenant(), "proyectos"), &BTreeSet::new(), now, evenly(1_000));
    let mut in_second = [0; 11];
    for taken in &taken {
        let (next, mark) = hub.next(taken, true, now);
        assert_eq!(mark, None, "with something waiting there is no mark");
        match next {
            Next::Tell(_) => in_second[0] += 1,
            Next::Wait(Some(due)) => {
                in_second[usize::try_from((due - now).as_secs()).unwrap()] += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(in_second[..9].iter().all(|count| (90..=110).contains(count)), "{in_second:?}");
    let own = Scope::entity("user", user(7).0);
    hub.renew(tenant(), user(7), [own.clone()].into());
    let later = now + Duration::from_secs(20);
    assert!(matches!(hub.next(&taken[7], true, later).0, Next::Tell(_)));
    let much_later = later + Duration::from_secs(20);
    hub.take(&look(own.clone(), "proyectos"), &BTreeSet::new(), much_later, || 0.9);
    let (next, _) = hub.next(&taken[7], true, much_later);
    assert_eq!(next, Next::Tell(Moved { scopes: vec![own], ..Moved::default() }));
}

#[test]
fn a_device_is_told_at_most_once_a_second_and_everything_then() {
    let (mut hub, taken) = hub(1);
    let now = Instant::now();
    let other = Scope::entity("project", user(0).0);
    hub.renew(tenant(), user(0), [Scope::tenant(), other.clone()].into());
    let tell = |hub: &mut Hub, scope: &Scope, at| {
        hub.take(&look(scope.clone(), "proyectos"), &BTreeSet::new(), at, || 0.0);
    };
    tell(&mut hub, &other, now);
    assert_eq!(hub.next(&taken[0], false, now).0, Next::Wait(Some(now)), "it has not opened");
    assert!(matches!(hub.next(&taken[0], true, now).0, Next::Tell(_)));
    for scope in [&other, &Scope::tenant(), &other] {
        tell(&mut hub, scope, now + Duration::from_millis(250));
    }
    let second = now + Duration::from_secs(1);
    assert_eq!(hub.next(&taken[0], true, now).0, Next::Wait(Some(second)));
    let told = Moved { scopes: vec![other, Scope::tenant()], ..Moved::default() };
    assert_eq!(hub.next(&taken[0], true, second).0, Next::Tell(told));
    assert_eq!(hub.next(&taken[0], true, second).0, Next::Wait(None));
}

#[test]
fn what_somebody_does_not_hold_or_may_not_read_is_not_told() {
    let (mut hub, taken) = hub(1);
    let now = Instant::now();
    let nothing = |hub: &mut Hub, look: &Look| {
        hub.take(look, &BTreeSet::new(), now, || 0.0);
        assert_eq!(hub.next(&taken[0], true, now).0, Next::Wait(None));
    };
    nothing(&mut hub, &look(Scope::entity("project", user(0).0), "proyectos"));
    nothing(&mut hub, &look(Scope::tenant(), "articulos"));
    let other = TenantId(Uuid::from_u128(2));
    let mut foreign = look(Scope::tenant(), "proyectos");
    foreign.moved = foreign.moved.into_values().map(|moved| (other, moved)).collect();
    nothing(&mut hub, &foreign);
}

#[test]
fn whose_grants_are_still_to_be_read_hears_no_scope() {
    let (mut hub, taken) = hub(1);
    let now = Instant::now();
    let stale = BTreeSet::from([(tenant(), user(0))]);
    hub.take(&look(Scope::tenant(), "proyectos"), &stale, now, || 0.0);
    let told = Moved { user: true, ..Moved::default() };
    assert_eq!(hub.next(&taken[0], true, now).0, Next::Tell(told));
}

#[test]
fn too_many_scopes_are_all() {
    let (mut hub, taken) = hub(1);
    let now = Instant::now();
    let scopes: BTreeSet<Scope> = (0..=MOVED_SCOPES_MAX)
        .map(|n| Scope::entity("project", Uuid::from_u128(n as u128)))
        .collect();
    hub.renew(tenant(), user(0), scopes.clone());
    for scope in scopes {
        hub.take(&look(scope, "proyectos"), &BTreeSet::new(), now, || 0.0);
    }
    let told = Moved { all: true, ..Moved::default() };
    assert_eq!(hub.next(&taken[0], true, now).0, Next::Tell(told));
}

#[test]
fn nothing_is_kept_of_who_is_gone() {
    let (mut hub, taken) = hub(3);
    for taken in &taken {
        hub.gone(taken);
        hub.gone(taken);
        assert_eq!(hub.next(taken, true, Instant::now()).0, Next::End("replaced"));
    }
    assert_eq!((hub.count(), hub.tenants.len(), hub.watched().len()), (0, 0, 0));
}

#[test]
fn a_company_and_the_process_have_limits() {
    let settings = EventSettings {
        listeners_max: 3,
        listeners_per_tenant_max: 2,
        listeners_per_user_max: 2,
        ..EventSettings::default()
    };
    let mut hub = Hub::default();
    let other = TenantId(Uuid::from_u128(2));
    let mut come = |tenant, n| hub.come(newcomer(tenant, user(n), n), &settings).is_some();
    assert!(come(tenant(), 1) && come(tenant(), 2));
    assert!(!come(tenant(), 3), "the company has its share");
    assert!(come(other, 3));
    assert!(!come(other, 4), "the process is full");
    assert!(come(other, 3), "a device that comes again has a place");
    assert_eq!(hub.count(), 3);
}
