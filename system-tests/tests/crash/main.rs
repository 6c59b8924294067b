//! Real programs, killed: `campo-device` at any instant of an edit or a sync, the server at any
//! instant of an answer, PostgreSQL with all its backends. Whatever was confirmed is there in the
//! end, nothing is there twice, and the files are sound.
//!
//! Two phones of two people add to one counter and book movements. A put whose command was killed may
//! or may not have happened; which, its phone says by the receipt. In the end there is one row for
//! each insertion that has a receipt, and the counter is the number of receipts that add one.
//!
//! Small by default; `CAMPO_CRASH_KILLS` (for each database) and `CAMPO_CRASH_SEED` make it large.

mod dice;
mod office;
mod phone;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dice::Dice;
use office::{Engine, Office};
use phone::Phone;
use serde_json::{Value as Json, json};

/// Kills for each database, where nobody asks for more.
const KILLS: u64 = 24;
/// Longest time until a kill, in milliseconds: about what the killed thing takes.
const PUT_MS_MAX: u64 = 60;
const SYNC_MS_MAX: u64 = 150;

#[test]
fn nothing_is_lost_or_doubled_on_sqlite() {
    race(Engine::Sqlite);
}

#[test]
fn nothing_is_lost_or_doubled_on_postgres() {
    race(Engine::Postgres);
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect(name))
}

fn race(engine: Engine) {
    let kills = setting("CAMPO_CRASH_KILLS", KILLS);
    let seed = setting("CAMPO_CRASH_SEED", 0x5eed);
    println!("{engine:?}: {kills} kills, CAMPO_CRASH_SEED={seed}");
    let mut dice = Dice::new(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let mut office = Office::open(engine, folder.path());
    let phones = [Phone::new(folder.path(), "ana"), Phone::new(folder.path(), "juan")];
    let stock = found(&office, &phones, folder.path());
    let mut confirmed: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut killed = 0;
    while killed < kills {
        let phone = dice.pick(&phones);
        match dice.roll(20) {
            0..6 => killed += u64::from(phone.put_until(dice.ms(PUT_MS_MAX), &stock.adds(phone))),
            6..9 => {
                let movement = stock.movement(&mut dice);
                killed += u64::from(phone.put_until(dice.ms(PUT_MS_MAX), &movement));
            }
            9..12 => {
                // Not killed: what it printed is a promise.
                let id = phone.puts(&stock.movement(&mut dice));
                confirmed.entry(phone.owner).or_default().insert(id);
            }
            12..16 => killed += u64::from(phone.does_until(dice.ms(SYNC_MS_MAX), &["sync"])),
            16..18 => {
                let sync = phone.begin(&["sync"]);
                std::thread::sleep(dice.ms(SYNC_MS_MAX));
                office.kill_server();
                killed += 1;
                sync.ends();
                office.start_server();
            }
            18 if office.has_postgres() => {
                let sync = phone.begin(&["sync"]);
                std::thread::sleep(dice.ms(SYNC_MS_MAX));
                office.crash_postgres();
                killed += 1;
                sync.ends();
            }
            _ => drop(phone.tries(&["sync"])),
        }
    }
    settle(&phones);
    let truth = truth(&phones, &stock);
    for (owner, ids) in confirmed {
        let lost: Vec<_> = ids.difference(&truth.movements).collect();
        assert!(lost.is_empty(), "{owner} was told that these are kept: {lost:?}");
    }
    compare(&office, &phones, folder.path(), &stock, &truth);
    office.is_sound();
    phones.iter().for_each(Phone::is_sound);
    println!("{engine:?}: {} movements, counter at {}", truth.movements.len(), truth.count);
}

/// What everybody works on.
struct Stock {
    warehouse: String,
    article: String,
    /// In `existencias`.
    counter: String,
}

impl Stock {
    /// One more than its owner sees.
    fn adds(&self, phone: &Phone) -> (&'static str, Json) {
        let seen = phone.does(&["get", "existencias", &self.counter]);
        let seen: f64 = seen["cantidad"].as_str().and_then(|s| s.parse().ok()).expect("a quantity");
        ("existencias", json!({ "id": self.counter, "cantidad": format!("{:.3}", seen + 1.0) }))
    }

    fn movement(&self, dice: &mut Dice) -> (&'static str, Json) {
        let movement = json!({ "almacen_id": self.warehouse, "articulo_id": self.article,
            "tipo": "salida", "cantidad": "1.000", "referencia": format!("m-{}", dice.roll(u64::MAX)) });
        ("movimientos", movement)
    }
}

/// A company with a warehouse that both people see.
fn found(office: &Office, phones: &[Phone], folder: &std::path::Path) -> Stock {
    let boss = Phone::new(folder, "laura");
    office.hires("laura", "supervisor");
    phones.iter().for_each(|phone| office.hires(phone.owner, "warehouse_keeper"));
    boss.logs_in(&office.url());
    boss.does(&["sync"]);
    let warehouse = boss.puts(&("almacenes", json!({ "nombre": "Central" })));
    let article = boss.puts(&("articulos", json!({ "codigo": "CEM", "nombre": "Cemento" })));
    office.grants("laura", &warehouse);
    boss.does(&["sync"]);
    let stock = json!({ "almacen_id": warehouse, "articulo_id": article, "cantidad": "0" });
    let counter = boss.puts(&("existencias", stock));
    boss.does(&["sync"]);
    assert_eq!(boss.does(&["problems"]), json!([]));
    for phone in phones {
        office.grants(phone.owner, &warehouse);
        phone.logs_in(&office.url());
        phone.does(&["sync"]);
    }
    Stock { warehouse, article, counter }
}

/// Syncs until nothing waits.
fn settle(phones: &[Phone]) {
    for _ in 0..3 {
        for phone in phones {
            let mut tries = 0;
            while let Err(problem) = phone.tries(&["sync"]) {
                tries += 1;
                assert!(tries < 50, "{} cannot sync: {problem}", phone.owner);
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
    for phone in phones {
        assert_eq!(phone.does(&["pending"]), json!([]), "{} still waits", phone.owner);
        assert_eq!(phone.does(&["problems"]), json!([]), "{} has problems", phone.owner);
    }
}

/// What the phones' receipts say.
struct Truth {
    movements: BTreeSet<String>,
    count: usize,
}

fn truth(phones: &[Phone], stock: &Stock) -> Truth {
    let mut truth = Truth { movements: BTreeSet::new(), count: 0 };
    for phone in phones {
        let receipts = phone.does(&["receipts"]);
        for receipt in receipts.as_array().expect("a list") {
            assert_eq!(receipt["state"], "applied", "{receipt}");
            let mutation = &receipt["mutations"][0];
            let record = mutation["record"].as_str().expect("a record").to_owned();
            if mutation["collection"] == "movimientos" {
                assert!(truth.movements.insert(record), "inserted twice: {receipt}");
            } else {
                assert_eq!(record, stock.counter);
                truth.count += 1;
            }
        }
    }
    truth
}

/// Every phone, and one that has never been killed, holds what the receipts say.
fn compare(
    office: &Office,
    phones: &[Phone],
    folder: &std::path::Path,
    stock: &Stock,
    truth: &Truth,
) {
    let witness = Phone::new(folder, "laura-again");
    witness.logs_in_as("laura", &office.url());
    witness.does(&["sync"]);
    for phone in phones.iter().chain([&witness]) {
        let rows = phone.does(&["query", "SELECT id FROM movimientos ORDER BY id"]);
        let rows = rows["rows"].as_array().expect("rows").clone();
        let found: BTreeSet<String> =
            rows.iter().map(|row| row[0].as_str().expect("an id").to_owned()).collect();
        assert_eq!(found.len(), rows.len(), "{} has a movement twice", phone.owner);
        assert_eq!(found, truth.movements, "{} has other movements", phone.owner);
        let counter = phone.does(&["get", "existencias", &stock.counter]);
        assert_eq!(counter["cantidad"], format!("{}.000", truth.count), "{}", phone.owner);
    }
}
