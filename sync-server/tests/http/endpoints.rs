//! Every endpoint of the router, tried by whoever should get nothing.

use axum::http::Method;
use sync_server::auth::permission::Access;
use sync_server::http::openapi::operation::Answer as OpenApi;
use sync_server::http::route::Route;
use sync_server::http::routes;

use crate::World;
use crate::company::{Company, conflict, id, photo, report};
use crate::samples;
use crate::tokens::bad_tokens;
use crate::world::Answer;

/// Asks an endpoint with a good body.
async fn ask(world: &World, route: &Route, id: &str, token: Option<&str>) -> Answer {
    let path = samples::path(route, id);
    if matches!(route.operation.answer, OpenApi::Tus(_)) {
        return world.tus(route.method.clone(), &path, token).await;
    }
    match (route.method == Method::GET, route.operation.request) {
        (true, None) => world.get(&path, token).await,
        (false, Some(schema)) => world.post(&path, token, &samples::body(schema)).await,
        _ => panic!("{} {} is of a kind that is not tested", route.method, route.path),
    }
}

fn guarded() -> impl Iterator<Item = Route> {
    routes().into_iter().filter(|route| route.access != Access::Public)
}

pub async fn without_a_good_token_nothing_answers(world: World) {
    let company = Company::new(&world, &["admin"]).await;
    let other = Company::new(&world, &["admin"]).await;
    let phone = company.phone(&world).await;
    let bad = bad_tokens(&world, &company, &phone, &other).await;
    for route in guarded() {
        for (what, token, expected) in &bad {
            let answer = ask(&world, &route, &id(), token.as_deref()).await;
            // An answer to HEAD has no body to say it in.
            if route.method == Method::HEAD {
                assert_eq!(answer.status, 401, "{} with {what}", route.path);
                continue;
            }
            let code = answer.code();
            assert_eq!(
                (answer.status, code.as_str()),
                (401, *expected),
                "{} with {what}",
                route.path
            );
        }
        let good = ask(&world, &route, &id(), Some(&phone.token)).await;
        assert_ne!(good.status, 401, "{} refuses a good token: {}", route.path, good.text());
    }
}

pub async fn ids_of_another_company_do_not_exist(world: World) {
    let company = Company::new(&world, &["admin"]).await;
    let person = company.user.to_string();
    let (conflict, receipt) = conflict(&world, &company).await;
    let photo = photo(&world, &company).await;
    let intruder = Company::new(&world, &["admin"]).await.phone(&world).await;
    let owner = company.phone(&world).await;
    let mut tried = 0;
    for route in guarded().filter(|route| route.path.contains("{id}")) {
        tried += 1;
        let theirs = match route.path {
            path if path.contains("conflicts") => &conflict,
            path if path.contains("users") => &person,
            path if path.contains("{collection}") => &photo,
            _ => &receipt,
        };
        let hidden = ask(&world, &route, theirs, Some(&intruder.token)).await;
        let missing = ask(&world, &route, &id(), Some(&intruder.token)).await;
        assert_eq!(hidden.status, 404, "{}: {}", route.path, hidden.text());
        assert_eq!(
            (hidden.status, hidden.text()),
            (missing.status, missing.text()),
            "{}",
            route.path
        );
        // The comparison means something only if the id is good for its owner.
        let own = ask(&world, &route, theirs, Some(&owner.token)).await;
        let not_stored = own.status == 404 && own.code() == "photo_not_stored";
        assert!(own.status != 404 || not_stored, "{}: {}", route.path, own.text());
    }
    assert!(tried >= 7, "only {tried} endpoints with ids were found");
    let listed = world.get("conflicts?status=open,claimed,resolved", Some(&intruder.token)).await;
    assert_eq!(listed.ok().json()["conflicts"], serde_json::json!([]));
}

pub async fn a_permission_that_is_missing_is_named(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let phone = company.phone(&world).await;
    report(&world, &phone).await;
    for route in guarded() {
        let Access::Needs(permission) = route.access else { continue };
        let answer = ask(&world, &route, &id(), Some(&phone.token)).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{}", route.path);
        assert!(answer.text().contains(permission), "{}", answer.text());
    }
}
