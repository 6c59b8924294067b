//! The server's own access tokens: short-lived JWTs, signed with a key that the database keeps.
//!
//! The algorithm is fixed to HS256 here, whatever a token's header says; `none` and all others are
//! refused. A token cannot be called back, so it is short, and account and device are looked up
//! with every request anyway ([`super::authenticate`]).

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sync_protocol::problem::Problem;
use sync_protocol::{DeviceId, TenantId, UserId};

/// How long an access token is good for, in seconds: a stolen one is of little use, and a phone
/// with a poor signal does not refresh with every request.
pub const ACCESS_TOKEN_S: u64 = 15 * 60;
/// The issuer of the server's own tokens.
pub const OWN_ISSUER: &str = "campo";
/// Longest token that is looked at, in bytes; HTTP servers refuse longer headers soon after.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// What a token says, the server's own or an external issuer's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it.
    #[serde(default)]
    pub iss: String,
    /// The person.
    pub sub: UserId,
    /// The tenant.
    pub tid: TenantId,
    /// Roles, as the schema's `roles` names them. Of the server's own tokens the account's count.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Permissions besides those of the roles.
    #[serde(default)]
    pub permissions: Vec<String>,
    /// What the company pays for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// When it ends, in seconds since 1970.
    pub exp: i64,
    /// When it was issued, in seconds since 1970.
    #[serde(default)]
    pub iat: i64,
    /// From when it is good, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// The device that it was issued to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub did: Option<DeviceId>,
    /// The person's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Signs and reads the server's own tokens.
pub struct AccessTokens {
    sign: EncodingKey,
    verify: DecodingKey,
    rules: Validation,
}

impl AccessTokens {
    /// With the key of [`crate::store::Accounts::signing_key`].
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        let mut rules = time_checked_by_us(Algorithm::HS256);
        rules.set_issuer(&[OWN_ISSUER]);
        Self { sign: EncodingKey::from_secret(key), verify: DecodingKey::from_secret(key), rules }
    }

    /// A signed token.
    ///
    /// # Errors
    /// `internal` when signing fails.
    pub fn issue(&self, claims: &Claims) -> Result<String, Problem> {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &self.sign).map_err(|error| {
            tracing::error!(%error, "signing failed");
            Problem::new(500, "internal", "The server failed")
        })
    }

    /// Reads a token of this server.
    ///
    /// # Errors
    /// `token_invalid`, `token_expired`.
    pub fn read(&self, token: &str, now_us: i64) -> Result<Claims, Problem> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.verify, &self.rules)
            .map_err(|error| invalid(&error))?
            .claims;
        check_time(&claims, now_us, 0)?;
        Ok(claims)
    }
}

/// Rules for one algorithm that leave the time to [`check_time`], which asks the clock handed in.
pub(super) fn time_checked_by_us(algorithm: Algorithm) -> Validation {
    let mut rules = Validation::new(algorithm);
    rules.validate_exp = false;
    rules.validate_nbf = false;
    rules.set_required_spec_claims(&["exp", "sub", "iss"]);
    rules
}

/// Whether a token is good at this moment, give or take the leeway for clocks that differ.
pub(super) fn check_time(claims: &Claims, now_us: i64, leeway_s: i64) -> Result<(), Problem> {
    let now_s = now_us.div_euclid(1_000_000);
    if claims.exp.saturating_add(leeway_s) <= now_s {
        return Err(Problem::new(401, "token_expired", "The access token has expired")
            .detail("get another one with `auth/refresh` and send the same request again"));
    }
    if claims.nbf.is_some_and(|from| from > now_s.saturating_add(leeway_s)) {
        return Err(invalid(&"it is not good yet"));
    }
    Ok(())
}

/// The answer to every token that is not good. Why exactly is logged and not told: it would only
/// help whoever forges.
pub(super) fn invalid(reason: &dyn std::fmt::Display) -> Problem {
    tracing::debug!(%reason, "token refused");
    Problem::new(401, "token_invalid", "The access token is not valid here")
        .detail("log in, or refresh, and use the token that comes back unchanged")
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    const NOW_US: i64 = 1_790_000_000_000_000;

    fn claims() -> Claims {
        Claims {
            iss: OWN_ISSUER.into(),
            sub: UserId(uuid::Uuid::from_u128(1)),
            tid: TenantId(uuid::Uuid::from_u128(2)),
            roles: vec!["foreman".into()],
            permissions: vec![],
            plan: None,
            exp: NOW_US / 1_000_000 + 900,
            iat: NOW_US / 1_000_000,
            nbf: None,
            did: None,
            name: Some("Juan".into()),
        }
    }

    fn code(result: Result<Claims, Problem>) -> String {
        result.unwrap_err().code
    }

    #[test]
    fn what_was_issued_is_read_until_it_expires() {
        let tokens = AccessTokens::new(&[7; 32]);
        let token = tokens.issue(&claims()).unwrap();
        assert_eq!(tokens.read(&token, NOW_US).unwrap(), claims());
        assert!(tokens.read(&token, NOW_US + 899_000_000).is_ok());
        assert_eq!(code(tokens.read(&token, NOW_US + 900_000_000)), "token_expired");
    }

    #[test]
    fn another_key_another_issuer_and_a_changed_claim_are_forgeries() {
        let tokens = AccessTokens::new(&[7; 32]);
        let other_key = AccessTokens::new(&[8; 32]).issue(&claims()).unwrap();
        assert_eq!(code(tokens.read(&other_key, NOW_US)), "token_invalid");
        let other_issuer = tokens.issue(&Claims { iss: "erp".into(), ..claims() }).unwrap();
        assert_eq!(code(tokens.read(&other_issuer, NOW_US)), "token_invalid");
        let token = tokens.issue(&claims()).unwrap();
        let mut parts: Vec<&str> = token.split('.').collect();
        let changed = Claims { tid: TenantId(uuid::Uuid::from_u128(3)), ..claims() };
        let body = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&changed).unwrap());
        parts[1] = &body;
        assert_eq!(code(tokens.read(&parts.join("."), NOW_US)), "token_invalid");
    }

    #[test]
    fn the_header_does_not_choose_the_algorithm() {
        let tokens = AccessTokens::new(&[7; 32]);
        let body = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&claims()).unwrap());
        for header in [r#"{"alg":"none"}"#, r#"{"alg":"None","typ":"JWT"}"#] {
            let unsigned = format!("{}.{body}.", URL_SAFE_NO_PAD.encode(header));
            assert_eq!(code(tokens.read(&unsigned, NOW_US)), "token_invalid");
        }
        let hs512 = jsonwebtoken::encode(
            &Header::new(Algorithm::HS512),
            &claims(),
            &EncodingKey::from_secret(&[7; 32]),
        );
        assert_eq!(code(tokens.read(&hs512.unwrap(), NOW_US)), "token_invalid");
        for garbage in ["", ".", "..", "a.b.c", "ñ"] {
            assert_eq!(code(tokens.read(garbage, NOW_US)), "token_invalid");
        }
    }
}
