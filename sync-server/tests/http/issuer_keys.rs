//! An issuer's keys at an address: they change, are not to be had, or are not what they should be.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value as Json, json};
use sync_protocol::UserId;
use sync_server::clock::{Clock as _, SystemClock};
use sync_server::serve;
use uuid::Uuid;

use crate::World;
use crate::company::{Company, id};
use crate::issuers::{ISSUER, draw_key};

/// The issuer's server.
struct Keys {
    answer: Arc<Mutex<(u16, Vec<u8>)>>,
    asked: Arc<AtomicUsize>,
    address: String,
}

impl Keys {
    async fn start() -> Self {
        let answer = Arc::new(Mutex::new((200, Vec::new())));
        let asked = Arc::new(AtomicUsize::new(0));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}/keys.json", listener.local_addr().expect("an address"));
        let (answers, count) = (answer.clone(), asked.clone());
        let handle = move || {
            count.fetch_add(1, Ordering::Relaxed);
            let (status, body) = answers.lock().expect("no test panics inside").clone();
            async move { (StatusCode::from_u16(status).expect("a status"), body) }
        };
        let router = Router::new().route("/keys.json", get(handle));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { answer, asked, address }
    }

    fn set(&self, status: u16, body: Vec<u8>) {
        *self.answer.lock().expect("no test panics inside") = (status, body);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    fn config(&self) -> String {
        format!("{ISSUER};audience=campo;algorithm=EdDSA;jwks={}", self.address)
    }
}

fn set_of(key: &EncodingKey, kid: &str) -> Vec<u8> {
    let mut jwk = Jwk::from_encoding_key(key, Algorithm::EdDSA).expect("a public key");
    jwk.common.key_id = Some(kid.to_owned());
    serde_json::to_vec(&JwkSet { keys: vec![jwk] }).expect("JSON")
}

fn token(claims: &Json, algorithm: Algorithm, kid: &str, key: &EncodingKey) -> String {
    let mut header = Header::new(algorithm);
    header.kid = Some(kid.to_owned());
    jsonwebtoken::encode(&header, claims, key).expect("a token")
}

pub async fn keys_at_an_address_follow_the_issuer(world: World) {
    let keys = Keys::start().await;
    let (first, second) = (draw_key(), draw_key());
    keys.set(200, set_of(&first, "k1"));
    let company = Company::new(&world, &["foreman"]).await;
    let world = world.restarted_with(keys.config().parse().expect("an issuer")).await;
    let now_s = SystemClock.now_us() / 1_000_000;
    let claims = json!({
        "iss": ISSUER, "aud": "campo", "sub": UserId(Uuid::now_v7()), "tid": company.tenant,
        "did": id(), "roles": ["foreman"], "permissions": [], "name": "Ana",
        "exp": now_s + 100_000, "iat": now_s,
    });
    let of_first = token(&claims, Algorithm::EdDSA, "k1", &first);
    let of_second = token(&claims, Algorithm::EdDSA, "k2", &second);
    let status = async |token: &str| world.get("schema", Some(token)).await.status;
    assert_eq!(status(&of_first).await, 200);

    // The issuer changes its key. It is not asked again at once, whoever names unknown keys.
    keys.set(200, set_of(&second, "k2"));
    let asked = keys.asked();
    for _ in 0..3 {
        let answer = world.get("schema", Some(&of_second)).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "token_invalid"));
    }
    assert_eq!(keys.asked(), asked, "an unknown key makes the server ask each time");
    world.clock.push(61);
    assert_eq!(status(&of_second).await, 200);
    assert_eq!(status(&of_first).await, 401, "the old key is still good");

    // While the keys cannot be had, or are no keys, those that are known stay good.
    for (code, body) in [
        (500, b"down".to_vec()),
        (200, b"<html>".to_vec()),
        (200, vec![b' '; 300_000]),
        (302, Vec::new()),
    ] {
        keys.set(code, body);
        let asked = keys.asked();
        world.clock.push(3_601);
        assert_eq!(status(&of_second).await, 200);
        assert_eq!(keys.asked(), asked + 1);
    }

    // A secret among public keys is no key for this issuer's algorithm, nor is another algorithm's.
    let secret =
        json!({ "keys": [{ "kty": "oct", "kid": "k3", "alg": "HS256", "k": "c2VjcmV0" }] });
    keys.set(200, secret.to_string().into_bytes());
    world.clock.push(3_601);
    let of_secret = token(&claims, Algorithm::HS256, "k3", &EncodingKey::from_secret(b"secret"));
    let answer = world.get("schema", Some(&of_secret)).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "token_invalid"));
}

pub async fn a_server_without_an_issuers_keys_does_not_start(world: World) {
    let keys = Keys::start().await;
    let mut config = world.config.clone();
    config.issuers = vec![keys.config().parse().expect("an issuer")];
    world.server.shutdown().await;
    for (status, body, says) in [
        (404, Vec::new(), "404"),
        (200, b"{}".to_vec(), "keys"),
        (200, vec![b' '; 300_000], "longer than"),
    ] {
        keys.set(status, body);
        let error = serve(config.clone()).await.err().expect("it started").to_string();
        assert!(error.contains(ISSUER) && error.contains(says), "{error}");
    }
}
