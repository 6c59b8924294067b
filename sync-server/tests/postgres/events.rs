//! Events on PostgreSQL: whoever writes, through whichever server, behind PgBouncer.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use sqlx::AssertSqlSafe;
use sync_protocol::{Scope, TenantId, UserId};
use sync_server::auth::password::Passwords;
use sync_server::store::accounts::Account;
use sync_server::store::moves::{Place, Watched};
use sync_server::store::{Accounts as _, Moves as _, Retention, Store as _};
use sync_server::{Config, RunningServer, serve};
use uuid::Uuid;

use crate::cluster::SUPERUSER;
use crate::listener::Listener;
use crate::pgbouncer::Pooler;
use crate::setting::{Setting, cluster};

const PASSWORD: &str = "correcto caballo";

async fn person(setting: &Setting, login: &str, roles: &[&str]) -> UserId {
    let hash = Passwords::new().expect("argon2").hash(PASSWORD.to_owned()).await;
    let account = Account {
        id: UserId(Uuid::now_v7()),
        login: login.to_owned(),
        name: login.to_owned(),
        password_hash: hash.expect("a hash"),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        disabled: false,
    };
    setting.store.create_user(setting.tenant, &account).await.expect("a user");
    account.id
}

async fn server(url: String) -> RunningServer {
    serve(Config::local_postgres(url)).await.expect("a server")
}

async fn token(server: &RunningServer, login: &str) -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let body = json!({ "tenant": "vidrios", "user": login, "password": PASSWORD,
                       "device": Uuid::now_v7() });
    let client = reqwest::Client::builder().build().expect("a client");
    let url = format!("{}/mobile/api/v1/auth/login", server.url());
    let answer = client.post(url).json(&body).send().await.expect("an answer");
    let session: serde_json::Value = answer.json().await.expect("JSON");
    session["access_token"].as_str().expect("a token").to_owned()
}

async fn listen(server: &RunningServer, login: &str) -> Listener {
    Listener::open(&server.url(), &token(server, login).await, None).await
}

/// As somebody at a keyboard.
fn psql(setting: &Setting, sql: &str) {
    cluster().psql(&setting.database, SUPERUSER, sql).expect("it runs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_sql_reaches_the_listeners_of_every_server_also_through_pgbouncer() {
    let setting = Setting::new().await;
    let juan = person(&setting, "juan", &["foreman"]).await;
    let pooler = Pooler::start(cluster().port).expect("PgBouncer");
    let direct = server(cluster().url(&setting.database, "campo_server")).await;
    let pooled = server(pooler.url(&setting.database, "campo_server")).await;
    let mut listeners = [listen(&direct, "juan").await, listen(&pooled, "juan").await];
    let (tenant, obra) = (setting.tenant, Uuid::now_v7());
    // A membership row that the ERP writes, and then rows of the project.
    psql(
        &setting,
        &format!(
            "INSERT INTO sync.grants (tenant_id, user_id, scope) \
             VALUES ('{tenant}', '{juan}', 'project:{obra}')"
        ),
    );
    for listener in &mut listeners {
        listener.until(|event| event.tells_user()).await;
    }
    for n in 0..3 {
        psql(
            &setting,
            &format!(
                "INSERT INTO construccion.proyectos (tenant_id, id, nombre) \
                 VALUES ('{tenant}', '{obra}', 'Torre {n}') \
                 ON CONFLICT (tenant_id, id) DO UPDATE SET nombre = EXCLUDED.nombre"
            ),
        );
        for listener in &mut listeners {
            listener.until(|event| event.tells(&format!("project:{obra}"))).await;
        }
    }
    for server in [direct, pooled] {
        server.shutdown().await;
    }
    for listener in &mut listeners {
        assert_eq!(listener.ended().await, "server_stopping");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_disabled_or_gets_another_role_by_sql_hears_accordingly() {
    let setting = Setting::new().await;
    let (juan, ana) =
        (person(&setting, "juan", &["foreman"]).await, person(&setting, "ana", &[]).await);
    let server = server(cluster().url(&setting.database, "campo_server")).await;
    let (mut of_juan, mut of_ana) = (listen(&server, "juan").await, listen(&server, "ana").await);
    let tenant = setting.tenant;
    psql(&setting, &format!("UPDATE sync.users SET roles = '{{foreman}}' WHERE id = '{ana}'"));
    of_ana.until(|event| event.tells_user()).await;
    psql(
        &setting,
        &format!(
            "INSERT INTO almacen.articulos (tenant_id, id, codigo, nombre) \
             VALUES ('{tenant}', gen_random_uuid(), 'A1', 'Clavo')"
        ),
    );
    of_ana.until(|event| event.tells("tenant")).await;
    psql(&setting, &format!("UPDATE sync.users SET disabled = true WHERE id = '{juan}'"));
    assert_eq!(of_juan.ended().await, "account_disabled");
    server.shutdown().await;
}

/// The scopes that a look tells of a tenant.
fn scopes(look: &sync_server::store::moves::Look, tenant: TenantId) -> BTreeSet<Scope> {
    let moved = look.moved.get(&tenant);
    moved.map(|moved| moved.scopes.keys().cloned().collect()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_was_in_flight_is_found_although_the_log_is_folded_meanwhile() {
    let setting = Setting::new().await;
    let (tenant, obra) = (setting.tenant, Uuid::now_v7());
    let scope: Scope = format!("project:{obra}").parse().expect("a scope");
    let watched: Watched = BTreeMap::from([(tenant, BTreeSet::from([scope.clone()]))]);
    let insert = |id: Uuid| {
        AssertSqlSafe(format!(
            "INSERT INTO construccion.avances (tenant_id, id, proyecto_id, fecha) \
             VALUES ('{tenant}', '{id}', '{obra}', '2026-11-24')"
        ))
    };
    psql(
        &setting,
        &format!(
            "INSERT INTO construccion.proyectos (tenant_id, id, nombre) \
             VALUES ('{tenant}', '{obra}', 'Torre')"
        ),
    );
    // The older transaction commits after the younger one.
    let (mut slow, mut quick) = (setting.superuser().await, setting.superuser().await);
    let begin = "BEGIN; SELECT pg_current_xact_id();";
    sqlx::raw_sql(begin).execute(&mut slow).await.expect("it begins");
    sqlx::raw_sql(insert(Uuid::now_v7())).execute(&mut slow).await.expect("written");
    sqlx::raw_sql(insert(Uuid::now_v7())).execute(&mut quick).await.expect("written");
    let aged = "INSERT INTO sync.witnesses (value, snapshot, at) VALUES (gen_random_uuid()::text, \
                pg_current_snapshot(), clock_timestamp() - interval '2 minutes')";
    sqlx::query(aged).execute(&mut quick).await.expect("a witness");
    let first = setting.store.look(&watched, &Place::default()).await.expect("a look");
    assert_eq!(scopes(&first, tenant), BTreeSet::new(), "nobody looked before");
    sqlx::raw_sql("COMMIT").execute(&mut slow).await.expect("committed");
    let folded = setting.store.tidy(Retention::at(0)).await.expect("tidied").log_lines;
    assert!(folded == 0, "one line for each collection is older than the witness: {folded}");
    let found = setting.store.look(&watched, &first.place).await.expect("a look");
    assert_eq!(scopes(&found, tenant), BTreeSet::from([scope]));
    let again = setting.store.look(&watched, &found.place).await.expect("a look");
    assert_eq!(scopes(&again, tenant), BTreeSet::new(), "it is told once");
    sqlx::query(aged).execute(&mut quick).await.expect("a witness");
    assert!(setting.store.tidy(Retention::at(0)).await.expect("tidied").log_lines > 0);
    let after = setting.store.look(&watched, &again.place).await.expect("a look");
    assert_eq!(scopes(&after, tenant), BTreeSet::new(), "folding is no news");
}
