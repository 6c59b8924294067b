//! People who work all the while: real device cores that edit and sync, and measure how long it takes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mobile_core::{Config, Core, SignIn};
use serde_json::{Map, Value as Json, json};
use sync_protocol::RecordId;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::site::{PASSWORD, QUIET, Site};

/// Pause between two rounds of a phone.
const PAUSE: Duration = Duration::from_millis(100);

/// A company at work.
pub struct Bystander {
    warehouse: RecordId,
    article: RecordId,
    counter: RecordId,
    ana: Arc<Core>,
    juan: Arc<Core>,
}

/// What one stretch of work came to.
#[derive(Debug, Default)]
pub struct Worked {
    /// How long each round took, from the edit to the checkpoint, with whatever had to be repeated.
    pub rounds: Vec<Duration>,
    /// Rounds that the server sent away, or that failed, before they went through.
    pub failures: Vec<String>,
    movements: BTreeSet<String>,
}

impl Worked {
    /// The round that so many of a thousand are not slower than.
    pub fn quantile(&self, permille: usize) -> Duration {
        let mut rounds = self.rounds.clone();
        rounds.sort_unstable();
        let index = (rounds.len() * permille / 1000).min(rounds.len().saturating_sub(1));
        rounds.get(index).copied().unwrap_or_default()
    }

    fn add(&mut self, other: Self) {
        self.rounds.extend(other.rounds);
        self.failures.extend(other.failures);
        self.movements.extend(other.movements);
    }
}

/// Work that goes on until it is ended.
pub struct AtWork {
    stop: Arc<AtomicBool>,
    phones: Vec<JoinHandle<Worked>>,
}

impl Bystander {
    /// Two people with a phone each, and a warehouse that both see.
    pub async fn settle_in(site: &Site) -> Self {
        site.hires(QUIET, "ana", "supervisor");
        site.hires(QUIET, "juan", "warehouse_keeper");
        let ana = phone(site, "ana", "ana").await;
        sync(&ana).await.expect("a sync");
        let warehouse = put(&ana, "almacenes", json!({ "nombre": "Central" }));
        let article = put(&ana, "articulos", json!({ "codigo": "CEM", "nombre": "Cemento" }));
        site.grants(QUIET, "ana", &warehouse.to_string());
        site.grants(QUIET, "juan", &warehouse.to_string());
        sync(&ana).await.expect("a sync");
        let stock = json!({ "almacen_id": warehouse, "articulo_id": article, "cantidad": "0" });
        let counter = put(&ana, "existencias", stock);
        sync(&ana).await.expect("a sync");
        let juan = phone(site, "juan", "juan").await;
        sync(&juan).await.expect("a sync");
        Self { warehouse, article, counter, ana, juan }
    }

    /// Goes to work.
    pub fn starts(&self) -> AtWork {
        let stop = Arc::new(AtomicBool::new(false));
        let phones = [&self.ana, &self.juan]
            .into_iter()
            .map(|core| {
                let (core, stop) = (Arc::clone(core), stop.clone());
                let (warehouse, article, counter) = (self.warehouse, self.article, self.counter);
                tokio::spawn(async move {
                    let mut worked = Worked::default();
                    while !stop.load(Ordering::Relaxed) {
                        let since = Instant::now();
                        let movement = json!({ "almacen_id": warehouse, "articulo_id": article,
                            "tipo": "entrada", "cantidad": "1.000" });
                        let id = put(&core, "movimientos", movement);
                        worked.movements.insert(id.to_string());
                        let seen = count(&core, counter);
                        let stock =
                            json!({ "id": counter, "cantidad": format!("{}.000", seen + 1) });
                        put(&core, "existencias", stock);
                        while let Err(problem) = sync(&core).await {
                            worked.failures.push(problem);
                            tokio::time::sleep(PAUSE).await;
                        }
                        worked.rounds.push(since.elapsed());
                        tokio::time::sleep(PAUSE).await;
                    }
                    worked
                })
            })
            .collect();
        AtWork { stop, phones }
    }

    /// Everything that was done is at the server once, and nowhere anything else: on both phones, and
    /// on one that was never there.
    pub async fn has_lost_nothing(&self, site: &Site, worked: &Worked) {
        for core in [&self.ana, &self.juan, &self.ana] {
            sync(core).await.expect("a sync when it is quiet");
            assert_eq!(core.pending().expect("a list"), [], "something still waits");
            assert_eq!(core.problems().expect("a list"), [], "something was refused");
        }
        let witness = phone(site, "ana", &format!("witness-{}", worked.movements.len())).await;
        sync(&witness).await.expect("a sync when it is quiet");
        for (name, core) in [("ana", &self.ana), ("juan", &self.juan), ("a new phone", &witness)] {
            let rows = core.query("SELECT id FROM movimientos", &[]).expect("rows").rows;
            let found: BTreeSet<String> =
                rows.iter().map(|row| row[0].as_str().expect("an id").to_owned()).collect();
            assert_eq!(found.len(), rows.len(), "{name} has a movement twice");
            assert_eq!(found, worked.movements, "{name} has other movements");
            assert_eq!(
                count(core, self.counter),
                worked.movements.len(),
                "{name} counts otherwise"
            );
        }
    }
}

impl AtWork {
    /// Ends the work; what it came to, added to what was done before.
    pub async fn ends(self, before: &mut Worked) -> Worked {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Worked::default();
        for phone in self.phones {
            let worked = phone.await.expect("nobody's phone panics");
            before.movements.extend(worked.movements.iter().cloned());
            all.add(worked);
        }
        before.rounds.extend(&all.rounds);
        before.failures.extend(all.failures.iter().cloned());
        all
    }
}

async fn phone(site: &Site, login: &str, folder: &str) -> Arc<Core> {
    let core = Core::open(Config::new(site.folder(folder))).expect("a phone");
    let sign_in = SignIn {
        server: site.url(),
        tenant: QUIET.to_owned(),
        user: login.to_owned(),
        password: PASSWORD.to_owned(),
        device_name: None,
    };
    core.login(sign_in).await.expect("the password is right");
    Arc::new(core)
}

async fn sync(core: &Core) -> Result<(), String> {
    let report = core.sync(&CancellationToken::new()).await.map_err(|error| error.to_string())?;
    assert_eq!(report.refused, 0, "a good edit was refused: {report:?}");
    Ok(())
}

fn put(core: &Core, collection: &str, fields: Json) -> RecordId {
    let Json::Object(fields) = fields else { return put(core, collection, json!(Map::new())) };
    core.put(collection, &fields).expect("the edit is valid")
}

fn count(core: &Core, counter: RecordId) -> usize {
    let row = core.get("existencias", counter).expect("the counter is here");
    let text = row["cantidad"].as_str().expect("a quantity");
    text.trim_end_matches(".000").parse().expect("a whole number")
}
