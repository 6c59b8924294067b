//! Tokens that should not be accepted.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use sync_protocol::{TenantId, UserId};
use sync_server::auth::access_token::{AccessTokens, Claims, OWN_ISSUER};
use sync_server::clock::{Clock as _, SystemClock};
use uuid::Uuid;

use crate::World;
use crate::company::{Company, Phone};

pub fn claims(tenant: TenantId, user: UserId) -> Claims {
    let now_s = SystemClock.now_us() / 1_000_000;
    Claims {
        iss: OWN_ISSUER.to_owned(),
        sub: user,
        tid: tenant,
        roles: vec!["admin".into()],
        permissions: vec!["conflict:resolve".into()],
        plan: None,
        exp: now_s + 600,
        iat: now_s,
        nbf: None,
        did: None,
        name: None,
    }
}

/// What is wrong with a token, the token, and the code that it deserves.
pub type Bad = (&'static str, Option<String>, &'static str);

pub async fn bad_tokens(
    world: &World,
    company: &Company,
    phone: &Phone,
    other: &Company,
) -> Vec<Bad> {
    let key = world.store.shared().signing_key().await.expect("a key");
    let own = AccessTokens::new(&key);
    let good = claims(company.tenant, company.user);
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let body = encode(&serde_json::to_vec(&good).expect("claims"));
    let none = format!("{}.{body}.", encode(br#"{"alg":"none","typ":"JWT"}"#));
    let signature = phone.token.rsplit('.').next().expect("a signature");
    let none_signed = format!("{none}{signature}");
    let hs512 = jsonwebtoken::encode(
        &Header::new(Algorithm::HS512),
        &good,
        &EncodingKey::from_secret(&key),
    );
    let mut parts: Vec<String> = phone.token.split('.').map(str::to_owned).collect();
    let swapped = Claims { tid: other.tenant, ..good.clone() };
    parts[1] = encode(&serde_json::to_vec(&swapped).expect("claims"));
    let issued = |claims: &Claims| Some(own.issue(claims).expect("a token"));
    let past = Claims { exp: good.iat - 1, ..good.clone() };
    let nobody = Claims { sub: UserId(Uuid::now_v7()), ..good.clone() };
    let nowhere = Claims { tid: TenantId(Uuid::now_v7()), ..good.clone() };
    let elsewhere = Claims { iss: "https://erp.example".into(), ..good.clone() };
    vec![
        ("no token", None, "token_missing"),
        ("an empty token", Some(String::new()), "token_missing"),
        ("garbage", Some("garbage".into()), "token_invalid"),
        ("a refresh token", Some(phone.refresh_token.clone()), "token_invalid"),
        ("an expired token", issued(&past), "token_expired"),
        ("a token of another key", AccessTokens::new(&[9; 32]).issue(&good).ok(), "token_invalid"),
        ("a token without signature", Some(none), "token_invalid"),
        ("`none` with a signature", Some(none_signed), "token_invalid"),
        ("another algorithm", hs512.ok(), "token_invalid"),
        ("a changed tenant", Some(parts.join(".")), "token_invalid"),
        ("another company's id, well signed", issued(&swapped), "token_invalid"),
        ("a person who does not exist", issued(&nobody), "token_invalid"),
        ("a company that does not exist", issued(&nowhere), "token_invalid"),
        ("an unknown issuer", issued(&elsewhere), "token_invalid"),
    ]
}
