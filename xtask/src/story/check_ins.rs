//! Two check-ins with a photo: one that is as it should be, and one that a supervisor is to look at.

use std::path::PathBuf;

use serde_json::{Value as Json, json};

use super::company::Company;
use super::device::Device;
use super::telling::{chapter, check, tell};
use super::{Phones, Result, Stage};

/// What a phone's camera wrote: 2000 × 1500 pixels, with its place and time, its model and serial number. The
/// picture is computed.
const CAMERA: &[u8] = include_bytes!("camera.jpg");

/// Without signal: both foremen note who came.
pub fn offline(stage: &Stage, phones: &Phones, company: &Company) -> Result {
    chapter("Still without signal: who came today?");
    let camera = camera(stage)?;
    tell("Juan checks Beto in, with a photo. His phone knows where it is.");
    let juan = &phones.juan;
    let here = ["--lat", "19.4325", "--lon", "-99.1737", "--accuracy", "8"];
    checks_in(juan, company, "Beto May", &camera, &here)?;
    let photos = juan.quietly(&["photo", "list"])?;
    let bytes: i64 =
        photos.as_array().into_iter().flatten().filter_map(|p| p["bytes"].as_i64()).sum();
    check("picture and thumbnail wait", &json!(photos.as_array().map_or(0, Vec::len)), &json!(2))?;
    tell(&format!("Of the camera's {} KB, {} KB will go.", CAMERA.len() / 1_024, bytes / 1_024));

    tell("Ana is at home with a cold. She checks Chucho in with the picture that Juan sent her,");
    tell("and an app that makes up a location.");
    let far = ["--lat", "19.5012", "--lon", "-99.2010", "--accuracy", "20", "--mocked"];
    checks_in(&phones.ana, company, "Chucho Dzul", &camera, &far)
}

/// With signal, after both have synced: the supervisor's tablet says what to look at.
pub fn evening(phones: &Phones) -> Result {
    chapter("The check-ins, in the office");
    let laura = &phones.laura;
    laura.does(&["sync"])?;
    tell("Nothing was refused. What is odd is written on the record, for supervisors only.");
    let told = |name: &str| -> Result<Json> {
        let sql = "SELECT avisos FROM asistencias WHERE trabajador = ?1";
        let name = json!(name).to_string();
        first(laura.quietly(&["query", sql, "--param", &name])?)
    };
    check("nothing about Beto", &told("Beto May")?, &Json::Null)?;
    let about = json!(["mocked_location", "outside_geofence"]);
    check("Chucho: made-up location, and not on site", &told("Chucho Dzul")?, &about)?;
    let sql = "SELECT f.avisos FROM asistencia_fotos f JOIN asistencias a ON a.id = f.asistencia_id \
               WHERE a.trabajador = 'Chucho Dzul'";
    let flags = first(laura.quietly(&["query", sql])?)?;
    let seen = flags.as_array().is_some_and(|flags| flags.contains(&json!("photo_seen_before")));
    check("and the picture belongs to another check-in", &json!(seen), &json!(true))?;
    let rows = phones.ana.quietly(&["list", "asistencias"])?;
    let hidden = rows.as_array().into_iter().flatten().all(|row| row.get("avisos").is_none());
    check("Ana's phone does not even have the column", &json!(hidden), &json!(true))?;

    let sql = "SELECT f.id FROM asistencia_fotos f JOIN asistencias a ON a.id = f.asistencia_id \
               WHERE a.trabajador = 'Beto May' AND f.estado = 'stored'";
    let photo = first(laura.quietly(&["query", sql])?)?;
    let photo = format!("asistencia_fotos/{}", photo.as_str().ok_or("Beto has no photo")?);
    let got = laura.does(&["photo", "get", &photo])?;
    let file = std::fs::read(got["file"].as_str().ok_or("no file")?)?;
    check("Laura has the picture", &json!(file.starts_with(&[0xff, 0xd8])), &json!(true))?;
    let tells = |what: &str| file.windows(what.len()).any(|part| part == what.as_bytes());
    check("with its date", &json!(tells("2026:11:24 08:05:09")), &json!(true))?;
    let leaks = json!([tells("Motorola"), tells("ZY22KJ7ABC")]);
    check("and without the phone's model and serial number", &leaks, &json!([false, false]))
}

fn camera(stage: &Stage) -> Result<PathBuf> {
    let file = stage.folder.join("DSC_0042.jpg");
    std::fs::write(&file, CAMERA)?;
    Ok(file)
}

fn checks_in(
    phone: &Device,
    company: &Company,
    who: &str,
    camera: &std::path::Path,
    place: &[&str],
) -> Result {
    let fields = json!({ "proyecto_id": company.project, "trabajador": who, "fecha": "2026-11-24",
                         "entrada": "2026-11-24T08:00:00-06:00" });
    let (fields, camera) = (fields.to_string(), camera.display().to_string());
    let words = ["check-in", "asistencias", &fields, "--photo", &camera];
    phone.does(&[&words[..], place].concat())?;
    Ok(())
}

/// The one value of a query.
fn first(mut answer: Json) -> Result<Json> {
    answer["rows"][0].get_mut(0).map(Json::take).ok_or_else(|| format!("no row: {answer}").into())
}
