//! Tokens: kept with the person's data, renewed before they end.
//!
//! A refresh token is replaced by the answer that brings the next one. If that answer is lost, the old
//! one is still here and the server still takes it from this device, until the new one is first used.

use serde::{Deserialize, Serialize};
use sync_protocol::wire::auth::{LogoutRequest, RefreshRequest, Session};

use super::Engine;
use crate::CoreError;
use crate::clock::Reading;
use crate::outbox::push::contact;
use crate::store::Store;
use crate::store::meta::{self, name};

/// An access token is renewed when less than this is left of it.
const RENEW_BEFORE_US: i64 = 30 * 1_000_000;

/// A session as it is kept.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct StoredSession {
    access_token: String,
    refresh_token: String,
    /// When the access token ends, by the boot clock.
    ends_boot_us: i64,
    boot_id: String,
    /// What the person may do, sorted.
    pub permissions: Vec<String>,
}

/// Takes over the answer of a login or refresh, and what its clock says.
///
/// # Errors
/// Those of SQLite.
pub(crate) fn keep(
    store: &Store,
    session: &Session,
    before: &Reading,
    after: &Reading,
) -> Result<(), CoreError> {
    let lasts_us =
        i64::try_from(session.expires_in_s).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    let stored = StoredSession {
        access_token: session.access_token.clone(),
        refresh_token: session.refresh_token.clone(),
        ends_boot_us: before.boot_us.saturating_add(lasts_us),
        boot_id: before.boot_id.clone(),
        permissions: session.permissions.clone(),
    };
    store.write(|db| {
        meta::set_json(db, name::SESSION, &stored)?;
        contact(db, before, after, session.server_time_us)
    })
}

impl Engine {
    /// An access token that should be good; `fresh` when the last one was not.
    pub(crate) async fn token(&self, fresh: bool) -> Result<String, CoreError> {
        let session = self.session()?;
        let now = self.clock.read();
        let good = session.boot_id == now.boot_id
            && session.ends_boot_us.saturating_sub(now.boot_us) > RENEW_BEFORE_US;
        if good && !fresh {
            return Ok(session.access_token);
        }
        let request = RefreshRequest { refresh_token: session.refresh_token, device: self.device };
        let answer = self.transport.refresh(&request).await?;
        keep(&self.store, &answer, &now, &self.clock.read())?;
        Ok(answer.access_token)
    }

    fn session(&self) -> Result<StoredSession, CoreError> {
        let session = self.store.read(|db| meta::get_json(db, name::SESSION))?;
        session.ok_or(CoreError::SignedOut)
    }

    /// Ends the session at the server, as far as it can be reached, and forgets the tokens.
    ///
    /// # Errors
    /// Those of SQLite.
    pub(crate) async fn end_session(&self) -> Result<(), CoreError> {
        if let Ok(session) = self.session() {
            let request = LogoutRequest { refresh_token: session.refresh_token };
            if let Err(error) = self.transport.logout(&request).await {
                tracing::info!(code = error.code(), "the server did not hear of the logout");
            }
        }
        self.store.write(|db| meta::remove(db, name::SESSION))
    }
}
