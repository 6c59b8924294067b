//! Who listens, for which scopes, and what waits to be told to whom. No I/O.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use sync_protocol::wire::events::{MOVED_SCOPES_MAX, Moved};
use sync_protocol::{DeviceId, Scope, TenantId, UserId};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{EventSettings, is_nothing, pace};
use crate::auth::authenticate::Proof;
use crate::store::moves::{Look, Moved as MovedRows, Watched};

/// Somebody who wants to listen.
pub(super) struct Newcomer {
    pub tenant: TenantId,
    pub user: UserId,
    pub device: Option<DeviceId>,
    pub proof: Proof,
    /// Names of the collections that they may read.
    pub visible: BTreeSet<String>,
    pub expires_at_us: i64,
}

/// A listener's place in the hub.
#[derive(Clone)]
pub(super) struct Taken {
    pub tenant: TenantId,
    pub user: UserId,
    pub number: u64,
    /// Something of the listener changed.
    pub changed: Arc<Notify>,
}

/// What a listener does next.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// Tells this.
    Tell(Moved),
    /// Waits, until then if something is due.
    Wait(Option<Instant>),
    /// Ends, for this reason.
    End(&'static str),
}

/// Everybody who listens.
#[derive(Default)]
pub(super) struct Hub {
    tenants: HashMap<TenantId, Tenant>,
    count: usize,
    numbers: u64,
}

#[derive(Default)]
struct Tenant {
    users: HashMap<UserId, User>,
    count: usize,
    mark: Option<Arc<str>>,
}

#[derive(Default)]
struct User {
    /// Scopes held as of the last look; none until they were read.
    scopes: Option<BTreeSet<Scope>>,
    listeners: BTreeMap<u64, Listener>,
}

struct Listener {
    device: Option<DeviceId>,
    proof: Proof,
    visible: BTreeSet<String>,
    expires_at_us: i64,
    waiting: Waiting,
    told: Option<Instant>,
    ended: Option<&'static str>,
    changed: Arc<Notify>,
}

/// What waits to be told.
#[derive(Default)]
struct Waiting {
    moved: Moved,
    due: Option<Instant>,
}

impl Hub {
    pub fn count(&self) -> usize {
        self.count
    }

    /// Takes a place; none where there are too many. A device that has one already gives it up for
    /// the new one then: it lost its connection, and the server has not noticed yet.
    pub fn come(&mut self, newcomer: Newcomer, settings: &EventSettings) -> Option<Taken> {
        let Newcomer { tenant, user, device, proof, visible, expires_at_us } = newcomer;
        let of_tenant = self.tenants.get(&tenant);
        let of_user = of_tenant.and_then(|tenant| tenant.users.get(&user));
        let full = self.count >= settings.listeners_max
            || of_tenant.is_some_and(|t| t.count >= settings.listeners_per_tenant_max)
            || of_user.is_some_and(|u| u.listeners.len() >= settings.listeners_per_user_max);
        if full {
            let former = of_user.and_then(|user| user.of_device(device))?;
            if let Some(mut former) = self.leave(tenant, user, former) {
                former.end("replaced");
            }
        }
        self.count += 1;
        self.numbers += 1;
        let (number, changed) = (self.numbers, Arc::new(Notify::new()));
        let of_tenant = self.tenants.entry(tenant).or_default();
        of_tenant.count += 1;
        let listener = Listener {
            device,
            proof,
            visible,
            expires_at_us,
            waiting: Waiting::default(),
            told: None,
            ended: None,
            changed: Arc::clone(&changed),
        };
        of_tenant.users.entry(user).or_default().listeners.insert(number, listener);
        Some(Taken { tenant, user, number, changed })
    }

    /// Gives a place up.
    fn leave(&mut self, tenant: TenantId, user: UserId, number: u64) -> Option<Listener> {
        let of_tenant = self.tenants.get_mut(&tenant)?;
        let of_user = of_tenant.users.get_mut(&user)?;
        let listener = of_user.listeners.remove(&number)?;
        self.count -= 1;
        of_tenant.count -= 1;
        if of_user.listeners.is_empty() {
            of_tenant.users.remove(&user);
        }
        if of_tenant.users.is_empty() {
            self.tenants.remove(&tenant);
        }
        Some(listener)
    }

    /// A stream is gone. Nothing is kept of who does not listen.
    pub fn gone(&mut self, taken: &Taken) {
        drop(self.leave(taken.tenant, taken.user, taken.number));
    }

    /// What the next look is about.
    pub fn watched(&self) -> Watched {
        let scopes = |tenant: &Tenant| {
            tenant.users.values().flat_map(|user| user.scopes.iter().flatten()).cloned().collect()
        };
        self.tenants.iter().map(|(id, tenant)| (*id, scopes(tenant))).collect()
    }

    /// Takes over grants of users that were not known yet: those of others come from looks, and may be
    /// newer.
    pub fn know(&mut self, tenant: TenantId, held: BTreeMap<UserId, BTreeSet<Scope>>) {
        let Some(tenant) = self.tenants.get_mut(&tenant) else { return };
        for (user, scopes) in held {
            if let Some(user) = tenant.users.get_mut(&user) {
                user.scopes.get_or_insert(scopes);
            }
        }
    }

    /// Takes over grants that were read after a look told that they moved.
    pub fn renew(&mut self, tenant: TenantId, user: UserId, scopes: BTreeSet<Scope>) {
        let user = self.tenants.get_mut(&tenant).and_then(|tenant| tenant.users.get_mut(&user));
        if let Some(user) = user {
            user.scopes = Some(scopes);
        }
    }

    /// The scopes of somebody who listens.
    pub fn scopes_of(&self, tenant: TenantId, user: UserId) -> BTreeSet<Scope> {
        let user = self.tenants.get(&tenant).and_then(|tenant| tenant.users.get(&user));
        user.and_then(|user| user.scopes.clone()).unwrap_or_default()
    }

    /// Those who listen as this user: their numbers and proofs.
    pub fn proofs_of(&self, tenant: TenantId, user: UserId) -> Vec<(u64, Proof)> {
        let user = self.tenants.get(&tenant).and_then(|tenant| tenant.users.get(&user));
        let listeners = user.into_iter().flat_map(|user| &user.listeners);
        listeners.map(|(number, listener)| (*number, listener.proof.clone())).collect()
    }

    /// The users of a tenant who listen.
    pub fn users_of(&self, tenant: TenantId) -> Vec<UserId> {
        self.tenants.get(&tenant).map(|t| t.users.keys().copied().collect()).unwrap_or_default()
    }

    /// What a listener may read from now on.
    pub fn see(&mut self, tenant: TenantId, user: UserId, number: u64, visible: BTreeSet<String>) {
        if let Some(listener) = self.listener(tenant, user, number) {
            listener.visible = visible;
        }
    }

    /// Ends a stream.
    pub fn end(&mut self, tenant: TenantId, user: UserId, number: u64, why: &'static str) {
        if let Some(listener) = self.listener(tenant, user, number) {
            listener.end(why);
        }
    }

    /// Ends the streams whose tokens have ended, or all of them.
    pub fn end_those(&mut self, why: &'static str, expired_at_us: Option<i64>) {
        let users = self.tenants.values_mut().flat_map(|tenant| tenant.users.values_mut());
        for listener in users.flat_map(|user| user.listeners.values_mut()) {
            if expired_at_us.is_none_or(|now_us| listener.expires_at_us <= now_us) {
                listener.end(why);
            }
        }
    }

    fn listener(&mut self, tenant: TenantId, user: UserId, number: u64) -> Option<&mut Listener> {
        self.tenants.get_mut(&tenant)?.users.get_mut(&user)?.listeners.get_mut(&number)
    }

    /// Hands what a look found to those whom it concerns. `stale` are users whose grants are still to
    /// be read: they are told that they moved themselves, and no scope. `unit` draws a number from 0
    /// up to 1 for each who is told.
    pub fn take(
        &mut self,
        look: &Look,
        stale: &BTreeSet<(TenantId, UserId)>,
        now: Instant,
        mut unit: impl FnMut() -> f64,
    ) {
        for (id, tenant) in &mut self.tenants {
            let moved = look.moved.get(id);
            let all = look.all.contains(id);
            let mut concerned: Vec<&mut Listener> = Vec::new();
            for (user_id, user) in &mut tenant.users {
                let itself = stale.contains(&(*id, *user_id))
                    || moved.is_some_and(|moved| moved.users.contains(user_id));
                let known = !stale.contains(&(*id, *user_id));
                let scopes = user.scopes.as_ref().filter(|_| known);
                for listener in user.listeners.values_mut() {
                    let mut new = Moved { all, user: itself, ..Moved::default() };
                    if let (Some(scopes), Some(moved)) = (scopes, moved) {
                        new.scopes = listener.sees(scopes, moved);
                    }
                    if !is_nothing(&new) {
                        listener.waiting.add(new);
                        concerned.push(listener);
                    }
                }
            }
            let spread = pace::spread(concerned.len());
            for listener in concerned {
                if listener.waiting.due.is_none() {
                    listener.waiting.due = Some(pace::due(now, listener.told, spread, unit()));
                    listener.changed.notify_one();
                }
            }
            if let Some(mark) = look.place.mark(*id)
                && tenant.mark.as_deref() != Some(mark.as_str())
            {
                tenant.mark = Some(mark.into());
            }
        }
    }

    /// What moved before a listener came, as it told since when. None: the server does not know. After
    /// a restart all of a company's devices come at once, so it is told as if it concerned them all.
    pub fn resume(&mut self, taken: &Taken, moved: Option<MovedRows>, unit: f64) {
        let scopes = self.scopes_of(taken.tenant, taken.user);
        let count = self.tenants.get(&taken.tenant).map_or(0, |tenant| tenant.count);
        let Some(listener) = self.listener(taken.tenant, taken.user, taken.number) else { return };
        let new = match &moved {
            Some(moved) => Moved {
                scopes: listener.sees(&scopes, moved),
                all: false,
                user: moved.users.contains(&taken.user),
            },
            None => Moved { all: true, ..Moved::default() },
        };
        if !is_nothing(&new) {
            listener.waiting.add(new);
            let due = pace::due(Instant::now(), None, pace::spread(count), unit);
            listener.waiting.due.get_or_insert(due);
        }
    }

    /// What a listener does now, and the mark up to which it knows everything then. Nothing is told
    /// before it has `opened`.
    pub fn next(&mut self, taken: &Taken, opened: bool, now: Instant) -> (Next, Option<Arc<str>>) {
        let mark = self.tenants.get(&taken.tenant).and_then(|tenant| tenant.mark.clone());
        let Some(listener) = self.listener(taken.tenant, taken.user, taken.number) else {
            return (Next::End("replaced"), None);
        };
        if let Some(why) = listener.ended {
            return (Next::End(why), None);
        }
        match listener.waiting.due {
            Some(due) if due <= now && opened => {
                listener.told = Some(now);
                let waiting = std::mem::take(&mut listener.waiting);
                (Next::Tell(waiting.moved), mark)
            }
            // With something waiting, what is known does not go as far as the mark.
            Some(due) => (Next::Wait(Some(due)), None),
            None => (Next::Wait(None), mark),
        }
    }
}

impl User {
    /// The oldest stream of a device.
    fn of_device(&self, device: Option<DeviceId>) -> Option<u64> {
        let device = device?;
        let of_it = |(_, listener): &(&u64, &Listener)| listener.device == Some(device);
        self.listeners.iter().find(of_it).map(|(number, _)| *number)
    }
}

impl Listener {
    /// Which of the scopes that its user holds have moved, as far as it may see.
    fn sees(&self, held: &BTreeSet<Scope>, moved: &MovedRows) -> Vec<Scope> {
        let seen = |collections: &BTreeSet<String>| !collections.is_disjoint(&self.visible);
        let moved = moved.scopes.iter().filter(|(scope, of)| held.contains(scope) && seen(of));
        moved.map(|(scope, _)| scope.clone()).collect()
    }

    fn end(&mut self, why: &'static str) {
        self.ended.get_or_insert(why);
        self.changed.notify_one();
    }
}

impl Waiting {
    fn add(&mut self, new: Moved) {
        self.moved.all |= new.all;
        self.moved.user |= new.user;
        for scope in new.scopes {
            if !self.moved.scopes.contains(&scope) {
                self.moved.scopes.push(scope);
            }
        }
        if self.moved.all || self.moved.scopes.len() > MOVED_SCOPES_MAX {
            self.moved.all = true;
            self.moved.scopes.clear();
        }
    }
}

#[cfg(test)]
mod tests;
