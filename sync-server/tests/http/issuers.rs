//! Tokens of an external issuer.

use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value as Json, json};
use sync_protocol::UserId;
use sync_server::clock::{Clock as _, SystemClock};
use uuid::Uuid;

use crate::World;
use crate::company::{Company, id};

pub const ISSUER: &str = "https://erp.example";

/// A new Ed25519 key: PKCS #8 is a fixed beginning and the 32 bytes.
pub fn draw_key() -> EncodingKey {
    let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    der.extend_from_slice(Uuid::new_v4().as_bytes());
    der.extend_from_slice(Uuid::new_v4().as_bytes());
    EncodingKey::from_ed_der(&der)
}

pub async fn an_issuers_tokens_are_accepted_by_its_algorithm_only(world: World) {
    let key = draw_key();
    let mut jwk = Jwk::from_encoding_key(&key, Algorithm::EdDSA).expect("a public key");
    jwk.common.key_id = Some("k1".to_owned());
    let keys = tempfile::NamedTempFile::new().expect("a file");
    let set = serde_json::to_vec(&JwkSet { keys: vec![jwk] }).expect("JSON");
    std::fs::write(keys.path(), &set).expect("written");
    let config = format!("{ISSUER};audience=campo;algorithm=EdDSA;jwks={}", keys.path().display());
    let company = Company::new(&world, &["foreman"]).await;
    let world = world.restarted_with(config.parse().expect("an issuer")).await;

    let user = UserId(Uuid::now_v7());
    let now_s = SystemClock.now_us() / 1_000_000;
    let good = json!({
        "iss": ISSUER, "aud": "campo", "sub": user, "tid": company.tenant, "did": id(),
        "roles": ["foreman"], "permissions": ["conflict:resolve"], "plan": "pro",
        "name": "Ana", "exp": now_s + 600, "iat": now_s,
    });
    let sign = |claims: &Json, kid: &str| {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(kid.to_owned());
        jsonwebtoken::encode(&header, claims, &key).expect("a token")
    };
    let token = sign(&good, "k1");
    let schema = world.get("schema", Some(&token)).await.ok().json();
    assert!(schema["schema"]["collections"]["proyectos"].is_object());
    world.get("conflicts", Some(&token)).await.ok();
    let push = json!({ "stream": id(), "transactions": [] });
    world.post("sync/push", Some(&token), &push).await.ok();
    let account = world.store.shared().user(company.tenant, user).await.expect("a store");
    assert_eq!(account.expect("an account at first contact").name, "Ana");

    let with = |name: &str, value: Json| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let hs256 = |secret: &[u8]| {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("k1".to_owned());
        let key = EncodingKey::from_secret(secret);
        jsonwebtoken::encode(&header, &good, &key).expect("a token")
    };
    for (what, token, expected) in [
        ("expired", sign(&with("exp", json!(now_s - 61)), "k1"), "token_expired"),
        ("not good yet", sign(&with("nbf", json!(now_s + 600)), "k1"), "token_invalid"),
        ("for somebody else", sign(&with("aud", json!("billing")), "k1"), "token_invalid"),
        ("of another issuer", sign(&with("iss", json!("https://x")), "k1"), "token_invalid"),
        ("the server's own name", sign(&with("iss", json!("campo")), "k1"), "token_invalid"),
        ("unknown key", sign(&good, "k2"), "token_invalid"),
        ("unknown company", sign(&with("tid", json!(id())), "k1"), "token_invalid"),
        ("public key as a secret", hs256(&set), "token_invalid"),
    ] {
        let answer = world.get("schema", Some(&token)).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, expected), "{what}");
    }
}
