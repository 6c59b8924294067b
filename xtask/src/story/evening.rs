//! Evening, with signal again: both phones sync. What can be merged is, one thing cannot.

use serde_json::{Value as Json, json};

use super::company::{Company, DELIVERY};
use super::telling::{chapter, check, tell};
use super::{Phones, Result};

pub fn play(phones: &Phones, company: &Company) -> Result {
    chapter("Evening, with signal again");
    tell("Juan's phone finds signal first.");
    let juan = &phones.juan;
    let sent = juan.does(&["sync"])?;
    check("his 3 edits and the check-in are applied", &sent["applied"], &json!(4))?;
    check("and his photo went along, with its thumbnail", &sent["photos"], &json!(2))?;
    check("nothing of his waits any more", &juan.counts("pending")?, &json!(0))?;

    tell("Then Ana's, which was edited without knowing of Juan's.");
    let ana = &phones.ana;
    let sent = ana.does(&["sync"])?;
    check("2 of her edits and the check-in are applied", &sent["applied"], &json!(3))?;
    check("1 needs a person: the wall has two measures", &sent["in_review"], &json!(1))?;

    tell("The report has what both wrote: they filled in different fields.");
    let report = ana.does(&["get", "avances", &company.report])?;
    let merged = json!({
        "resumen": report["resumen"], "avance_pct": report["avance_pct"],
        "clima": report["clima"], "horas": report["horas"], "cuadrilla": report["cuadrilla"],
    });
    check(
        "Juan's summary, Ana's weather, and the crews of both",
        &merged,
        &json!({ "resumen": "Muro norte terminado", "avance_pct": 40, "clima": "lluvia",
                 "horas": "7.50", "cuadrilla": ["Ana", "Beto", "Chucho", "Juan"] }),
    )?;

    let cement = ana.sees("existencias", &company.cement, "cantidad")?;
    let (claim, left) = stock(company);
    tell("The cement adds up: stock is a counter, both took what they took.");
    check(&claim, &cement, &left)?;

    tell("The wall is not decided by a rule: it is paid by.");
    let wall = ana.sees("avance_items", &company.wall, "medida")?;
    check("Ana goes on seeing her 12.80, marked as in review", &wall, &json!("12.80"))?;
    juan.does(&["sync"])?;
    let wall = juan.sees("avance_items", &company.wall, "medida")?;
    check("Juan, and everybody else, sees 12.50", &wall, &json!("12.50"))
}

/// What is left of the cement, and why.
pub fn stock(company: &Company) -> (String, Json) {
    if company.delivery {
        let left = 112 + DELIVERY;
        return (
            format!("120 - 3 - 5 + {DELIVERY} by SQL = {left} bags"),
            json!(format!("{left}.000")),
        );
    }
    ("120 - 3 - 5 = 112 bags".to_owned(), json!("112.000"))
}
