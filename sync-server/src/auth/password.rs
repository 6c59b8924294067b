//! Passwords: argon2id, off the async threads, few at once.
//!
//! Hashing is made to cost memory and time. [`Passwords`] therefore lets it run on half of the cores
//! only, and who would wait longer than [`WAIT_MAX`] is told that the server is busy: a flood of logins
//! slows down logins, never pushes and pulls.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use sync_protocol::problem::Problem;
use tokio::sync::Semaphore;

/// Memory of one hash, in KiB: OWASP's first recommendation for argon2id (19 MiB, 2 passes, 1 lane).
const MEMORY_KIB: u32 = 19 * 1024;
/// Passes over that memory.
const PASSES: u32 = 2;
/// Lanes: one, because concurrency comes from several logins, not from within one.
const LANES: u32 = 1;
/// Longest password, in bytes. Hashing takes time by length, and nobody types more.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// Shortest password for a new account, in characters.
pub const PASSWORD_CHARS_MIN: usize = 8;
/// How long a login waits for its turn.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Hashes and verifies passwords.
#[derive(Debug, Clone)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    /// What a password is compared with where there is no such account, so that both take as long.
    nobody: Arc<str>,
}

impl Passwords {
    /// With a turn for every second core.
    ///
    /// # Errors
    /// When the hash function does not work on this machine.
    pub fn new() -> Result<Self, Problem> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let nobody = hash_now("nobody has this password").map_err(|e| hashing_failed(&e))?;
        Ok(Self { turns: Arc::new(Semaphore::new((cores / 2).max(1))), nobody: nobody.into() })
    }

    /// A PHC string for a new password.
    ///
    /// # Errors
    /// `busy`, or `internal` when hashing fails.
    pub async fn hash(&self, password: String) -> Result<String, Problem> {
        self.run(move || hash_now(&password)).await?.map_err(|e| hashing_failed(&e))
    }

    /// Whether a password fits a PHC string. Without one it takes as long and says no.
    ///
    /// # Errors
    /// `busy`.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, Problem> {
        let exists = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.to_string());
        let fits = self.run(move || verify_now(&password, &hash)).await?;
        Ok(fits && exists)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = tokio::time::timeout(WAIT_MAX, self.turns.clone().acquire_owned())
            .await
            .map_err(|_| too_many())?
            .map_err(|_| too_many())?;
        tokio::task::spawn_blocking(move || {
            let result = work();
            drop(turn);
            result
        })
        .await
        .map_err(|error| hashing_failed(&error))
    }
}

fn argon2() -> Result<Argon2<'static>, argon2::Error> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash_now(password: &str) -> Result<String, argon2::password_hash::Error> {
    let argon2 = argon2().map_err(|_| argon2::password_hash::Error::ParamsInvalid)?;
    Ok(argon2.hash_password(password.as_bytes())?.to_string())
}

fn verify_now(password: &str, hash: &str) -> bool {
    // Parameters come from the stored hash: accounts outlive a change of the constants above.
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
}

fn too_many() -> Problem {
    let mut problem = Problem::new(503, "busy", "Too many people log in at this moment")
        .detail("try again in some seconds")
        .retryable();
    problem.more.insert("retry_after_s".to_owned(), 5.into());
    problem
}

fn hashing_failed(error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%error, "password hashing failed");
    Problem::new(500, "internal", "The server failed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_own_hash_only() {
        let passwords = Passwords::new().unwrap();
        let hash = passwords.hash("correcto caballo".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.verify("correcto caballo".into(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("otro caballo".into(), Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn nobody_has_the_stand_in_password() {
        let passwords = Passwords::new().unwrap();
        assert!(!passwords.verify("nobody has this password".into(), None).await.unwrap());
    }

    #[tokio::test]
    async fn an_account_without_a_password_accepts_none() {
        let passwords = Passwords::new().unwrap();
        for unusable in ["", "!", "plain"] {
            assert!(!passwords.verify(unusable.into(), Some(unusable.into())).await.unwrap());
        }
    }
}
