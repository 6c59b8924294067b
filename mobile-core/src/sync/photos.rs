//! The photo part of a round: files whose records are applied go up, one by one, in pieces.
//!
//! ```text
//! follow ──► next file ──► begun before? ── no ──► POST with the first piece ──┐
//!   what the pull says      │               yes ─► HEAD: how much is there ────┤
//!                           │◄──────────── stored ◄── all is there ◄── PATCH ──┘ piece by piece
//! ```
//! The server checks hash and picture with the last piece; its answer to that is the confirmation. What cannot
//! be sent is noted and left for the next round, whatever the server has against it: edits and rows, which came
//! through, do not pause for photos. Only a cut way or session ends the round as any other. Between two pieces the
//! round looks whether there are edits to send, and ends early if so. Pieces grow and shrink with the line.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use sync_protocol::fault::{self, Point};
use sync_protocol::planted::{self, Bug};

use super::{Engine, SyncReport, authorised};
use crate::CoreError;
use crate::outbox::list::Failure;
use crate::photos::queue::{self, Item};
use crate::photos::{PhotoName, follow, space, sweep};
use crate::store::meta;
use crate::transport::TransportError;

/// Most bytes in one request, unless somebody says otherwise ([`Engine::set_photo_piece_bytes`]): prepared photos
/// fit on a fast line.
pub(super) const PIECE_BYTES: usize = 1024 * 1024;
/// The first piece of a round, as long as nobody knows how fast the line is.
const FIRST_PIECE_BYTES: usize = 128 * 1024;
/// The smallest piece, and the one that goes though edits wait, so that photos get on while somebody writes
/// without a pause.
const SMALL_PIECE_BYTES: usize = 32 * 1024;
/// The next piece is larger after one that took less, in microseconds.
const QUICK_US: i64 = 2_000_000;
/// It is smaller after one that took more: a request that takes a minute is given up.
const SLOW_US: i64 = 15_000_000;
/// In microseconds.
const MINUTE_US: i64 = 60 * 1_000_000;
/// How often files are looked for that nothing names.
const ORPHANS_EVERY_US: i64 = 6 * 60 * MINUTE_US;
/// How often in a row the server may say that it has another number of bytes than it said before.
const MOVES_MAX: usize = 5;
/// Codes after which no other picture can be sent either.
const FOR_ALL: [&str; 1] = ["photo_quota"];

/// Notes what the pull says of photos, and sends what waits.
pub(super) async fn run(engine: &Engine, report: &mut SyncReport) -> Result<(), CoreError> {
    look_for_orphans(engine)?;
    if !engine.store.read(queue::is_empty)? {
        let schema = engine.store.read(|db| engine.store.schema_in(db))?;
        engine.store.write(|db| follow::records(db, &schema))?;
        fault::reached(Point::PhotosFollowed);
    }
    sweep::released(&engine.store)?;
    let mut tried: HashSet<PhotoName> = HashSet::new();
    let mut pieces = Pieces { bytes: FIRST_PIECE_BYTES, sent: 0 };
    loop {
        engine.note_photos_left()?;
        let pictures = engine.sends_pictures()?;
        let next =
            engine.store.read(|db| queue::next(db, &tried, pictures, engine.server_now_us(db)?))?;
        let Some(item) = next else { break };
        match send(engine, &item, &mut pieces).await {
            Ok(Sent::Stored) => {
                report.photos += 1;
                report.photo_bytes += item.bytes;
            }
            Ok(Sent::Skipped) => {}
            Ok(Sent::EditsWait) => break,
            // The way is cut, or the session has ended: nothing else gets through either.
            Err(CoreError::Transport(
                error @ (TransportError::Offline { .. } | TransportError::SessionEnded(_)),
            )) => return Err(error.into()),
            // Edits and rows came through. They do not wait because the server has trouble with photos.
            Err(CoreError::Transport(error)) => {
                tracing::warn!(code = error.code(), "a photo could not be sent");
                note(engine, &item, (error.code(), &error.to_string()), pause_us(&error))?;
                if is_for_all(&error) {
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

/// Looks for files that nothing names, when the app was started and a few times a day.
fn look_for_orphans(engine: &Engine) -> Result<(), CoreError> {
    let now_us = engine.clock.boot_us().max(1);
    let looked_us = engine.orphans_us.load(Ordering::Relaxed);
    if looked_us == 0 || now_us.saturating_sub(looked_us) > ORPHANS_EVERY_US {
        if !engine.store.photos().is_empty()? {
            sweep::orphans(&engine.store)?;
        }
        engine.orphans_us.store(now_us, Ordering::Relaxed);
    }
    Ok(())
}

/// When the server is asked again that would not have this picture. What is wrong with the picture itself stays
/// wrong; somebody may make room, or see to the record.
fn pause_us(error: &TransportError) -> i64 {
    match error {
        TransportError::Problem(problem) if problem.retryable || problem.status >= 500 => 0,
        TransportError::Problem(problem) if FOR_ALL.contains(&problem.code.as_str()) => {
            60 * MINUTE_US
        }
        TransportError::Problem(problem) if problem.status == 422 => 24 * 60 * MINUTE_US,
        TransportError::Problem(_) => 15 * MINUTE_US,
        _ => 0,
    }
}

/// Whether no other photo can be sent either for now.
fn is_for_all(error: &TransportError) -> bool {
    match error {
        TransportError::Problem(problem) => {
            problem.retryable || problem.status >= 500 || FOR_ALL.contains(&problem.code.as_str())
        }
        _ => true,
    }
}

fn note(
    engine: &Engine,
    item: &Item,
    (code, text): (&str, &str),
    pause_us: i64,
) -> Result<(), CoreError> {
    let failure = Failure { code: code.to_owned(), text: text.to_owned() };
    engine.store.write(|db| {
        let not_before_us = match pause_us {
            0 => 0,
            pause_us => engine.server_now_us(db)?.saturating_add(pause_us),
        };
        queue::note_failure(db, &item.name, &failure, not_before_us)
    })
}

/// What became of a file.
enum Sent {
    /// The server has confirmed it.
    Stored,
    /// It cannot be sent.
    Skipped,
    /// There are edits to send first.
    EditsWait,
}

/// How much goes at once.
struct Pieces {
    /// As the line was last.
    bytes: usize,
    /// Pieces in this round.
    sent: usize,
}

impl Pieces {
    /// The next piece from a place on.
    fn next(&self, engine: &Engine, bytes: &Bytes, from: u64) -> Bytes {
        let most = engine.photo_piece_bytes.load(Ordering::Relaxed);
        let now = if engine.is_wanted() { SMALL_PIECE_BYTES } else { self.bytes };
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
        bytes.slice(from..bytes.len().min(from.saturating_add(now.min(most))))
    }

    /// A piece has arrived.
    fn took(&mut self, us: i64) {
        self.sent += 1;
        if us < QUICK_US {
            self.bytes = (self.bytes * 2).min(PIECE_BYTES);
        } else if us > SLOW_US {
            self.bytes = (self.bytes / 2).max(SMALL_PIECE_BYTES);
        }
    }
}

/// Sends one file.
async fn send(engine: &Engine, item: &Item, pieces: &mut Pieces) -> Result<Sent, CoreError> {
    let Some(bytes) = engine.store.photos().read(&item.sha256)?.map(Bytes::from) else {
        let text =
            "the photo's file is damaged or gone: take it again; its record says what it was";
        note(engine, item, ("photo_damaged", text), 0)?;
        return Ok(Sent::Skipped);
    };
    let name = &item.name;
    let length = bytes.len() as u64;
    let mut begun = item.tried;
    let mut offset = None;
    let mut moves = 0;
    loop {
        if engine.is_wanted() && pieces.sent > 0 {
            return Ok(Sent::EditsWait);
        }
        let known = match offset {
            Some(known) => Some(known),
            None if begun => authorised!(engine, |token| engine.transport.uploaded(token, name))?,
            None => None,
        };
        let began_us = engine.clock.boot_us();
        let answered = match known {
            Some(known) if known >= length => Ok(known),
            Some(known) => {
                let piece = pieces.next(engine, &bytes, known);
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
                let first = pieces.next(engine, &bytes, 0);
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
                pieces.took(engine.clock.boot_us().saturating_sub(began_us));
                engine.store.write(|db| queue::note_stored(db, name))?;
                return Ok(Sent::Stored);
            }
            Ok(has) => {
                if planted::is(Bug::PhotoStoredEarly) {
                    engine.store.write(|db| queue::note_stored(db, name))?;
                    return Ok(Sent::Stored);
                }
                pieces.took(engine.clock.boot_us().saturating_sub(began_us));
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
            // Somebody may have signed out meanwhile, or lost the record: then nothing of it may stay here.
            let wanted = meta::get(db, meta::name::SESSION)?.is_some()
                && follow::names(db, &*self.store.schema_in(db)?, name, sha256)?;
            if !wanted {
                return Err(CoreError::NoSuchPhoto);
            }
            self.store.photos().put(sha256, &bytes)?;
            queue::add(db, name, sha256, bytes.len(), queue::State::Stored)
        })?;
        sweep::settle(&self.store)?;
        space::make_room_beside(&self.store, Some(sha256))?;
        Ok(())
    }
}
