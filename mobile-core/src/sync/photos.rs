//! The photo part of a round: files whose records are applied go up, one by one, in pieces.
//!
//! ```text
//! follow ──► next file ──► begun before? ── no ──► POST with the first piece ──┐
//!   what the pull says      │               yes ─► HEAD: how much is there ────┤
//!                           │◄──────────── stored ◄── all is there ◄── PATCH ──┘ piece by piece
//! ```
//! The server checks hash and picture with the last piece; its answer to that is the confirmation. What cannot
//! be sent for a reason of its own (its record is not visible, the quota is used up) is noted and left for the next
//! round; what is about the way or the server ends this one. Between two pieces the round looks whether there are
//! edits to send, and ends early if so: they do not wait for pictures.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use sync_protocol::fault::{self, Point};
use sync_protocol::planted::{self, Bug};
use sync_protocol::problem::Problem;

use super::{Engine, SyncReport, authorised};
use crate::CoreError;
use crate::outbox::list::Failure;
use crate::photos::queue::{self, Item};
use crate::photos::{PhotoName, follow, space};
use crate::transport::TransportError;

/// Most bytes in one request, unless somebody says otherwise ([`Engine::set_photo_piece_bytes`]). A whole
/// prepared photo fits; on a slow line the server keeps what came when a request is cut.
pub(super) const PIECE_BYTES: usize = 512 * 1024;
/// How often in a row the server may say that it has another number of bytes than it said before.
const MOVES_MAX: usize = 5;
/// Codes after which no other picture can be sent either.
const FOR_ALL: [&str; 1] = ["photo_quota"];

/// Notes what the pull says of photos, and sends what waits.
pub(super) async fn run(engine: &Engine, report: &mut SyncReport) -> Result<(), CoreError> {
    sweep_once(engine)?;
    if engine.store.read(queue::is_empty)? {
        return Ok(());
    }
    let schema = engine.store.read(|db| engine.store.schema_in(db))?;
    let goes = engine.store.write(|db| follow::records(db, &schema))?;
    fault::reached(Point::PhotosFollowed);
    if goes {
        follow::sweep(&engine.store)?;
    }
    let mut tried: HashSet<PhotoName> = HashSet::new();
    loop {
        engine.note_photos_left()?;
        let pictures = engine.sends_pictures()?;
        let Some(item) = engine.store.read(|db| queue::next(db, &tried, pictures))? else { break };
        match send(engine, &item).await {
            Ok(true) => {
                report.photos += 1;
                report.photo_bytes += item.bytes;
            }
            Ok(false) => break,
            Err(CoreError::Transport(TransportError::Problem(problem))) if is_its_own(&problem) => {
                tracing::warn!(code = problem.code, "a photo could not be sent");
                note(engine, &item, &problem)?;
                if FOR_ALL.contains(&problem.code.as_str()) {
                    break;
                }
            }
            Err(error) => return Err(error),
        }
        tried.insert(item.name);
    }
    space::make_room(&engine.store)?;
    Ok(())
}

/// Removes what a crash has left between a line of the queue and its file. Its record may be one that this person
/// may not see any more, so it does not wait until something else is to be removed.
fn sweep_once(engine: &Engine) -> Result<(), CoreError> {
    if !engine.swept.load(Ordering::Relaxed) {
        if !engine.store.photos().is_empty()? {
            follow::sweep(&engine.store)?;
        }
        engine.swept.store(true, Ordering::Relaxed);
    }
    Ok(())
}

/// Whether a refusal is about this photo, and not about the server or the session.
fn is_its_own(problem: &Problem) -> bool {
    (400..500).contains(&problem.status) && !problem.retryable
}

fn note(engine: &Engine, item: &Item, problem: &Problem) -> Result<(), CoreError> {
    let failure = Failure { code: problem.code.clone(), text: problem.to_string() };
    engine.store.write(|db| queue::note_failure(db, &item.name, &failure))
}

/// Sends one file. `false`: there are edits to send first.
async fn send(engine: &Engine, item: &Item) -> Result<bool, CoreError> {
    let Some(bytes) = engine.store.photos().read(&item.sha256)?.map(Bytes::from) else {
        let gone = Problem::new(422, "photo_damaged", "The photo's file is damaged or gone")
            .detail("take it again; the record says what it was");
        note(engine, item, &gone)?;
        return Ok(true);
    };
    let name = &item.name;
    let length = bytes.len() as u64;
    let mut begun = item.tried;
    let mut offset = None;
    let mut moves = 0;
    loop {
        if engine.is_wanted() {
            return Ok(false);
        }
        let known = match offset {
            Some(known) => Some(known),
            None if begun => authorised!(engine, |token| engine.transport.uploaded(token, name))?,
            None => None,
        };
        let answered = match known {
            Some(known) if known >= length => Ok(known),
            Some(known) => {
                let piece = piece(engine, &bytes, known);
                authorised!(engine, |token| engine.transport.upload_on(
                    token,
                    name,
                    known,
                    piece.clone()
                ))
            }
            None => {
                engine.store.write(|db| queue::note_tried(db, name))?;
                begun = true;
                fault::reached(Point::PhotoTaken);
                let first = piece(engine, &bytes, 0);
                authorised!(engine, |token| engine.transport.upload(
                    token,
                    name,
                    length,
                    first.clone()
                ))
            }
        };
        fault::reached(Point::PhotoAnswered);
        match answered {
            Ok(has) if has >= length => {
                engine.store.write(|db| queue::note_stored(db, name))?;
                return Ok(true);
            }
            Ok(has) => {
                if planted::is(Bug::PhotoStoredEarly) {
                    engine.store.write(|db| queue::note_stored(db, name))?;
                    return Ok(true);
                }
                engine.store.write(|db| queue::note_sent(db, name, has))?;
                offset = Some(has);
            }
            // Somebody else has sent some of it, or the server has lost what it had: ask again.
            Err(TransportError::Problem(problem))
                if matches!(problem.status, 404 | 409 | 410)
                    && known.is_some()
                    && moves < MOVES_MAX =>
            {
                moves += 1;
                offset = None;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn piece(engine: &Engine, bytes: &Bytes, from: u64) -> Bytes {
    let most = engine.photo_piece_bytes.load(Ordering::Relaxed);
    let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(from..bytes.len().min(from.saturating_add(most)))
}

impl Engine {
    /// Whether full pictures may go over the present network.
    pub(crate) fn sends_pictures(&self) -> Result<bool, CoreError> {
        let metered = self.conditions().metered == Some(true);
        Ok(!metered || !self.store.read(queue::waits_for_free_network)?)
    }

    fn note_photos_left(&self) -> Result<(), CoreError> {
        let pictures = self.sends_pictures()?;
        let waiting = self.store.read(|db| queue::waiting(db, pictures))?;
        self.progress.send_modify(|progress| {
            progress.photos_left = waiting.files.saturating_sub(waiting.held_back);
            progress.photo_bytes_left = waiting.bytes.saturating_sub(waiting.sent);
        });
        Ok(())
    }

    /// Fetches a picture from the server, if its bytes are what the record says.
    pub(crate) async fn fetch_photo(
        &self,
        name: &PhotoName,
        sha256: &str,
    ) -> Result<(), CoreError> {
        let bytes = authorised!(self, |token| self.transport.photo(token, name))?;
        if crate::photos::files::hash(&bytes) != sha256 {
            return Err(CoreError::PhotoUnlike);
        }
        self.store.write(|db| {
            self.store.photos().put(sha256, &bytes)?;
            queue::add(db, name, sha256, bytes.len(), queue::State::Stored)
        })?;
        space::make_room_beside(&self.store, Some(sha256))?;
        Ok(())
    }
}
