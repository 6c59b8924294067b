//! Refresh tokens: replayed, stolen, and in storms.

use futures::future::join_all;
use serde_json::json;
use uuid::Uuid;

use crate::attacker::Answer;
use crate::site::HOSTILE;
use crate::stage::{Attack, Stage};

pub const ATTACK: Attack = Attack { name: "refresh storms", run: |stage| Box::pin(run(stage)) };

const AT_ONCE: usize = 30;

async fn run(stage: &Stage) {
    let session = stage.attacker.logs_in(HOSTILE, "pup").await;
    let refresh = |token: &str, device: Uuid| {
        let body = json!({ "refresh_token": token, "device": device });
        async move { stage.attacker.post("auth/refresh", None, &body).await }
    };
    // What was never a token.
    for garbage in ["", "x", "....", &"a".repeat(50_000), &session.token, "\u{0}"] {
        let answer = refresh(garbage, session.device).await;
        assert_eq!(answer.code(), "refresh_token_invalid", "{garbage:.20}: {answer:?}");
    }
    // The one that is good, over and over: an answer may have been lost each time.
    let storm = (0..AT_ONCE).map(|_| refresh(&session.refresh, session.device));
    let answers = join_all(storm).await;
    let (served, others): (Vec<&Answer>, Vec<&Answer>) =
        answers.iter().partition(|answer| answer.status == 200);
    assert!(!served.is_empty() && others.iter().all(|answer| answer.is_busy()), "{others:?}");
    // Used, its successor ends it; it comes again: somebody has a copy, and the whole family ends.
    let exchanged = async |token: &str| {
        let answer = served_in_time(|| refresh(token, session.device)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json["refresh_token"].as_str().expect("a token").to_owned()
    };
    let next = exchanged(&session.refresh).await;
    let newest = exchanged(&next).await;
    let reused = served_in_time(|| refresh(&session.refresh, session.device)).await;
    assert_eq!(reused.code(), "refresh_token_reused", "{reused:?}");
    let ended = served_in_time(|| refresh(&newest, session.device)).await;
    assert_eq!(ended.status, 401, "the family has ended: {ended:?}");
}

async fn served_in_time<F: Future<Output = Answer>>(ask: impl Fn() -> F) -> Answer {
    loop {
        let answer = ask().await;
        if !answer.is_busy() {
            return answer;
        }
    }
}
