//! A server with a company, and phones of its people.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mobile_core::{Config, Core, SignIn};
use serde_json::{Map, Value as Json};
use sync_protocol::{RecordId, Scope, TenantId, UserId};
use sync_server::auth::password::Passwords;
use sync_server::database::OpenStore;
use sync_server::store::accounts::Account;
use sync_server::{RunningServer, schema_files, serve};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub const PASSWORD: &str = "correcto caballo";

/// A running server with one company.
pub struct Site {
    pub server: RunningServer,
    store: OpenStore,
    tenant: TenantId,
    slug: String,
    folder: tempfile::TempDir,
}

impl Site {
    pub async fn on_sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = sync_server::Config::local(folder.path().join("server"));
        Self::start(config, folder).await
    }

    pub async fn on_postgres() -> Self {
        let schema = Arc::new(schema_files::load(None).expect("the shipped schemas"));
        let url = crate::fresh::postgres_url(&schema).await;
        let config = sync_server::Config::local_postgres(url);
        Self::start(config, tempfile::tempdir().expect("a folder")).await
    }

    async fn start(config: sync_server::Config, folder: tempfile::TempDir) -> Self {
        let server = serve(config.clone()).await.expect("a server");
        let schema = Arc::new(schema_files::load(None).expect("the shipped schemas"));
        let store = OpenStore::open(&config.database, schema).await.expect("a store");
        let slug = format!("c{}", &Uuid::new_v4().simple().to_string()[..20]);
        let tenant = store.shared().create_tenant(&slug, "Robles").await.expect("a company");
        Self { server, store, tenant, slug, folder }
    }

    /// Somebody with these roles.
    pub async fn person(&self, login: &str, roles: &[&str]) -> UserId {
        let hash = Passwords::new().expect("argon2").hash(PASSWORD.to_owned()).await;
        let account = Account {
            id: UserId(Uuid::now_v7()),
            login: login.to_owned(),
            name: login.to_owned(),
            password_hash: hash.expect("a hash"),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            disabled: false,
        };
        self.store.shared().create_user(self.tenant, &account).await.expect("a person");
        account.id
    }

    pub async fn grant(&self, user: UserId, project: RecordId) {
        let scope = Scope::entity("project", project.0);
        self.store.shared().grant(self.tenant, user, &scope).await.expect("granted");
    }

    pub async fn revoke(&self, user: UserId, project: RecordId) {
        let scope = Scope::entity("project", project.0);
        self.store.shared().revoke(self.tenant, user, &scope).await.expect("revoked");
    }

    /// A new phone's folder.
    pub fn dir(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A new phone of somebody, in step.
    pub async fn phone(&self, login: &str) -> Phone {
        let phone = Phone::open(&self.dir(login));
        phone.login(self, login).await;
        phone.sync().await;
        phone
    }
}

/// A phone.
pub struct Phone {
    pub core: Core,
}

impl Phone {
    pub fn open(dir: &Path) -> Self {
        Self { core: Core::open(Config::new(dir)).expect("a phone") }
    }

    pub async fn login(&self, site: &Site, login: &str) {
        self.core.login(sign_in(site, login)).await.expect("the password is right");
    }

    pub async fn sync(&self) -> mobile_core::sync::SyncReport {
        self.core.sync(&CancellationToken::new()).await.expect("sync")
    }

    pub fn put(&self, collection: &str, fields: Json) -> RecordId {
        self.core.put(collection, &object(fields)).expect("the edit is valid")
    }

    pub fn field(&self, collection: &str, record: RecordId, field: &str) -> Json {
        self.core.get(collection, record).expect("the record is here")[field].clone()
    }
}

pub fn sign_in(site: &Site, login: &str) -> SignIn {
    SignIn {
        server: site.server.url(),
        tenant: site.slug.clone(),
        user: login.to_owned(),
        password: PASSWORD.to_owned(),
        device_name: Some(format!("phone of {login}")),
    }
}

pub fn object(json: Json) -> Map<String, Json> {
    match json {
        Json::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

/// Runs a test on both databases, each with a company of its own.
#[macro_export]
macro_rules! on_both_databases {
    ($name:ident) => {
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                super::$name($crate::site::Site::on_sqlite().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                super::$name($crate::site::Site::on_postgres().await).await;
            }
        }
    };
}
