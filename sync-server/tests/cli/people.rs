//! Companies, people, tokens, devices and receipts, beside a server that runs.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::program::Place;

const PASSWORD: &str = "correcto caballo";

/// A running server, killed at the end.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(place: &Place) -> Self {
        let mut command = place.command(&["--json", "serve", "--listen", "127.0.0.1:0"]);
        let mut child = command.stderr(Stdio::null()).spawn().expect("started");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout"));
        stdout.read_line(&mut line).expect("a line");
        let listening: Json = serde_json::from_str(&line).expect("JSON");
        let url = listening["listening"].as_str().expect("an address").to_owned();
        Self { child, url }
    }

    async fn post(&self, path: &str, token: Option<&str>, body: &Json) -> (u16, Json) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::new();
        let request = client.post(format!("{}/mobile/api/v1/{path}", self.url));
        let request = request.header("content-type", "application/json").body(body.to_string());
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let body = answer.bytes().await.expect("a body");
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn an_administrator_works_beside_the_running_server() {
    let place = Place::new();
    let tenant = place.json(&["tenant", "create", "robles", "--name", "Robles"]);
    assert_eq!((&tenant["slug"], &tenant["name"]), (&json!("robles"), &json!("Robles")));
    let server = Server::start(&place);

    let of = ["--tenant", "robles", "--user", "laura"];
    let create = ["user", "create", "--role", "supervisor", "--password", PASSWORD];
    let laura = place.json(&[&create[..], &of].concat());
    assert_eq!((&laura["login"], &laura["roles"]), (&json!("laura"), &json!(["supervisor"])));
    assert!(laura["password"].is_null(), "a password that was given is not printed");

    // A token for a program: good at once, and only with a device for pushing.
    let device = Uuid::now_v7().to_string();
    let token =
        place.json(&[&["token", "issue", "--device", &device, "--minutes", "5"], &of[..]].concat());
    assert_eq!(token["expires_in_s"], 300);
    let token = token["access_token"].as_str().expect("a token");
    let (project, id) = (Uuid::now_v7().to_string(), Uuid::now_v7().to_string());
    let push = json!({ "stream": Uuid::new_v4(), "transactions": [{
        "id": id, "edited": { "at_us": 1_790_000_000_000_000_i64 }, "wall_clock_us": 0,
        "mutations": [{ "collection": "proyectos", "record": project, "kind": "insert",
                        "set": { "nombre": "Torre" } }] }] });
    let (status, answer) = server.post("sync/push", Some(token), &push).await;
    assert_eq!((status, &answer["receipts"][0]["state"]), (200, &json!("applied")), "{answer}");
    let without = place.json(&[&["token", "issue"], &of[..]].concat());
    let without = without["access_token"].as_str().expect("a token");
    let (status, answer) = server.post("sync/push", Some(without), &push).await;
    assert_eq!((status, &answer["code"]), (403, &json!("device_required")));

    // Support looks up what became of it.
    let receipt = place.json(&["receipt", &id, "--tenant", "robles"]);
    assert_eq!(receipt["receipt"]["state"], "applied");
    assert_eq!(receipt["user"], laura["user"]);
    let words = place.run(&["receipt", &id, "--tenant", "robles"]);
    assert!(words.stdout.contains("applied (by laura on"), "{words:?}");
    assert!(words.stdout.contains(&format!("proyectos/{project} is at version 1")), "{words:?}");
    let missing = place.problem(&["receipt", &Uuid::now_v7().to_string(), "--tenant", "robles"]);
    assert_eq!(missing["code"], "not_found");

    // A phone logs in, is listed, and revoked.
    let login = json!({ "tenant": "robles", "user": "laura", "password": PASSWORD,
                        "device": device, "device_name": "Moto de Laura" });
    let (status, session) = server.post("auth/login", None, &login).await;
    assert_eq!(status, 200, "{session}");
    let devices = place.json(&["device", "list", "--tenant", "robles"]);
    let listed = &devices["devices"][0];
    assert_eq!((&listed["name"], &listed["revoked"]), (&json!("Moto de Laura"), &json!(false)));
    assert_eq!((&listed["device"], &listed["login"]), (&json!(device), &json!("laura")));
    let revoked = place.json(&["device", "revoke", &device, "--tenant", "robles"]);
    assert_eq!(revoked["revoked"], true);
    let table = place.run(&["device", "list", "--tenant", "robles"]);
    assert!(table.stdout.contains(&device) && table.stdout.contains("revoked"), "{table:?}");
    let session = session["access_token"].as_str();
    let (status, answer) =
        server.post("sync/pull", session, &json!({ "stream": Uuid::new_v4() })).await;
    assert_eq!((status, &answer["code"]), (401, &json!("device_revoked")));
    let nobody =
        place.problem(&["device", "revoke", &Uuid::now_v7().to_string(), "--tenant", "robles"]);
    assert_eq!(nobody["code"], "not_found");
}

#[test]
fn grants_are_given_and_taken() {
    let place = Place::new();
    place.json(&["tenant", "create", "robles"]);
    let of = ["--tenant", "robles", "--user", "juan"];
    place.json(
        &[&["user", "create", "--role", "foreman", "--password", PASSWORD], &of[..]].concat(),
    );
    let scope = format!("project:{}", Uuid::now_v7());
    for (command, held, words) in
        [("grant", true, "juan holds"), ("revoke", false, "juan does not hold")]
    {
        let granted = place.json(&[&["user", command, "--scope", &scope], &of[..]].concat());
        assert_eq!((&granted["held"], &granted["scope"]), (&json!(held), &json!(scope)));
        // Again changes nothing and is no failure.
        let again = place.run(&[&["user", command, "--scope", &scope], &of[..]].concat());
        assert!(again.success && again.stdout.starts_with(words), "{again:?}");
    }
    let bad = place.run(&[&["user", "grant", "--scope", "project"], &of[..]].concat());
    assert!(!bad.success && bad.stderr.contains("--scope"), "{bad:?}");
}

#[test]
fn what_cannot_be_done_is_said_with_a_stable_code() {
    let place = Place::new();
    place.json(&["tenant", "create", "robles"]);
    let create = |user: &'static str, rest: &[&'static str]| {
        [&["user", "create", "--tenant", "robles", "--user", user], rest].concat()
    };
    place.json(&create("juan", &["--password", PASSWORD]));
    for (arguments, code, says) in [
        (vec!["tenant", "create", "robles"], "exists", "robles"),
        (vec!["tenant", "create", "Los Robles"], "arguments", "a-z, 0-9"),
        (create("juan", &["--password", PASSWORD]), "exists", "juan"),
        (
            create("eva", &["--role", "jefa"]),
            "arguments",
            "there is no role `jefa`; the schema has",
        ),
        (create("eva", &["--password", "short"]), "arguments", "at least"),
        (create("", &["--password", PASSWORD]), "arguments", "the login"),
        (vec!["token", "issue", "--tenant", "robles", "--user", "eva"], "not_found", "eva"),
        (vec!["device", "list", "--tenant", "nadie"], "not_found", "nadie"),
    ] {
        let problem = place.problem(&arguments);
        assert_eq!(problem["code"], code, "{arguments:?}: {problem}");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains(says), "{arguments:?}: {detail}");
        let words = place.run(&arguments);
        assert!(!words.success && words.stdout.is_empty(), "{words:?}");
        assert!(words.stderr.starts_with("sync-server: "), "{words:?}");
    }
}

#[test]
fn passwords_are_drawn_or_read_and_never_repeated() {
    let place = Place::new();
    place.json(&["tenant", "create", "robles"]);
    let create = ["user", "create", "--tenant", "robles", "--user"];
    let drawn = place.json(&[&create[..], &["ana"]].concat());
    assert!(drawn["password"].as_str().is_some_and(|password| password.len() >= 12), "{drawn}");
    let read = place
        .run_with(&[&create[..], &["eva", "--password-stdin"]].concat(), &format!("{PASSWORD}\n"));
    assert!(read.success && !read.stdout.contains(PASSWORD), "{read:?}");
    let empty = place.run_with(&[&create[..], &["luz", "--password-stdin"]].concat(), "");
    assert!(!empty.success && empty.stderr.contains("at least"), "{empty:?}");
}
