//! Housekeeping. It works for all companies at once, and other cases run beside these on the same
//! PostgreSQL: what is old here was made before 1970.

use std::collections::BTreeMap;
use std::time::Duration;

use sync_protocol::wire::receipt::{FieldOutcome, MutationOutcome, ReceiptState};
use sync_protocol::{ConflictId, DeviceId, EditTime, Fields, RecordId, Scope, StreamId, Value};
use sync_server::auth::refresh::{NewRefreshToken, Rotation};
use sync_server::housekeeping::round;
use sync_server::store::accounts::Device;
use sync_server::store::{
    BackfillQuery, DeltaQuery, Retention, RowWrite, StoredReceipt, Tidied, WriteKind,
};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, parte, project, record, uuid};
use crate::{receipts, review};

/// Before this everything is old, in microseconds.
const BEFORE_US: i64 = -50;
const OLD_US: i64 = -100;
const NEW_US: i64 = -10;

/// One of these at a time: one's housekeeping would do the other's.
static TURN: Mutex<()> = Mutex::const_new(());

/// Tidies part by part until nothing is left.
async fn tidy(b: &Bench) -> Tidied {
    let retention = Retention {
        tokens_before_us: BEFORE_US,
        receipts_before_us: BEFORE_US,
        tombstones_before_us: BEFORE_US,
        thorough: true,
        rows_max: 3,
    };
    let mut all = Tidied::default();
    loop {
        let part = b.store.tidy(retention).await.expect("tidied");
        all.tokens += part.tokens;
        all.receipts += part.receipts;
        all.tombstones += part.tombstones;
        if !part.more {
            return all;
        }
    }
}

pub async fn expired_tokens_go_and_living_ones_stay(b: Bench) {
    let _turn = TURN.lock().await;
    let device = DeviceId(uuid());
    let phone = Device { id: device, user: b.user, name: None, last_seen_us: 0, revoked: false };
    b.store.register_device(b.tenant, &phone).await.expect("registered");
    let token = |name: &str, expires_at_us: i64| NewRefreshToken {
        hash: format!("{name}{}", uuid().simple()),
        user: b.user,
        device,
        issued_at_us: -1_000,
        expires_at_us,
    };
    let (first, second, third) = (token("a", OLD_US), token("b", NEW_US), token("c", NEW_US));
    let lonely: Vec<_> = (0..7).map(|_| token("x", OLD_US)).collect();
    b.store.start_refresh_family(b.tenant, &first).await.expect("a family");
    for token in &lonely {
        b.store.start_refresh_family(b.tenant, token).await.expect("a family");
    }
    let rotate = async |old: &NewRefreshToken, new: &NewRefreshToken| {
        let rotation = b.store.rotate_refresh(b.tenant, &old.hash, device, new, -500).await;
        rotation.expect("an answer")
    };
    assert_eq!(rotate(&first, &second).await, Rotation::Rotated { user: b.user });
    assert!(tidy(&b).await.tokens >= 8);
    // What was drawn from a token that is gone goes on.
    assert_eq!(rotate(&second, &third).await, Rotation::Rotated { user: b.user });
    assert_eq!(rotate(&first, &token("d", NEW_US)).await, Rotation::Refused);
    for gone in &lonely {
        assert_eq!(rotate(gone, &token("d", NEW_US)).await, Rotation::Refused);
    }
}

pub async fn old_receipts_that_were_seen_lose_their_details_and_no_others(b: Bench) {
    let _turn = TURN.lock().await;
    let make = |state, settled_at_us: i64| {
        let mut stored = receipts::receipt(&b, state);
        stored.receipt.settled_at_us = settled_at_us;
        stored.receipt.mutations = vec![MutationOutcome {
            collection: "partes".to_owned(),
            record: record(),
            version: Some(1),
            fields: BTreeMap::new(),
            row: None,
            alias: None,
            flags: Vec::new(),
        }];
        stored
    };
    let seen: Vec<StoredReceipt> = (0..7).map(|_| make(ReceiptState::Applied, OLD_US)).collect();
    let unseen = make(ReceiptState::Applied, OLD_US);
    let new = make(ReceiptState::Applied, NEW_US);
    let of_conflict = |outcome| {
        let mut stored = make(ReceiptState::Applied, OLD_US);
        stored.receipt.mutations[0].fields.insert("medida".to_owned(), outcome);
        stored
    };
    let conflict = ConflictId(uuid());
    let in_review = of_conflict(FieldOutcome::InReview { conflict, question: None });
    let decided = of_conflict(FieldOutcome::Decided { conflict, kept: true });
    let mut adopted = make(ReceiptState::Applied, OLD_US);
    adopted.receipt.mutations[0].alias = Some(record());
    let echoed = make(ReceiptState::Applied, OLD_US);
    let needed = [new.clone(), in_review, decided, adopted, echoed.clone()];
    let all = [&seen[..], std::slice::from_ref(&unseen), &needed[..]].concat();
    receipts::save(&b, &all).await;
    let ids = |of: &[StoredReceipt]| of.iter().map(|s| s.receipt.id).collect::<Vec<_>>();
    let mut tx = b.begin().await;
    let told = ids(&[&seen[..], &needed[..]].concat());
    tx.echo_receipts(StreamId(uuid()), &[echoed.receipt.id]).await.expect("echoed");
    tx.mark_seen(b.stream, &told).await.expect("seen");
    tx.commit().await.expect("a commit");
    let before = b.now().await;

    assert!(tidy(&b).await.receipts >= 7);
    let mut tx = b.begin().await;
    for stored in &all {
        let kept = tx.receipts(&[stored.receipt.id]).await.expect("receipts").remove(0);
        let mut expected = stored.clone();
        if seen.contains(stored) {
            expected.receipt.mutations.clear();
        }
        assert_eq!(kept, expected, "state, author and content hash stay");
    }
    drop(tx);
    let news = receipts::settled(&b, b.stream, Some(&before)).await;
    assert_eq!(news, [], "that details went is no news for the device");
}

pub async fn old_tombstones_lose_their_content_unless_somebody_decides_about_them(b: Bench) {
    let _turn = TURN.lock().await;
    let obra = b.obra().await;
    let ids: Vec<RecordId> = (0..6).map(|_| record()).collect();
    for (n, id) in ids.iter().enumerate() {
        b.insert("partes", *id, parte(obra, &format!("F{n}"))).await;
    }
    let [live, new, disputed, old @ ..] = &ids[..] else { panic!("six") };
    for (id, at_us) in
        [(new, NEW_US), (disputed, OLD_US)].into_iter().chain(old.iter().map(|id| (id, OLD_US)))
    {
        // Whenever it was made offline: what counts is when the server learned of it.
        let time = EditTime::certain(2 * OLD_US);
        let set = Fields::new();
        let write = RowWrite { record: *id, kind: WriteKind::Delete, set, touched: vec![], time };
        let partes = b.store.schema().collection("partes").expect("declared").clone();
        let mut tx = b.begin().await;
        tx.received_at(at_us);
        tx.write_rows(&partes, &[write]).await.expect("deleted");
        tx.commit().await.expect("a commit");
    }
    review::save(&b, &review::conflict(*disputed, 1)).await;
    let position = b.now().await;
    assert!(tidy(&b).await.tombstones >= 3);
    let folio = async |id: &RecordId| {
        let row = b.row("partes", *id).await.expect("an id is never forgotten");
        (row.fields["folio"].clone(), row.meta.deleted.is_some())
    };
    for (n, id) in ids.iter().enumerate() {
        let content = if old.contains(id) { Value::Null } else { Value::Text(format!("F{n}")) };
        assert_eq!(folio(id).await, (content, id != live), "row {n}");
    }
    // Nothing of it reaches devices, and the id stays used.
    let scopes = [project(obra)];
    let query = DeltaQuery {
        since: &position,
        scopes: &scopes,
        partial: None,
        visible: b.store.schema(),
        after: None,
        limit: 100,
    };
    let changed = b.read().await.delta(query).await.expect("a delta").count;
    assert_eq!(changed, 0, "housekeeping is no change");
    let again = RowWrite {
        record: old[0],
        kind: WriteKind::Insert,
        set: parte(obra, "F9"),
        touched: vec![],
        time: EditTime::certain(0),
    };
    assert!(b.try_one("partes", again).await.is_err());
}

pub async fn a_folded_log_adds_up_as_before(b: Bench) {
    let _turn = TURN.lock().await;
    let obra = b.obra().await;
    for n in 0..9 {
        let id = record();
        b.insert("partes", id, parte(obra, &format!("F{n}"))).await;
        if n % 3 == 0 {
            b.delete("partes", id).await;
        }
    }
    let stopping = CancellationToken::new();
    let done =
        round(&*b.store, Retention::at(0), Duration::ZERO, &stopping).await.expect("a round");
    assert!(!done.more);
    // Another round finds nothing of this company; devices read what they read before.
    let scopes: Vec<Scope> = vec![project(obra)];
    let query = BackfillQuery {
        scopes: &scopes,
        held: &[],
        visible: b.store.schema(),
        after: None,
        limit: 100,
    };
    let rows = b.read().await.backfill(query).await.expect("rows");
    assert_eq!(rows.count, 7, "the project and six reports");
}
