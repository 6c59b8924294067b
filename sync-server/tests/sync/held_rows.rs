//! Rows that another session of PostgreSQL holds for long: only what needs them waits.

use serde_json::json;
use sync_protocol::wire::receipt::{Receipt, ReceiptState};

use crate::company::Company;
use crate::mutations::{insert, update};
use crate::psql::psql;

/// What came of a transaction: its problem's code, or its state.
fn outcome(receipt: &Receipt) -> String {
    match &receipt.problem {
        Some(problem) => problem.code.clone(),
        None => format!("{:?}", receipt.state),
    }
}

#[tokio::test]
async fn a_row_held_in_psql_delays_only_what_needs_it() {
    let company = Company::new(crate::company::postgres().await).await;
    let project = company.id();
    let permissions =
        ["project:read", "project:write", "stock:read", "stock:write", "catalog:write"];
    let juan = company.phone("juan", &permissions).await;
    juan.edit(insert("proyectos", project, json!({ "nombre": "Torre" })), ReceiptState::Applied)
        .await;
    let reports: Vec<_> = (0..20).map(|_| company.id()).collect();
    for (day, id) in reports.iter().enumerate() {
        let fecha = format!("2026-01-{:02}", day + 1);
        let set = json!({ "proyecto_id": project, "fecha": fecha });
        juan.edit(insert("avances", *id, set), ReceiptState::Applied).await;
    }
    let (held, heir) = (reports[7], reports[19]);
    let tenant = company.tenant;
    let taken = company.id();
    // Other tests' tenants have rows of the same ids.
    let mut psql = psql(&[
        format!(
            "SELECT 1 FROM construccion.avances \
             WHERE tenant_id = '{tenant}' AND id = '{held}' FOR UPDATE"
        ),
        format!(
            "INSERT INTO almacen.articulos (tenant_id, id, codigo, nombre) \
             VALUES ('{tenant}', '{taken}', 'C-1', 'Clavo')"
        ),
    ])
    .await;

    let note = |id, text: &str| {
        juan.transaction(vec![update("avances", id, json!({ "resumen": text }), 1)])
    };
    let article = |code: &str| {
        let set = json!({ "codigo": code, "nombre": "Clavo" });
        juan.transaction(vec![insert("articulos", company.id(), set)])
    };
    // One for each report but the last, which gets an edit that builds on the held one's.
    let mut all: Vec<_> = reports[..19].iter().map(|id| note(*id, "a")).collect();
    let mut builds_on_it = note(heir, "a");
    builds_on_it.builds_on = vec![all[7].id];
    // Does not say so, but may not overtake either.
    let after_it = note(held, "b");
    all.extend([builds_on_it, after_it, article("C-1"), article("C-2")]);
    let receipts = juan.push(all.clone()).await;
    let outcomes: Vec<String> = receipts.iter().map(outcome).collect();
    let mut expected = vec!["Applied".to_owned(); 23];
    expected[7] = "busy".to_owned();
    expected[19] = "builds_on_busy".to_owned();
    expected[20] = "busy".to_owned();
    expected[21] = "busy".to_owned();
    assert_eq!(outcomes, expected);
    for receipt in receipts.iter().filter(|receipt| receipt.problem.is_some()) {
        let problem = receipt.problem.as_ref().expect("a problem");
        assert!(problem.retryable && receipt.state == ReceiptState::Parked, "{receipt:?}");
    }

    sqlx::raw_sql("COMMIT").execute(&mut psql).await.expect("psql");
    let again = [7, 19, 20, 21].map(|n: usize| all[n].clone());
    let outcomes: Vec<String> = juan.push(again.to_vec()).await.iter().map(outcome).collect();
    assert_eq!(outcomes, ["Applied", "Applied", "Applied", "duplicate_key"]);
}
