//! A company with people, made beside the running server, and what its phones send.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use sync_protocol::{TenantId, UserId};
use sync_server::auth::password::Passwords;
use sync_server::store::accounts::Account;
use uuid::Uuid;

use crate::World;

pub const PASSWORD: &str = "correcto caballo";

pub fn id() -> String {
    Uuid::now_v7().to_string()
}

/// A company with one person.
pub struct Company {
    pub tenant: TenantId,
    pub slug: String,
    pub user: UserId,
    pub login: String,
}

/// A phone of that person, logged in.
pub struct Phone {
    pub device: String,
    pub stream: String,
    pub token: String,
    pub refresh_token: String,
}

impl Company {
    /// With a person of these roles.
    pub async fn new(world: &World, roles: &[&str]) -> Self {
        let store = world.store.shared();
        let slug = format!("c{}", &Uuid::new_v4().simple().to_string()[..20]);
        let tenant = store.create_tenant(&slug, "Compañía").await.expect("a tenant");
        let login = "juan".to_owned();
        let user = person(world, tenant, &login, roles).await;
        Self { tenant, slug, user, login }
    }

    pub async fn phone(&self, world: &World) -> Phone {
        self.phone_of(world, &self.login).await
    }

    pub async fn phone_of(&self, world: &World, login: &str) -> Phone {
        let device = id();
        let session = world.login(&self.slug, login, PASSWORD, &device).await.ok().json();
        let text = |name: &str| session[name].as_str().expect(name).to_owned();
        Phone {
            device,
            stream: id(),
            token: text("access_token"),
            refresh_token: text("refresh_token"),
        }
    }
}

pub async fn person(world: &World, tenant: TenantId, login: &str, roles: &[&str]) -> UserId {
    let hash = Passwords::new().expect("argon2").hash(PASSWORD.to_owned()).await.expect("a hash");
    let account = Account {
        id: UserId(Uuid::now_v7()),
        login: login.to_owned(),
        name: login.to_owned(),
        password_hash: hash,
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        disabled: false,
    };
    world.store.shared().create_user(tenant, &account).await.expect("a user");
    account.id
}

/// A transaction of these mutations with a new id.
pub fn transaction(mutations: Json) -> Json {
    json!({ "id": id(), "edited": { "at_us": 1_790_000_000_000_000_i64 },
            "wall_clock_us": 1_790_000_000_000_000_i64, "mutations": mutations })
}

pub fn insert(collection: &str, record: &str, set: Json) -> Json {
    json!({ "collection": collection, "record": record, "kind": "insert", "set": set })
}

pub fn update(collection: &str, record: &str, set: Json, base: Json) -> Json {
    json!({ "collection": collection, "record": record, "kind": "update", "set": set, "base": base })
}

impl Phone {
    pub fn push_body(&self, transactions: &[Json]) -> Json {
        json!({ "stream": self.stream, "transactions": transactions })
    }

    /// Pushes and answers the receipts.
    pub async fn push(&self, world: &World, transactions: &[Json]) -> Vec<Json> {
        let answer =
            world.post("sync/push", Some(&self.token), &self.push_body(transactions)).await.ok();
        answer.json()["receipts"].as_array().expect("receipts").clone()
    }

    /// Pushes one transaction that has to be applied; answers its id.
    pub async fn apply(&self, world: &World, mutations: Json) -> String {
        let receipts = self.push(world, &[transaction(mutations)]).await;
        assert_eq!(receipts[0]["state"], "applied", "{receipts:?}");
        receipts[0]["id"].as_str().expect("an id").to_owned()
    }

    /// The states and problem codes of receipts.
    pub async fn codes(&self, world: &World, transactions: &[Json]) -> Vec<String> {
        let code = |receipt: Json| {
            let state = receipt["state"].as_str().expect("a state").to_owned();
            receipt["problem"]["code"].as_str().map_or(state, str::to_owned)
        };
        self.push(world, transactions).await.into_iter().map(code).collect()
    }
}

/// A project with a daily report and an item in it: the ids of all three.
pub async fn report(world: &World, phone: &Phone) -> (String, String, String) {
    let (project, report, item) = (id(), id(), id());
    phone.apply(world, json!([insert("proyectos", &project, json!({ "nombre": "Torre" }))])).await;
    phone
        .apply(
            world,
            json!([
                insert(
                    "avances",
                    &report,
                    json!({ "proyecto_id": project, "fecha": "2026-11-24" })
                ),
                insert("avance_items", &item, json!({ "avance_id": report, "concepto": "Muro" })),
            ]),
        )
        .await;
    (project, report, item)
}

/// A conflict about the measurement of an item, made by two phones of one person: its id and the
/// later edit's receipt.
pub async fn conflict(world: &World, company: &Company) -> (String, String) {
    let (a, b) = (company.phone(world).await, company.phone(world).await);
    let (_, _, item) = report(world, &a).await;
    let measure = |value: &str| {
        json!([update("avance_items", &item, json!({ "medida": value }), json!({ "medida": 1 }))])
    };
    a.apply(world, measure("2.50")).await;
    let receipts = b.push(world, &[transaction(measure("2.70"))]).await;
    assert_eq!(receipts[0]["state"], "in_review", "{receipts:?}");
    let conflict = &receipts[0]["mutations"][0]["fields"]["medida"]["conflict"];
    let conflict = conflict.as_str().unwrap_or_else(|| panic!("no conflict: {receipts:?}"));
    (conflict.to_owned(), receipts[0]["id"].as_str().expect("an id").to_owned())
}

/// A photo's record, made by somebody of the company, whose upload has begun: its id.
pub async fn photo(world: &World, company: &Company) -> String {
    let phone = company.phone(world).await;
    let (_, report, _) = report(world, &phone).await;
    let photo = id();
    let hash = "0".repeat(64);
    let set = json!({ "avance_id": report, "sha256": hash, "bytes": 1, "miniatura_sha256": hash,
                      "miniatura_bytes": 1, "ancho": 1, "alto": 1 });
    phone.apply(world, json!([insert("avance_fotos", &photo, set)])).await;
    let named = ["avance_fotos", &photo, "photo"].map(|name| STANDARD.encode(name));
    let begin = world
        .client
        .post(world.url("uploads"))
        .bearer_auth(&phone.token)
        .header("tus-resumable", "1.0.0")
        .header("upload-length", "1")
        .header(
            "upload-metadata",
            format!("collection {},id {},variant {}", named[0], named[1], named[2]),
        );
    world.send(begin).await.ok();
    photo
}
