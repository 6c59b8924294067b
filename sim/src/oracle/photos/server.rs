//! The server's side: what a request about pictures may change, and what it may tell.

use std::collections::BTreeMap;

use base64::Engine as _;
use mobile_core::transport::exchange::Request;
use sync_protocol::schema::{Schema, flags, photos as columns};
use sync_protocol::wire::push::{MutationKind, PushRequest};
use sync_protocol::{RecordId, UserId};

use super::{VARIANTS, hash_of, rights, says_it_is_here};
use crate::oracle::ledger::Ledger;
use crate::oracle::snapshot::{Row, Snapshot};
use crate::oracle::{Checked, violated};
use crate::server::Response;
use crate::shelf::{Part, Picture, Shelf, sha256};

/// How long an upload that nobody touches is kept, in microseconds.
const UPLOAD_KEPT_US: i64 = 7 * 86_400 * 1_000_000;

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// Sending a picture, or asking how far that is.
    Upload(Picture),
    /// Looking at one.
    Download(Picture),
    /// Something else.
    Else,
}

/// What a request is about, by its address and headers.
#[must_use]
pub fn about(request: &Request) -> About {
    let path = request.path.split('?').next().unwrap_or_default();
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["uploads"] => announced(request).map_or(About::Else, About::Upload),
        ["uploads", collection, record, variant] => match record.parse() {
            Ok(record) => About::Upload(((*collection).to_owned(), record, (*variant).to_owned())),
            Err(_) => About::Else,
        },
        ["photos", collection, record] => {
            let variant = request.path.rsplit_once("variant=").map_or("photo", |(_, name)| name);
            match record.parse() {
                Ok(record) => {
                    About::Download(((*collection).to_owned(), record, variant.to_owned()))
                }
                Err(_) => About::Else,
            }
        }
        _ => About::Else,
    }
}

/// The picture that a new upload announces: `collection …,id …,variant …`, in base64.
fn announced(request: &Request) -> Option<Picture> {
    let text = request.headers.get("upload-metadata")?.to_str().ok()?;
    let pairs: BTreeMap<&str, String> = text
        .split(',')
        .filter_map(|pair| {
            let (name, value) = pair.split_once(' ')?;
            let value = base64::engine::general_purpose::STANDARD.decode(value).ok()?;
            Some((name, String::from_utf8(value).ok()?))
        })
        .collect();
    let record = pairs.get("id")?.parse().ok()?;
    Some((pairs.get("collection")?.clone(), record, pairs.get("variant")?.clone()))
}

/// The shelf as it was before a request.
pub struct Before {
    changes: u64,
    parts: BTreeMap<String, Part>,
}

impl Before {
    /// Looks, where a request is about an upload.
    #[must_use]
    pub fn look(shelf: &Shelf, request: &Request) -> Self {
        let is_sent = matches!(about(request), About::Upload(_));
        let parts = if is_sent { shelf.parts() } else { BTreeMap::new() };
        Self { changes: shelf.changes(), parts }
    }
}

/// What is in an upload's folder: how many parts, how many bytes of them, and when the last was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Upload {
    count: usize,
    bytes: usize,
    touched_us: Option<i64>,
}

impl Upload {
    fn of(parts: &BTreeMap<String, Part>, folder: &str) -> Self {
        let mut upload = Self::default();
        for (_, part) in parts.iter().filter(|(name, _)| name.contains(folder)) {
            upload.count += 1;
            upload.bytes += part.bytes;
            upload.touched_us = upload.touched_us.max(Some(part.written_us));
        }
        upload
    }

    /// Whether nobody goes on with it: it never began, or was left alone for too long.
    fn is_given_up(self, now_us: i64) -> bool {
        self.touched_us.is_none_or(|us| us + UPLOAD_KEPT_US < now_us)
    }
}

/// A request that is no push was answered: what it may have changed, and told to whom.
///
/// # Errors
/// The violation.
pub fn answered(
    (schema, shelf): (&Schema, &Shelf),
    ledger: &mut Ledger,
    asks: Option<(UserId, &str)>,
    (request, response): (&Request, Option<&Response>),
    (before, after, shelf_before): (&Snapshot, &Snapshot, &Before),
    now_us: i64,
) -> Checked {
    let about = about(request);
    let nobody = (UserId(uuid::Uuid::nil()), "");
    let asks = asks.unwrap_or(nobody);
    let mut finds_loss = false;
    let own = match &about {
        About::Upload(picture) => {
            let name = (picture.0.clone(), picture.1);
            let (sees, sends) = rights(schema, before, asks, &name);
            sent(
                (asks.0, picture),
                (sees, sends),
                (request, response),
                (shelf, shelf_before),
                ledger,
                now_us,
            )?;
            Some(name)
        }
        About::Download(picture) => {
            let name = (picture.0.clone(), picture.1);
            let (sees, _) = rights(schema, before, asks, &name);
            let spoiled = ledger.photos.spoiled.contains(picture);
            let is_here = shelf.pictures().contains_key(picture);
            let row = before.rows.get(&name).filter(|_| sees);
            shown(picture, row, response, (is_here, spoiled))?;
            began_well(picture, response, shelf.bytes(picture).as_deref())?;
            // Whoever looks for a lost picture has its record ask for it again.
            finds_loss = sees && spoiled && !is_here;
            finds_loss.then_some(name)
        }
        About::Else => None,
    };
    let changes = matches!(about, About::Upload(_)) || finds_loss;
    if !changes && shelf_before.changes != shelf.changes() {
        return violated("only uploads change pictures", request.path.clone());
    }
    only_states_change(before, after, (own.as_ref(), finds_loss), &request.path)?;
    Ok(())
}

/// Nothing of rows changes but how far the named record's upload is, and that only grows, unless a loss was
/// found.
fn only_states_change(
    before: &Snapshot,
    after: &Snapshot,
    (named, finds_loss): (Option<&(String, RecordId)>, bool),
    path: &str,
) -> Checked {
    if before.rows == after.rows {
        return Ok(());
    }
    for (name, row) in &after.rows {
        let old = before.rows.get(name);
        if old == Some(row) {
            continue;
        }
        let (Some(old), true) = (old, named == Some(name)) else {
            return violated("only pushes change rows", format!("{path}: {name:?}"));
        };
        let mut should =
            Row { version: old.version + 1, meta: row.meta.clone(), ..Row::clone(old) };
        let state = row.fields.get(columns::STATE).cloned().unwrap_or_default();
        should.fields.insert(columns::STATE.to_owned(), state);
        let lowered = VARIANTS
            .iter()
            .any(|(variant, ..)| says_it_is_here(old, variant) && !says_it_is_here(row, variant));
        if should != **row || (lowered && !finds_loss) || row.deleted {
            return violated(
                "uploads change how far a photo is, and nothing else",
                format!("{path}: {old:?} became {row:?}"),
            );
        }
    }
    Ok(())
}

/// What a request about an upload may have done.
fn sent(
    (sender, picture): (UserId, &Picture),
    (sees, sends): (bool, bool),
    (request, response): (&Request, Option<&Response>),
    (shelf, before): (&Shelf, &Before),
    ledger: &mut Ledger,
    now_us: i64,
) -> Checked {
    let status = response.map(|response| response.status);
    if !sends {
        let invariant = "an upload does not outlive its grant";
        if shelf.changes() != before.changes {
            return violated(invariant, format!("{} {}: taken", request.method, request.path));
        }
        // Whoever has no session hears that first.
        let hidden = if sees { 403 } else { 404 };
        if status.is_some_and(|status| status != hidden && !matches!(status, 401 | 400 | 426)) {
            return violated(invariant, format!("{picture:?}: answered {status:?}"));
        }
        return Ok(());
    }
    let parts = shelf.parts();
    let is_whole = shelf.pictures().contains_key(picture);
    // Who sends has an upload of their own; once the picture is here, nobody needs theirs.
    let (collection, record, variant) = picture;
    let all = format!("/{collection}/{record}/{variant}/");
    let own = format!("{all}{sender}/");
    let may_change = if is_whole { &all } else { &own };
    let others = |parts: &BTreeMap<String, Part>| {
        let others = parts.iter().filter(|(name, _)| !name.contains(may_change));
        others.map(|(name, part)| (name.clone(), *part)).collect::<Vec<_>>()
    };
    if others(&parts) != others(&before.parts) {
        return violated("an upload leaves other uploads alone", format!("{picture:?}"));
    }
    if parts.iter().any(|(name, part)| !name.contains(&own) && before.parts.get(name) != Some(part))
    {
        return violated("an upload adds nothing to others'", format!("{picture:?}"));
    }
    let (was, is) = (Upload::of(&before.parts, &own), Upload::of(&parts, &own));
    let refused = status == Some(422);
    if refused && !ledger.photos.meddled.contains(picture) {
        return violated(
            "what a phone sends is the picture that it took",
            format!("{picture:?}: {}", response.map(crate::wire::text).unwrap_or_default()),
        );
    }
    let given_up = was.is_given_up(now_us);
    if is.bytes < was.bytes && !is_whole && !refused && !given_up && status.is_some() {
        return violated(
            "what arrived of a picture stays",
            format!("{picture:?}: {was:?} became {is:?}, answered {status:?}"),
        );
    }
    let begins = given_up && is.count > 0 || refused;
    // A picture that is whole with its first piece has no parts any more.
    let at_once = was.count == 0 && is.count == 0 && is_whole && shelf.changes() != before.changes;
    if begins || at_once {
        ledger.photos.sent.entry(picture.clone()).or_default().begun += 1;
    }
    Ok(())
}

/// What a request for a picture may tell. `row`: the record, if who asks may see it.
fn shown(
    picture: &Picture,
    row: Option<&std::sync::Arc<Row>>,
    response: Option<&Response>,
    (is_here, is_spoiled): (bool, bool),
) -> Checked {
    let Some(response) = response.filter(|response| response.status < 300) else { return Ok(()) };
    let Some(row) = row else {
        return violated(
            "nobody gets a picture whose record they do not see",
            format!("{picture:?}"),
        );
    };
    // A picture whose thumbnail has not come is shown, and its record waits.
    if !is_here && !says_it_is_here(row, &picture.2) {
        return violated("only stored pictures are shown", format!("{picture:?}"));
    }
    let hash = sha256(&response.body);
    let is_whole = response.status == 200 && !response.broken;
    if is_whole && !is_spoiled && hash_of(row, &picture.2) != Some(&hash) {
        return violated("a picture is its record's", format!("{picture:?}: {hash}"));
    }
    Ok(())
}

/// What came of a picture before the store broke it off is how that picture begins, and who asked learns that it is
/// not all.
fn began_well(picture: &Picture, response: Option<&Response>, here: Option<&[u8]>) -> Checked {
    let Some(response) = response.filter(|response| response.status == 200 && response.broken)
    else {
        return Ok(());
    };
    let begins = here.is_some_and(|bytes| bytes.starts_with(&response.body));
    if !begins || here.is_some_and(|bytes| bytes.len() == response.body.len()) {
        let found = format!("{picture:?}: {} bytes broke off", response.body.len());
        return violated("a picture is its record's, as far as it comes", found);
    }
    Ok(())
}

/// Looks at everything on the shelf beside the records: what a record says is here is here, and everything
/// that is here is its record's. What the run itself spoiled is left out until somebody notices.
///
/// # Errors
/// The violation.
pub fn shelf(schema: &Schema, shelf: &Shelf, snapshot: &Snapshot, ledger: &mut Ledger) -> Checked {
    let photos = &mut ledger.photos;
    let here = shelf.pictures();
    if photos.looked != shelf.changes() {
        photos.looked = shelf.changes();
        for (picture, hash) in &here {
            let row = snapshot.rows.get(&(picture.0.clone(), picture.1));
            // What the record of a deleted picture said was forgotten: the picture goes with the next tidying.
            if row.is_some_and(|row| row.emptied) {
                continue;
            }
            if row.and_then(|row| hash_of(row, &picture.2)) == Some(hash) {
                photos.kept.insert(picture.clone());
                photos.spoiled.remove(picture);
            } else if !photos.spoiled.contains(picture) {
                return violated(
                    "whatever is kept is the picture of its record",
                    format!("{picture:?}: {hash}, {row:?}"),
                );
            }
        }
    }
    for (name, row) in &snapshot.rows {
        if row.deleted || schema.collection(&name.0).is_none_or(|c| !c.photos) {
            continue;
        }
        for (variant, ..) in VARIANTS {
            let picture = (name.0.clone(), name.1, variant.to_owned());
            let is_here = here.get(&picture).map(String::as_str) == hash_of(row, variant);
            if says_it_is_here(row, variant) && !is_here && !photos.spoiled.contains(&picture) {
                return violated(
                    "what a record says is here is here",
                    format!("{picture:?}: {:?}", here.get(&picture)),
                );
            }
        }
    }
    Ok(())
}

/// What a push says of photos: the server's flags of those that are new. A picture that another record has, or
/// had, is told; so is a location that was made up.
///
/// # Errors
/// The violation.
pub fn flagged(
    schema: &Schema,
    asked: &PushRequest,
    before: &Snapshot,
    after: &Snapshot,
) -> Checked {
    let is_photo = |name: &str| schema.collection(name).is_some_and(|c| c.photos);
    let rows = before.rows.iter().filter(|(name, _)| is_photo(&name.0));
    let mut known: Vec<&str> = rows.filter_map(|(_, row)| hash_of(row, "photo")).collect();
    let insertions = asked.transactions.iter().flat_map(|transaction| &transaction.mutations);
    let insertions =
        insertions.filter(|m| m.kind == MutationKind::Insert && is_photo(&m.collection));
    for insertion in insertions {
        let name = (insertion.collection.clone(), insertion.record);
        let Some(row) = after.rows.get(&name).filter(|_| !before.rows.contains_key(&name)) else {
            continue;
        };
        let said = |word: &str| {
            let words = row.fields.get(columns::FLAGS).and_then(serde_json::Value::as_array);
            words.is_some_and(|words| words.iter().any(|said| said == word))
        };
        let hash = hash_of(row, "photo").unwrap_or_default();
        let mocked = row.fields.get(columns::MOCKED) == Some(&serde_json::Value::Bool(true));
        for (word, should) in
            [(flags::PHOTO_SEEN_BEFORE, known.contains(&hash)), (flags::MOCKED_LOCATION, mocked)]
        {
            if said(word) != should {
                return violated(
                    "a supervisor is told what there is to look at in a photo",
                    format!("{name:?}: {word} should be {should}: {row:?}"),
                );
            }
        }
        known.push(hash);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn what_breaks_off_is_how_the_picture_begins_and_not_all_of_it() {
        let id = "01970000-0000-7000-8000-000000000001".parse().expect("an id");
        let picture = ("fotos".to_owned(), id, "photo".to_owned());
        let came = |body: &'static [u8]| {
            let (status, headers) = (200, axum::http::HeaderMap::new());
            let response =
                Response { status, headers, body: Bytes::from_static(body), broken: true };
            began_well(&picture, Some(&response), Some(b"picture")).is_ok()
        };
        assert!(came(b"") && came(b"pict"));
        assert!(!came(b"pixt") && !came(b"picture"));
    }
}
