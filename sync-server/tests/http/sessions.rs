//! Login, refresh, logout, throttling, revocation.

use serde_json::json;
use sync_protocol::DeviceId;

use crate::World;
use crate::company::{Company, PASSWORD, Phone, id};
use crate::world::Answer;

async fn refresh(world: &World, token: &str, device: &str) -> Answer {
    world.post("auth/refresh", None, &json!({ "refresh_token": token, "device": device })).await
}

fn next(answer: Answer) -> String {
    answer.ok().json()["refresh_token"].as_str().expect("a token").to_owned()
}

pub async fn a_login_gives_a_session_that_works(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let device = id();
    let answer = world.login(&company.slug, "juan", PASSWORD, &device).await.ok();
    assert_eq!(answer.header("cache-control"), "no-store");
    let session = answer.json();
    assert_eq!(session["tenant"], company.tenant.to_string());
    assert_eq!(session["user"], company.user.to_string());
    assert_eq!(session["expires_in_s"], 900);
    assert_eq!(session["permissions"], json!(["project:read", "project:write", "stock:read"]));
    let token = session["access_token"].as_str().expect("a token");
    let schema = world.get("schema", Some(token)).await.ok().json();
    assert!(schema["schema"]["collections"]["proyectos"].is_object(), "{schema}");
    assert!(schema["schema"]["collections"].get("ventas").is_none(), "a foreman sells nothing");
    assert!(schema["schema"].get("roles").is_none(), "roles are nobody's business");
    assert!(!schema.to_string().contains("presupuesto"), "a foreman may not see the budget");
    let known = world.store.shared().device(company.tenant, device.parse().expect("an id")).await;
    assert!(known.expect("a store").is_some(), "the device was not registered");
}

pub async fn wrong_company_user_and_password_get_the_same_answer(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let mut texts = Vec::new();
    for (tenant, user, password) in [
        (company.slug.as_str(), "juan", "wrong password"),
        (company.slug.as_str(), "nobody", PASSWORD),
        ("no-such-company", "juan", PASSWORD),
        ("", "", ""),
        ("' OR 1=1 --", "juan", PASSWORD),
    ] {
        let answer = world.login(tenant, user, password, &id()).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "login_failed"));
        texts.push(answer.text());
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "the answers differ: {texts:?}");
    let long = world.login(&company.slug, "juan", &"a".repeat(2000), &id()).await;
    assert_eq!((long.status, long.code().as_str()), (422, "too_long"));
    let nul = world.login(&company.slug, "ju\0an", PASSWORD, &id()).await;
    assert_eq!((nul.status, nul.code().as_str()), (422, "nul_character"));
}

pub async fn a_lost_answer_to_a_refresh_logs_nobody_out(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let Phone { device, refresh_token, .. } = company.phone(&world).await;
    // Three answers get lost; the fourth arrives, and what it brought works on.
    for _ in 0..3 {
        next(refresh(&world, &refresh_token, &device).await);
    }
    let arrived = refresh(&world, &refresh_token, &device).await.ok();
    let token = arrived.json()["access_token"].as_str().expect("a token").to_owned();
    world.get("schema", Some(&token)).await.ok();
    let second = next(arrived);
    let third = next(refresh(&world, &second, &device).await);
    next(refresh(&world, &third, &device).await);
}

pub async fn a_token_that_comes_again_ends_the_family(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let Phone { device, refresh_token: first, .. } = company.phone(&world).await;
    let second = next(refresh(&world, &first, &device).await);
    let third = next(refresh(&world, &second, &device).await);
    let again = refresh(&world, &first, &device).await;
    assert_eq!((again.status, again.code().as_str()), (401, "refresh_token_reused"));
    for ended in [&first, &second, &third] {
        let answer = refresh(&world, ended, &device).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "refresh_token_invalid"));
    }
    world.login(&company.slug, "juan", PASSWORD, &device).await.ok();
}

pub async fn another_devices_refresh_token_ends_the_family(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let (mine, theirs) = (company.phone(&world).await, company.phone(&world).await);
    let answer = refresh(&world, &mine.refresh_token, &theirs.device).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "refresh_token_reused"));
    let answer = refresh(&world, &mine.refresh_token, &mine.device).await;
    assert_eq!(answer.code(), "refresh_token_invalid");
    next(refresh(&world, &theirs.refresh_token, &theirs.device).await);
    for garbage in ["", "AAAA", &mine.token] {
        let answer = refresh(&world, garbage, &mine.device).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "refresh_token_invalid"));
    }
}

pub async fn logout_ends_the_session_and_can_be_repeated(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let phone = company.phone(&world).await;
    for token in [phone.refresh_token.as_str(), phone.refresh_token.as_str(), "unknown"] {
        let answer = world.post("auth/logout", None, &json!({ "refresh_token": token })).await;
        assert_eq!((answer.status, answer.body.len()), (204, 0));
    }
    let answer = refresh(&world, &phone.refresh_token, &phone.device).await;
    assert_eq!(answer.code(), "refresh_token_invalid");
}

pub async fn a_revoked_device_is_refused_at_its_next_request(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let phone = company.phone(&world).await;
    world.get("schema", Some(&phone.token)).await.ok();
    world.clock.push(901);
    let late = world.get("schema", Some(&phone.token)).await;
    assert_eq!((late.status, late.code().as_str()), (401, "token_expired"));
    world.clock.push(-901);
    let device: DeviceId = phone.device.parse().expect("an id");
    world.store.shared().revoke_device(company.tenant, device).await.expect("revoked");
    let answer = world.get("schema", Some(&phone.token)).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "device_revoked"));
    let answer = refresh(&world, &phone.refresh_token, &phone.device).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "device_revoked"));
    let answer = world.login(&company.slug, "juan", PASSWORD, &phone.device).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "device_revoked"));
    world.login(&company.slug, "juan", PASSWORD, &id()).await.ok();
}

pub async fn guessing_is_slowed_down(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let mut free = 0;
    let throttled = loop {
        let answer = world.login(&company.slug, "juan", "guess", &id()).await;
        if answer.status == 429 {
            break answer;
        }
        assert_eq!(answer.code(), "login_failed");
        free += 1;
        assert!(free < 20, "nobody is slowed down");
    };
    // A busy machine may need longer for a guess than the first waits last.
    assert!(free >= 5, "only {free} attempts were free");
    assert_eq!(throttled.code(), "login_throttled");
    let right = world.login(&company.slug, "juan", PASSWORD, &id()).await;
    assert_eq!(right.status, 429, "the right password does not jump the wait");
    let seconds: i64 = right.header("retry-after").parse().expect("seconds");
    world.clock.push(seconds);
    world.login(&company.slug, "juan", PASSWORD, &id()).await.ok();
    let forgiven = world.login(&company.slug, "juan", "guess", &id()).await;
    assert_eq!(forgiven.code(), "login_failed", "success forgives");
}

pub async fn an_administrators_command_counts_while_the_server_runs(world: World) {
    // The company is made through another connection to the same files, after the server started.
    let company = Company::new(&world, &["foreman"]).await;
    let phone = company.phone(&world).await;
    let scope = sync_protocol::Scope::entity("project", uuid::Uuid::now_v7());
    let store = world.store.shared();
    store.grant(company.tenant, company.user, &scope).await.expect("granted");
    phone.push(&world, &[]).await;
    store.revoke(company.tenant, company.user, &scope).await.expect("revoked");
    assert_eq!(store.devices(company.tenant).await.expect("devices").len(), 1);
    world.get("schema", Some(&phone.token)).await.ok();
}
