//! Three phones and the office, in any interleaving of edits, pushes (also cut ones) and pulls.
//!
//! Beside the row run, with the same operations: a PN counter (two version clocks of the `crdts` crate,
//! which is how its own is made), an observed-remove set and a multi-value register of that crate, one
//! replica for the server and one for each phone. They share no code with the merge. Like the real
//! loop, a phone pulls only when nothing waits.

use std::collections::{BTreeMap, BTreeSet};

use crdts::{CmRDT, CvRDT, Dot, MVReg, Orswot, VClock};
use proptest::collection::vec;
use proptest::prelude::*;
use sync_protocol::merge::{FieldEdit, Verdict};
use sync_protocol::schema::MergeRule;
use sync_protocol::{EditTime, StreamId, Value};

use crate::model::{Phone, Row, text, texts};

const PHONES: usize = 3;
const ELEMENTS: [&str; 3] = ["ana", "luis", "eva"];

#[derive(Debug, Clone)]
enum Change {
    Count(i8),
    Add(usize),
    Remove(usize),
    Measure,
    Write,
}

#[derive(Debug, Clone)]
enum Step {
    Edit(usize, Change),
    /// So many edits arrive; then the connection is lost.
    CutPush(usize, usize),
    /// All edits arrive, and the phone sees the row.
    Sync(usize),
    /// The office writes with plain SQL.
    Office(Change),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        any::<i8>().prop_map(Change::Count),
        (0..ELEMENTS.len()).prop_map(Change::Add),
        (0..ELEMENTS.len()).prop_map(Change::Remove),
        Just(Change::Measure),
        Just(Change::Write),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..PHONES, change()).prop_map(|(phone, change)| Step::Edit(phone, change)),
        2 => (0..PHONES, 1..4usize).prop_map(|(phone, count)| Step::CutPush(phone, count)),
        3 => (0..PHONES).prop_map(Step::Sync),
        1 => change().prop_map(Step::Office),
    ]
}

/// What an operation is to the CRDTs. Those of one phone wait beside its edits, in the same order.
#[derive(Debug, Clone)]
enum Op {
    /// Up (or down), to so many steps of this stream.
    Counter(bool, Dot<StreamId>),
    Set(crdts::orswot::Op<String, StreamId>),
    Register(crdts::mvreg::Op<String, StreamId>),
    Nothing,
}

/// One replica of each CRDT.
#[derive(Debug, Clone, Default)]
struct Replica {
    up: VClock<StreamId>,
    down: VClock<StreamId>,
    set: Orswot<String, StreamId>,
    register: MVReg<String, StreamId>,
}

impl Replica {
    fn apply(&mut self, op: &Op) {
        match op {
            Op::Counter(true, dot) => self.up.apply(*dot),
            Op::Counter(false, dot) => self.down.apply(*dot),
            Op::Set(op) => self.set.apply(op.clone()),
            Op::Register(op) => self.register.apply(op.clone()),
            Op::Nothing => {}
        }
    }

    fn count(&self) -> i64 {
        let sum = |clock: &VClock<StreamId>| clock.iter().map(|dot| dot.counter).sum::<u64>();
        sum(&self.up).cast_signed() - sum(&self.down).cast_signed()
    }

    fn elements(&self) -> BTreeSet<String> {
        self.set.read().val.into_iter().collect()
    }

    fn merge(&mut self, other: &Self) {
        self.up.merge(other.up.clone());
        self.down.merge(other.down.clone());
        self.set.merge(other.set.clone());
        self.register.merge(other.register.clone());
    }
}

struct World {
    row: Row,
    server: Replica,
    phones: Vec<(Phone, Replica, Vec<Op>)>,
    sum: i64,
    now_us: i64,
    /// Elements that somebody removed who had seen only some of their additions. The row keeps the
    /// last addition of a set's element and the newest by somebody else, not all: it may go on
    /// holding such an element when a CRDT has let it go. Never the other way round.
    half_removed: BTreeSet<String>,
}

impl World {
    fn new() -> Self {
        let mut server = Replica::default();
        for element in ["ana", "luis"] {
            let add = server.set.read_ctx().derive_add_ctx(StreamId::SQL);
            server.set.apply(server.set.add(element.to_owned(), add));
        }
        let write = server.register.read_ctx().derive_add_ctx(StreamId::SQL);
        server.register.apply(server.register.write("first".to_owned(), write));
        let phones = (0..PHONES)
            .map(|n| {
                let n = u8::try_from(n).expect("few");
                (Phone::new(n), server.clone(), Vec::new())
            })
            .collect();
        Self {
            row: Row::inserted([
                (MergeRule::Counter, Value::Integer(0)),
                (MergeRule::Set, Value::Set(texts(&["ana", "luis"]))),
                (MergeRule::Review, text("first")),
                (MergeRule::Lww, text("first")),
            ]),
            server,
            phones,
            sum: 0,
            now_us: 0,
            half_removed: BTreeSet::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        self.now_us += 1;
        match step {
            Step::Edit(phone, change) => self.edit(*phone, change),
            Step::CutPush(phone, count) => self.push(*phone, *count),
            Step::Sync(phone) => {
                self.push(*phone, usize::MAX);
                let (phone, replica, _) = &mut self.phones[*phone];
                phone.seen = self.row.meta.version;
                replica.merge(&self.server);
            }
            Step::Office(change) => self.office(change),
        }
        self.check();
    }

    fn edit(&mut self, phone: usize, change: &Change) {
        let (phone, replica, ops) = &mut self.phones[phone];
        let Some((rule, edit, op)) = wish(change, phone.stream, replica, self.now_us) else {
            return;
        };
        replica.apply(&op);
        phone.edit(rule, edit, EditTime::certain(self.now_us));
        ops.push(op);
    }

    /// The office writes what it sees on the server.
    fn office(&mut self, change: &Change) {
        let office = StreamId::SQL;
        let Some((rule, edit, op)) = wish(change, office, &self.server, self.now_us) else {
            return;
        };
        let mut sql = Phone { stream: office, seen: self.row.meta.version, queue: [].into() };
        let edit = sql.edit(rule, edit, EditTime::certain(self.now_us));
        if let Op::Register(_) = op {
            // To the CRDT the office saw only what stands, not what waits for a person.
            assert_eq!(self.row.apply(&edit), Verdict::Applied);
            self.server.apply(&op);
            return;
        }
        self.arrive(&edit, &op);
    }

    fn push(&mut self, phone: usize, count: usize) {
        for _ in 0..count {
            let (phone, _, ops) = &mut self.phones[phone];
            let Some(edit) = phone.queue.pop_front() else { return };
            let op = ops.remove(0);
            self.arrive(&edit, &op);
        }
    }

    fn arrive(&mut self, edit: &crate::model::Edit, op: &Op) {
        let base = edit.base.expect("known");
        assert_eq!(
            self.row.meta.is_concurrent(&edit.field.name, edit.base, edit.stream),
            self.row.was_changed_by_others(&edit.field.name, base, edit.stream),
            "{edit:?}\n{:#?}",
            self.row
        );
        let before = self.server.clone();
        let verdict = self.row.apply(edit);
        match (&edit.edit, op) {
            (FieldEdit::Add(units), _) => self.sum += units,
            (FieldEdit::Elements { remove, .. }, Op::Set(_)) => {
                self.server.apply(op);
                let half = remove.iter().filter(|element| self.is_half(&before, element));
                let half: Vec<String> = half.cloned().collect();
                self.half_removed.extend(half);
                return;
            }
            (_, Op::Register(_)) => {
                let mut with = before.clone();
                with.apply(op);
                let values = with.register.read().val.len();
                // Concurrent to a register: both values are seen. To the row: a person decides.
                assert_eq!(verdict == Verdict::Review, values > 1, "{edit:?}: {verdict:?}");
                if verdict == Verdict::Review {
                    return;
                }
            }
            _ => {}
        }
        self.server.apply(op);
    }

    /// Whether the element is still there, with fewer additions than before.
    fn is_half(&self, before: &Replica, element: &String) -> bool {
        let now = self.server.set.contains(element);
        now.val && now.rm_clock != before.set.contains(element).rm_clock
    }

    fn check(&mut self) {
        assert_eq!(self.row.value(MergeRule::Counter), &Value::Integer(self.sum));
        assert_eq!(self.server.count(), self.sum);
        let Value::Set(ours) = self.row.value(MergeRule::Set) else { panic!("no set") };
        let theirs = self.server.elements();
        let more: BTreeSet<_> = ours.difference(&theirs).cloned().collect();
        let less: BTreeSet<_> = theirs.difference(ours).collect();
        assert!(less.is_empty(), "lost {less:?}\n{:#?}", self.row);
        assert!(more.is_subset(&self.half_removed), "kept {more:?}\n{:#?}", self.row);
        self.half_removed.retain(|element| ours.contains(element));
    }
}

/// What somebody does who sees this replica; nothing where there is nothing to do.
fn wish(
    change: &Change,
    who: StreamId,
    seen: &Replica,
    now_us: i64,
) -> Option<(MergeRule, FieldEdit, Op)> {
    let some = |element: usize| texts(&[ELEMENTS[element]]);
    Some(match change {
        Change::Count(units) => {
            let steps = u64::from(units.unsigned_abs());
            let clock = match units.signum() {
                0 => return None,
                1 => &seen.up,
                _ => &seen.down,
            };
            let op = Op::Counter(*units > 0, Dot::new(who, clock.get(&who) + steps));
            (MergeRule::Counter, FieldEdit::Add(i64::from(*units)), op)
        }
        Change::Add(element) => {
            let add = seen.set.read_ctx().derive_add_ctx(who);
            let op = Op::Set(seen.set.add(ELEMENTS[*element].to_owned(), add));
            let edit = FieldEdit::Elements { add: some(*element), remove: texts(&[]) };
            (MergeRule::Set, edit, op)
        }
        Change::Remove(element) => {
            let name = ELEMENTS[*element].to_owned();
            let there = seen.set.contains(&name);
            if !there.val {
                return None;
            }
            let op = Op::Set(seen.set.rm(name, there.derive_rm_ctx()));
            let edit = FieldEdit::Elements { add: texts(&[]), remove: some(*element) };
            (MergeRule::Set, edit, op)
        }
        Change::Measure => {
            // Each value once: equal values are no conflict.
            let value = format!("measured at {now_us}");
            let write = seen.register.read_ctx().derive_add_ctx(who);
            let op = Op::Register(seen.register.write(value.clone(), write));
            (MergeRule::Review, FieldEdit::Set(Value::Text(value)), op)
        }
        Change::Write => {
            let value = Value::Text(format!("written at {now_us}"));
            (MergeRule::Lww, FieldEdit::Set(value), Op::Nothing)
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_interleaving_agrees_with_the_literature(steps in vec(step(), 1..40)) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.step(step));
        (0..PHONES).for_each(|phone| world.step(&Step::Sync(phone)));
        // Nothing waits: what was counted is what was sent, whoever synced when.
        let mut all = Replica::default();
        world.phones.iter().for_each(|(_, replica, _)| all.merge(replica));
        all.merge(&world.server);
        prop_assert_eq!(all.count(), world.sum);
        prop_assert_eq!(all.elements(), world.server.elements());
    }
}

#[derive(Debug, Clone, Copy)]
struct Write {
    phone: usize,
    at_us: i64,
    uncertain: bool,
}

/// Edits of several streams from one base, of each stream in the order of its own times.
fn writes() -> impl Strategy<Value = Vec<Write>> {
    vec((0..PHONES, 0..4i64, any::<bool>()), 1..12).prop_map(|mut all| {
        all.sort_by_key(|(_, at_us, uncertain)| (!uncertain, *at_us));
        all.into_iter().map(|(phone, at_us, uncertain)| Write { phone, at_us, uncertain }).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Times are often equal here, as they are after clamping: then a stream's later edit counts.
    #[test]
    fn the_last_of_the_certain_edits_stays_however_pushes_interleave(
        writes in writes(),
        turns in vec(0..PHONES, 0..40),
    ) {
        let mut phones: Vec<Phone> = (0u8..).take(PHONES).map(Phone::new).collect();
        let mut winner: BTreeMap<(bool, i64, StreamId), Value> = BTreeMap::new();
        for (position, write) in writes.iter().enumerate() {
            let value = text(&format!("write {position}"));
            let time = EditTime { at_us: write.at_us, uncertain: write.uncertain };
            let phone = &mut phones[write.phone];
            phone.edit(MergeRule::Lww, FieldEdit::Set(value.clone()), time);
            winner.insert((!write.uncertain, write.at_us, phone.stream), value);
        }
        let mut row = Row::inserted([(MergeRule::Lww, text("first"))]);
        for phone in turns.into_iter().chain((0..PHONES).flat_map(|phone| [phone; 12])) {
            if let Some(edit) = phones[phone].queue.pop_front() {
                row.apply(&edit);
            }
        }
        let (_, expected) = winner.last_key_value().expect("at least one");
        prop_assert_eq!(row.value(MergeRule::Lww), expected);
    }
}
