//! Access tokens (JWT) and refresh tokens. The input is a token; and it is the claims, or the header,
//! of one that is signed with the right key, because no change of bytes finds a signature.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::sign;
use jsonwebtoken::{Algorithm, EncodingKey};
use sync_server::auth::access_token::{AccessTokens, Claims, OWN_ISSUER};
use sync_server::auth::refresh_token::RefreshToken;

use crate::{Target, promise};

/// The target.
pub(super) const TARGET: Target = Target { name: "tokens", input_bytes_max: 2048, run };

const KEY: &[u8; 32] = b"thirty-two bytes that nobody has";
const NOW_US: i64 = 1_790_000_000_000_000;
const REFUSALS: &[(u16, &str)] = &[(401, "token_invalid"), (401, "token_expired")];
const HEADER: &[u8] = br#"{"typ":"JWT","alg":"HS256"}"#;
const CLAIMS: &[u8] = br#"{"iss":"campo","sub":"00000000-0000-0000-0000-000000000001",
    "tid":"00000000-0000-0000-0000-000000000002","exp":1790000900}"#;

static TOKENS: LazyLock<AccessTokens> = LazyLock::new(|| AccessTokens::new(KEY));

fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Some(claims) = read(&text) {
        is_good(&claims);
    }
    if let Some(claims) = read(&signed(HEADER, input)) {
        is_good(&claims);
        let again = TOKENS.issue(&claims).ok().and_then(|token| read(&token));
        assert_eq!(again, Some(claims), "other claims come back");
    }
    if read(&signed(input, CLAIMS)).is_some() {
        names_the_one_algorithm(input);
    }
    if let Some(token) = RefreshToken::read(&text) {
        assert_eq!(token.text(), text, "a refresh token has one text");
        assert!(text.starts_with(&URL_SAFE_NO_PAD.encode(token.tenant().0)[..21]));
    }
}

fn read(token: &str) -> Option<Claims> {
    match TOKENS.read(token, NOW_US) {
        Ok(claims) => Some(claims),
        Err(problem) => {
            promise::refusal_is_documented(&problem, REFUSALS);
            None
        }
    }
}

fn signed(header: &[u8], claims: &[u8]) -> String {
    let content = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = EncodingKey::from_secret(KEY);
    match sign(content.as_bytes(), &key, Algorithm::HS256) {
        Ok(signature) => format!("{content}.{signature}"),
        Err(error) => panic!("signing failed: {error}"),
    }
}

fn is_good(claims: &Claims) {
    assert_eq!(claims.iss, OWN_ISSUER, "somebody else's token was taken");
    assert!(claims.exp > NOW_US / 1_000_000, "an expired token was taken: {claims:?}");
    assert!(claims.nbf.is_none_or(|from| from <= NOW_US / 1_000_000), "too early: {claims:?}");
}

fn names_the_one_algorithm(header: &[u8]) {
    let header: serde_json::Value = match serde_json::from_slice(header) {
        Ok(header) => header,
        Err(error) => panic!("a header that is no JSON was taken: {error}"),
    };
    assert_eq!(header["alg"], "HS256", "another algorithm was taken: {header}");
}
