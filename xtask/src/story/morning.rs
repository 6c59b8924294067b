//! Morning, with signal: the phones fetch the day.

use serde_json::json;

use super::company::Company;
use super::telling::{chapter, check, tell};
use super::{Phones, Result};

pub fn play(phones: &Phones, company: &Company) -> Result {
    chapter("Morning, with signal");
    tell("Juan and Ana log in on their phones and fetch the day.");
    for (phone, name) in [(&phones.juan, "Juan's phone"), (&phones.ana, "Ana's phone")] {
        phone.logs_in(&company.server, name)?;
        phone.does(&["sync"])?;
        let wall = phone.sees("avance_items", &company.wall, "medida")?;
        check(
            &format!("{}: the wall is planned with 12.00 m²", phone.owner),
            &wall,
            &json!("12.00"),
        )?;
        let cement = phone.sees("existencias", &company.cement, "cantidad")?;
        check(&format!("{}: the store has 120 bags", phone.owner), &cement, &json!("120.000"))?;
    }
    Ok(())
}
