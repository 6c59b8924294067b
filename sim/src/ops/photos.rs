//! Photos: they are taken, looked at and make room on phones, and go to the server, which may lose them.

use axum::http::{HeaderName, HeaderValue, Method};
use mobile_core::photos::{NewPhoto, Position, Variant};
use mobile_core::transport::exchange::Request;
use serde_json::{Value as Json, json};
use sync_protocol::schema::{Collection, Schema};
use sync_protocol::{DeviceId, RecordId};
use sync_server::photos::{compare, tidy};
use time::UtcOffset;
use tokio_util::sync::CancellationToken;

use super::edit::{expected_error, fields, ids, note, some_id, visible};
use super::sync::to_the_end;
use crate::operation;
use crate::oracle::ledger::Place;
use crate::oracle::photos::server::{About, about};
use crate::oracle::photos::{VARIANTS, says_it_is_here};
use crate::oracle::snapshot::Snapshot;
use crate::oracle::{Checked, Violation, violated};
use crate::pictures;
use crate::registry::Operation;
use crate::rng::Rng;
use crate::schema::PHOTOS;
use crate::server::{COMPANY, PASSWORD, Response};
use crate::shelf::{Picture, sha256};
use crate::wire;
use crate::world::{World, broken, short};

/// The table.
pub const OPERATIONS: &[Operation] = &[
    operation!("take a photo", 10, takes),
    operation!("check in with photos", 8, checks_in),
    operation!("send a photo now", 2, hurries),
    operation!("pictures wait for a free network", 3, waits_for_free_network),
    operation!("room for pictures changes", 4, room_changes),
    operation!("look at a picture", 6, looks),
    operation!("the server loses pictures", 3, loses),
    operation!("pictures are compared", 2, are_compared),
    operation!("another program sends a picture", 4, sends_another),
    operation!("the company's room is full", 1, is_full),
    operation!("the company has room again", 2, has_room),
    operation!("uploads are tidied", 1, tidied),
];

/// Room for the pictures of a phone that has next to none, in bytes.
const LITTLE_ROOM: [u64; 3] = [0, 2_000, 10_000];
/// Room as much as anybody wants, in bytes.
const MUCH_ROOM: u64 = 500 * 1024 * 1024;

/// Whose photos there are, and their collection, as a phone's user sees it.
fn collections(schema: &Schema) -> Option<(Collection, Collection)> {
    let photos = schema.collection(PHOTOS)?;
    let parent = schema.collection(&photos.parent.as_ref()?.collection)?;
    Some((parent.clone(), photos.clone()))
}

/// A photo of something, at times one that was taken before.
fn new_photo(world: &mut World, rng: &mut Rng, place: Place, home: &Collection) -> NewPhoto {
    let known = rng.percent(20).then(|| rng.pick(&world.album).cloned()).flatten();
    let prepared = known.unwrap_or_else(|| {
        let taken = pictures::taken(rng, world.time.now_us());
        world.album.push(taken.clone());
        taken
    });
    let fields = fields(world, rng, place, home, true).unwrap_or_default();
    NewPhoto { prepared, zone: UtcOffset::UTC, fields }
}

/// A photo of a record that is there, perhaps only on this phone.
async fn takes(world: &mut World, rng: &mut Rng) -> Checked {
    let Some(place) = world.used_phone(rng) else { return Ok(()) };
    let Some((parent, home)) = visible(world, place.0).and_then(|schema| collections(&schema))
    else {
        return Ok(());
    };
    let Some(record) = some_id(world, rng, place.0, &parent.name) else { return Ok(()) };
    let photo = new_photo(world, rng, place, &home);
    let core = world.devices[place.0].core().clone();
    let made = core.transaction(|edit| edit.attach(&parent.name, record, &photo));
    let text = format!(
        "phone {} user{}: a photo of {}/{}, {} and {} bytes",
        place.0,
        place.1,
        parent.name,
        short(record),
        photo.prepared.photo.len(),
        photo.prepared.thumbnail.len()
    );
    told(world, place, text, made.map(|(_, receipt)| receipt))
}

/// A record and its photos in one act.
async fn checks_in(world: &mut World, rng: &mut Rng) -> Checked {
    let Some(place) = world.used_phone(rng) else { return Ok(()) };
    checks_in_at(world, rng, place)
}

/// A record and its photos in one act on this phone, if its user may make them.
///
/// # Errors
/// What the oracle finds.
pub fn checks_in_at(world: &mut World, rng: &mut Rng, place: Place) -> Checked {
    let Some((parent, home)) = visible(world, place.0).and_then(|schema| collections(&schema))
    else {
        return Ok(());
    };
    let Some(set) = fields(world, rng, place, &parent, true) else { return Ok(()) };
    let count = 1 + rng.below(2);
    let photos: Vec<NewPhoto> = (0..count).map(|_| new_photo(world, rng, place, &home)).collect();
    let position = rng.percent(50).then_some(Position {
        lat: 19.5,
        lon: -99.0,
        altitude: None,
        direction: None,
        accuracy: Some(5.0),
    });
    let core = world.devices[place.0].core().clone();
    let made = core.check_in(&parent.name, &set, position, None, &photos);
    let text = format!("phone {} user{}: {} with {count} photos", place.0, place.1, parent.name);
    told(world, place, text, made.map(|made| made.receipt))
}

/// What a phone said to an edit.
fn told(
    world: &mut World,
    place: Place,
    text: String,
    made: Result<Option<sync_protocol::ReceiptId>, mobile_core::CoreError>,
) -> Checked {
    match made {
        Ok(receipt) => {
            let id = receipt.map(short).unwrap_or_default();
            world.tell(format!("{text} -> {id}"));
            receipt.map_or(Ok(()), |id| note(world, place, id))
        }
        Err(error) => {
            world.tell(format!("{text} -> {}", error.code()));
            expected_error(&error)
        }
    }
}

async fn hurries(world: &mut World, rng: &mut Rng) -> Checked {
    let Some(place) = world.used_phone(rng) else { return Ok(()) };
    let Some(record) = some_id(world, rng, place.0, PHOTOS) else { return Ok(()) };
    let core = world.devices[place.0].core().clone();
    let files = core.send_photo_now(PHOTOS, record).map_err(|error| broken(&error))?;
    world.tell(format!("phone {}: {} now, {files} files", place.0, short(record)));
    Ok(())
}

/// The user does not want to pay for pictures, and the system says what the network costs.
async fn waits_for_free_network(world: &mut World, rng: &mut Rng) -> Checked {
    let Some(place) = world.used_phone(rng) else { return Ok(()) };
    let (waits, metered) = (rng.percent(60), [None, Some(true), Some(false)][rng.below(3)]);
    let core = world.devices[place.0].core().clone();
    core.set_photos_unmetered(waits).map_err(|error| broken(&error))?;
    core.engine().map_err(|error| broken(&error))?.set_metered(metered);
    world.tell(format!("phone {}: pictures wait {waits}, costs {metered:?}", place.0));
    Ok(())
}

async fn room_changes(world: &mut World, rng: &mut Rng) -> Checked {
    let Some(place) = world.used_phone(rng) else { return Ok(()) };
    let little = LITTLE_ROOM[rng.below(LITTLE_ROOM.len())];
    let bytes = if rng.percent(60) { little } else { MUCH_ROOM };
    world.tell(format!("phone {}: {bytes} bytes for pictures", place.0));
    let core = world.devices[place.0].core().clone();
    core.set_photo_space(bytes).map_err(|error| broken(&error))?;
    world.look_at_photos(place, false)
}

/// Somebody looks at a picture, which may have to be fetched.
async fn looks(world: &mut World, rng: &mut Rng) -> Checked {
    let Some((device, _)) = world.used_phone(rng) else { return Ok(()) };
    if world.devices[device].flight.is_some() {
        return super::sync::step(world, rng, device, true).await;
    }
    let records = ids(world, device, PHOTOS);
    let Some(record) = rng.pick(&records).copied() else { return Ok(()) };
    let variant = if rng.percent(60) { Variant::Photo } else { Variant::Thumbnail };
    world.tell(format!("phone {device}: looks at {} {}", short(record), variant.as_str()));
    world.devices[device].begin_look(PHOTOS, record, variant);
    if rng.percent(70) {
        return to_the_end(world, rng, device, true).await;
    }
    super::sync::step(world, rng, device, true).await
}

/// Somebody was shown a picture: it is there.
///
/// # Errors
/// When it is not.
pub fn was_shown(world: &mut World, device: usize) -> Checked {
    let Some(file) = world.devices[device].shown() else { return Ok(()) };
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let hash = std::fs::read(&file).map(|bytes| sha256(&bytes));
    match hash {
        Ok(hash) if hash == name => Ok(()),
        hash => violated("a picture that is shown is there", format!("{name}: {hash:?}")),
    }
}

/// A phone has heard, properly, what the server said.
pub fn heard(world: &mut World, device: usize, answer: &Response) {
    let Some(flight) = &world.devices[device].flight else { return };
    let Some(request) = &flight.request else { return };
    if answer.status < 300
        && let About::Upload(picture) = about(request)
    {
        let sent = world.ledger.photos.sent.entry(picture).or_default();
        *sent.bytes.entry(device).or_default() += request.body.len() as u64;
    }
}

/// Pictures that records say are at the server.
fn stored(world: &mut World) -> Vec<Picture> {
    let snapshot = world.snapshot();
    let rows = snapshot.rows.iter().filter(|((name, _), row)| name == PHOTOS && !row.deleted);
    rows.flat_map(|((name, record), row)| {
        let here = VARIANTS.iter().filter(|(variant, ..)| says_it_is_here(row, variant));
        here.map(|(variant, ..)| (name.clone(), *record, (*variant).to_owned())).collect::<Vec<_>>()
    })
    .collect()
}

/// A disk is lost, or a bit of it.
async fn loses(world: &mut World, rng: &mut Rng) -> Checked {
    for _ in 0..1 + rng.below(3) {
        let stored = stored(world);
        let Some(picture) = rng.pick(&stored).cloned() else { return Ok(()) };
        let only_a_byte = rng.percent(40);
        world.tell(format!(
            "the server {} {} {}",
            if only_a_byte { "spoils" } else { "loses" },
            short(picture.1),
            picture.2
        ));
        world.ledger.photos.spoiled.insert(picture.clone());
        world.ledger.photos.lost.insert(picture.clone());
        world.server.shelf.spoil(&picture, only_a_byte);
    }
    if rng.percent(60) { compares(world, true).await } else { Ok(()) }
}

async fn are_compared(world: &mut World, rng: &mut Rng) -> Checked {
    let content = rng.percent(70);
    compares(world, content).await
}

/// The administrator compares records with pictures (`sync-server photo check`), also their content.
///
/// # Errors
/// What the oracle finds.
pub async fn compares(world: &mut World, content: bool) -> Checked {
    let before = world.snapshot();
    let server = &world.server;
    let done =
        compare::compare(server.photos(), server.store(), &server.clock, server.tenant, content);
    let done = match done.await {
        Ok(done) => done,
        // Nothing is concluded of what could not be looked at.
        Err(compare::CompareError::Objects(_)) if server.shelf.is_failing() => {
            world.tell("pictures are compared: the object store fails".to_owned());
            only_lost_ones_are_lost(world, &before)?;
            return world.wrote_beside(&before);
        }
        Err(error) => return violated("pictures can be compared", error.to_string()),
    };
    only_lost_ones_are_lost(world, &before)?;
    world.tell(format!("pictures are compared: {} corrected", done.corrected.len()));
    // What is gone is known to be gone now; what is spoiled, if somebody looked.
    let here = world.server.shelf.pictures();
    let spoiled = std::mem::take(&mut world.ledger.photos.spoiled);
    let snapshot = world.snapshot();
    let is_live = |picture: &Picture| {
        let row = snapshot.rows.get(&(picture.0.clone(), picture.1));
        row.is_some_and(|row| !row.deleted)
    };
    world.ledger.photos.spoiled = spoiled
        .into_iter()
        .filter(|picture| !is_live(picture) || (!content && here.contains_key(picture)))
        .collect();
    for picture in world.ledger.photos.lost.clone() {
        // Whoever sends it again begins anew.
        world.ledger.photos.sent.entry(picture).or_default().begun += 1;
    }
    world.wrote_beside(&before)
}

/// A comparison takes back that pictures are here only where one of a record's is not, or is spoiled.
fn only_lost_ones_are_lost(world: &mut World, before: &Snapshot) -> Checked {
    let (here, after) = (world.server.shelf.pictures(), world.snapshot());
    for (name, row) in after.rows.iter().filter(|((name, _), row)| name == PHOTOS && !row.deleted) {
        let Some(old) = before.rows.get(name) else { continue };
        let lowered = |variant| says_it_is_here(old, variant) && !says_it_is_here(row, variant);
        let lost = |variant: &str| {
            let picture = (name.0.clone(), name.1, variant.to_owned());
            !here.contains_key(&picture) || world.ledger.photos.spoiled.contains(&picture)
        };
        // Without its thumbnail a record does not say that its photo is here.
        let is_wrong = (lowered("thumbnail") && !lost("thumbnail"))
            || (lowered("photo") && !lost("photo") && !lost("thumbnail"));
        if is_wrong {
            return violated("only what is lost counts as lost", format!("{name:?}: {row:?}"));
        }
    }
    Ok(())
}

/// Somebody with another program asks for a picture, or sends what is not the picture, a part of it, or the
/// picture; perhaps without seeing its record.
async fn sends_another(world: &mut World, rng: &mut Rng) -> Checked {
    let snapshot = world.snapshot();
    let rows: Vec<_> = snapshot.rows.iter().filter(|((name, _), _)| name == PHOTOS).collect();
    let Some(((name, record), row)) = rng.pick(&rows).copied() else { return Ok(()) };
    let (variant, hash, bytes) = VARIANTS[rng.below(2)];
    let length = row.fields[bytes].as_u64().or_else(|| row.fields[bytes].as_str()?.parse().ok());
    let (Some(length), Some(hash)) = (length, row.fields[hash].as_str()) else { return Ok(()) };
    let person = rng.below(world.people.len());
    let Some(token) = token(world, person).await else { return Ok(()) };
    if rng.percent(40) {
        let path = format!("photos/{name}/{record}?variant={variant}");
        let request =
            Request::new(Method::GET, &path).header(axum::http::header::AUTHORIZATION, token);
        let answer = world.deliver(0, &request).await?.map(|answer| answer.status);
        world.tell(format!("user{person}: asks for {} {variant}: {answer:?}", short(record)));
        return Ok(());
    }
    let mut body = pictures::of_length(rng, usize::try_from(length).unwrap_or(0));
    if rng.percent(30) {
        let right = world.album.iter().flat_map(|taken| [&taken.photo, &taken.thumbnail]);
        let right = right.into_iter().find(|bytes| sha256(bytes) == hash);
        body = right.cloned().unwrap_or(body);
    }
    if rng.percent(30) {
        body.truncate(rng.below(body.len()));
    }
    let picture = (name.clone(), *record, variant.to_owned());
    world.ledger.photos.meddled.insert(picture);
    let named =
        [("collection", name.clone()), ("id", record.to_string()), ("variant", variant.into())];
    let named = named.map(|(key, value)| {
        use base64::Engine as _;
        format!("{key} {}", base64::engine::general_purpose::STANDARD.encode(value))
    });
    let header = |name: &'static str| HeaderName::from_static(name);
    let Ok(metadata) = HeaderValue::try_from(named.join(",")) else { return Ok(()) };
    let mut request = Request::new(Method::POST, "uploads")
        .header(header("authorization"), token)
        .header(header("tus-resumable"), HeaderValue::from_static("1.0.0"))
        .header(header("upload-length"), length.into())
        .header(header("upload-metadata"), metadata)
        .header(
            header("content-type"),
            HeaderValue::from_static("application/offset+octet-stream"),
        );
    request.body = body.into();
    let answer = world.deliver(0, &request).await?;
    world.tell(format!(
        "user{person}: sends {} bytes for {} {variant}: {:?}",
        request.body.len(),
        short(record),
        answer.map(|answer| answer.status)
    ));
    Ok(())
}

/// A session of a program that is no phone.
async fn token(world: &mut World, person: usize) -> Option<HeaderValue> {
    let login = json!({
        "tenant": COMPANY, "user": world.people[person].login, "password": PASSWORD,
        "device": DeviceId(uuid::Uuid::from_u128(0x00dd_0000 + person as u128)),
    });
    let mut request = Request::new(Method::POST, "auth/login")
        .header(axum::http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request.body = login.to_string().into();
    let answer = world.server.answer(&request).await;
    if world.bury_server().await {
        return None;
    }
    let session: Json = serde_json::from_str(&wire::text(&answer)).ok()?;
    HeaderValue::try_from(format!("Bearer {}", session["access_token"].as_str()?)).ok()
}

async fn is_full(world: &mut World, _: &mut Rng) -> Checked {
    world.tell("the company's room for pictures is full".to_owned());
    world.set_photo_quota(Some(0)).await;
    Ok(())
}

async fn has_room(world: &mut World, _: &mut Rng) -> Checked {
    world.tell("the company has room for pictures".to_owned());
    world.set_photo_quota(None).await;
    Ok(())
}

/// Housekeeping of what nobody needs any more.
async fn tidied(world: &mut World, _: &mut Rng) -> Checked {
    let before = world.snapshot();
    let mut here = world.server.shelf.pictures();
    let (server, now_us) = (&world.server, world.server_now_us());
    let (objects, stopping) = (&server.photos().objects, CancellationToken::new());
    let done = async {
        let uploads = tidy::uploads(objects, now_us, &stopping).await?;
        Ok::<_, compare::CompareError>((
            uploads,
            tidy::deleted(objects, server.store(), &stopping).await?,
        ))
    };
    let (uploads, deleted) = match done.await {
        Ok(done) => done,
        Err(compare::CompareError::Objects(_)) if server.shelf.is_failing() => (0, 0),
        Err(error) => return violated("uploads can be tidied", error.to_string()),
    };
    world.tell(format!("uploads are tidied: {uploads}, of deleted records {deleted}"));
    // Only pictures go whose tombstones have lost their content.
    let left = world.server.shelf.pictures();
    here.retain(|(collection, record, variant), _| {
        let picture = (collection.clone(), *record, variant.clone());
        let row = before.rows.get(&(collection.clone(), *record));
        left.contains_key(&picture) || row.is_none_or(|row| !row.emptied)
    });
    if world.server.shelf.pictures() != here {
        return violated("tidying takes no picture that is needed", format!("{deleted}"));
    }
    world.wrote_beside(&before)
}

/// Everything that pictures wait for is there: room, and a network that costs nothing.
pub async fn nothing_is_in_the_way(world: &mut World) -> Checked {
    world.set_photo_quota(None).await;
    compares(world, true).await
}

/// Whether anything of a phone's pictures could go with the next round.
///
/// # Errors
/// A phone that cannot say it.
pub fn waits(world: &World, device: usize) -> Result<bool, Violation> {
    let core = world.devices[device].core();
    core.engine().map_err(|error| broken(&error))?.set_metered(Some(false));
    let views = core.photos().map_err(|error| broken(&error))?;
    let stuck = ["record", "record_gone", "forbidden"];
    let mut waiting = views.iter().filter_map(|view| view.waiting_for.as_ref());
    Ok(waiting.any(|why| !stuck.contains(&why.code.as_str())))
}

/// How far each record says that its photo is.
#[must_use]
pub fn states(world: &mut World) -> Vec<(RecordId, Json)> {
    let snapshot = world.snapshot();
    let rows = snapshot.rows.iter().filter(|((name, _), _)| name == PHOTOS);
    rows.map(|((_, record), row)| (*record, row.fields["estado"].clone())).collect()
}
