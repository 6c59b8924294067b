//! A phone of the model's company: a real core, whose line leads to the model.

use std::path::Path;
use std::sync::Arc;

use mobile_core::clock::ManualClock;
use mobile_core::random::SeededRandom;
use mobile_core::{Config, Core, CoreError, SignIn};
use serde_json::{Map, Value as Json};
use sync_protocol::RecordId;

use super::{Link, START_US, Server};

/// A phone of the model's company.
pub struct Phone {
    pub core: Core,
    pub clock: Arc<ManualClock>,
}

impl Phone {
    /// Opens a phone's folder; the clock is wrong by what the test likes.
    pub fn open(server: &Arc<Server>, dir: &Path, seed: u64, clock: Arc<ManualClock>) -> Self {
        let link_server = Arc::clone(server);
        let link_clock = Arc::clone(&clock);
        let core = Core::open(Config {
            dir: dir.to_owned(),
            clock: Arc::clone(&clock) as _,
            random: Arc::new(SeededRandom::new(seed)),
            connect: Arc::new(move |_| {
                Ok(Arc::new(Link {
                    server: Arc::clone(&link_server),
                    clock: Arc::clone(&link_clock),
                }))
            }),
        })
        .expect("the folder can be opened");
        Self { core, clock }
    }

    pub async fn signed_in(server: &Arc<Server>, dir: &Path, seed: u64) -> Self {
        let phone = Self::open(server, dir, seed, Arc::new(ManualClock::new(START_US)));
        phone.login().await;
        phone.sync().await.expect("the first sync");
        phone
    }

    pub async fn login(&self) {
        self.login_as("ana").await;
    }

    /// Two people are one to the model if their names are equally long.
    pub async fn login_as(&self, user: &str) {
        self.core
            .login(SignIn {
                server: "http://model".into(),
                tenant: "acme".into(),
                user: user.into(),
                password: "secret".into(),
                device_name: None,
            })
            .await
            .expect("the password is right");
    }

    pub async fn sync(&self) -> Result<mobile_core::sync::SyncReport, CoreError> {
        self.clock.advance(1_000_000);
        self.core.sync(&tokio_util::sync::CancellationToken::new()).await
    }

    pub fn put(&self, collection: &str, fields: Json) -> RecordId {
        self.clock.advance(1_000);
        self.core.put(collection, &object(fields)).expect("the edit is valid")
    }

    pub fn field(&self, record: RecordId, field: &str) -> Json {
        self.core.get("articulos", record).expect("the record is here")[field].clone()
    }
}

/// Copies a phone's folder as a backup does: every file as it is.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

pub fn object(json: Json) -> Map<String, Json> {
    match json {
        Json::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}
