//! Receipts: found again, settled since a position, seen.

use sync_protocol::wire::receipt::{Receipt, ReceiptState};
use sync_protocol::wire::review::Authorship;
use sync_protocol::{DeviceId, ReceiptId, StreamId};
use sync_server::store::{Position, StoredReceipt};

use crate::bench::{Bench, uuid};

pub fn receipt(b: &Bench, state: ReceiptState) -> StoredReceipt {
    StoredReceipt {
        receipt: Receipt {
            id: ReceiptId(uuid()),
            state,
            problem: None,
            mutations: Vec::new(),
            held: false,
            settled_at_us: 1_000,
        },
        stream: b.stream,
        device: DeviceId(uuid()),
        user: b.user,
        by: Authorship {
            user: Some(b.user),
            user_name: Some("Ana".to_owned()),
            device: None,
            device_name: None,
            edited_at_us: 900,
            uncertain: false,
            offline_us: Some(100),
            position: None,
        },
        content_hash: "00".repeat(32),
        replaces: None,
        held: None,
    }
}

pub async fn save(b: &Bench, receipts: &[StoredReceipt]) {
    let mut tx = b.begin().await;
    tx.save_receipts(receipts).await.expect("saved");
    tx.commit().await.expect("a commit");
}

fn ids(receipts: &[Receipt]) -> Vec<ReceiptId> {
    receipts.iter().map(|receipt| receipt.id).collect()
}

/// All that was settled, read two at a time.
pub async fn settled(b: &Bench, stream: StreamId, since: Option<&Position>) -> Vec<Receipt> {
    let mut tx = b.read().await;
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = tx.settled(stream, since, after.as_ref(), 2).await.expect("settled");
        assert!(page.len() <= 2, "more than asked for");
        let Some((key, _)) = page.last() else { return all };
        after = Some(key.clone());
        all.extend(page.into_iter().map(|(_, receipt)| receipt));
    }
}

pub async fn pages_of_receipts_bring_each_once(b: Bench) {
    let stored: Vec<_> = (0..7).map(|_| receipt(&b, ReceiptState::Applied)).collect();
    let before = b.now().await;
    for part in stored.chunks(3) {
        save(&b, part).await;
    }
    for since in [None, Some(&before)] {
        let mut found = ids(&settled(&b, b.stream, since).await);
        assert_eq!(found.len(), 7);
        found.sort();
        let mut expected: Vec<_> = stored.iter().map(|s| s.receipt.id).collect();
        expected.sort();
        assert_eq!(found, expected);
    }
}

pub async fn receipts_are_found_again(b: Bench) {
    let stored: Vec<_> = (0..70).map(|_| receipt(&b, ReceiptState::Applied)).collect();
    save(&b, &stored).await;
    let mut tx = b.begin().await;
    let asked = [stored[3].receipt.id, ReceiptId(uuid()), stored[69].receipt.id];
    let mut found = tx.receipts(&asked).await.expect("receipts");
    found.sort_by_key(|receipt| receipt.receipt.id);
    assert_eq!(found, [stored[3].clone(), stored[69].clone()]);
    drop(tx);
    let one = b.read().await.receipt(stored[3].receipt.id).await.expect("a receipt");
    assert_eq!(one.as_ref(), Some(&stored[3]));
    assert_eq!(b.read().await.receipt(ReceiptId(uuid())).await.expect("none"), None);
}

pub async fn settled_brings_what_changed_since_a_position(b: Bench) {
    let (first, second) = (receipt(&b, ReceiptState::Applied), receipt(&b, ReceiptState::InReview));
    save(&b, std::slice::from_ref(&first)).await;
    let between = b.now().await;
    save(&b, std::slice::from_ref(&second)).await;
    let after = b.now().await;
    let of = async |since| ids(&settled(&b, b.stream, since).await);
    assert_eq!(of(Some(&between)).await, [second.receipt.id]);
    assert_eq!(of(None).await, [first.receipt.id, second.receipt.id]);
    assert!(of(Some(&after)).await.is_empty());

    // Seen ones are not news any more, and seeing is none.
    let mut tx = b.begin().await;
    tx.mark_seen(b.stream, &[first.receipt.id]).await.expect("seen");
    tx.mark_seen(StreamId(uuid()), &[second.receipt.id]).await.expect("not its own");
    tx.commit().await.expect("a commit");
    assert_eq!(of(None).await, [second.receipt.id]);
    assert!(of(Some(&after)).await.is_empty());

    // Another state is.
    let mut decided = first.clone();
    decided.receipt.state = ReceiptState::Superseded;
    save(&b, &[decided.clone()]).await;
    assert_eq!(of(Some(&after)).await, [first.receipt.id]);
    let again = settled(&b, b.stream, Some(&after)).await;
    assert_eq!(again, [decided.receipt]);
    let others = settled(&b, StreamId(uuid()), None).await;
    assert!(others.is_empty(), "another stream's");
}

pub async fn a_streams_author_is_its_newest_receipts(b: Bench) {
    let mut tx = b.begin().await;
    assert_eq!(tx.author_of(b.stream).await.expect("nobody"), None);
    drop(tx);
    save(&b, &[receipt(&b, ReceiptState::Applied)]).await;
    let mut newest = receipt(&b, ReceiptState::Applied);
    newest.by.user_name = Some("Luis".to_owned());
    save(&b, &[newest.clone()]).await;
    let mut tx = b.begin().await;
    assert_eq!(tx.author_of(b.stream).await.expect("an author"), Some(newest.by));
    assert_eq!(tx.author_of(StreamId::SQL).await.expect("nobody"), None);
}
