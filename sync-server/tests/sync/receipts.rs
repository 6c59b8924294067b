//! Every edit takes effect exactly once and has one true receipt (DESIGN I1, I2).

use serde_json::json;
use sync_protocol::PushId;
use sync_protocol::wire::push::{PushMark, Transaction};
use sync_protocol::wire::receipt::ReceiptState;

use crate::company::Company;
use crate::mutations::{add, insert};
use crate::on_every_store;

on_every_store!(a_lost_answer_is_not_applied_twice);
async fn a_lost_answer_is_not_applied_twice(company: Company) {
    let (mut pedro, stock) = warehouse(&company).await;
    let take = pedro.transaction(vec![add("existencias", stock, "cantidad", "-3")]);
    let first = pedro.push(vec![take.clone()]).await;
    // The answer is lost; the same comes again, alone and twice in one push.
    let again = pedro.push(vec![take.clone()]).await;
    assert_eq!(first, again);
    pedro.push(vec![take.clone(), take.clone()]).await;
    pedro.pull(100).await;
    assert_eq!(pedro.value("existencias", stock, "cantidad"), json!("7.000"));
    assert_eq!(pedro.settled[&take.id], first[0]);
}

on_every_store!(repetitions_within_a_push_are_answered_together);
async fn repetitions_within_a_push_are_answered_together(company: Company) {
    let (mut pedro, stock) = warehouse(&company).await;
    let take = pedro.transaction(vec![add("existencias", stock, "cantidad", "-3")]);
    let other = Transaction {
        mutations: vec![add("existencias", stock, "cantidad", "-4")],
        ..take.clone()
    };
    let more = pedro.transaction(vec![add("existencias", stock, "cantidad", "-1")]);
    let mut all = vec![take.clone(), other.clone()];
    for _ in 0..100 {
        all.extend([more.clone(), other.clone(), take.clone()]);
    }
    let before = company.clock.reads();
    let receipts = pedro.push(all.clone()).await;
    let reads = company.clock.reads() - before;
    // Two chunks, and one database transaction for all that is repeated.
    assert!(reads < 10, "{reads} readings of the clock");
    for (transaction, receipt) in all.iter().zip(&receipts) {
        assert_eq!(receipt.id, transaction.id);
        if *transaction == other {
            assert_eq!(receipt.problem.as_ref().expect("a problem").code, "receipt_reused");
        } else {
            assert_eq!(receipt.state, ReceiptState::Applied, "{receipt:?}");
        }
    }
    assert_eq!(pedro.push(vec![take.clone()]).await[0], receipts[0]);
    pedro.pull(100).await;
    assert_eq!(pedro.value("existencias", stock, "cantidad"), json!("6.000"));
    assert_eq!(pedro.settled[&take.id], receipts[0]);
}

on_every_store!(a_repetition_of_what_has_to_come_again_is_told_the_same);
async fn a_repetition_of_what_has_to_come_again_is_told_the_same(company: Company) {
    let (mut pedro, stock) = warehouse(&company).await;
    let bad = pedro.transaction(vec![add("existencias", stock, "cantidad", "much")]);
    let mut heir = pedro.transaction(vec![add("existencias", stock, "cantidad", "-1")]);
    heir.builds_on = vec![bad.id];
    let receipts = pedro.push(vec![bad, heir.clone(), heir.clone(), heir.clone()]).await;
    assert_eq!(receipts[0].state, ReceiptState::Refused);
    assert_eq!(receipts[1].state, ReceiptState::Parked);
    assert_eq!(receipts[1..3], receipts[2..]);
    // Nothing of it is kept: without what it builds on it goes through.
    heir.builds_on.clear();
    assert_eq!(pedro.push(vec![heir]).await[0].state, ReceiptState::Applied);
    pedro.pull(100).await;
    assert_eq!(pedro.value("existencias", stock, "cantidad"), json!("9.000"));
}

on_every_store!(the_same_id_with_other_content_is_refused_and_changes_nothing);
async fn the_same_id_with_other_content_is_refused_and_changes_nothing(company: Company) {
    let (mut pedro, stock) = warehouse(&company).await;
    let take = pedro.transaction(vec![add("existencias", stock, "cantidad", "-3")]);
    pedro.push(vec![take.clone()]).await;
    let mut other = take.clone();
    other.mutations = vec![add("existencias", stock, "cantidad", "-4")];
    let refused = pedro.push(vec![other]).await.remove(0);
    assert_eq!(refused.problem.expect("a problem").code, "receipt_reused");
    pedro.pull(100).await;
    assert_eq!(pedro.value("existencias", stock, "cantidad"), json!("7.000"));
    assert_eq!(pedro.settled[&take.id].state, ReceiptState::Applied, "the true one stays");
}

on_every_store!(receipts_come_with_the_rows_that_they_changed);
async fn receipts_come_with_the_rows_that_they_changed(company: Company) {
    let (mut pedro, stock) = warehouse(&company).await;
    pedro.pull(100).await;
    let take = pedro.transaction(vec![add("existencias", stock, "cantidad", "-1")]);
    pedro.push(vec![take.clone()]).await;
    assert!(!pedro.settled.contains_key(&take.id));
    pedro.pull(100).await;
    assert_eq!(
        pedro.settled[&take.id].mutations[0].version,
        Some(pedro.version("existencias", stock))
    );
}

on_every_store!(one_transaction_from_two_copies_of_a_phone_takes_effect_once);
async fn one_transaction_from_two_copies_of_a_phone_takes_effect_once(company: Company) {
    let (mut pedro, stock) = warehouse(&company).await;
    let mut copy = company.phone("copy", &[]).await;
    copy.caller = pedro.caller.clone();
    copy.caller.device = Some(sync_protocol::DeviceId(uuid::Uuid::new_v4()));
    copy.stream = pedro.stream;
    let take = pedro.transaction(vec![add("existencias", stock, "cantidad", "-3")]);
    let both = [vec![take.clone()], vec![take.clone()]];
    let [one, other] = both;
    let (one, other) = tokio::join!(pedro.push(one), copy.push(other));
    assert_eq!(one[0].state, ReceiptState::Applied);
    assert_eq!(other[0].state, ReceiptState::Applied);
    pedro.pull(100).await;
    assert_eq!(pedro.value("existencias", stock, "cantidad"), json!("7.000"));
}

on_every_store!(somebody_elses_stream_is_refused);
async fn somebody_elses_stream_is_refused(company: Company) {
    let (pedro, stock) = warehouse(&company).await;
    let mut ana = company.phone("ana", &["stock:read", "stock:write"]).await;
    let take = ana.transaction(vec![add("existencias", stock, "cantidad", "-3")]);
    ana.stream = pedro.stream;
    let refused = ana.try_pull(100, usize::MAX).await.expect_err("his receipts");
    assert_eq!(refused.code, "stream_foreign");
    // The stream in which a supervisor's decisions are recorded is no device's either.
    let decisions = uuid::Builder::from_custom_bytes(pedro.caller.user.0.into_bytes()).into_uuid();
    let decisions = sync_protocol::StreamId(decisions);
    for stream in [pedro.stream, sync_protocol::StreamId::SQL, decisions] {
        ana.stream = stream;
        let refused = ana.try_push(vec![take.clone()]).await.expect_err("foreign");
        assert_eq!(refused.code, "stream_foreign");
    }
}

on_every_store!(a_copied_database_is_told_the_outcomes_that_its_original_got);
async fn a_copied_database_is_told_the_outcomes_that_its_original_got(company: Company) {
    let (mut pedro, stock) = warehouse(&company).await;
    pedro.pull(100).await;
    let mut copy = company.phone("copy", &[]).await;
    copy.caller = pedro.caller.clone();
    copy.pull(100).await;
    let take = pedro.transaction(vec![add("existencias", stock, "cantidad", "-3")]);
    let first = pedro.push(vec![take.clone()]).await;
    // The copy corrects the time by itself.
    let mut again = take.clone();
    again.edited.at_us += 1_000;
    assert_eq!(copy.push(vec![again.clone()]).await, first);
    copy.pull(100).await;
    assert_eq!(copy.settled[&take.id], first[0]);
    assert_eq!(copy.value("existencias", stock, "cantidad"), json!("7.000"));
    // The same from the copy first.
    let give = pedro.transaction(vec![add("existencias", stock, "cantidad", "2")]);
    copy.push(vec![give.clone()]).await;
    pedro.push(vec![give.clone()]).await;
    pedro.pull(100).await;
    assert_eq!(pedro.settled[&give.id].state, ReceiptState::Applied);
    // It is nobody else's.
    let mut ana = company.phone("ana", &["stock:read", "stock:write"]).await;
    let refused = ana.push(vec![again]).await.remove(0);
    assert_eq!(refused.problem.expect("a problem").code, "receipt_reused");
    ana.pull(100).await;
    assert!(ana.settled.is_empty());
}

on_every_store!(a_push_that_does_not_know_the_streams_last_one_changes_nothing);
async fn a_push_that_does_not_know_the_streams_last_one_changes_nothing(company: Company) {
    let (mut pedro, stock) = warehouse(&company).await;
    let [first, second, third, other] = [1, 2, 3, 4].map(|n| PushId(uuid::Uuid::from_u128(n)));
    let one = pedro.transaction(vec![add("existencias", stock, "cantidad", "-1")]);
    let take = || {
        let id = sync_protocol::ReceiptId(uuid::Uuid::new_v4());
        vec![Transaction { id, ..one.clone() }]
    };
    let mark = |id, after: &[PushId]| Some(PushMark { id, after: after.to_vec() });
    pedro.try_push_as(take(), mark(first, &[])).await.expect("the stream's first mark");
    // The answer was lost: both attempts may have been the last.
    pedro.try_push_as(take(), mark(second, &[first])).await.expect("it follows");
    pedro.try_push_as(take(), mark(second, &[first])).await.expect("the same attempt again");
    let foreign = take();
    let refused =
        pedro.try_push_as(foreign.clone(), mark(other, &[first])).await.expect_err("a copy");
    assert_eq!((refused.status, refused.code.as_str()), (409, "stream_moved"));
    assert_eq!(refused.more["last_push"], json!(second.to_string()));
    pedro.try_push_as(take(), mark(third, &[first, second])).await.expect("it follows");
    pedro.pull(100).await;
    assert_eq!(pedro.value("existencias", stock, "cantidad"), json!("6.000"));
    assert!(!pedro.settled.contains_key(&foreign[0].id));
    let many: Vec<PushId> = vec![first; sync_protocol::limits::PUSH_AFTER_MAX + 1];
    let refused = pedro.try_push_as(take(), mark(other, &many)).await.expect_err("too many");
    assert_eq!(refused.code, "too_many_attempts");
}

on_every_store!(what_is_withdrawn_has_no_effect_if_it_arrives_after_all);
async fn what_is_withdrawn_has_no_effect_if_it_arrives_after_all(company: Company) {
    let (mut pedro, stock) = warehouse(&company).await;
    let [early, late] =
        [(), ()].map(|()| pedro.transaction(vec![add("existencias", stock, "cantidad", "-3")]));
    let applied = pedro.push(vec![early.clone()]).await.remove(0);
    let first = pedro.withdraw(&[early.id, late.id, late.id]).await;
    assert_eq!(first[0], applied, "it was too late");
    assert_eq!((first[1].state, first[1].id), (ReceiptState::Discarded, late.id));
    assert_eq!(first[1], first[2]);
    // The answer is lost, and the transaction was on its way all the time.
    assert_eq!(pedro.withdraw(&[late.id]).await[0], first[1]);
    assert_eq!(pedro.push(vec![late.clone()]).await[0], first[1]);
    pedro.pull(100).await;
    assert_eq!(pedro.value("existencias", stock, "cantidad"), json!("7.000"));
    assert_eq!(pedro.settled[&late.id].state, ReceiptState::Discarded);
    // What builds on it is not held up by it.
    let mut heir = pedro.transaction(vec![add("existencias", stock, "cantidad", "-1")]);
    heir.builds_on = vec![late.id];
    assert_eq!(pedro.push(vec![heir]).await[0].state, ReceiptState::Applied);
    // Nobody takes back what is somebody else's.
    let ana = company.phone("ana", &["stock:read", "stock:write"]).await;
    let refused = ana.withdraw(&[early.id]).await.remove(0);
    assert_eq!(refused.problem.expect("a problem").code, "receipt_reused");
}

/// A warehouse keeper with 10 pieces of one article.
async fn warehouse(company: &Company) -> (crate::company::Phone<'_>, sync_protocol::RecordId) {
    let pedro = company.phone("pedro", &["stock:read", "stock:write", "catalog:write"]).await;
    let [almacen, articulo, stock] = [company.id(), company.id(), company.id()];
    let receipts = pedro
        .push(vec![pedro.transaction(vec![
            insert("almacenes", almacen, json!({ "nombre": "Central" })),
            insert("articulos", articulo, json!({ "codigo": "A1", "nombre": "Clavo" })),
            insert(
                "existencias",
                stock,
                json!({ "almacen_id": almacen, "articulo_id": articulo, "cantidad": "10" }),
            ),
        ])])
        .await;
    assert_eq!(receipts[0].state, ReceiptState::Applied, "{receipts:?}");
    (pedro, stock)
}
