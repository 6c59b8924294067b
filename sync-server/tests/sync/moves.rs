//! Rows that move between scopes, and scopes that come and go, while phones are away.

use serde_json::json;
use sync_protocol::wire::receipt::ReceiptState;
use sync_protocol::{RecordId, Scope};

use crate::company::{Company, Phone};
use crate::mutations::{insert, update};
use crate::on_every_store;

/// Somebody in the office who holds three projects, and the projects.
async fn office(company: &Company) -> (Phone<'_>, [RecordId; 3]) {
    let office = company.phone("oficina", &["project:read", "project:write", "stock:read"]).await;
    let projects = [company.id(), company.id(), company.id()];
    for project in projects {
        let set = json!({ "nombre": "Obra" });
        office.edit(insert("proyectos", project, set), ReceiptState::Applied).await;
    }
    (office, projects)
}

fn scope(project: RecordId) -> Scope {
    Scope::entity("project", project.0)
}

async fn holder<'a>(company: &'a Company, login: &str, projects: &[RecordId]) -> Phone<'a> {
    let mut phone = company.phone(login, &["project:read", "project:write"]).await;
    for project in projects {
        company.grant(&phone, scope(*project)).await;
    }
    phone.pull(100).await;
    phone
}

fn has(phone: &Phone<'_>, collection: &str, id: RecordId) -> bool {
    phone.rows.contains_key(&(collection.to_owned(), id))
}

on_every_store!(a_chain_of_moves_leaves_exactly_those_who_may_not_see_the_row);
async fn a_chain_of_moves_leaves_exactly_those_who_may_not_see_the_row(company: Company) {
    let (office, [s1, s2, s3]) = office(&company).await;
    let (report, item) = (company.id(), company.id());
    let set = json!({ "proyecto_id": s1, "fecha": "2026-11-24" });
    office.edit(insert("avances", report, set), ReceiptState::Applied).await;
    let set = json!({ "avance_id": report, "concepto": "Muro", "medida": "5" });
    office.edit(insert("avance_items", item, set), ReceiptState::Applied).await;
    let mut phones = Vec::new();
    for (login, held) in [
        ("a", vec![s1]),
        ("b", vec![s2]),
        ("c", vec![s3]),
        ("ab", vec![s1, s2]),
        ("ac", vec![s1, s3]),
        ("none", vec![]),
    ] {
        phones.push((holder(&company, login, &held).await, held));
    }
    for (phone, held) in &phones {
        assert_eq!(has(phone, "avances", report), held.contains(&s1));
        assert_eq!(has(phone, "avance_items", item), held.contains(&s1), "the child is with it");
    }
    // While everybody is offline it moves on twice; its items follow.
    for (version, to) in [(1, s2), (2, s3)] {
        let moved = update("avances", report, json!({ "proyecto_id": to }), version);
        office.edit(moved, ReceiptState::Applied).await;
    }
    for (phone, held) in &mut phones {
        phone.pull(1).await;
        let sees = held.contains(&s3);
        assert_eq!(has(phone, "avances", report), sees, "{}", phone.caller.user_name);
        assert_eq!(has(phone, "avance_items", item), sees, "{}", phone.caller.user_name);
    }
    // It leaves and returns between two pulls: nothing is missing, nothing is left.
    for (version, to) in [(3, s1), (4, s3)] {
        let moved = update("avances", report, json!({ "proyecto_id": to }), version);
        office.edit(moved, ReceiptState::Applied).await;
    }
    for (phone, held) in &mut phones {
        phone.pull(1).await;
        assert_eq!(has(phone, "avances", report), held.contains(&s3));
        if held.contains(&s3) {
            assert_eq!(phone.version("avances", report), 5);
        }
    }
}

on_every_store!(a_row_in_two_scopes_leaves_when_the_last_is_lost);
async fn a_row_in_two_scopes_leaves_when_the_last_is_lost(company: Company) {
    let till = company.phone("till", &["sale:read", "sale:write", "catalog:write"]).await;
    let (branch, sale) = (company.id(), company.id());
    let shop = json!({ "nombre": "Centro" });
    till.edit(insert("sucursales", branch, shop), ReceiptState::Applied).await;
    let mut juan = company.phone("juan", &["sale:read", "sale:write"]).await;
    let (of_branch, own) =
        (Scope::entity("branch", branch.0), Scope::entity("user", juan.caller.user.0));
    company.grant(&juan, of_branch.clone()).await;
    let set = json!({ "sucursal_id": branch, "vendedor_id": juan.caller.user, "folio": "F1",
                      "momento": "2026-11-24T14:00:00.000000Z", "total": "10.00" });
    till.edit(insert("ventas", sale, set), ReceiptState::Applied).await;
    juan.pull(10).await;
    let held = &juan.rows[&("ventas".to_owned(), sale)].scopes;
    assert_eq!(held, &[of_branch.clone(), own.clone()]);
    company.store.revoke(company.tenant, juan.caller.user, &of_branch).await.expect("revoked");
    juan.pull(10).await;
    assert!(has(&juan, "ventas", sale), "it is his own as well");
    assert!(!has(&juan, "sucursales", branch));
    company.store.revoke(company.tenant, juan.caller.user, &own).await.expect("revoked");
    juan.pull(10).await;
    assert!(juan.rows.is_empty());
    // And all of it comes back, however old.
    company.grant(&juan, own).await;
    juan.pull(10).await;
    assert!(has(&juan, "ventas", sale));
}

on_every_store!(a_permission_that_changes_acts_like_a_grant_though_no_row_changes);
async fn a_permission_that_changes_acts_like_a_grant_though_no_row_changes(company: Company) {
    let seller = &["sale:read", "sale:write"];
    let office = company
        .phone("oficina", &["sale:read", "sale:write", "catalog:write", "cost:read", "cost:write"])
        .await;
    let product = company.id();
    let set = json!({ "sku": "V1", "nombre": "Vidrio", "costo": "12.50" });
    office.edit(insert("productos", product, set), ReceiptState::Applied).await;
    let mut ana = company.phone("ana", seller).await;
    ana.pull(10).await;
    let fields = |phone: &Phone<'_>| phone.rows[&("productos".to_owned(), product)].fields.clone();
    assert!(!fields(&ana).contains_key("costo"), "a field that she may not read does not come");
    // The token says otherwise from now on; nothing else did.
    ana.caller.permissions.insert("cost:read".to_owned());
    let refused = ana.try_pull(10, usize::MAX).await.expect_err("another visibility");
    assert_eq!(refused.code, "cursor_visibility_changed");
    ana.cursor = None;
    ana.pull(10).await;
    assert_eq!(fields(&ana)["costo"], json!("12.50"));
    ana.caller.permissions.remove("sale:read");
    let refused = ana.try_pull(10, usize::MAX).await.expect_err("another visibility");
    assert_eq!(refused.code, "cursor_visibility_changed");
    let mut again = ana.again(&company);
    again.caller.permissions.clear();
    again.pull(10).await;
    assert!(again.rows.is_empty(), "a collection that she may not read does not come");
}
