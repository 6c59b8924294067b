//! The command line from outside: what goes to which stream, and with which status.

use std::process::{Command, Output};

use serde_json::Value as Json;

fn phone(arguments: &[&str]) -> (tempfile::TempDir, Output) {
    let dir = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_campo-device"))
        .arg("--data")
        .arg(dir.path())
        .args(arguments)
        .env_remove("CAMPO_LOG")
        .output()
        .expect("the program runs");
    (dir, output)
}

fn json(bytes: &[u8]) -> Json {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(bytes)))
}

#[test]
fn status_of_a_new_phone_is_one_document() {
    let (_dir, output) = phone(&["--json", "status"]);
    assert!(output.status.success());
    assert!(output.stderr.is_empty());
    let status = json(&output.stdout);
    assert_eq!(status["signed_in"], false);
    assert!(status["device"].is_string());
}

#[test]
fn status_for_people_says_who_is_there() {
    let (_dir, output) = phone(&["status"]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("nobody is signed in"));
}

#[test]
fn a_phone_keeps_its_identity() {
    let dir = tempfile::tempdir().expect("a folder");
    let device = || {
        let output = Command::new(env!("CARGO_BIN_EXE_campo-device"))
            .args(["--json", "--data"])
            .arg(dir.path())
            .arg("status")
            .output()
            .unwrap();
        json(&output.stdout)["device"].clone()
    };
    assert_eq!(device(), device());
}

#[test]
fn without_a_person_every_command_says_log_in() {
    for command in [
        &["put", "avances", "{}"][..],
        &["list", "avances"],
        &["query", "SELECT 1"],
        &["sync"],
        &["watch"],
        &["receipts"],
        &["pending"],
        &["problems"],
        &["conflicts"],
        &["logout"],
    ] {
        let (_dir, output) = phone(&[&["--json"], command].concat());
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        assert!(output.stdout.is_empty(), "{command:?}");
        let problem = json(&output.stderr);
        assert_eq!(problem["code"], "signed_out", "{command:?}");
        assert!(problem["title"].as_str().unwrap().contains("log in"), "{command:?}");
    }
}

#[test]
fn bad_arguments_are_a_problem_document_too() {
    for command in [
        &["put", "avances", "no json"][..],
        &["get", "avances", "not-an-id"],
        &["resolve", "01890000-0000-7000-8000-000000000000"],
        &["resolve", "01890000-0000-7000-8000-000000000000", "--keep", "everything"],
        &["conflicts", "--status", "closed"],
        &["conflicts", "--opened-after", "yesterday"],
        &["conflicts", "--after", "next"],
        &["claim", "01890000-0000-7000-8000-000000000000", "--release", "--take-over"],
        &["undo", "01890000-0000-7000-8000-000000000000"],
        &["fly"],
    ] {
        let (_dir, output) = phone(&[&["--json"], command].concat());
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        assert!(output.stdout.is_empty(), "{command:?}");
        assert_eq!(json(&output.stderr)["code"], "bad_arguments", "{command:?}");
    }
}

#[test]
fn a_server_that_cannot_be_reached_is_named_and_may_be_tried_again() {
    let refused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", refused.local_addr().unwrap());
    drop(refused);
    let login = ["--json", "login", "--tenant", "robles", "--user", "ana", "--password", "x"];
    let (_dir, output) = phone(&[&login[..], &["--server", &server]].concat());
    assert_eq!(output.status.code(), Some(1));
    let problem = json(&output.stderr);
    assert_eq!(problem["retryable"], true, "{problem}");
}

#[test]
fn help_is_no_problem() {
    let (_dir, output) = phone(&["--help"]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("resolve"));
}

#[test]
fn what_only_this_phone_has_goes_into_a_new_file() {
    let (dir, output) = phone(&["status"]);
    assert!(output.status.success());
    let file = dir.path().join("for-support.json");
    let export = || {
        Command::new(env!("CARGO_BIN_EXE_campo-device"))
            .args(["--json", "--data"])
            .arg(dir.path())
            .arg("export")
            .arg(&file)
            .output()
            .expect("the program runs")
    };
    let output = export();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(json(&output.stdout)["transactions"], 0);
    assert_eq!(json(&std::fs::read(&file).expect("written"))["format"], "campo-unsent-1");
    let again = export();
    assert_eq!(json(&again.stderr)["code"], "file_failed", "nothing is overwritten");
}
