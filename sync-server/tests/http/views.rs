//! "See as": an administrator sees what somebody's phone holds, and why.

use serde_json::{Value as Json, json};
use sync_protocol::Scope;

use crate::World;
use crate::company::{Company, id, person, report};

async fn seen(world: &World, token: &str, user: &str, query: &str) -> Json {
    let path = format!("users/{user}/view{query}");
    world.get(&path, Some(token)).await.ok().json()
}

/// What a view counts is what a first pull brings.
pub async fn a_view_is_what_a_phone_holds(world: World) {
    let company = Company::new(&world, &["admin"]).await;
    let admin = company.phone(&world).await;
    let (torre, _, _) = report(&world, &admin).await;
    let (nave, hidden, _) = report(&world, &admin).await;
    let ana = person(&world, company.tenant, "ana", &["foreman"]).await;
    let store = world.store.shared();
    let scope = Scope::entity("project", torre.parse().expect("an id"));
    store.grant(company.tenant, ana, &scope).await.expect("granted");

    let view = seen(&world, &admin.token, &ana.to_string(), "").await;
    let phone = company.phone_of(&world, "ana").await;
    let body = json!({ "stream": id(), "digests": true });
    let page = world.post("sync/pull", Some(&phone.token), &body).await.ok().json();
    let tables = page["tables"].as_array().expect("tables");
    let rows: usize = tables.iter().filter_map(|t| Some(t["rows"].as_array()?.len())).sum();
    assert_eq!((view["rows"].as_u64(), rows), (Some(3), 3), "{view}");
    assert!(view["bytes"].as_u64().is_some_and(|bytes| bytes > 100), "{view}");
    let digests = page["digests"].as_array().expect("digests");
    for told in digests {
        let scopes = view["scopes"].as_array().expect("scopes");
        let scope = scopes.iter().find(|s| s["scope"] == told["scope"]).expect("the scope");
        let collections = scope["collections"].as_array().expect("collections");
        let same = collections.iter().find(|c| c["collection"] == told["collection"]);
        let same = same.expect("the collection");
        assert_eq!((&same["rows"], &same["digest"]), (&told["rows"], &told["digest"]));
    }
    assert_eq!(view["hidden_collections"]["ventas"], "sale:read", "{view}");

    let ask = async |collection: &str, record: &str| {
        let query = format!("?collection={collection}&record={record}");
        seen(&world, &admin.token, &ana.to_string(), &query).await
    };
    let why = ask("proyectos", &torre).await;
    assert_eq!((&why["visible"], &why["reason"]), (&json!(true), &json!("in_scope")), "{why}");
    assert_eq!(why["held"], json!([scope.to_string()]));
    let why = ask("avances", &hidden).await;
    assert_eq!((&why["visible"], &why["reason"]), (&json!(false), &json!("not_in_scope")));
    assert_eq!(why["scopes"], json!([format!("project:{nave}")]), "{why}");
    assert_eq!(ask("ventas", &torre).await["reason"], "collection_hidden");
    assert_eq!(ask("avances", &id()).await["reason"], "not_there");
}

/// Only an administrator of the same company looks, and the trail says so.
pub async fn a_view_needs_its_permission_and_is_noted(world: World) {
    let company = Company::new(&world, &["admin"]).await;
    let admin = company.phone(&world).await;
    let ana = person(&world, company.tenant, "ana", &["supervisor"]).await;
    let supervisor = company.phone_of(&world, "ana").await;
    let path = format!("users/{ana}/view");
    let refused = world.get(&path, Some(&supervisor.token)).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "forbidden"));
    for (query, status, code) in [
        ("?collection=avances", 400, "bad_parameter"),
        ("?record=nada&collection=avances", 400, "bad_parameter"),
        ("?colour=red", 400, "bad_parameter"),
        (&format!("?collection=nada&record={}", id()), 400, "unknown_collection"),
    ] {
        let answer = world.get(&format!("{path}{query}"), Some(&admin.token)).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{query}");
    }
    world.get(&path, Some(&admin.token)).await.ok();
    let noted = world.audited(company.tenant, "user.viewed").await;
    assert!(
        noted
            .iter()
            .any(|(by, detail)| *by == Some(company.user) && detail["user"] == ana.to_string()),
        "{noted:?}"
    );
}
