//! The supervisor sees the two measures, who took them and when, and decides.

use serde_json::json;

use super::company::Company;
use super::telling::{chapter, check, tell};
use super::{Phones, Result};

pub fn play(phones: &Phones, company: &Company) -> Result {
    chapter("The supervisor decides");
    tell("Laura sees the conflict with both versions, who measured and when.");
    let laura = &phones.laura;
    let conflicts = laura.does(&["conflicts", "--collection", "avance_items"])?;
    check("there is one conflict", &json!(conflicts.as_array().map(Vec::len)), &json!(1))?;
    let conflict = &conflicts[0];
    let candidate = &conflict["candidates"][0];
    check(
        "about the wall's measure",
        &json!([conflict["record"], conflict["field"]]),
        &json!([company.wall, "medida"]),
    )?;
    check("both began with 12.00", &conflict["base"], &json!("12.00"))?;
    check(
        "Juan measured 12.50",
        &json!([
            conflict["current"],
            conflict["current_by"]["user_name"],
            conflict["current_by"]["device_name"]
        ]),
        &json!(["12.50", "Juan Pech", "Juan's phone"]),
    )?;
    check(
        "Ana measured 12.80",
        &json!([candidate["value"], candidate["by"]["user_name"], candidate["by"]["device_name"]]),
        &json!(["12.80", "Ana Canul", "Ana's phone"]),
    )?;
    let times = [&conflict["current_by"]["edited_at_us"], &candidate["by"]["edited_at_us"]];
    let in_order = times[0].as_i64().is_some() && times[0].as_i64() < times[1].as_i64();
    check("and when: Juan first", &json!(in_order), &json!(true))?;

    tell("She asks both by phone, and keeps Ana's: Juan forgot the corner.");
    let id = conflict["id"].as_str().ok_or("a conflict without an id")?;
    let receipt = candidate["receipt"].as_str().ok_or("a candidate without a receipt")?;
    let reason = "Juan forgot the corner";
    let decided = laura.does(&["resolve", id, "--keep", receipt, "--reason", reason])?;
    check("the conflict is decided", &decided["status"], &json!("resolved"))?;
    check("with her reason", &decided["resolution"]["reason"], &json!(reason))?;
    let open = laura.quietly(&["conflicts"])?;
    check("nothing is left to decide", &open, &json!([]))
}
