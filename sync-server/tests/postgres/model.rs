//! Capture against the rules in Rust: whatever writers do in whatever order, `sync.rows` holds what
//! [`RowMeta`] says.

use std::collections::BTreeMap;

use sync_protocol::merge::{Restoration, RowMeta};
use sync_protocol::{EditTime, Fields, StreamId, Value};
use sync_server::store::{RowWrite, WriteKind};

use crate::consistency::contradictions;
use crate::setting::{Setting, fields, record, set, stream, text};

/// A small generator: the same seed plays the same story.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

fn people(dice: &mut Dice) -> Value {
    let all = ["ana", "beto", "carla", "dora"];
    let some: Vec<&str> = all.into_iter().filter(|_| dice.roll(2) == 0).collect();
    if dice.roll(8) == 0 { Value::Null } else { set(&some) }
}

fn changes(dice: &mut Dice) -> Fields {
    let mut changed = Fields::new();
    if dice.roll(2) == 0 {
        changed.insert("gente".to_owned(), people(dice));
    }
    if dice.roll(2) == 0 {
        changed.insert(
            "entero".to_owned(),
            Value::Integer(i64::try_from(dice.roll(3)).expect("small")),
        );
    }
    if dice.roll(3) == 0 {
        let words = [Value::Null, text("abierto"), text("cerrado")];
        changed.insert(
            "estado".to_owned(),
            words[usize::try_from(dice.roll(3)).expect("small")].clone(),
        );
    }
    changed
}

#[tokio::test(flavor = "multi_thread")]
async fn triggers_keep_what_the_rules_say() {
    let setting = Setting::new().await;
    let tipos = setting.schema.collection("tipos").expect("tipos").clone();
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let mut model: BTreeMap<u128, (Fields, RowMeta)> = BTreeMap::new();
    for step in 0..400u32 {
        let id = u128::from(dice.roll(12));
        let writer = match dice.roll(4) {
            0 => StreamId::SQL,
            n => stream(n.into()),
        };
        let time = EditTime { at_us: i64::from(step) * 10, uncertain: dice.roll(4) == 0 };
        let mut write = RowWrite {
            record: record(id),
            kind: WriteKind::Update,
            set: changes(&mut dice),
            touched: Vec::new(),
            time,
        };
        let present = model.get(&id).map(|(_, meta)| meta.deleted.is_some());
        match present {
            None => {
                write.kind = WriteKind::Insert;
                let nothing = tipos.fields.iter().map(|f| (f.name.clone(), Value::Null));
                let mut row: Fields = nothing.collect();
                row.extend(fields([("clave", text(&format!("k{id}"))), ("dia", Value::Date(1))]));
                row.extend(std::mem::take(&mut write.set));
                write.set = row.clone();
                model.insert(id, (row, RowMeta::inserted(writer, time)));
            }
            Some(true) => {
                write.kind = WriteKind::Restore;
                let (row, meta) = model.get_mut(&id).expect("there");
                apply(row, meta, &write, writer);
                meta.deleted = None;
                meta.restored = Some(Restoration { version: meta.version, writer });
            }
            Some(false) if dice.roll(6) == 0 => {
                write.kind = WriteKind::Delete;
                write.set = Fields::new();
                model.get_mut(&id).expect("there").1.record_delete(writer, time);
            }
            Some(false) => {
                let (row, meta) = model.get_mut(&id).expect("there");
                if let (Value::Set(has), false) = (&row["gente"], write.set.contains_key("gente"))
                    && let Some(again) = has.iter().next()
                    && dice.roll(3) == 0
                {
                    write.touched.push(("gente".to_owned(), again.clone()));
                }
                apply(row, meta, &write, writer);
            }
        }
        let mut tx = setting.write(writer).await;
        let version = tx.write_rows(&tipos, std::slice::from_ref(&write)).await.expect("write");
        tx.commit().await.expect("commit");
        let (row, meta) = &model[&id];
        assert_eq!(version, [meta.version], "step {step}: {write:?}");
        let mut tx = setting.write(writer).await;
        let stored =
            tx.rows(&tipos, &[record(id)]).await.expect("rows").remove(&record(id)).expect("there");
        assert_eq!(&stored.fields, row, "step {step}: {write:?}");
        assert_eq!(&stored.meta, meta, "step {step}: {write:?}");
    }
    let mut sql = setting.superuser().await;
    assert_eq!(contradictions(&mut sql, &setting.schema).await, Vec::<String>::new());
}

/// The rules, on the model.
fn apply(row: &mut Fields, meta: &mut RowMeta, write: &RowWrite, writer: StreamId) {
    let before = row.clone();
    let changed = write.set.iter().filter(|(name, new)| before[*name] != **new);
    let changed = changed.map(|(name, new)| (name.as_str(), &before[name], new));
    let touched = write.touched.iter().map(|(field, element)| (field.as_str(), element.as_str()));
    meta.record_update(changed, touched, writer, write.time);
    row.extend(write.set.clone());
}
