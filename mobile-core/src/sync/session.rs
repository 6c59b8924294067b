//! Tokens: kept with the person's data, renewed before they end.
//!
//! A refresh token is replaced by the answer that brings the next one. If that answer is lost, the old
//! one is still here and the server still takes it from this device, until the new one is first used.
//! One that comes again after that looks stolen, and the server ends the whole session: so only one
//! refresh runs at a time, in all processes that have the database open (a lock on a file beside it, which
//! ends with the process that holds it), and whoever waited for it uses what it brought.

use std::fs::{File, TryLockError};
use std::time::Duration;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use sync_protocol::fault::{self, Point};
use sync_protocol::wire::auth::{LogoutRequest, RefreshRequest, Session};

use super::Engine;
use crate::CoreError;
use crate::clock::Reading;
use crate::outbox::push::contact;
use crate::store::Store;
use crate::store::meta::{self, name};

/// An access token is renewed when less than this is left of it.
const RENEW_BEFORE_US: i64 = 30 * 1_000_000;

/// Pause between attempts to be the process that renews tokens.
const CLAIM_PAUSE: Duration = Duration::from_millis(200);
/// Most such attempts: as long as an exchange can take, and some more.
const CLAIM_ATTEMPTS_MAX: u32 = 450;

/// A session as it is kept.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct StoredSession {
    access_token: String,
    refresh_token: String,
    /// When the access token ends, by the boot clock.
    ends_boot_us: i64,
    boot_id: String,
}

impl StoredSession {
    fn new(session: &Session, asked: &Reading) -> Self {
        let lasts_us =
            i64::try_from(session.expires_in_s).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        Self {
            access_token: session.access_token.clone(),
            refresh_token: session.refresh_token.clone(),
            ends_boot_us: asked.boot_us.saturating_add(lasts_us),
            boot_id: asked.boot_id.clone(),
        }
    }
}

/// Takes over the answer of a login, and what its clock says.
///
/// # Errors
/// Those of SQLite.
pub(crate) fn keep(
    store: &Store,
    session: &Session,
    before: &Reading,
    after: &Reading,
) -> Result<(), CoreError> {
    store.write(|db| {
        keep_in(db, session, before)?;
        contact(db, before, after, session.server_time_us)
    })
}

/// Permissions are kept apart from the tokens: edits go on when those have gone.
fn keep_in(db: &Connection, session: &Session, asked: &Reading) -> Result<(), CoreError> {
    meta::set_json(db, name::SESSION, &StoredSession::new(session, asked))?;
    meta::set_json(db, name::PERMISSIONS, &session.permissions)
}

/// Takes over the answer of a refresh, unless the session that was renewed has gone or been replaced
/// (by a logout or a login, also in another process): that one counts then.
fn replace(
    store: &Store,
    renewed: &StoredSession,
    session: &Session,
    (before, after): (&Reading, &Reading),
) -> Result<(), CoreError> {
    store.write(|db| {
        let present: Option<StoredSession> = meta::get_json(db, name::SESSION)?;
        if present.is_some_and(|present| present.refresh_token == renewed.refresh_token) {
            keep_in(db, session, before)?;
        }
        contact(db, before, after, session.server_time_us)
    })
}

impl Engine {
    /// An access token that should be good; `failed` is the last one if the server did not take it.
    pub(crate) async fn token(&self, failed: Option<&str>) -> Result<String, CoreError> {
        if let Some(token) = self.good_token(&self.session()?, failed) {
            return Ok(token);
        }
        let _renewing = self.tokens.lock().await;
        let _claim = self.claim().await;
        // Somebody else may have renewed it meanwhile.
        let session = self.session()?;
        if let Some(token) = self.good_token(&session, failed) {
            return Ok(token);
        }
        let before = self.clock.read();
        let refresh_token = session.refresh_token.clone();
        let request = RefreshRequest { refresh_token, device: self.device };
        let answer = self.transport.refresh(&request).await?;
        fault::reached(Point::TokenAnswered);
        replace(&self.store, &session, &answer, (&before, &self.clock.read()))?;
        Ok(self.session()?.access_token)
    }

    /// Waits until no other process renews tokens, and keeps the others from it. One that holds the lock for
    /// longer than an exchange can last is frozen: then this one goes on.
    async fn claim(&self) -> Option<File> {
        let path = format!("{}-tokens", self.store.path().display());
        let lock = match File::create(&path) {
            Ok(lock) => lock,
            Err(error) => {
                tracing::warn!(%path, %error, "renewing tokens without a lock");
                return None;
            }
        };
        for _ in 0..CLAIM_ATTEMPTS_MAX {
            match lock.try_lock() {
                Ok(()) => return Some(lock),
                Err(TryLockError::WouldBlock) => self.clock.sleep(CLAIM_PAUSE).await,
                Err(TryLockError::Error(error)) => {
                    tracing::warn!(%path, %error, "renewing tokens without a lock");
                    return None;
                }
            }
        }
        None
    }

    /// The access token, if it is good for now. Renewing it is for rounds.
    pub(super) fn present_token(&self) -> Result<Option<String>, CoreError> {
        Ok(self.good_token(&self.session()?, None))
    }

    fn good_token(&self, session: &StoredSession, failed: Option<&str>) -> Option<String> {
        let now = self.clock.read();
        let good = session.boot_id == now.boot_id
            && session.ends_boot_us.saturating_sub(now.boot_us) > RENEW_BEFORE_US
            && failed != Some(session.access_token.as_str());
        good.then(|| session.access_token.clone())
    }

    fn session(&self) -> Result<StoredSession, CoreError> {
        let session = self.store.read(|db| meta::get_json(db, name::SESSION))?;
        session.ok_or(CoreError::SignedOut)
    }

    /// Forgets the session here, with whatever else `forget` takes out, and then tells the server as far as
    /// it can be reached. Where `forget` fails, the session goes on at both ends.
    ///
    /// # Errors
    /// Those of `forget`.
    pub(crate) async fn end_session(
        &self,
        forget: impl FnOnce(&Store) -> Result<(), CoreError>,
    ) -> Result<(), CoreError> {
        let _giving_up = self.tokens.lock().await;
        let session = self.session();
        forget(&self.store)?;
        self.standing.send_modify(|standing| standing.in_touch = false);
        if let Ok(StoredSession { refresh_token, .. }) = session
            && let Err(error) = self.transport.logout(&LogoutRequest { refresh_token }).await
        {
            tracing::info!(code = error.code(), "the server did not hear of the logout");
        }
        Ok(())
    }
}
