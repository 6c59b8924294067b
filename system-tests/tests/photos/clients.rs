//! Public tus clients upload pictures: what they speak is the protocol, not this project's idea of it. Each sends a
//! piece, forgets everything but the address, and goes on.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value as Json, json};

use crate::office::{Engine, Office, TENANT};
use crate::phone::Phone;
use crate::{camera, check_in, fetched, hash, rows, warehouse};

const JAVASCRIPT: &str = include_str!("clients/upload.mjs");
const PYTHON: &str = include_str!("clients/upload.py");

#[test]
fn tus_js_client_uploads_and_resumes() {
    let Some(folder) = clients("node_modules/tus-js-client") else { return };
    let script = folder.join("upload.mjs");
    std::fs::write(&script, JAVASCRIPT).expect("a script");
    uploads(Command::new("node").arg(&script));
}

#[test]
fn tuspy_uploads_and_resumes_with_checksums() {
    let Some(folder) = clients("python/tusclient") else { return };
    let script = folder.join("upload.py");
    std::fs::write(&script, PYTHON).expect("a script");
    uploads(Command::new("python3").arg(&script).env("PYTHONPATH", folder.join("python")));
}

/// Where the clients are, if this one is among them.
fn clients(package: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("CAMPO_TEST_TUS_CLIENTS").map(PathBuf::from);
    let folder = folder.filter(|folder| folder.join(package).is_dir());
    if folder.is_none() {
        println!("skipped: {package} is not here (`cargo xtask test` fetches it)");
    }
    folder
}

/// A phone sends a record and its thumbnail, and somebody else's program the picture.
fn uploads(client: &mut Command) {
    let folder = tempfile::tempdir().expect("a folder");
    let office = Office::open(Engine::Sqlite, folder.path());
    let juan = Phone::new(folder.path(), "juan");
    let warehouse = warehouse(&office, &juan, folder.path(), &office.url());
    let camera = camera(folder.path(), 1_000);
    let words = check_in(&warehouse, &camera, 1, (19.0, -99.0));
    juan.does(&words.iter().map(String::as_str).collect::<Vec<_>>());
    juan.does(&["sync", "--metered", "--photos-on-wifi", "true"]);
    let waiting = juan.does(&["photo", "list"]);
    let picture = &waiting.as_array().expect("a list")[0];
    assert_eq!((&picture["variant"], &picture["state"]), (&json!("photo"), &json!("waiting")));
    let path = picture["path"].as_str().expect("a path");
    let work = json!({
        "endpoint": format!("{}/mobile/api/v1/uploads", office.url()),
        "token": office.issues("juan"),
        "file": path,
        "piece": 30_000,
        "metadata": {
            "collection": picture["collection"], "id": picture["record"], "variant": "photo",
        },
    });
    let output = client.arg(work.to_string()).output().expect("the client runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{error}");
    let told: Json =
        serde_json::from_str(said.trim()).unwrap_or_else(|_| panic!("{said}\n{error}"));
    assert!(told["resumed_at"].as_u64().is_some_and(|at| at > 0), "{told}");
    assert_eq!(told["reused_after_end"], told["length"], "what is stored says so");

    juan.does(&["sync", "--metered"]);
    assert_eq!(juan.does(&["status"])["photos"]["files"], 0, "the phone knows that it is there");
    let laura = Phone::new(folder.path(), "laura");
    laura.does(&["sync"]);
    let (id, row) = rows(&laura).pop_first().expect("a photo");
    let got = fetched(&laura, &id, &[]);
    assert_eq!(hash(&got), row.sha256);
    assert_eq!(got, std::fs::read(Path::new(path)).expect("the phone's file"));
}

impl Office {
    /// An access token, as an administrator has it made.
    fn issues(&self, login: &str) -> String {
        let who = ["--json", "token", "issue", "--tenant", TENANT, "--user", login];
        let said: Json = serde_json::from_str(&self.asks(&who)).expect("a document");
        said["access_token"].as_str().unwrap_or_else(|| panic!("{said}")).to_owned()
    }
}
