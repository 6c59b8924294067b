//! On site, without signal: both phones are edited, nobody syncs.

use serde_json::json;

use super::company::Company;
use super::device::Device;
use super::telling::{chapter, check, tell};
use super::{Phones, Result};

pub fn play(phones: &Phones, company: &Company) -> Result {
    chapter("On site, without signal");
    tell("Juan writes the report's summary, takes 3 bags of cement, and measures the wall: 12.50.");
    let juan = &phones.juan;
    juan.puts(
        "avances",
        &json!({ "id": company.report, "resumen": "Muro norte terminado", "avance_pct": 40,
                 "cuadrilla": ["Juan", "Beto"] }),
    )?;
    juan.puts("existencias", &json!({ "id": company.cement, "cantidad": "117.000" }))?;
    juan.puts("avance_items", &json!({ "id": company.wall, "medida": "12.50" }))?;
    keeps(juan, company, "12.50", "117.000")?;

    tell("Ana notes weather and hours in the same report, takes 5 bags, and measures 12.80.");
    let ana = &phones.ana;
    ana.puts(
        "avances",
        &json!({ "id": company.report, "clima": "lluvia", "horas": "7.50",
                 "cuadrilla": ["Ana", "Chucho"] }),
    )?;
    ana.puts("existencias", &json!({ "id": company.cement, "cantidad": "115.000" }))?;
    ana.puts("avance_items", &json!({ "id": company.wall, "medida": "12.80" }))?;
    keeps(ana, company, "12.80", "115.000")?;

    tell("The office knows nothing of it yet.");
    let laura = &phones.laura;
    laura.does(&["sync"])?;
    let wall = laura.sees("avance_items", &company.wall, "medida")?;
    check("Laura still sees 12.00 m²", &wall, &json!("12.00"))
}

/// The phone shows its own edits at once, and says that they wait.
fn keeps(phone: &Device, company: &Company, wall: &str, cement: &str) -> Result {
    let owner = phone.owner;
    let sees = phone.sees("avance_items", &company.wall, "medida")?;
    check(&format!("{owner} sees {wall} m² at once"), &sees, &json!(wall))?;
    let sees = phone.sees("existencias", &company.cement, "cantidad")?;
    check(&format!("{owner} sees {cement} bags"), &sees, &json!(cement))?;
    let pending = phone.does(&["pending"])?;
    let states: Vec<&str> =
        pending.as_array().into_iter().flatten().filter_map(|r| r["state"].as_str()).collect();
    check(
        &format!("{owner}'s 3 edits wait"),
        &json!(states),
        &json!(["waiting", "waiting", "waiting"]),
    )
}
