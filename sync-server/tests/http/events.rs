//! Who hears what of `sync/events`, and when a stream ends.

use std::time::Duration;

use serde_json::json;
use sync_protocol::{Scope, UserId};

use crate::World;
use crate::company::{Company, Phone, conflict, id, insert, person, report, update};
use crate::listener::{Listener, request};

async fn open(world: &World, phone: &Phone) -> Listener {
    resume(world, phone, None).await
}

async fn resume(world: &World, phone: &Phone, mark: Option<&str>) -> Listener {
    Listener::open(&world.server.url(), &phone.token, mark).await
}

/// Hangs up as soon as a mark has come: one does not while something waits to be told.
async fn marked(mut listener: Listener) -> String {
    while listener.mark.is_none() {
        listener.next().await.expect("it goes on");
    }
    listener.mark.expect("a mark")
}

fn project(id: &str) -> Scope {
    format!("project:{id}").parse().expect("a scope")
}

async fn grant(world: &World, company: &Company, user: UserId, scope: &Scope) {
    world.store.shared().grant(company.tenant, user, scope).await.expect("granted");
}

/// Somebody's grants change, which their streams are told: what they hear before is all there was.
async fn signal(world: &World, company: &Company, user: UserId) {
    grant(world, company, user, &project(&id())).await;
}

async fn rename(world: &World, phone: &Phone, project: &str, name: &str) {
    let set = json!({ "nombre": name });
    phone.apply(world, json!([update("proyectos", project, set, json!({}))])).await;
}

pub async fn a_move_is_told_to_those_who_hold_its_scope_and_to_nobody_else(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let ana = person(&world, company.tenant, "ana", &["foreman"]).await;
    let other = Company::new(&world, &["foreman"]).await;
    let phone = company.phone(&world).await;
    let (obra, _, item) = report(&world, &phone).await;
    let second = company.phone(&world).await;
    let mut juan = open(&world, &second).await;
    let mut looks_on = open(&world, &company.phone_of(&world, "ana").await).await;
    let mut stranger = open(&world, &other.phone(&world).await).await;
    let base = json!({ "medida": 1 });
    let measured = update("avance_items", &item, json!({ "medida": "2.5" }), base);
    phone.apply(&world, json!([measured])).await;
    let scope = format!("project:{obra}");
    let told = juan.until(|event| event.tells(&scope)).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].data, json!({ "scopes": [scope], "all": false, "user": false }));
    for (listener, company, user) in
        [(&mut looks_on, &company, ana), (&mut stranger, &other, other.user)]
    {
        signal(&world, company, user).await;
        let told = listener.until(|event| event.tells_user()).await;
        assert_eq!(told.len(), 1, "what is not theirs was told: {told:?}");
        assert_eq!(told[0].data["scopes"], json!([]));
    }
}

pub async fn a_grant_is_told_and_from_then_on_its_scope(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let ana = person(&world, company.tenant, "ana", &["foreman"]).await;
    let phone = company.phone(&world).await;
    let (obra, _, _) = report(&world, &phone).await;
    let scope = project(&obra);
    let mut listener = open(&world, &company.phone_of(&world, "ana").await).await;
    grant(&world, &company, ana, &scope).await;
    listener.until(|event| event.tells_user()).await;
    rename(&world, &phone, &obra, "Torre Norte").await;
    listener.until(|event| event.tells(scope.as_str())).await;
    world.store.shared().revoke(company.tenant, ana, &scope).await.expect("revoked");
    listener.until(|event| event.tells_user()).await;
    rename(&world, &phone, &obra, "Torre Sur").await;
    signal(&world, &company, ana).await;
    let told = listener.until(|event| event.tells_user()).await;
    assert!(!told.iter().any(|event| event.tells(scope.as_str())), "{told:?}");
}

pub async fn rows_that_somebody_may_not_read_are_not_told_to_them(world: World) {
    let company = Company::new(&world, &["warehouse_keeper"]).await;
    let nobody = person(&world, company.tenant, "nadie", &[]).await;
    let phone = company.phone(&world).await;
    // Both hold the scope of the company, in which articles are.
    let mut keeper = open(&world, &company.phone(&world).await).await;
    let mut blind = open(&world, &company.phone_of(&world, "nadie").await).await;
    let article = json!({ "codigo": "A1", "nombre": "Clavo" });
    phone.apply(&world, json!([insert("articulos", &id(), article)])).await;
    keeper.until(|event| event.tells("tenant")).await;
    signal(&world, &company, nobody).await;
    let told = blind.until(|event| event.tells_user()).await;
    assert!(!told.iter().any(|event| event.tells("tenant")), "{told:?}");
}

pub async fn who_comes_back_is_told_what_moved_meanwhile(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let phone = company.phone(&world).await;
    let (obra, _, _) = report(&world, &phone).await;
    let scope = format!("project:{obra}");
    let second = company.phone(&world).await;
    let mark = marked(open(&world, &second).await).await;
    rename(&world, &phone, &obra, "Torre Norte").await;
    let mut back = resume(&world, &second, Some(&mark)).await;
    let told = back.next().await.expect("an event");
    assert!(told.tells(&scope) && told.data["all"] == false, "{told:?}");
    // Another company's mark, one of a history that is gone, and rubbish: anything may have moved.
    let other = Company::new(&world, &["foreman"]).await;
    let theirs = marked(open(&world, &other.phone(&world).await).await).await;
    let gone = mark.replacen(|c: char| c.is_ascii_digit(), "x", 1);
    for unknown in ["", "/", "a/b", "1-1/x/9", "-9:/x/-9223372036854775808/1", &gone, &theirs] {
        let mut back = resume(&world, &second, Some(unknown)).await;
        // On PostgreSQL a mark is the whole database's, and says nothing about anybody.
        let same_history = unknown == theirs && !mark.contains(':');
        if !same_history {
            let told = back.next().await.expect("an event");
            assert_eq!(told.data, json!({ "scopes": [], "all": true, "user": false }), "{unknown}");
        }
    }
}

pub async fn what_somebody_else_decides_is_told_to_the_author(world: World) {
    let company = Company::new(&world, &["supervisor"]).await;
    let (conflict, _) = conflict(&world, &company).await;
    let laura = person(&world, company.tenant, "laura", &["supervisor"]).await;
    let supervisor = company.phone_of(&world, "laura").await;
    let phone = company.phone(&world).await;
    let shown = world.get(&format!("conflicts/{conflict}"), Some(&phone.token)).await.ok().json();
    let scopes = world.store.shared().held(company.tenant, &[company.user]).await.expect("held");
    for scope in scopes[&company.user].iter().filter(|s| s.as_str().starts_with("project:")) {
        grant(&world, &company, laura, scope).await;
    }
    let mut author = open(&world, &phone).await;
    let body =
        json!({ "revision": shown["revision"], "keep": "server", "reason": "visto en obra" });
    let path = format!("conflicts/{conflict}/resolve");
    world.post(&path, Some(&supervisor.token), &body).await.ok();
    author.until(|event| event.tells_user()).await;
}

pub async fn a_stream_ends_with_its_token(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let mut listener = open(&world, &company.phone(&world).await).await;
    world.clock.push(16 * 60);
    assert_eq!(listener.ended().await, "token_expired");
}

pub async fn a_stream_ends_when_its_device_is_revoked(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let (lost, kept) = (company.phone(&world).await, company.phone(&world).await);
    let mut of_lost = open(&world, &lost).await;
    let mut of_kept = open(&world, &kept).await;
    let device = lost.device.parse().expect("an id");
    world.store.shared().revoke_device(company.tenant, device).await.expect("revoked");
    assert_eq!(of_lost.ended().await, "device_revoked");
    assert_eq!(request(&world.server.url(), &lost.token, None).await.status(), 401);
    of_kept.until(|event| event.tells_user()).await;
    signal(&world, &company, company.user).await;
    of_kept.until(|event| event.tells_user()).await;
}

pub async fn a_stream_ends_when_the_server_stops(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let phone = company.phone(&world).await;
    let mut listener = open(&world, &phone).await;
    let mark = listener.mark.clone();
    let world = world.restarted(|_| {}).await;
    assert_eq!(listener.ended().await, "server_stopping");
    // The next server knows the mark.
    let mut back = resume(&world, &phone, mark.as_deref()).await;
    signal(&world, &company, company.user).await;
    let told = back.until(|event| event.tells_user()).await;
    assert!(told.iter().all(|event| event.data["all"] == false), "{told:?}");
}

pub async fn too_many_streams_are_refused_and_a_device_that_comes_again_is_not(world: World) {
    let world = world.restarted(|config| config.http.events.listeners_per_user_max = 2).await;
    let company = Company::new(&world, &["foreman"]).await;
    let (a, b, c) =
        (company.phone(&world).await, company.phone(&world).await, company.phone(&world).await);
    let mut first = open(&world, &a).await;
    let second = open(&world, &b).await;
    let refused = world.get("sync/events", Some(&c.token)).await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "too_many_listeners"));
    assert_eq!((refused.header("retry-after"), refused.json()["retryable"] == true), ("60", true));
    // It lost its connection, and the server has not noticed.
    let _again = open(&world, &a).await;
    assert_eq!(first.ended().await, "replaced");
    // Others of the company have places of their own.
    person(&world, company.tenant, "ana", &["foreman"]).await;
    let _ana = open(&world, &company.phone_of(&world, "ana").await).await;
    // Who goes makes room.
    drop(second);
    loop {
        let answer = world.get("sync/events", Some(&c.token)).await;
        if answer.status == 200 {
            break;
        }
        assert_eq!(answer.code(), "too_many_listeners");
        tokio::task::yield_now().await;
    }
}

pub async fn a_quiet_stream_holds_nothing_and_is_no_stalled_client(world: World) {
    let world = world
        .restarted(|config| {
            config.http.requests_per_user_max = 1;
            config.http.requests_per_tenant_max = 1;
            config.http.pulls_max = 1;
            config.http.header_time_max = Duration::from_millis(300);
            config.http.answer_stall_max = Duration::from_millis(300);
            config.http.request_time_max = Duration::from_secs(20);
            config.http.events.heartbeat = Duration::from_millis(200);
        })
        .await;
    let company = Company::new(&world, &["foreman"]).await;
    let phone = company.phone(&world).await;
    let mut listener = open(&world, &phone).await;
    for _ in 0..6 {
        let quiet = listener.next_or_comment().await.expect("it goes on");
        assert_eq!(quiet.name, "", "{quiet:?}");
        let body = json!({ "stream": phone.stream });
        world.post("sync/pull", Some(&phone.token), &body).await.ok();
    }
    signal(&world, &company, company.user).await;
    listener.until(|event| event.tells_user()).await;
}
