//! Any sequence of edits, syncs and accidents on two phones.
//!
//! At every moment a phone shows the server's state as of its last checkpoint with its own edits on top
//! that the server had not settled by then: checked on the counter, whose values the model keeps by
//! commit. In the end, when the line is good again, both phones and the server hold the same, and every
//! edit has exactly one outcome.
#![allow(missing_docs, reason = "tests are named by what they show")]

mod model;

use std::sync::Arc;

use mobile_core::outbox::entry::State as EditState;
use mobile_core::store::meta;
use model::{Fault, Phone, Server, object};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use sync_protocol::wire::push::MutationKind;
use sync_protocol::wire::receipt::ReceiptState;
use sync_protocol::{RecordId, Value};

/// Rows that both phones work on.
const ROWS: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    Sell {
        phone: usize,
        row: usize,
        units: i64,
    },
    Rename {
        phone: usize,
        row: usize,
        name: u8,
    },
    Tag {
        phone: usize,
        row: usize,
        tag: u8,
        add: bool,
    },
    Measure {
        phone: usize,
        row: usize,
        units: i64,
    },
    Count {
        phone: usize,
        row: usize,
        day: u8,
    },
    Insert {
        phone: usize,
    },
    Poison {
        phone: usize,
        heirs: usize,
    },
    Delete {
        phone: usize,
        row: usize,
    },
    Move {
        phone: usize,
        row: usize,
    },
    Psql {
        row: usize,
        units: i64,
    },
    Decide,
    Sync {
        phone: usize,
        fault: Option<u8>,
    },
    Restart {
        phone: usize,
    },
    Reboot {
        phone: usize,
    },
    Correct {
        phone: usize,
    },
    TakeBack {
        phone: usize,
    },
    PageRows {
        rows: usize,
    },
    /// The other phone's folder is replaced by a copy of this one's.
    Copy {
        from: usize,
    },
}

/// Steps at which nothing is refused or taken back, with copies of folders among them.
fn steps_with_copies() -> impl Strategy<Value = Vec<Step>> {
    let solves = |step: &Step| {
        matches!(
            step,
            Step::Poison { .. }
                | Step::Delete { .. }
                | Step::Correct { .. }
                | Step::TakeBack { .. }
        )
    };
    let copies = proptest::collection::vec((0..60usize, 0..2usize), 1..4);
    (steps(), copies).prop_map(move |(mut steps, copies)| {
        steps.retain(|step| !solves(step));
        for (place, from) in copies {
            steps.insert(place.min(steps.len()), Step::Copy { from });
        }
        steps
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let phone = 0..2usize;
    let row = 0..ROWS;
    let step = prop_oneof![
        4 => (phone.clone(), row.clone(), -50..50i64)
            .prop_map(|(phone, row, units)| Step::Sell { phone, row, units }),
        2 => (phone.clone(), row.clone(), 0..4u8)
            .prop_map(|(phone, row, name)| Step::Rename { phone, row, name }),
        2 => (phone.clone(), row.clone(), 0..3u8, any::<bool>())
            .prop_map(|(phone, row, tag, add)| Step::Tag { phone, row, tag, add }),
        2 => (phone.clone(), row.clone(), 0..5i64)
            .prop_map(|(phone, row, units)| Step::Measure { phone, row, units }),
        1 => (phone.clone(), row.clone(), 1..28u8)
            .prop_map(|(phone, row, day)| Step::Count { phone, row, day }),
        1 => phone.clone().prop_map(|phone| Step::Insert { phone }),
        1 => (phone.clone(), 0..3usize).prop_map(|(phone, heirs)| Step::Poison { phone, heirs }),
        1 => (phone.clone(), row.clone()).prop_map(|(phone, row)| Step::Delete { phone, row }),
        1 => (phone.clone(), row.clone()).prop_map(|(phone, row)| Step::Move { phone, row }),
        1 => (row, 0..500i64).prop_map(|(row, units)| Step::Psql { row, units }),
        1 => Just(Step::Decide),
        6 => (phone.clone(), proptest::option::of(0..8u8))
            .prop_map(|(phone, fault)| Step::Sync { phone, fault }),
        1 => phone.clone().prop_map(|phone| Step::Restart { phone }),
        1 => phone.clone().prop_map(|phone| Step::Reboot { phone }),
        1 => phone.clone().prop_map(|phone| Step::Correct { phone }),
        2 => phone.prop_map(|phone| Step::TakeBack { phone }),
        1 => (1..4usize).prop_map(|rows| Step::PageRows { rows }),
    ];
    proptest::collection::vec(step, 1..60)
}

struct World {
    server: Arc<Server>,
    dirs: [tempfile::TempDir; 2],
    phones: [Phone; 2],
    rows: Vec<RecordId>,
    seed: u64,
    /// A folder was copied: what its phone had made is gone, and some edits are on both phones.
    copied: bool,
}

impl World {
    async fn new() -> Self {
        let server = Server::new();
        let dirs = [tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir")];
        let one = Phone::signed_in(&server, dirs[0].path(), 1).await;
        let rows = (0..ROWS)
            .map(|n| one.put("articulos", json!({ "nombre": format!("{n}"), "existencia": 10 })))
            .collect();
        one.sync().await.expect("sync");
        let two = Phone::signed_in(&server, dirs[1].path(), 2).await;
        Self { server, dirs, phones: [one, two], rows, seed: 10, copied: false }
    }

    /// An edit that may come too late: the row may be gone from this phone.
    fn edit(&self, phone: usize, row: usize, fields: Json) {
        let phone = &self.phones[phone];
        phone.clock.advance(1_000);
        match phone.core.update("articulos", self.rows[row], &object(fields)) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.code(), "no_such_record", "{error}"),
        }
    }

    async fn step(&mut self, step: &Step) {
        self.server.with(|s| s.now_us += 500_000);
        match *step {
            Step::Sell { phone, row, units } => {
                let change = sync_protocol::value::format_decimal(units, 2);
                self.edit(phone, row, json!({ "existencia": { "add": change } }));
            }
            Step::Rename { phone, row, name } => {
                self.edit(phone, row, json!({ "nombre": format!("nombre {name}") }));
            }
            Step::Tag { phone, row, tag, add } => {
                let verb = if add { "add" } else { "remove" };
                self.edit(phone, row, json!({ "etiquetas": { verb: [format!("t{tag}")] } }));
            }
            Step::Measure { phone, row, units } => {
                self.edit(phone, row, json!({ "medida": units }))
            }
            Step::Count { phone, row, day } => {
                self.edit(phone, row, json!({ "contado_el": format!("2026-11-{day:02}") }));
            }
            Step::Insert { phone } => {
                self.phones[phone].put("articulos", json!({ "nombre": "nuevo", "existencia": 1 }));
            }
            Step::Poison { phone, heirs } => {
                let id = self.phones[phone].put("articulos", json!({ "nombre": "veneno" }));
                for _ in 0..heirs {
                    self.phones[phone]
                        .put("articulos", json!({ "id": id, "existencia": { "add": 1 } }));
                    self.phones[phone].put("movimientos", json!({ "articulo_id": id }));
                }
            }
            Step::Delete { phone, row } => {
                let _ = self.phones[phone].core.delete("articulos", self.rows[row]);
            }
            Step::Move { phone, row } => {
                self.phones[phone].put("movimientos", json!({ "articulo_id": self.rows[row] }));
            }
            Step::Psql { row, units } => self.server.with(|s| {
                s.sql("articulos", self.rows[row], "existencia", Value::Decimal(units));
            }),
            Step::Decide => self.server.with(model::State::decide_all),
            Step::Sync { phone, fault } => {
                let faults = [
                    Fault::PushNeverArrives,
                    Fault::PushAnswerLost,
                    Fault::PullCutAfter(0),
                    Fault::PullCutAfter(1),
                    Fault::PullCutAfter(2),
                    Fault::PullGarbageAfter(1),
                    Fault::SessionEnded,
                    Fault::PushLost,
                ];
                if let Some(fault) = fault {
                    self.server.fail_next(faults[usize::from(fault)].clone());
                }
                if let Err(error) = self.phones[phone].sync().await {
                    assert!(error.retryable(), "{error}");
                }
                self.server.with(|s| s.faults.clear());
            }
            Step::Restart { phone } => {
                self.seed += 1;
                let clock = Arc::clone(&self.phones[phone].clock);
                let dir = self.dirs[phone].path();
                self.phones[phone] = Phone::open(&self.server, dir, self.seed, clock);
            }
            Step::Reboot { phone } => {
                self.seed += 1;
                self.phones[phone].clock.reboot(&format!("boot {}", self.seed));
            }
            Step::Correct { phone } => correct_all(&self.phones[phone]),
            Step::TakeBack { phone } => {
                let core = &self.phones[phone].core;
                let Some(last) = core.pending().expect("list").pop() else { return };
                if let Err(error) = core.discard(last.id) {
                    assert!(["wrong_state", "has_heirs"].contains(&error.code()), "{error}");
                }
            }
            Step::PageRows { rows } => self.server.with(|s| s.page_rows = rows),
            Step::Copy { from } => {
                self.seed += 1;
                self.copied = true;
                let to = 1 - from;
                let clock = Arc::clone(&self.phones[to].clock);
                clock.reboot(&format!("copied {}", self.seed));
                let dir = tempfile::tempdir().expect("dir");
                model::copy_folder(self.dirs[from].path(), dir.path());
                self.phones[to] = Phone::open(&self.server, dir.path(), self.seed, clock);
                self.dirs[to] = dir;
            }
        }
    }

    /// The counters that a phone shows are the server's at its checkpoint with its own edits on top.
    fn check_counters(&self, phone: usize) {
        let core = &self.phones[phone].core;
        let store = Arc::clone(core.engine().expect("signed in").store());
        let cursor = store.read(|db| meta::get(db, meta::name::CURSOR)).expect("readable");
        let cursor: model::pull::Cursor =
            serde_json::from_str(&cursor.expect("synced once")).expect("our own cursor");
        // A cut round moves `since` before its checkpoint has come; receipts are told only with one.
        let checkpoint = cursor.told;
        let receipts = core.receipts().expect("list");
        for row in &self.rows {
            // A row that is gone at either end shows no counter.
            let Ok(shown) = core.get("articulos", *row) else { continue };
            let at_checkpoint = self.server.with(|s| {
                let known = s
                    .history
                    .iter()
                    .rev()
                    .find(|(commit, id, _)| *commit <= checkpoint && id == row);
                known.expect("made before the first sync").2
            });
            let settled = |id| {
                self.server.with(|s| s.receipts.get(&id).is_some_and(|k| k.commit <= checkpoint))
            };
            let own: i64 = receipts
                .iter()
                .filter(|r| !matches!(r.state, EditState::Refused | EditState::Discarded))
                .filter(|r| r.waiting_for.as_ref().is_none_or(|why| why.code != "withdrawal"))
                .filter(|r| !settled(r.id))
                .flat_map(|r| &r.mutations)
                .filter(|m| m.record == *row && m.kind == MutationKind::Update)
                .filter_map(|m| m.add.get("existencia"))
                .map(|json| {
                    let text = json.as_str().expect("a decimal");
                    sync_protocol::value::parse_decimal(text, 2).expect("a decimal")
                })
                .sum();
            let expected = sync_protocol::value::format_decimal(at_checkpoint + own, 2);
            assert_eq!(
                shown["existencia"], expected,
                "phone {phone} shows another counter of {row} than server (at commit {}) + own edits \
                 {own}; its receipts: {receipts:#?}",
                checkpoint
            );
        }
    }

    /// The line is good again: everything that can be sent is sent, everything is decided.
    async fn quiesce(&self) {
        // Each refused edit of a chain uncovers the next one.
        for _ in 0..60 {
            for phone in &self.phones {
                correct_all(phone);
                phone.sync().await.expect("nothing goes wrong any more");
            }
            self.server.with(model::State::decide_all);
            if self.phones.iter().all(|p| p.core.problems().expect("list").is_empty()) {
                break;
            }
        }
        for phone in &self.phones {
            phone.sync().await.expect("nothing goes wrong any more");
        }
    }

    fn check_end(&self) {
        let ids: Vec<(String, RecordId)> = self.server.with(|s| {
            s.rows
                .iter()
                .filter(|(_, r)| r.meta.deleted.is_none())
                .map(|(k, _)| k.clone())
                .collect()
        });
        for phone in &self.phones {
            for collection in ["articulos", "movimientos"] {
                let shown = phone.core.list(collection).expect("list");
                let here = ids.iter().filter(|(name, _)| name == collection).count();
                assert_eq!(shown.rows.len(), here, "{collection}");
            }
            for (collection, id) in &ids {
                let shown =
                    phone.core.get(collection, *id).expect("each row of the server is here");
                let (fields, version) = self.server.with(|s| {
                    let row = &s.rows[&(collection.clone(), *id)];
                    let declared = &s.schema.collections[collection].fields;
                    let json = sync_protocol::value::fields_to_json(declared, &row.fields);
                    (json, row.meta.version)
                });
                assert_eq!(shown["_pending"], 0);
                assert_eq!(shown["_version"], version);
                for (name, value) in fields {
                    assert_eq!(shown[&name], value, "{collection}.{name}");
                }
            }
            for receipt in phone.core.receipts().expect("list") {
                let kept =
                    self.server.with(|s| s.receipts.get(&receipt.id).map(|k| k.receipt.state));
                match receipt.state {
                    EditState::Applied | EditState::Superseded | EditState::Refused => {
                        assert_eq!(kept.map(EditState::from), Some(receipt.state))
                    }
                    // The server refused it, or had not settled it: then it says so, if it was asked.
                    EditState::Discarded => {
                        let known = [ReceiptState::Refused, ReceiptState::Discarded];
                        assert!(kept.is_none_or(|kept| known.contains(&kept)), "{kept:?}");
                    }
                    other => panic!("{} is still {other:?}", receipt.id),
                }
                assert!(receipt.settled);
            }
        }
        if self.copied {
            return;
        }
        let receipts = || self.phones.iter().flat_map(|p| p.core.receipts().expect("list"));
        let (made, taken_back) =
            (receipts().count(), receipts().filter(|r| r.receipt.is_none()).count());
        let never_settled = receipts()
            .filter(|r| r.state == EditState::Discarded)
            .filter(|r| r.receipt.as_ref().is_some_and(|r| r.state == ReceiptState::Parked))
            .count();
        let outcomes = self.server.with(|s| s.receipts.len());
        assert_eq!(made, outcomes + taken_back + never_settled, "edits in = outcomes out");
    }
}

fn correct_all(phone: &Phone) {
    for problem in phone.core.problems().expect("list") {
        if problem.state != EditState::Refused {
            continue;
        }
        let is_poison = problem.problem.as_ref().is_some_and(|p| p.code == "poison");
        if is_poison {
            let correction = object(json!({ "nombre": "antídoto" }));
            phone.core.retry(problem.id, Some(&correction)).expect("it can be corrected");
        } else {
            // An edit of a row that somebody deleted, and what builds on it: nothing to be saved.
            match phone.core.discard(problem.id) {
                Ok(()) => {}
                Err(error) => assert_eq!(error.code(), "has_heirs", "{error}"),
            }
        }
    }
}

/// How many sequences; `CAMPO_PROPERTY_CASES` asks for more.
fn cases() -> u32 {
    std::env::var("CAMPO_PROPERTY_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(60)
}

fn run(steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    runtime.block_on(async {
        let mut world = World::new().await;
        for step in steps {
            world.step(step).await;
            world.check_counters(0);
            world.check_counters(1);
        }
        world.server.with(|s| s.page_rows = 1_000);
        world.quiesce().await;
        world.check_end();
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_doubled_or_shown_twice(steps in steps()) {
        run(&steps);
    }

    #[test]
    fn copies_of_a_folder_double_and_hide_nothing(steps in steps_with_copies()) {
        run(&steps);
    }
}
