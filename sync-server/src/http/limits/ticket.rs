//! What a request holds of the limits while it is answered.
//!
//! [`admit`](crate::http::route) gives each request a ticket before its body has come, when it is known
//! who asks. The body's reader counts bytes on it, and asks for the turn when the body is whole: a phone
//! on a slow line takes nobody's turn while it sends.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use sync_protocol::problem::Problem;
use sync_protocol::{TenantId, UserId};

use super::budget::{Held, UNCOUNTED_BYTES_MAX};
use super::turns::{Turn, busy};
use crate::http::app::App;

/// To whose account bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Party {
    /// A tenant.
    Tenant(TenantId),
    /// An address, or the network of one (IPv6).
    Address(IpAddr),
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub enum Asks {
    /// A user, with a token.
    User(TenantId, UserId),
    /// Somebody at an address, for this route.
    Anybody(IpAddr, &'static str),
}

impl Asks {
    /// To whose account their bytes go.
    #[must_use]
    pub fn party(self) -> Party {
        match self {
            Self::User(tenant, _) => Party::Tenant(tenant),
            Self::Anybody(from, _) => Party::Address(from),
        }
    }
}

/// A request's hold on the limits, until it is answered.
pub struct Ticket {
    app: Arc<App>,
    asks: Asks,
    holds: Mutex<Holds>,
}

#[derive(Default)]
struct Holds {
    turn: Option<Turn>,
    bytes: Vec<Held>,
}

impl Ticket {
    /// Holds nothing yet.
    #[must_use]
    pub fn new(app: Arc<App>, asks: Asks) -> Self {
        Self { app, asks, holds: Mutex::default() }
    }

    /// How long a body may take to come, besides what its length earns it.
    #[must_use]
    pub fn body_patience(&self) -> std::time::Duration {
        self.app.settings.body_patience
    }

    /// Counts bytes of the body.
    ///
    /// # Errors
    /// `busy` when too much is on its way.
    pub fn count(&self, bytes: usize) -> Result<(), Problem> {
        let held = self.app.bodies.take(self.asks.party(), bytes).ok_or_else(busy)?;
        self.holds().bytes.push(held);
        Ok(())
    }

    /// The body is here: waits for the turn.
    ///
    /// # Errors
    /// `busy`.
    pub async fn begin(&self) -> Result<(), Problem> {
        let turns = &self.app.turns;
        let turn = match self.asks {
            Asks::User(tenant, user) => turns.of_user(tenant, user).await?,
            Asks::Anybody(from, route) => turns.of_address(from, route).await?,
        };
        self.holds().turn = Some(turn);
        Ok(())
    }

    /// Gives the turn back while more of the body comes.
    pub fn rest(&self) {
        self.holds().turn = None;
    }

    /// The answer is made: gives everything back, and takes the answer's bytes until it was read.
    ///
    /// # Errors
    /// `busy` when too much is not read yet.
    pub fn answered(
        &self,
        response: axum::response::Response,
    ) -> Result<axum::response::Response, Problem> {
        use axum::body::{Body, HttpBody as _};
        *self.holds() = Holds::default();
        let length = response.body().size_hint().exact().unwrap_or(0);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length <= UNCOUNTED_BYTES_MAX {
            return Ok(response);
        }
        let held = self.app.answers.take(self.asks.party(), length).ok_or_else(busy)?;
        Ok(response.map(|body| Body::new(super::budget::Counted::new(body, held))))
    }

    fn holds(&self) -> std::sync::MutexGuard<'_, Holds> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
