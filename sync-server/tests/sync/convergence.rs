//! Any interleaving of phones' edits and pulls converges, and receipts in are outcomes out.

use std::collections::BTreeMap;

use serde_json::json;
use sync_protocol::wire::push::{ElementsEdit, Mutation, Transaction};
use sync_protocol::wire::receipt::{Receipt, ReceiptState};
use sync_protocol::{EditTime, ReceiptId, RecordId, Scope};

use crate::company::{Company, Phone};
use crate::mutations::{add, delete, insert, update};
use crate::on_every_store;

/// Numbers from a seed (SplitMix64, Steele et al. 2014), so that a failure can be played again.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap_or(0)
    }
}

on_every_store!(any_interleaving_converges);
async fn any_interleaving_converges(company: Company) {
    for seed in 1..=6 {
        play(&company, seed).await;
    }
}

async fn play(company: &Company, seed: u64) {
    let mut draw = Draw(seed);
    let project = company.id();
    let warehouse = company.id();
    let permissions =
        ["project:read", "project:write", "stock:read", "stock:write", "catalog:write"];
    let mut phones = Vec::new();
    for n in 0..3 {
        let phone = company.phone(&format!("p{n}-{seed}"), &permissions).await;
        company.grant(&phone, Scope::entity("project", project.0)).await;
        company.grant(&phone, Scope::entity("warehouse", warehouse.0)).await;
        phones.push(phone);
    }
    let (article, stock) = (company.id(), company.id());
    let made = phones[0].transaction(vec![
        insert("proyectos", project, json!({ "nombre": "Torre" })),
        insert("almacenes", warehouse, json!({ "nombre": "Central" })),
        insert("articulos", article, json!({ "codigo": format!("A{seed}"), "nombre": "Clavo" })),
        insert("existencias", stock, json!({ "almacen_id": warehouse, "articulo_id": article })),
    ]);
    assert_eq!(phones[0].push(vec![made]).await[0].state, ReceiptState::Applied);

    let mut reports: Vec<RecordId> = Vec::new();
    let mut taken = 0_i64;
    let mut receipts: BTreeMap<ReceiptId, Receipt> = BTreeMap::new();
    let mut lost: Vec<(usize, Transaction)> = Vec::new();
    for step in 0..120 {
        company.advance(1_000);
        let who = draw.below(phones.len());
        if draw.below(3) == 0 {
            let (rows, pages) = (1 + draw.below(5), 1 + draw.below(4));
            phones[who].pull_some(rows, pages).await;
            continue;
        }
        let (mutation, amount) =
            edit(company, &phones[who], &mut draw, (project, stock), &mut reports, step);
        let mut transaction = phones[who].transaction(vec![mutation]);
        // Phones' clocks differ by some steps.
        let drift = i64::try_from(draw.below(6)).unwrap_or(0) * 1_000;
        transaction.edited =
            EditTime { at_us: transaction.edited.at_us - drift, uncertain: draw.below(8) == 0 };
        let mut batch = vec![transaction.clone()];
        // Answers that were lost before are asked for again, in front.
        while let Some(at) = lost.iter().position(|(phone, _)| *phone == who) {
            batch.insert(0, lost.remove(at).1);
        }
        for receipt in phones[who].push(batch).await {
            if let Some(known) = receipts.get(&receipt.id) {
                assert_eq!(*known, receipt, "seed {seed}: one transaction, one receipt");
            } else if receipt.state == ReceiptState::Applied {
                taken += amount;
            }
            receipts.insert(receipt.id, receipt);
        }
        if draw.below(3) == 0 {
            lost.push((who, transaction));
        }
    }
    for phone in &mut phones {
        // A delta that was cut needs a second round for its checkpoint.
        phone.pull(7).await;
        phone.pull(1_000).await;
    }
    let first = phones[0].content();
    assert!(first.len() > 4, "seed {seed}: something happened");
    for phone in &phones[1..] {
        assert_eq!(phone.content(), first, "seed {seed}: phones differ");
    }
    let expected = json!(format!("{taken}.000"));
    assert_eq!(phones[0].value("existencias", stock, "cantidad"), expected, "seed {seed}");
    let mut store = company.store.read(company.tenant).await.expect("read");
    for (id, receipt) in &receipts {
        let stored = store.receipt(*id).await.expect("read").expect("kept");
        assert_eq!(stored.receipt.state, receipt.state, "seed {seed}");
        let teller = phones.iter().filter(|phone| phone.settled.contains_key(id)).count();
        assert_eq!(teller, 1, "seed {seed}: told to its own phone, and to no other");
    }
}

/// Draws an edit; answers with it how much it adds to the stock.
fn edit(
    company: &Company,
    phone: &Phone<'_>,
    draw: &mut Draw,
    (project, stock): (RecordId, RecordId),
    reports: &mut Vec<RecordId>,
    step: usize,
) -> (Mutation, i64) {
    let kind = draw.below(8);
    if kind < 2 || reports.is_empty() {
        let id = company.id();
        reports.push(id);
        let set = json!({ "proyecto_id": project, "fecha": "2026-11-24",
            "cuadrilla": [format!("w{}", draw.below(4))] });
        return (insert("avances", id, set), 0);
    }
    if kind == 2 {
        let amount = i64::try_from(draw.below(9)).unwrap_or(0) - 4;
        return (add("existencias", stock, "cantidad", &amount.to_string()), amount);
    }
    let report = reports[draw.below(reports.len())];
    // What the phone saw last, which may be old, or nothing.
    let base = phone.rows.get(&("avances".to_owned(), report)).map_or(0, |held| held.version);
    let mutation = match kind {
        3 => update("avances", report, json!({ "resumen": format!("{step}") }), base),
        4 => update("avances", report, json!({ "avance_pct": draw.below(101) }), base),
        5 => update("avances", report, json!({ "horas": format!("{}", draw.below(9)) }), base),
        6 => {
            let mut edit = update("avances", report, json!({}), base);
            let worker = |draw: &mut Draw| format!("w{}", draw.below(4));
            let elements = ElementsEdit { add: vec![worker(draw)], remove: vec![worker(draw)] };
            edit.elements.insert("cuadrilla".to_owned(), elements);
            edit.base.insert("cuadrilla".to_owned(), base);
            edit
        }
        _ => delete("avances", report, base),
    };
    (mutation, 0)
}
