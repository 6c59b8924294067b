//! The task that looks for what moved, for all listeners of this process together.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sync_protocol::{TenantId, UserId};
use tokio::time::Instant;

use super::Events;
use crate::store::moves::{Look, Place};

/// Pause between two looks.
const EVERY: Duration = Duration::from_millis(250);
/// Pause before a look that a newcomer waits for: others who come meanwhile share it.
const NEWCOMERS_SHARE: Duration = Duration::from_millis(20);
/// How long a look may take.
const LOOK_TIME_MAX: Duration = Duration::from_secs(15);
/// After so long without a look anything may have moved: the scope log may have been folded since
/// (`sync.fold_scope_log` leaves a minute).
const GAP_MAX: Duration = Duration::from_secs(30);
/// Most users whose rights are looked up again after one look; the others follow after the next ones.
const CHECKS_MAX: usize = 50;

/// What the poller keeps between two looks.
#[derive(Default)]
struct State {
    place: Place,
    /// When the last look that went well began.
    looked: Option<Instant>,
    /// Users who moved and whose rights are still to be looked up.
    to_check: BTreeSet<(TenantId, UserId)>,
    failing: bool,
}

impl Events {
    /// Starts the poller unless it runs.
    pub(super) fn ensure_poller(self: Arc<Self>) {
        if self.polling.swap(true, std::sync::atomic::Ordering::SeqCst) {
            return;
        }
        tokio::spawn(async move {
            // Also when a look panics: the next listener starts another one.
            let _ended = Polling(Arc::clone(&self));
            self.poll().await;
        });
    }

    /// Looks until nobody listens or the server stops.
    async fn poll(&self) {
        let mut state = State::default();
        loop {
            let number = *self.looks.begun.borrow() + 1;
            self.looks.begun.send_replace(number);
            if self.look(&mut state).await {
                self.looks.done.send_replace(number);
            }
            self.hub().end_those("token_expired", Some(self.clock.now_us()));
            tokio::select! {
                () = self.stopping.cancelled() => return self.hub().end_those("server_stopping", None),
                () = self.wanted.notified() => tokio::time::sleep(NEWCOMERS_SHARE).await,
                () = tokio::time::sleep(EVERY) => {}
            }
            if self.hub().count() == 0 {
                return;
            }
        }
    }

    /// One look, and whether it went well.
    async fn look(&self, state: &mut State) -> bool {
        let began = Instant::now();
        let watched = self.hub().watched();
        let gap = state.looked.is_some_and(|looked| began - looked > GAP_MAX);
        let since = if gap { Place::default() } else { state.place.clone() };
        let look = tokio::time::timeout(LOOK_TIME_MAX, self.store.look(&watched, &since)).await;
        let failure = match look {
            Ok(Ok(mut look)) => {
                if gap {
                    look.all.extend(watched.into_keys());
                }
                state.place = look.place.clone();
                state.looked = Some(began);
                state.failing = false;
                self.hand_on(&look, &mut state.to_check).await;
                return true;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it takes too long".to_owned(),
        };
        // Once for a row of them: streams stay open, and devices pull by their timers.
        if !std::mem::replace(&mut state.failing, true) {
            tracing::warn!(error = %failure, "cannot look for what moved");
        }
        false
    }

    /// Reads again what users may do who moved, and then tells everybody.
    async fn hand_on(&self, look: &Look, to_check: &mut BTreeSet<(TenantId, UserId)>) {
        {
            let hub = self.hub();
            for (tenant, moved) in &look.moved {
                let here = hub.users_of(*tenant);
                let moved = here.into_iter().filter(|user| moved.users.contains(user));
                to_check.extend(moved.map(|user| (*tenant, user)));
            }
            for tenant in &look.all {
                to_check.extend(hub.users_of(*tenant).into_iter().map(|user| (*tenant, user)));
            }
        }
        let now: Vec<(TenantId, UserId)> = to_check.iter().take(CHECKS_MAX).copied().collect();
        for (tenant, user) in now {
            if self.check(tenant, user).await {
                to_check.remove(&(tenant, user));
            }
        }
        let now = Instant::now();
        self.hub().take(look, to_check, now, || self.unit());
    }

    /// Looks up what a user holds and what they and their devices may do; false if it must be tried
    /// again.
    async fn check(&self, tenant: TenantId, user: UserId) -> bool {
        let Ok(mut held) = self.store.held(tenant, &[user]).await else { return false };
        self.hub().renew(tenant, user, held.remove(&user).unwrap_or_default());
        let proofs = self.hub().proofs_of(tenant, user);
        for (number, proof) in proofs {
            match self.authenticator.caller(proof, self.clock.now_us()).await {
                Ok(caller) => {
                    let visible = self.visible_to(&caller);
                    self.hub().see(tenant, user, number, visible);
                }
                Err(problem) if problem.status == 401 => {
                    let why = match problem.code.as_str() {
                        "device_revoked" => "device_revoked",
                        "account_disabled" => "account_disabled",
                        _ => "token_invalid",
                    };
                    self.hub().end(tenant, user, number, why);
                }
                Err(_) => return false,
            }
        }
        true
    }

    /// A random number from 0 up to 1; in the middle where there is no randomness.
    pub(super) fn unit(&self) -> f64 {
        let mut drawn = [0u8; 4];
        match self.random.fill(&mut drawn) {
            Ok(()) => f64::from(u32::from_le_bytes(drawn)) / (f64::from(u32::MAX) + 1.0),
            Err(_) => 0.5,
        }
    }
}

/// Says that the poller has ended. Who came while it did gets another one; after a panic the next who
/// comes does.
struct Polling(Arc<Events>);

impl Drop for Polling {
    fn drop(&mut self) {
        self.0.polling.store(false, std::sync::atomic::Ordering::SeqCst);
        let over = self.0.stopping.is_cancelled() || std::thread::panicking();
        // Dropped with the runtime, there is none to start it on.
        let runtime = tokio::runtime::Handle::try_current().is_ok();
        if !over && runtime && self.0.hub().count() > 0 {
            Arc::clone(&self.0).ensure_poller();
        }
    }
}
