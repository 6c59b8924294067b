//! Tokens that were forged, that belong elsewhere, or whose device was revoked.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::site::HOSTILE;
use crate::stage::{Attack, Stage};

pub const ATTACK: Attack = Attack { name: "forged tokens", run: |stage| Box::pin(run(stage)) };

async fn run(stage: &Stage) {
    let good = &stage.wolf.token;
    let [head, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("a token has three parts")
    };
    let claims: Json = decoded(claims);
    let with = |member: &str, value: Json| {
        let mut changed = claims.clone();
        changed[member] = value;
        encoded(&changed)
    };
    let none = encoded(&json!({ "alg": "none", "typ": "JWT" }));
    let asymmetric = encoded(&json!({ "alg": "RS256", "typ": "JWT", "jku": "http://127.0.0.66/" }));
    let same = encoded(&claims);
    for forged in [
        format!("{head}.{}.{signature}", with("tid", json!(Uuid::now_v7()))),
        format!("{head}.{}.{signature}", with("sub", json!(stage.pup.user))),
        format!("{head}.{}.{signature}", with("exp", json!(i64::MAX))),
        format!("{head}.{}.{signature}", with("iss", json!("somebody else"))),
        format!("{none}.{same}."),
        format!("{none}.{same}.{signature}"),
        format!("{asymmetric}.{same}.{signature}"),
        format!("{head}.{same}."),
        format!("{head}.{same}"),
        format!("{head}..{signature}"),
        "..".to_owned(),
        "a".repeat(20_000),
        stage.wolf.refresh.clone(),
    ] {
        let answer = stage.attacker.get("schema", Some(&forged)).await;
        assert_eq!(answer.code(), "token_invalid", "{forged:.80}: {answer:?}");
    }
    let storm = (0..200).map(|_| async {
        stage.attacker.get("schema", Some(&format!("{none}.{same}.{signature}"))).await
    });
    for answer in futures::future::join_all(storm).await {
        assert_eq!(answer.status, 401, "{answer:?}");
    }
    revoked(stage).await;
}

/// What was good until a moment ago.
async fn revoked(stage: &Stage) {
    let lost = stage.attacker.logs_in(HOSTILE, "pup").await;
    let token = Some(lost.token.as_str());
    assert_eq!(stage.attacker.get("schema", token).await.status, 200);
    stage.site.admin(&["device", "revoke", &lost.device.to_string(), "--tenant", HOSTILE]);
    let push = stage.attacker.push(&lost, &[]).await;
    assert_eq!(push.code(), "device_revoked", "{push:?}");
    let pull = json!({ "stream": lost.stream });
    let pull = stage.attacker.post("sync/pull", token, &pull).await;
    assert_eq!(pull.code(), "device_revoked", "{pull:?}");
    let refresh = json!({ "refresh_token": lost.refresh, "device": lost.device });
    let refresh = stage.attacker.post("auth/refresh", None, &refresh).await;
    assert_eq!(refresh.code(), "device_revoked", "{refresh:?}");
    // Nor can its refresh token be used as another device.
    let other = json!({ "refresh_token": lost.refresh, "device": stage.wolf.device });
    let other = stage.attacker.post("auth/refresh", None, &other).await;
    assert_eq!(other.status, 401, "{other:?}");
}

fn decoded(part: &str) -> Json {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
}

fn encoded(json: &Json) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}
