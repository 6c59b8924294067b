//! Photos between real phones and a real server: they leave with their records, and come back when they are asked for.

use std::path::Path;

use mobile_core::core::{ConflictFilter, new_photo};
use mobile_core::outbox::entry::State as OutboxState;
use mobile_core::photos::queue::State;
use mobile_core::photos::{Budget, Capture, NewPhoto, Variant};
use serde_json::json;
use sync_protocol::wire::review::{Keep, ResolveRequest, ResolveResult};
use sync_protocol::{RecordId, UserId};
use time::macros::datetime;
use tokio_util::sync::CancellationToken;

use crate::on_both_databases;
use crate::site::{Phone, Site, object};

/// A picture of its own for each number.
fn photo(number: u8) -> NewPhoto {
    let mut jpeg = Vec::new();
    let pixels: Vec<u8> = (0..64 * 48 * 3)
        .map(|n: usize| (n as u8).wrapping_mul(7).wrapping_add(number * 23))
        .collect();
    image::codecs::jpeg::JpegEncoder::new(&mut jpeg)
        .encode(&pixels, 64, 48, image::ExtendedColorType::Rgb8)
        .expect("a picture");
    let taken_at = datetime!(2026-11-24 08:00 -6);
    let capture = Capture { position: None, taken_at, mocked: None };
    new_photo(jpeg.as_slice(), &capture, &Budget::default()).expect("prepared")
}

/// A project of a supervisor's that a foreman holds, and both their phones.
async fn building(site: &Site) -> (Phone, Phone, RecordId, UserId) {
    site.person("laura", &["supervisor"]).await;
    let juan_id = site.person("juan", &["foreman"]).await;
    let laura = site.phone("laura").await;
    let project = laura.put("proyectos", json!({ "nombre": "Torre" }));
    laura.sync().await;
    site.grant(juan_id, project).await;
    let juan = site.phone("juan").await;
    (laura, juan, project, juan_id)
}

fn check_in(phone: &Phone, project: RecordId, who: &str, photo: NewPhoto) -> (RecordId, RecordId) {
    let fields =
        object(json!({ "proyecto_id": project, "trabajador": who, "fecha": "2026-11-24" }));
    let made = phone.core.check_in("asistencias", &fields, None, None, &[photo]).expect("saved");
    (made.record, made.photos[0])
}

fn files(dir: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.path() {
            path if path.is_dir() => files(&path),
            path => usize::from(path.extension().is_some_and(|extension| extension == "jpg")),
        })
        .sum()
}

on_both_databases!(a_lost_scope_takes_photos_and_thumbnails_along);
async fn a_lost_scope_takes_photos_and_thumbnails_along(site: Site) {
    let (laura, juan, project, juan_id) = building(&site).await;
    for number in 0..10 {
        check_in(&juan, project, &format!("w{number}"), photo(number));
    }
    juan.sync().await;
    juan.sync().await;
    assert_eq!(files(&site.dir("juan")), 20);
    // Fifty edits wait when the grant is taken.
    let rows = juan.core.list("asistencias").expect("a list").rows;
    for (n, row) in rows.iter().cycle().take(50).enumerate() {
        juan.put("asistencias", json!({ "id": row[0], "notas": format!("n{n}") }));
    }
    site.revoke(juan_id, project).await;
    let left = juan.sync().await.exits;
    assert_eq!(left, 1 + 10 + 10, "the project, ten check-ins and their photos are told as gone");
    assert_eq!(files(&site.dir("juan")), 0, "no photo and no thumbnail is left");
    assert!(juan.core.photos().expect("a list").is_empty());
    assert!(juan.core.list("asistencia_fotos").expect("a list").rows.is_empty());
    assert!(juan.core.list("asistencias").expect("a list").rows.is_empty());
    let receipts = juan.core.receipts().expect("a list");
    let in_review = receipts
        .iter()
        .filter(|receipt| receipt.state == mobile_core::outbox::entry::State::InReview);
    assert_eq!(in_review.count(), 50, "the edits are in review");
    // The office still has them.
    laura.sync().await;
    let photos = laura.core.list("asistencia_fotos").expect("a list").rows;
    let id = photos[0][0].as_str().and_then(|id| id.parse().ok()).expect("an id");
    laura.core.photo("asistencia_fotos", id, Variant::Photo).await.expect("it is there");
    let lost = juan.core.photo("asistencia_fotos", id, Variant::Photo).await;
    assert_eq!(lost.expect_err("not for him").code(), "no_such_photo");
}

on_both_databases!(a_photo_that_was_not_sent_when_its_scope_went_is_kept_for_an_export);
async fn a_photo_that_was_not_sent_when_its_scope_went_is_kept_for_an_export(site: Site) {
    let (_, juan, project, juan_id) = building(&site).await;
    juan.core.set_photos_unmetered(true).expect("set");
    juan.core.engine().expect("signed in").set_metered(Some(true));
    let (_, photo_id) = check_in(&juan, project, "Beto", photo(1));
    juan.sync().await;
    site.revoke(juan_id, project).await;
    juan.sync().await;
    let left = juan.core.photos().expect("a list");
    assert_eq!(left.len(), 1, "the thumbnail was at the server and has gone");
    assert_eq!(left[0].waiting_for.as_ref().map(|why| why.code.as_str()), Some("record_gone"));
    assert_eq!(juan.core.logout().await.expect_err("it is not sent").code(), "unsent_edits");
    let to = site.dir("rescue.json");
    assert_eq!(juan.core.export(&to).expect("exported").photos, 1);
    // The grant comes back, and so does the photo.
    site.grant(juan_id, project).await;
    juan.core.engine().expect("signed in").set_metered(Some(false));
    juan.sync().await;
    let left = juan.core.photos().expect("a list");
    let item = left.iter().find(|view| view.item.name.record == photo_id).expect("it is here");
    assert_eq!(item.item.state, State::Stored);
}

on_both_databases!(a_moved_parent_takes_its_photos_along_and_a_merged_one_keeps_them);
async fn a_moved_parent_takes_its_photos_along_and_a_merged_one_keeps_them(site: Site) {
    let (laura, juan, project, _) = building(&site).await;
    let other = laura.put("proyectos", json!({ "nombre": "Nave" }));
    laura.sync().await;
    // Both note the same worker on the same day: one record in the end, with both photos.
    let (record, _) = check_in(&laura, project, "Beto", photo(1));
    laura.sync().await;
    check_in(&juan, project, "Beto", photo(2));
    juan.sync().await;
    juan.sync().await;
    let sql = "SELECT count(*), count(DISTINCT asistencia_id), sum(estado = 'stored') FROM asistencia_fotos";
    let counted = juan.core.query(sql, &[]).expect("counted").rows;
    assert_eq!(json!(counted[0]), json!([2, 1, 2]));
    laura.put("asistencias", json!({ "id": record, "proyecto_id": other }));
    laura.sync().await;
    juan.sync().await;
    assert_eq!(files(&site.dir("juan")), 0, "the photos went with the record");
    laura.sync().await;
    assert_eq!(laura.core.query(sql, &[]).expect("counted").rows[0][0], json!(2));
}

on_both_databases!(a_photo_is_deleted_without_a_review_while_the_server_notes_that_it_is_stored);
async fn a_photo_is_deleted_without_a_review_while_the_server_notes_that_it_is_stored(site: Site) {
    let (_, juan, project, _) = building(&site).await;
    let (_, photo_id) = check_in(&juan, project, "Beto", photo(1));
    // The pictures go after the pull: the phone does not know yet what they did to the record.
    juan.sync().await;
    let receipt = juan.core.delete("asistencia_fotos", photo_id).expect("deleted");
    juan.sync().await;
    let state = juan.core.receipt(receipt).expect("a receipt").state;
    assert_eq!(state, mobile_core::outbox::entry::State::Applied);
    juan.sync().await;
    assert_eq!(files(&site.dir("juan")), 0);
}

on_both_databases!(a_check_in_on_a_project_that_was_lost_waits_with_its_photo);
async fn a_check_in_on_a_project_that_was_lost_waits_with_its_photo(site: Site) {
    let (laura, juan, project, juan_id) = building(&site).await;
    site.revoke(juan_id, project).await;
    // He does not know it yet.
    let (record, picture) = check_in(&juan, project, "Pedro", photo(1));
    let name = RecordOfPhoto { collection: "asistencia_fotos", record: picture };
    juan.sync().await;
    for (collection, id) in [("asistencias", record), ("asistencia_fotos", picture)] {
        assert!(juan.core.get(collection, id).is_err(), "{collection} is not his to see any more");
    }
    let receipts = juan.core.receipts().expect("receipts");
    let states: Vec<OutboxState> = receipts.iter().map(|receipt| receipt.state).collect();
    assert_eq!(states, [OutboxState::InReview]);
    assert!(name.is_kept_for_an_export(&juan), "only this phone has it");
    let verified = juan.core.verify(&CancellationToken::new()).await.expect("verified");
    assert!(verified.clean && verified.mended + verified.damaged + verified.differing == 0);

    // The supervisor makes the check-in of it, and its photo's record.
    let open = laura.core.conflicts(&ConflictFilter::default()).await.expect("listed").conflicts;
    assert_eq!(open.len(), 2);
    let decisions = open.iter().map(|conflict| {
        let keep = Keep::Candidate(conflict.candidates[0].receipt);
        let (revision, reason) = (conflict.revision, "estuvo".to_owned());
        (conflict.id, ResolveRequest { revision, keep, reason })
    });
    let answer = laura.core.resolve_many(decisions.collect()).await.expect("decided");
    let failed = answer.values().find(|result| !matches!(result, ResolveResult::Resolved(_)));
    assert!(failed.is_none(), "{failed:?}");
    laura.sync().await;
    assert_eq!(laura.field("asistencias", record, "trabajador"), "Pedro");
    assert_eq!(laura.field("asistencia_fotos", picture, "estado"), "pending");
    juan.sync().await;
    assert_eq!(juan.core.receipts().expect("receipts")[0].state, OutboxState::Applied);
    assert!(juan.core.get("asistencias", record).is_err());

    // Back on the project he has the record again, and his picture goes.
    site.grant(juan_id, project).await;
    juan.sync().await;
    juan.sync().await;
    assert_eq!(juan.field("asistencias", record, "trabajador"), "Pedro");
    assert!(!name.is_kept_for_an_export(&juan));
    laura.sync().await;
    assert_eq!(laura.field("asistencia_fotos", picture, "estado"), "stored");
}

/// A photo's record.
struct RecordOfPhoto {
    collection: &'static str,
    record: RecordId,
}

impl RecordOfPhoto {
    fn is_kept_for_an_export(&self, phone: &Phone) -> bool {
        let photos = phone.core.photos().expect("photos");
        let own: Vec<_> = photos
            .iter()
            .filter(|photo| {
                let name = &photo.item.name;
                (name.collection.as_str(), name.record) == (self.collection, self.record)
            })
            .collect();
        assert_eq!(own.len(), 2, "both pictures are here");
        own.iter().all(|photo| photo.item.adrift && photo.item.state == State::Waiting)
    }
}

on_both_databases!(what_is_made_of_a_transaction_is_seen_while_the_rest_waits);
async fn what_is_made_of_a_transaction_is_seen_while_the_rest_waits(site: Site) {
    let (laura, juan, project, juan_id) = building(&site).await;
    site.revoke(juan_id, project).await;
    let (record, picture) = check_in(&juan, project, "Pedro", photo(1));
    juan.sync().await;
    site.grant(juan_id, project).await;
    for (id, seen) in [(record, true), (picture, true)] {
        let open =
            laura.core.conflicts(&ConflictFilter::default()).await.expect("listed").conflicts;
        let conflict = open.iter().find(|conflict| conflict.record == id).expect("it waits");
        let keep = Keep::Candidate(conflict.candidates[0].receipt);
        laura.core.resolve(conflict.id, conflict.revision, keep, "estuvo").await.expect("made");
        juan.sync().await;
        let collection = if id == record { "asistencias" } else { "asistencia_fotos" };
        assert_eq!(juan.core.get(collection, id).is_ok(), seen, "{collection}");
    }
    assert_eq!(juan.core.receipts().expect("receipts")[0].state, OutboxState::Applied);
}
