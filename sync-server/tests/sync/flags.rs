//! What a supervisor is told to look at, and that nobody else is.

use serde_json::{Value as Json, json};
use sync_protocol::wire::push::Transaction;
use sync_protocol::wire::receipt::{FieldOutcome, Receipt, ReceiptState};
use sync_protocol::wire::review::{ConflictStatus, Keep, ResolveRequest};
use sync_protocol::{EditTime, RecordId, Scope};
use sync_server::review::{ListQuery, list, resolve};
use uuid::Uuid;

use crate::company::{Company, Phone};
use crate::mutations::{delete, insert, update};
use crate::on_every_store;

const MINUTE_US: i64 = 60_000_000;
const HOUR_US: i64 = 60 * MINUTE_US;
/// Noon of 24 November 2026.
const NOON_US: i64 = 1_795_521_600_000_000;

/// A foreman, a supervisor, and a project of 200 m around a point.
struct Site<'a> {
    juan: Phone<'a>,
    laura: Phone<'a>,
    project: RecordId,
}

async fn site(company: &Company) -> Site<'_> {
    use sync_server::clock::Clock as _;
    company.advance(NOON_US - company.clock.now_us());
    let project = company.id();
    let juan = company.foreman("juan", project).await;
    let laura =
        company.phone("laura", &["project:read", "project:write", "conflict:resolve"]).await;
    company.grant(&laura, Scope::entity("project", project.0)).await;
    let made = json!({ "nombre": "Torre", "latitud": 19.432_608, "longitud": -99.133_209,
        "radio_m": 200 });
    juan.edit(insert("proyectos", project, made), ReceiptState::Applied).await;
    Site { juan, laura, project }
}

impl Site<'_> {
    /// A check-in on site at noon, with these fields otherwise.
    fn check_in(&self, worker: &str, otherwise: Json) -> Json {
        let set = json!({ "proyecto_id": self.project, "trabajador": worker, "fecha": "2026-11-24",
            "entrada": "2026-11-24T12:00:00Z", "latitud": 19.4327, "longitud": -99.1333,
            "precision_m": 12.0, "ubicacion_simulada": false });
        with(set, otherwise)
    }

    /// The flags of a record as the supervisor's phone has them. The foreman's has no such column.
    async fn flags(&mut self, collection: &str, id: RecordId) -> Vec<String> {
        self.juan.pull(100).await;
        self.laura.pull(100).await;
        let name = (collection.to_owned(), id);
        let hidden = self.juan.rows.get(&name).and_then(|row| row.fields.get("avisos"));
        assert!(hidden.is_none_or(Json::is_null), "the foreman sees {hidden:?}");
        words(&self.laura.value(collection, id, "avisos"))
    }
}

fn words(flags: &Json) -> Vec<String> {
    let words = flags.as_array().into_iter().flatten();
    words.filter_map(|word| word.as_str().map(str::to_owned)).collect()
}

fn with(mut set: Json, otherwise: Json) -> Json {
    let fields = otherwise.as_object().cloned().unwrap_or_default();
    set.as_object_mut().expect("an object").extend(fields);
    set
}

/// A photo of a check-in at noon on site, with these fields otherwise.
fn photo(parent: (&str, RecordId), picture: u8, otherwise: Json) -> Json {
    // The same picture with other metadata is another file, with the same thumbnail.
    let file = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let set = json!({ parent.0: parent.1, "sha256": file, "bytes": 300_000,
        "miniatura_sha256": format!("{:064x}", u32::from(picture) + 1_000), "miniatura_bytes": 20_000,
        "ancho": 1600, "alto": 1200, "tomada": "2026-11-24T12:00:00Z" });
    with(set, otherwise)
}

/// Nothing of a receipt tells of flags, and each of its rows has the version that it was written with.
fn tells_nothing(receipt: &Receipt) {
    let text = serde_json::to_string(receipt).expect("JSON");
    for word in ["avisos", "outside", "mocked", "photo_", "clock"] {
        assert!(!text.contains(word), "{text}");
    }
}

async fn pushed(phone: &Phone<'_>, transactions: Vec<Transaction>) {
    for receipt in phone.push(transactions).await {
        assert_eq!(receipt.state, ReceiptState::Applied, "{receipt:?}");
        assert!(receipt.mutations.iter().all(|outcome| outcome.version == Some(1)), "{receipt:?}");
        tells_nothing(&receipt);
    }
}

on_every_store!(a_check_in_away_from_its_site_is_told_to_the_supervisor_alone);
async fn a_check_in_away_from_its_site_is_told_to_the_supervisor_alone(company: Company) {
    let mut site = site(&company).await;
    let far = json!({ "latitud": 19.45 });
    for (worker, otherwise, expected) in [
        ("on site", json!({}), vec![]),
        ("away", far.clone(), vec!["outside_geofence"]),
        ("hardly known", with(far.clone(), json!({ "precision_m": 2_000.0 })), vec![]),
        ("exact", with(far.clone(), json!({ "precision_m": null })), vec!["outside_geofence"]),
        ("nowhere", json!({ "latitud": null }), vec![]),
        (
            "made up",
            with(far, json!({ "ubicacion_simulada": true })),
            vec!["mocked_location", "outside_geofence"],
        ),
    ] {
        let id = company.id();
        let edit = insert("asistencias", id, site.check_in(worker, otherwise));
        pushed(&site.juan, vec![site.juan.transaction(vec![edit])]).await;
        assert_eq!(site.flags("asistencias", id).await, expected, "{worker}");
        assert_eq!(site.laura.version("asistencias", id), 1, "flags are in the same write");
        assert_eq!(site.juan.version("asistencias", id), 1);
    }
}

on_every_store!(a_place_that_nobody_measured_says_nothing);
async fn a_place_that_nobody_measured_says_nothing(company: Company) {
    let mut site = site(&company).await;
    for (n, unknown) in ["radio_m", "latitud", "longitud"].into_iter().enumerate() {
        let project = company.id();
        let made = json!({ "nombre": "Nave", "latitud": 19.4, "longitud": -99.1, "radio_m": 200 });
        company.grant(&site.laura, Scope::entity("project", project.0)).await;
        let made = insert("proyectos", project, with(made, json!({ unknown: null })));
        let id = company.id();
        let elsewhere = json!({ "proyecto_id": project, "latitud": 0.0 });
        let check_in = site.check_in(&format!("worker {n}"), elsewhere);
        let both = vec![made, insert("asistencias", id, check_in)];
        pushed(&site.juan, vec![site.juan.transaction(both)]).await;
        assert!(site.flags("asistencias", id).await.is_empty(), "without {unknown}");
    }
}

on_every_store!(a_photo_is_measured_by_the_record_that_it_belongs_to);
async fn a_photo_is_measured_by_the_record_that_it_belongs_to(company: Company) {
    let mut site = site(&company).await;
    let [stored, new] = [company.id(), company.id()];
    let first = insert("asistencias", stored, site.check_in("Luis", json!({})));
    pushed(&site.juan, vec![site.juan.transaction(vec![first])]).await;
    let here = json!({ "latitud": 19.4326, "longitud": -99.1332, "precision_m": 5.0 });
    let mut edits = vec![insert("asistencias", new, site.check_in("Ana", json!({})))];
    let mut expected = Vec::new();
    for (n, (otherwise, flags)) in [
        (here.clone(), vec![]),
        (json!({}), vec![]),
        (with(here.clone(), json!({ "latitud": 19.5 })), vec!["outside_geofence"]),
        (with(here.clone(), json!({ "ubicacion_simulada": true })), vec!["mocked_location"]),
        (json!({ "tomada": "2026-11-24T13:00:00Z" }), vec![]),
        (json!({ "tomada": "2026-11-24T10:59:59Z" }), vec!["photo_date"]),
        (json!({ "tomada": "2026-11-24T13:00:01Z" }), vec!["photo_date"]),
        (json!({ "tomada": null }), vec![]),
    ]
    .into_iter()
    .enumerate()
    {
        for (parent, half) in [(stored, 0), (new, 100)] {
            let picture = u8::try_from(n).expect("few") + half;
            let id = company.id();
            let set = photo(("asistencia_id", parent), picture, otherwise.clone());
            edits.push(insert("asistencia_fotos", id, set));
            expected.push((id, flags.clone(), otherwise.clone()));
        }
    }
    pushed(&site.juan, vec![site.juan.transaction(edits)]).await;
    for (id, flags, otherwise) in expected {
        assert_eq!(site.flags("asistencia_fotos", id).await, flags, "{otherwise}");
    }
}

on_every_store!(a_photo_of_what_has_no_date_belongs_to_when_it_was_written);
async fn a_photo_of_what_has_no_date_belongs_to_when_it_was_written(company: Company) {
    let mut site = site(&company).await;
    let report = company.id();
    let made = json!({ "proyecto_id": site.project, "fecha": "2026-11-24" });
    let made = insert("avances", report, made);
    pushed(&site.juan, vec![site.juan.transaction(vec![made])]).await;
    company.advance(3 * HOUR_US);
    // The report is of noon, the photo's record of three o'clock.
    for (n, (taken, expected)) in [
        ("2026-11-24T10:59:00Z", vec!["photo_date"]),
        ("2026-11-24T11:00:00Z", vec![]),
        ("2026-11-24T13:30:00Z", vec![]),
        ("2026-11-24T16:00:00Z", vec![]),
        ("2026-11-24T16:01:00Z", vec!["photo_date"]),
    ]
    .into_iter()
    .enumerate()
    {
        let id = company.id();
        let picture = u8::try_from(n).expect("few");
        let far = json!({ "tomada": taken, "latitud": 0.0, "longitud": 0.0 });
        let set = photo(("avance_id", report), picture, far);
        pushed(&site.juan, vec![site.juan.transaction(vec![insert("avance_fotos", id, set)])])
            .await;
        // Reports have no place to be at.
        assert_eq!(site.flags("avance_fotos", id).await, expected, "{taken}");
    }
}

on_every_store!(a_picture_that_came_before_is_known_again);
async fn a_picture_that_came_before_is_known_again(company: Company) {
    let mut site = site(&company).await;
    let [check_in, report] = [company.id(), company.id()];
    let made = json!({ "proyecto_id": site.project, "fecha": "2026-11-24" });
    let parents = vec![
        insert("asistencias", check_in, site.check_in("Luis", json!({}))),
        insert("avances", report, made),
    ];
    pushed(&site.juan, vec![site.juan.transaction(parents)]).await;
    let of_check_in = |picture| photo(("asistencia_id", check_in), picture, json!({}));
    let of_report = |picture| photo(("avance_id", report), picture, json!({}));
    let ids: [RecordId; 7] = std::array::from_fn(|_| company.id());
    let [a, b, c, d, e, f, g] = ids;
    // Within a transaction, and between transactions of one push that share a database transaction.
    let transactions = vec![
        site.juan.transaction(vec![
            insert("asistencia_fotos", a, of_check_in(1)),
            insert("avance_fotos", b, of_report(1)),
        ]),
        site.juan.transaction(vec![insert("avance_fotos", c, of_report(2))]),
        site.juan.transaction(vec![insert("asistencia_fotos", d, of_check_in(2))]),
    ];
    pushed(&site.juan, transactions).await;
    // In a later push, and of a photo that was deleted.
    let gone =
        site.juan.transaction(vec![delete("avance_fotos", c, 1), delete("asistencia_fotos", d, 1)]);
    assert_eq!(site.juan.push(vec![gone]).await[0].state, ReceiptState::Applied);
    let transactions = vec![
        site.juan.transaction(vec![insert("avance_fotos", e, of_report(1))]),
        site.juan.transaction(vec![insert("avance_fotos", f, of_report(2))]),
        site.juan.transaction(vec![insert("avance_fotos", g, of_report(3))]),
    ];
    pushed(&site.juan, transactions).await;
    let again = ["photo_seen_before"];
    assert!(site.flags("asistencia_fotos", a).await.is_empty());
    for (id, expected) in [(b, &again[..]), (e, &again), (f, &again), (g, &[])] {
        assert_eq!(site.flags("avance_fotos", id).await, expected, "{id}");
    }

    // Another company's pictures are its own.
    let other = Company::new(company.store.clone()).await;
    let mut elsewhere = self::site(&other).await;
    let [report, id] = [other.id(), other.id()];
    let made = json!({ "proyecto_id": elsewhere.project, "fecha": "2026-11-24" });
    let edits = vec![
        insert("avances", report, made),
        insert("avance_fotos", id, photo(("avance_id", report), 1, json!({}))),
    ];
    pushed(&elsewhere.juan, vec![elsewhere.juan.transaction(edits)]).await;
    assert!(elsewhere.flags("avance_fotos", id).await.is_empty());
}

on_every_store!(a_wrong_clock_is_told_and_a_long_wait_is_not);
async fn a_wrong_clock_is_told_and_a_long_wait_is_not(company: Company) {
    let mut site = site(&company).await;
    let uncertain = EditTime { at_us: NOON_US, uncertain: true };
    let ahead = EditTime::certain(NOON_US + 30 * 24 * HOUR_US);
    for (worker, edited, wall_us, expected) in [
        ("right", EditTime::certain(NOON_US), NOON_US, vec![]),
        ("nearly right", EditTime::certain(NOON_US), NOON_US - 5 * MINUTE_US, vec![]),
        ("late", EditTime::certain(NOON_US), NOON_US - 6 * MINUTE_US, vec!["clock_off"]),
        ("early", EditTime::certain(NOON_US), NOON_US + HOUR_US, vec!["clock_off"]),
        ("uncertain", uncertain, NOON_US, vec!["clock_unknown"]),
        ("ahead", ahead, ahead.at_us, vec!["clock_off"]),
    ] {
        // Days pass between the edit and the push.
        company.advance(4 * 24 * HOUR_US);
        let id = company.id();
        let edit = insert("asistencias", id, site.check_in(worker, json!({})));
        let transaction =
            Transaction { edited, wall_clock_us: wall_us, ..site.juan.transaction(vec![edit]) };
        pushed(&site.juan, vec![transaction]).await;
        assert_eq!(site.flags("asistencias", id).await, expected, "{worker}");
        // An update of the same phone says nothing about when the check-in was made.
        let later = Transaction {
            wall_clock_us: 0,
            ..site.juan.transaction(vec![update("asistencias", id, json!({ "notas": "x" }), 1)])
        };
        assert_eq!(site.juan.push(vec![later]).await[0].state, ReceiptState::Applied);
        assert_eq!(site.flags("asistencias", id).await, expected, "{worker}, edited");
    }
}

on_every_store!(an_update_adds_flags_and_takes_none_away);
async fn an_update_adds_flags_and_takes_none_away(company: Company) {
    let mut site = site(&company).await;
    let id = company.id();
    let nowhere = json!({ "latitud": null, "longitud": null, "ubicacion_simulada": true });
    let edit = insert("asistencias", id, site.check_in("Luis", nowhere));
    pushed(&site.juan, vec![site.juan.transaction(vec![edit])]).await;
    assert_eq!(site.flags("asistencias", id).await, ["mocked_location"]);
    let away = update("asistencias", id, json!({ "latitud": 19.5, "longitud": -99.1 }), 1);
    let receipt = site.juan.edit(away, ReceiptState::Applied).await;
    assert_eq!(receipt.mutations[0].version, Some(2));
    tells_nothing(&receipt);
    let both = ["mocked_location", "outside_geofence"];
    assert_eq!(site.flags("asistencias", id).await, both);
    // Neither another edit nor a larger site takes them back.
    let wider = update("proyectos", site.project, json!({ "radio_m": 100_000 }), 1);
    site.juan.edit(wider, ReceiptState::Applied).await;
    let noted = update("asistencias", id, json!({ "notas": "x", "precision_m": 12.0 }), 2);
    site.juan.edit(noted, ReceiptState::Applied).await;
    assert_eq!(site.flags("asistencias", id).await, both);
    // The phone's own edits went on from what it knew: none was concurrent with a flag, and so may be a
    // deletion that knows the first version alone.
    site.juan.edit(delete("asistencias", id, 1), ReceiptState::Applied).await;
}

on_every_store!(a_second_check_in_that_is_merged_into_the_first_brings_its_flags);
async fn a_second_check_in_that_is_merged_into_the_first_brings_its_flags(company: Company) {
    let mut site = site(&company).await;
    let ana = company.foreman("ana", site.project).await;
    let [first, second] = [company.id(), company.id()];
    let made = insert("asistencias", first, site.check_in("Luis", json!({})));
    pushed(&site.juan, vec![site.juan.transaction(vec![made])]).await;
    company.advance(1_000);
    let far = json!({ "latitud": 19.5, "ubicacion_simulada": true });
    let edits = vec![
        insert("asistencias", second, site.check_in("Luis", far)),
        insert("asistencia_fotos", company.id(), photo(("asistencia_id", second), 1, json!({}))),
    ];
    let receipt = ana.push(vec![ana.transaction(edits)]).await.remove(0);
    // The first position stays; the second foreman is not turned away for theirs.
    assert_eq!(receipt.state, ReceiptState::Superseded, "{receipt:?}");
    let outcome = &receipt.mutations[0];
    assert_eq!((outcome.alias, outcome.version), (Some(first), Some(2)));
    let superseded = |value| FieldOutcome::Superseded { value, by_version: 1 };
    assert_eq!(outcome.fields["latitud"], superseded(json!(19.5)));
    assert_eq!(outcome.fields["ubicacion_simulada"], superseded(json!(true)));
    assert!(!serde_json::to_string(&receipt).expect("JSON").contains("avisos"));
    let both = ["mocked_location", "outside_geofence"];
    assert_eq!(site.flags("asistencias", first).await, both);
    assert_eq!(site.laura.value("asistencias", first, "latitud"), json!(19.4327));
}

on_every_store!(what_was_held_is_flagged_when_it_takes_effect);
async fn what_was_held_is_flagged_when_it_takes_effect(company: Company) {
    let permissions = ["sale:read", "sale:write", "conflict:resolve"];
    let till = company.phone("till", &permissions[..2]).await;
    let other = company.phone("other", &permissions[..2]).await;
    let mut office = company.phone("office", &permissions).await;
    for phone in [&till, &other, &office] {
        company.grant(phone, Scope::tenant()).await;
    }
    let [card, held] = [company.id(), company.id()];
    let made = json!({ "clave": "C1", "medida": 1 });
    till.edit(insert("fichas", card, made), ReceiptState::Applied).await;
    till.edit(update("fichas", card, json!({ "medida": 2 }), 1), ReceiptState::Applied).await;
    let wrong_clock = Transaction {
        wall_clock_us: 0,
        ..other.transaction(vec![
            update("fichas", card, json!({ "medida": 3 }), 1),
            insert("fichas", held, json!({ "clave": "C2", "simulada": true })),
        ])
    };
    let id = wrong_clock.id;
    let receipt = other.push(vec![wrong_clock]).await.remove(0);
    assert!(receipt.held, "{receipt:?}");
    office.pull(100).await;
    assert!(!office.rows.contains_key(&("fichas".to_owned(), held)));
    company.advance(5 * 24 * HOUR_US);
    let open = list(office.review(), ListQuery::default()).await.expect("listed").conflicts;
    let decision =
        ResolveRequest { revision: 1, keep: Keep::Candidate(id), reason: "medida".to_owned() };
    resolve(office.review(), open[0].id, decision).await.expect("decided");
    office.pull(100).await;
    let flags = words(&office.value("fichas", held, "avisos"));
    assert_eq!(flags, ["clock_off", "mocked_location"]);
}

on_every_store!(what_is_shown_of_a_merge_does_not_show_flags_to_its_author);
async fn what_is_shown_of_a_merge_does_not_show_flags_to_its_author(company: Company) {
    let mut site = site(&company).await;
    let ana = company.foreman("ana", site.project).await;
    let [id, other] = [company.id(), company.id()];
    let away = insert("asistencias", id, site.check_in("Luis", json!({ "latitud": 19.5 })));
    let made = insert("proyectos", other, json!({ "nombre": "Nave" }));
    pushed(&site.juan, vec![site.juan.transaction(vec![away, made])]).await;
    company.grant(&ana, Scope::entity("project", other.0)).await;
    let moved = update("asistencias", id, json!({ "proyecto_id": other }), 1);
    site.juan.edit(moved, ReceiptState::Applied).await;
    company.advance(1_000);
    let noted = update("asistencias", id, json!({ "notas": "llegó tarde" }), 1);
    tells_nothing(&ana.edit(noted, ReceiptState::Applied).await);
    let merges =
        || ListQuery { status: vec![ConflictStatus::Informational], ..ListQuery::default() };
    let shown = list(ana.review(), merges()).await.expect("listed").conflicts;
    assert_eq!(shown.len(), 1);
    let text = serde_json::to_string(&shown).expect("JSON");
    assert!(text.contains("llegó tarde") && !text.contains("outside") && !text.contains("avisos"));
    // Whoever decides sees the row as it is.
    company.grant(&site.laura, Scope::entity("project", other.0)).await;
    let shown = list(site.laura.review(), merges()).await.expect("listed").conflicts;
    assert_eq!(shown[0].row["avisos"], json!(["outside_geofence"]));
    // A refusal tells no more than before.
    site.juan.pull(100).await;
    let again = insert("asistencias", id, site.check_in("Eva", json!({ "latitud": 19.5 })));
    tells_nothing(&ana.edit(again, ReceiptState::Refused).await);
    let own = update("asistencias", id, json!({ "avisos": [] }), 2);
    let refused = ana.edit(own, ReceiptState::Refused).await;
    assert_eq!(refused.problem.expect("a reason").code, "unknown_field");
}
