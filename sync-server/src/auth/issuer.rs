//! External issuers: an ERP that signs its own access tokens, known by a set of public keys (JWKS).
//!
//! ```text
//!  token ── `iss` names the issuer ── `kid` names the key ── the issuer's one algorithm verifies
//! ```
//!
//! Keys come from a file or an address. They are read at start, again when they are older than
//! [`KEYS_AGE_MAX_US`], and when a token names a key that is not among them (the issuer has a new
//! one), but never more often than [`REFRESH_PAUSE_US`], so that forged tokens cannot make this
//! server hammer the issuer. When the issuer cannot be reached, the keys that are known stay good.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey};
use sync_protocol::problem::Problem;
use tokio::sync::RwLock;

use super::access_token::{Claims, check_time, invalid, time_checked_by_us};

/// Keys are read again after this time, in microseconds.
const KEYS_AGE_MAX_US: i64 = 3600 * 1_000_000;
/// Keys are not read again before this time, in microseconds.
const REFRESH_PAUSE_US: i64 = 60 * 1_000_000;
/// How long the issuer has to answer.
const FETCH_TIME_MAX: Duration = Duration::from_secs(5);
/// Longest key set, in bytes.
const KEYS_BYTES_MAX: usize = 256 * 1024;
/// How far the issuer's clock may be off, in seconds.
const LEEWAY_S: i64 = 60;

/// An issuer, as the configuration names it:
/// `https://erp.example;audience=campo;algorithm=RS256;jwks=https://erp.example/keys.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerConfig {
    /// The tokens' `iss`.
    pub issuer: String,
    /// What the tokens' `aud` must be or hold.
    pub audience: String,
    /// The one algorithm that is accepted.
    pub algorithm: Algorithm,
    /// Where the keys are.
    pub keys: KeySource,
}

/// Where an issuer's keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// In a file.
    File(PathBuf),
    /// At an `https:` address (or `http:`, on the same machine only).
    Address(String),
}

/// A text that names no issuer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0}; write `ISSUER;audience=NAME;algorithm=RS256|ES256|EdDSA;jwks=FILE|https://…` \
     (as in `https://erp.example;audience=campo;algorithm=ES256;jwks=/etc/campo/jwks.json`)"
)]
pub struct IssuerConfigError(String);

impl FromStr for IssuerConfig {
    type Err = IssuerConfigError;

    fn from_str(text: &str) -> Result<Self, IssuerConfigError> {
        let error = |what: &str| IssuerConfigError(what.to_owned());
        let mut parts = text.split(';');
        let issuer = parts.next().map(str::trim).unwrap_or_default();
        if issuer.is_empty() || issuer == super::access_token::OWN_ISSUER {
            return Err(error("the issuer's name is missing, or is the server's own"));
        }
        let (mut audience, mut algorithm, mut keys) = (None, None, None);
        for part in parts {
            let (name, value) = part.split_once('=').ok_or_else(|| error("a `=` is missing"))?;
            match name.trim() {
                "audience" => audience = Some(value.to_owned()),
                "algorithm" => {
                    algorithm = Some(match value {
                        "RS256" => Algorithm::RS256,
                        "ES256" => Algorithm::ES256,
                        "EdDSA" => Algorithm::EdDSA,
                        _ => return Err(error("the algorithm is not RS256, ES256 or EdDSA")),
                    });
                }
                "jwks" => keys = Some(key_source(value)?),
                other => return Err(error(&format!("`{other}` is unknown"))),
            }
        }
        Ok(Self {
            issuer: issuer.to_owned(),
            audience: audience.ok_or_else(|| error("`audience` is missing"))?,
            algorithm: algorithm.ok_or_else(|| error("`algorithm` is missing"))?,
            keys: keys.ok_or_else(|| error("`jwks` is missing"))?,
        })
    }
}

fn key_source(value: &str) -> Result<KeySource, IssuerConfigError> {
    let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    if value.starts_with("https://") || local.iter().any(|prefix| value.starts_with(prefix)) {
        return Ok(KeySource::Address(value.to_owned()));
    }
    if value.starts_with("http://") {
        return Err(IssuerConfigError(
            "keys that come over plain http could be anybody's: use https".to_owned(),
        ));
    }
    Ok(KeySource::File(PathBuf::from(value)))
}

/// One issuer with its keys.
#[derive(Debug)]
pub struct Issuer {
    config: IssuerConfig,
    http: reqwest::Client,
    keys: RwLock<Keys>,
}

#[derive(Debug)]
struct Keys {
    set: JwkSet,
    /// When they were asked for last.
    tried_us: i64,
}

/// Why an issuer's keys could not be had.
#[derive(Debug, thiserror::Error)]
#[error("the keys of {issuer} cannot be read from {from}: {reason}")]
pub struct KeysError {
    issuer: String,
    from: String,
    reason: String,
}

impl Issuer {
    /// Reads the keys. `now_us` is the server's time.
    ///
    /// # Errors
    /// When they cannot be had: a server that starts without them would refuse everybody.
    pub async fn open(config: IssuerConfig, now_us: i64) -> Result<Self, KeysError> {
        // Somebody else may have installed a provider already; either is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(FETCH_TIME_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| keys_error(&config, &error))?;
        let set = fetch(&config, &http).await?;
        Ok(Self { config, http, keys: RwLock::new(Keys { set, tried_us: now_us }) })
    }

    /// The `iss` of its tokens.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.issuer
    }

    /// Reads a token of this issuer.
    ///
    /// # Errors
    /// `token_invalid`, `token_expired`.
    pub async fn read(&self, token: &str, now_us: i64) -> Result<Claims, Problem> {
        let header = jsonwebtoken::decode_header(token).map_err(|error| invalid(&error))?;
        let key = self.key(header.kid.as_deref(), now_us).await?;
        let mut rules = time_checked_by_us(self.config.algorithm);
        rules.set_issuer(&[&self.config.issuer]);
        rules.set_audience(&[&self.config.audience]);
        rules.set_required_spec_claims(&["exp", "sub", "iss", "aud"]);
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &rules)
            .map_err(|error| invalid(&error))?
            .claims;
        check_time(&claims, now_us, LEEWAY_S)?;
        Ok(claims)
    }

    async fn key(&self, id: Option<&str>, now_us: i64) -> Result<DecodingKey, Problem> {
        {
            let keys = self.keys.read().await;
            let found = find(&keys.set, id);
            let age_max_us = if found.is_some() { KEYS_AGE_MAX_US } else { REFRESH_PAUSE_US };
            if !keys.are_older_than(age_max_us, now_us) {
                return found.ok_or_else(|| invalid(&"its key is unknown"));
            }
        }
        let mut keys = self.keys.write().await;
        // Whoever waited for the lock finds the keys read by the one before.
        if keys.are_older_than(REFRESH_PAUSE_US, now_us) {
            keys.tried_us = now_us;
            match fetch(&self.config, &self.http).await {
                Ok(set) => keys.set = set,
                Err(error) => tracing::warn!(%error, "known keys stay in use"),
            }
        }
        find(&keys.set, id).ok_or_else(|| invalid(&"its key is unknown"))
    }
}

impl Keys {
    /// Also where the clock was set back, so that a wrong clock does not keep old keys for ever.
    fn are_older_than(&self, age_max_us: i64, now_us: i64) -> bool {
        !(0..age_max_us).contains(&now_us.saturating_sub(self.tried_us))
    }
}

/// The key of that id; without an id the only key.
fn find(set: &JwkSet, id: Option<&str>) -> Option<DecodingKey> {
    let jwk = match id {
        Some(id) => set.find(id)?,
        None => match set.keys.as_slice() {
            [only] => only,
            _ => return None,
        },
    };
    DecodingKey::from_jwk(jwk).ok()
}

async fn fetch(config: &IssuerConfig, http: &reqwest::Client) -> Result<JwkSet, KeysError> {
    let bytes = match &config.keys {
        KeySource::File(path) => {
            tokio::fs::read(path).await.map_err(|error| keys_error(config, &error))?
        }
        KeySource::Address(address) => {
            download(http, address).await.map_err(|reason| keys_error(config, &reason))?
        }
    };
    serde_json::from_slice(&bytes).map_err(|error| keys_error(config, &error))
}

async fn download(http: &reqwest::Client, address: &str) -> Result<Vec<u8>, String> {
    let answer = http.get(address).send().await.map_err(|error| error.to_string())?;
    let mut answer = answer.error_for_status().map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| error.to_string())? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > KEYS_BYTES_MAX {
            return Err(format!("the key set is longer than {KEYS_BYTES_MAX} bytes"));
        }
    }
    Ok(bytes)
}

fn keys_error(config: &IssuerConfig, reason: &dyn std::fmt::Display) -> KeysError {
    let from = match &config.keys {
        KeySource::File(path) => path.display().to_string(),
        KeySource::Address(address) => address.clone(),
    };
    KeysError { issuer: config.issuer.clone(), from, reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_read() {
        let text = "https://erp.example;audience=campo;algorithm=ES256;jwks=/etc/campo/jwks.json";
        let config: IssuerConfig = text.parse().unwrap();
        assert_eq!(config.issuer, "https://erp.example");
        assert_eq!(config.algorithm, Algorithm::ES256);
        assert_eq!(config.keys, KeySource::File("/etc/campo/jwks.json".into()));
    }

    #[test]
    fn mistakes_in_a_configuration_are_told() {
        for (text, says) in [
            ("", "name is missing"),
            ("campo;audience=a;algorithm=RS256;jwks=f", "server's own"),
            ("erp;algorithm=RS256;jwks=f", "`audience` is missing"),
            ("erp;audience=a;algorithm=HS256;jwks=f", "not RS256, ES256 or EdDSA"),
            ("erp;audience=a;algorithm=none;jwks=f", "not RS256, ES256 or EdDSA"),
            ("erp;audience=a;algorithm=RS256;jwks=http://erp/keys", "use https"),
            ("erp;audience=a;algorithm=RS256;jwks=f;x=y", "`x` is unknown"),
        ] {
            let error = text.parse::<IssuerConfig>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
