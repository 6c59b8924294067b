//! Random writes, moves and grants; devices that apply pages of deltas at random moments hold what
//! a fresh backfill brings.

use std::collections::BTreeMap;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestRunner};
use sync_protocol::{Fields, RecordId, Scope, Value};
use sync_server::store::{Position, WriteKind};

use crate::bench::{Bench, fields, parte, project, record, write};
use crate::paging::{Line, backfill, delta};

/// One step of a history.
#[derive(Debug, Clone)]
enum Step {
    InsertParte { obra: usize },
    InsertConcepto { of: usize },
    Change { which: usize },
    Move { which: usize, obra: usize },
    Reparent { which: usize, to: usize },
    Delete { which: usize },
    Restore { which: usize },
    Pull { device: usize, page: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let n = 0..64usize;
    proptest::prop_oneof![
        3 => n.clone().prop_map(|obra| Step::InsertParte { obra }),
        3 => n.clone().prop_map(|of| Step::InsertConcepto { of }),
        2 => n.clone().prop_map(|which| Step::Change { which }),
        4 => (n.clone(), n.clone()).prop_map(|(which, obra)| Step::Move { which, obra }),
        2 => (n.clone(), n.clone()).prop_map(|(which, to)| Step::Reparent { which, to }),
        2 => n.clone().prop_map(|which| Step::Delete { which }),
        2 => n.clone().prop_map(|which| Step::Restore { which }),
        3 => (n, 1..6usize).prop_map(|(device, page)| Step::Pull { device, page }),
    ]
}

/// What a device holds: rows with their version, scopes and content.
type Held = BTreeMap<(String, RecordId), (i64, Vec<Scope>, Fields)>;

struct Device {
    scopes: Vec<Scope>,
    held: Held,
    position: Position,
}

fn apply(held: &mut Held, lines: Vec<Line>) {
    for line in lines {
        let key = (line.collection, line.id);
        match line.row {
            Some(row) => held.insert(key, row),
            None => held.remove(&key),
        };
    }
}

/// Histories of one run.
const HISTORIES: usize = 6;
const STEPS: usize = 60;

pub async fn devices_that_apply_deltas_hold_what_a_backfill_brings(b: Bench) {
    let mut runner = TestRunner::new(Config::default());
    for _ in 0..HISTORIES {
        let steps = proptest::collection::vec(step(), STEPS)
            .new_tree(&mut runner)
            .expect("a history")
            .current();
        history(&b, &steps).await;
    }
}

async fn history(b: &Bench, steps: &[Step]) {
    let obras = [b.obra().await, b.obra().await, b.obra().await];
    let mut devices: Vec<Device> = Vec::new();
    for scopes in [&obras[..1], &obras[1..], &obras[..]] {
        let scopes: Vec<Scope> = scopes.iter().map(|obra| project(*obra)).collect();
        let mut tx = b.read().await;
        let mut held = Held::new();
        apply(&mut held, backfill(b, tx.as_mut(), &scopes, &[], 2).await);
        devices.push(Device { scopes, held, position: tx.position().clone() });
    }
    let (mut partes, mut conceptos) = (Vec::new(), Vec::new());
    for (number, step) in steps.iter().enumerate() {
        if let Step::Pull { device, page } = step {
            let count = devices.len();
            pull(b, &mut devices[device % count], *page, &steps[..=number]).await;
        } else {
            change(b, step, &obras, &mut partes, &mut conceptos).await;
        }
    }
    for device in &mut devices {
        pull(b, device, 3, steps).await;
    }
}

async fn pull(b: &Bench, device: &mut Device, page: usize, trace: &[Step]) {
    let mut tx = b.read().await;
    let lines = delta(b, tx.as_mut(), &device.position, &device.scopes, None, page).await;
    apply(&mut device.held, lines);
    device.position = tx.position().clone();
    let mut fresh = Held::new();
    apply(&mut fresh, backfill(b, tx.as_mut(), &device.scopes, &[], page).await);
    assert_eq!(device.held, fresh, "after {trace:#?}");
}

/// Writes in a transaction of its own. What a constraint refuses changes nothing.
async fn change(
    b: &Bench,
    step: &Step,
    obras: &[RecordId],
    partes: &mut Vec<RecordId>,
    conceptos: &mut Vec<RecordId>,
) {
    let pick = |from: &[RecordId], n: usize| from.get(n % from.len().max(1)).copied();
    let all: Vec<(&str, RecordId)> = partes
        .iter()
        .map(|id| ("partes", *id))
        .chain(conceptos.iter().map(|id| ("conceptos", *id)))
        .collect();
    let any = |n: usize| all.get(n % all.len().max(1)).copied();
    let (collection, write) = match step {
        Step::InsertParte { obra } => {
            let id = record();
            partes.push(id);
            let obra = obras[obra % obras.len()];
            ("partes", write(id, WriteKind::Insert, parte(obra, &id.to_string())))
        }
        Step::InsertConcepto { of } => {
            let Some(of) = pick(partes, *of) else { return };
            let id = record();
            let set = fields([("parte_id", Value::Uuid(of.0))]);
            let insert = write(id, WriteKind::Insert, set);
            if b.try_one("conceptos", insert).await.is_ok() {
                conceptos.push(id);
            }
            return;
        }
        Step::Change { which } => {
            let Some((collection, id)) = any(*which) else { return };
            (collection, write(id, WriteKind::Update, Fields::new()))
        }
        Step::Move { which, obra } => {
            let Some(id) = pick(partes, *which) else { return };
            let obra = Value::Uuid(obras[obra % obras.len()].0);
            ("partes", write(id, WriteKind::Update, fields([("obra_id", obra)])))
        }
        Step::Reparent { which, to } => {
            let (Some(id), Some(to)) = (pick(conceptos, *which), pick(partes, *to)) else { return };
            let set = fields([("parte_id", Value::Uuid(to.0))]);
            ("conceptos", write(id, WriteKind::Update, set))
        }
        Step::Delete { which } => {
            let Some((collection, id)) = any(*which) else { return };
            (collection, write(id, WriteKind::Delete, Fields::new()))
        }
        Step::Restore { which } => {
            let Some((collection, id)) = any(*which) else { return };
            (collection, write(id, WriteKind::Restore, Fields::new()))
        }
        Step::Pull { .. } => return,
    };
    // The caller of a store decides by what it locked: nothing is done to a row in the wrong state.
    let row = b.row(collection, write.record).await;
    let deleted = row.map(|row| row.meta.deleted.is_some());
    let fits = match write.kind {
        WriteKind::Insert => deleted.is_none(),
        WriteKind::Update | WriteKind::Delete => deleted == Some(false),
        WriteKind::Restore => deleted == Some(true),
    };
    if fits {
        let _ = b.try_one(collection, write).await;
    }
}
