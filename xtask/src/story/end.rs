//! Everybody syncs once more, and all phones are equal.

use serde_json::{Value as Json, json};

use super::company::Company;
use super::device::Device;
use super::evening::stock;
use super::telling::{chapter, check, tell};
use super::{Phones, Result, Stage};

pub fn play(stage: &Stage, phones: &Phones, company: &Company) -> Result {
    chapter("Everybody has the same");
    let Phones { laura, juan, ana, pedro } = phones;
    for phone in [juan, ana, laura] {
        phone.does(&["sync"])?;
        let wall = phone.sees("avance_items", &company.wall, "medida")?;
        check(&format!("{} sees 12.80 m²", phone.owner), &wall, &json!("12.80"))?;
        check("with nothing pending", &phone.counts("pending")?, &json!(0))?;
        check("and no problems", &phone.counts("problems")?, &json!(0))?;
    }

    tell("Juan's and Ana's phones hold the same rows, field by field.");
    let status = juan.quietly(&["status"])?;
    for collection in status["collections"].as_array().into_iter().flatten() {
        let name = collection.as_str().ok_or("a collection without a name")?;
        let rows = content(juan, name)?;
        let count = rows.as_array().map_or(0, Vec::len);
        if count > 0 {
            check(&format!("{name}: {count} equal"), &rows, &content(ana, name)?)?;
        } else if content(ana, name)? != rows {
            return Err(format!("Ana has rows in {name}, Juan has none").into());
        }
    }

    tell("Each edit has a receipt that says what became of it.");
    let states = |phone: &Device| -> Result<Json> {
        let receipts = phone.quietly(&["receipts"])?;
        Ok(receipts.as_array().into_iter().flatten().map(|r| r["state"].clone()).collect())
    };
    check(
        "Ana's are applied, the measure by decision",
        &states(ana)?,
        &json!(["applied", "applied", "applied", "applied"]),
    )?;

    tell(
        "Pedro, the warehouse keeper, takes a new phone: it fetches his store, and not the project.",
    );
    pedro.logs_in(&company.server, "Pedro's phone")?;
    pedro.does(&["sync"])?;
    let (claim, left) = stock(company);
    check(&claim, &pedro.sees("existencias", &company.cement, "cantidad")?, &left)?;
    check("no project is on his phone", &pedro.quietly(&["list", "proyectos"])?, &json!([]))?;

    if stage.database.has_sql() {
        let sql =
            format!("SELECT medida FROM construccion.avance_items WHERE id = '{}'", company.wall);
        let wall = stage.database.office_sql(&sql)?;
        check("and the ERP reads the decision with SQL", &json!(wall), &json!("12.80"))?;
    }
    tell("Two phones without signal, one truth.");
    Ok(())
}

/// The rows of a collection without what belongs to the phone.
fn content(phone: &Device, collection: &str) -> Result<Json> {
    let mut rows = phone.quietly(&["list", collection])?;
    for row in rows.as_array_mut().into_iter().flatten().filter_map(Json::as_object_mut) {
        row.remove("_pending");
    }
    Ok(rows)
}
